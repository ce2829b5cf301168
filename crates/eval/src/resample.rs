//! Bootstrap: confidence intervals, and the paired test between two systems, as sacreBLEU has them.
//!
//! All lines are drawn anew, with replacement, as often as there are samples, with numpy's generator: for the same seed
//! the samples are sacreBLEU's. It adds up in `float32` where this crate has `f64`, so figures of samples agree to some
//! six digits.

use std::sync::Mutex;
use std::thread;

use crate::numpy_random::Pcg64;
use crate::statistics::{Statistics, threads};

/// Which samples are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many; 0: none.
    pub samples: usize,
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1,000 samples and the seed 12345, as sacreBLEU has them.
    fn default() -> Self {
        Bootstrap { samples: 1000, seed: 12345 }
    }
}

/// The figures of every sample: `[statistics][samples][figures]`. All `statistics` are of the same lines.
pub fn samples(statistics: &[&dyn Statistics], bootstrap: Bootstrap) -> Vec<Vec<Vec<f64>>> {
    let lines = statistics.first().map_or(0, |s| s.count());
    let mut found = vec![vec![Vec::new(); bootstrap.samples]; statistics.len()];
    let drawn = Mutex::new((Pcg64::new(bootstrap.seed), 0));
    let results = Mutex::new(&mut found);
    let work = || {
        let mut times = vec![0u32; lines];
        loop {
            // Numbers are drawn one sample after another, whoever works on them.
            let sample = {
                let mut drawn = drawn.lock().unwrap_or_else(|e| e.into_inner());
                let (rng, next) = &mut *drawn;
                if *next == bootstrap.samples {
                    return;
                }
                times.fill(0);
                for _ in 0..lines {
                    times[rng.below(lines as u32) as usize] += 1;
                }
                *next += 1;
                *next - 1
            };
            let figures: Vec<_> = statistics.iter().map(|s| s.figures(&times)).collect();
            let mut results = results.lock().unwrap_or_else(|e| e.into_inner());
            results.iter_mut().zip(figures).for_each(|(all, figures)| all[sample] = figures);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads().min(bootstrap.samples) {
            scope.spawn(work);
        }
    });
    found
}

/// The middle 95 % of a figure's samples: without the lowest and the highest fortieth. `None` for no samples.
pub fn interval(mut samples: Vec<f64>) -> Option<(f64, f64)> {
    samples.retain(|value| !value.is_nan());
    samples.sort_by(f64::total_cmp);
    let out = samples.len() / 40;
    Some((*samples.get(out)?, *samples.get(samples.len() - out - 1)?))
}

/// The probability of a difference of two systems as great as `difference` by chance, from the figures of both on the
/// same samples.
///
/// Two systems that are the same line by line have the lowest there is, 1 / (samples + 1), as in sacreBLEU: nothing
/// about a difference of zero is due to chance.
pub fn p_value(samples: &[f64], other: &[f64], difference: f64) -> f64 {
    let differences: Vec<f64> = samples.iter().zip(other).map(|(a, b)| (a - b).abs()).collect();
    let mean = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
    let greater = differences.iter().filter(|d| *d - mean > difference.abs()).count();
    (greater + 1) as f64 / (differences.len() + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Sums;

    #[test]
    fn samples_are_numpys() {
        let lines = Sums::means(10, 1, |i, out| out[0] = i as f64);
        let found = samples(&[&lines], Bootstrap { samples: 3, seed: 12345 });
        // numpy.random.default_rng(12345).choice(10, size=(3, 10)).mean(1)
        let want = [5.1, 4.7, 4.7];
        let got: Vec<f64> = found[0].iter().map(|figures| figures[0]).collect();
        assert!(got.iter().zip(want).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-12), "{got:?}");
        assert!(samples(&[], Bootstrap::default()).is_empty());
    }

    #[test]
    fn intervals_leave_out_a_fortieth() {
        assert_eq!(interval((0..1000).map(f64::from).rev().collect()), Some((25.0, 974.0)));
        assert_eq!(interval(vec![f64::NAN, 1.0]), Some((1.0, 1.0)));
        assert_eq!(interval(Vec::new()), None);
    }

    #[test]
    fn what_chance_makes_is_no_difference() {
        let (a, b) = ([1.0, 2.0, 3.0], [1.5, 1.5, 1.5]);
        // |d| is 0.5, 0.5, 1.5, their mean 5/6: one is greater than 0.5 above it.
        assert_eq!(p_value(&a, &b, -0.5), 0.5);
        assert_eq!(p_value(&a, &a, 0.0), 0.25);
    }
}
