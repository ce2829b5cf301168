//! Which tokens are drawn from, and how probable they are: transformers' logits warpers, in its order.
//!
//! Source: transformers 4.57, `generation/logits_process.py`, one token kept at least. Tokens that are left out get −∞.

use t5kit_tensor::ops::LogitsRow;

use crate::GenerateOptions;

/// One thing that changes the distribution a token is drawn from.
pub trait LogitsWarper: Send + Sync {
    /// Changes one row of logits.
    fn warp(&self, logits: &mut LogitsRow<'_>);

    /// How many of the best it mostly needs to see, to leave no others; 0: it leaves all.
    fn best(&self) -> usize {
        0
    }
}

/// Divides by a temperature.
pub struct Temperature(pub f32);

impl LogitsWarper for Temperature {
    fn warp(&self, logits: &mut LogitsRow<'_>) {
        logits.divide(self.0);
    }
}

/// Keeps so many of the best, and whatever equals the last of them.
pub struct TopK(pub usize);

impl LogitsWarper for TopK {
    fn warp(&self, logits: &mut LogitsRow<'_>) {
        let best = logits.top(self.0);
        if best.len() == self.0
            && let Some(&(least, _)) = best.last()
        {
            logits.keep_from(least);
        }
    }

    fn best(&self) -> usize {
        // Some more show that nothing else equals the last.
        self.0.saturating_add(8)
    }
}

/// How many of the best top-p looks at first.
const AT_FIRST: usize = 256;

/// Keeps the best until they have this much of the probability together (Holtzman et al. 2019).
pub struct TopP(pub f32);

impl LogitsWarper for TopP {
    fn warp(&self, logits: &mut LogitsRow<'_>) {
        let all = f64::from(logits.log_sum_exp());
        // Few are enough most of the time; where they are not, everything is sorted.
        let mut best = logits.top(AT_FIRST);
        let kept = |best: &[(f32, u32)]| {
            let mut above = 0.0;
            best.iter().position(|&(x, _)| {
                let enough = above >= f64::from(self.0);
                above += (f64::from(x) - all).exp();
                enough
            })
        };
        let mut count = kept(&best);
        if count.is_none() && best.len() == AT_FIRST {
            best = logits.possible();
            best.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            count = kept(&best);
        }
        if let Some(count) = count {
            best.truncate(count.max(1));
            logits.clear();
            best.iter().for_each(|&(x, id)| logits.set(id, x));
        }
    }

    fn best(&self) -> usize {
        AT_FIRST + 8
    }
}

/// Keeps what has at least this share of the best one's probability (Nguyen et al. 2024).
pub struct MinP(pub f32);

impl LogitsWarper for MinP {
    fn warp(&self, logits: &mut LogitsRow<'_>) {
        let (_, best) = logits.argmax();
        logits.keep_from(best + self.0.ln());
    }

    fn best(&self) -> usize {
        64
    }
}

/// Several, one after the other.
pub struct Warpers {
    all: Vec<Box<dyn LogitsWarper>>,
    temperature: f32,
}

impl Warpers {
    /// What the options ask for, in transformers' order.
    pub fn new(options: &GenerateOptions) -> Self {
        let mut all: Vec<Box<dyn LogitsWarper>> = Vec::new();
        // At 0 nothing is drawn.
        let temperature = if options.temperature > 0.0 { options.temperature } else { 1.0 };
        if temperature != 1.0 {
            all.push(Box::new(Temperature(temperature)));
        }
        if options.top_k != 0 {
            all.push(Box::new(TopK(options.top_k)));
        }
        if options.top_p < 1.0 {
            all.push(Box::new(TopP(options.top_p)));
        }
        if options.min_p > 0.0 {
            all.push(Box::new(MinP(options.min_p)));
        }
        Warpers { all, temperature }
    }

    /// Lets each change the logits.
    pub fn warp(&self, logits: &mut LogitsRow<'_>) {
        self.all.iter().for_each(|warper| warper.warp(logits));
    }

    /// How many of the best they look at, to leave no others; 0: they leave all.
    pub(crate) fn best(&self) -> usize {
        self.all.iter().map(|warper| warper.best()).find(|&best| best > 0).unwrap_or(0)
    }

    /// What the scores are divided by.
    pub(crate) fn temperature(&self) -> f32 {
        self.temperature
    }
}

/// Draws an id with the probabilities of these logits, which are then worth nothing; `uniform` is in [0, 1). `None` where
/// nothing is possible.
pub fn draw(logits: &mut LogitsRow<'_>, uniform: f64) -> Option<u32> {
    logits.draw(uniform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OUT: f32 = f32::NEG_INFINITY;

    fn ln(p: &[f32]) -> Vec<f32> {
        p.iter().map(|p| p.ln()).collect()
    }

    fn kept(warper: &dyn LogitsWarper, p: &[f32]) -> Vec<usize> {
        let mut logits = ln(p);
        warper.warp(&mut LogitsRow::new(&mut logits));
        (0..p.len()).filter(|&i| logits[i] > OUT).collect()
    }

    #[test]
    fn each_keeps_what_it_says() {
        let p = [0.05, 0.4, 0.1, 0.25, 0.2];
        assert_eq!(kept(&TopK(2), &p), [1, 3]);
        assert_eq!(kept(&TopK(9), &p), [0, 1, 2, 3, 4]);
        assert_eq!(kept(&TopK(1), &[0.4, 0.4, 0.2]), [0, 1], "equals stay together");
        assert_eq!(kept(&TopP(0.6), &p), [1, 3]);
        assert_eq!(kept(&TopP(0.7), &p), [1, 3, 4]);
        assert_eq!(kept(&TopP(0.0), &p), [1]);
        assert_eq!(kept(&MinP(0.45), &p), [1, 3, 4]);
        assert_eq!(kept(&MinP(1.0), &p), [1]);
    }

    #[test]
    fn drawing_follows_the_distribution() {
        let p = [0.0, 0.5, 0.2, 0.0, 0.3];
        let at = |u: f64| draw(&mut LogitsRow::new(&mut ln(&p)), u);
        for (u, id) in [(0.0, 1), (0.499, 1), (0.501, 2), (0.699, 2), (0.701, 4), (0.999_999_9, 4)] {
            assert_eq!(at(u), Some(id), "{u}");
        }
        assert_eq!(draw(&mut LogitsRow::new(&mut [OUT, OUT]), 0.5), None);
    }

    proptest! {
        /// With more tokens than are looked at first, top-p still keeps the fewest that reach p.
        #[test]
        fn top_p_keeps_the_fewest_that_suffice(seed in 0u64..1000, p in 0.0f32..1.0) {
            let mut rng = t5kit_tensor::Rng::new(seed, 0);
            let logits: Vec<f32> = (0..700).map(|_| rng.normal() as f32).collect();
            let mut warped = logits.clone();
            TopP(p).warp(&mut LogitsRow::new(&mut warped));
            let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
            let mut kept: Vec<f64> =
                warped.iter().filter(|x| **x > OUT).map(|&x| f64::from(x).exp() / total).collect();
            kept.sort_by(f64::total_cmp);
            let mass: f64 = kept.iter().sum();
            let least = warped.iter().copied().filter(|x| *x > OUT).fold(f32::INFINITY, f32::min);
            prop_assert!(mass > f64::from(p) - 1e-5);
            prop_assert!(kept.len() == 1 || mass - kept[0] < f64::from(p) + 1e-5);
            prop_assert!(logits.iter().zip(&warped).all(|(x, w)| *w == *x || *x <= least));
        }
    }
}
