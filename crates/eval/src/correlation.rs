//! Pearson's and Spearman's correlation of numbers, as scipy computes them.

use crate::statistics::Statistics;

/// What a text that is no number counts as, after T5's evaluation of STS-B.
pub const NO_NUMBER: f64 = -1.0;

/// Numbers predicted and right.
#[derive(Clone, Debug)]
pub struct Numbers {
    sides: [Side; 2],
}

#[derive(Clone, Debug)]
struct Side {
    values: Vec<f64>,
    /// The places of the values from the least to the greatest.
    order: Vec<u32>,
}

impl Side {
    fn new(values: Vec<f64>) -> Self {
        let mut order: Vec<u32> = (0..values.len() as u32).collect();
        order.sort_by(|&a, &b| values[a as usize].total_cmp(&values[b as usize]));
        Side { values, order }
    }

    /// Ranks from 1, the mean of their ranks for equal values.
    fn ranks(&self, times: &[u32]) -> Vec<f64> {
        let mut ranks = vec![0.0; self.values.len()];
        let mut before = 0.0;
        for equal in self.order.chunk_by(|&a, &b| self.values[a as usize] == self.values[b as usize]) {
            let there: f64 = equal.iter().map(|&i| f64::from(times[i as usize])).sum();
            equal.iter().for_each(|&i| ranks[i as usize] = before + (there + 1.0) / 2.0);
            before += there;
        }
        ranks
    }
}

impl Numbers {
    /// Of values one by one.
    pub fn new(predicted: Vec<f64>, expected: Vec<f64>) -> Self {
        Numbers { sides: [predicted, expected].map(Side::new) }
    }
}

/// A text as a number.
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

impl Statistics for Numbers {
    /// Pearson's and Spearman's coefficient; not a number where a side is constant.
    fn figures(&self, times: &[u32]) -> Vec<f64> {
        let [x, y] = &self.sides;
        vec![pearson(&x.values, &y.values, times), pearson(&x.ranks(times), &y.ranks(times), times)]
    }

    fn count(&self) -> usize {
        self.sides[0].values.len()
    }
}

fn pearson(x: &[f64], y: &[f64], times: &[u32]) -> f64 {
    let n: f64 = times.iter().map(|&t| f64::from(t)).sum();
    let mean = |v: &[f64]| v.iter().zip(times).map(|(v, &t)| v * f64::from(t)).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for ((x, y), &t) in x.iter().zip(y).zip(times) {
        let (x, y, t) = (x - mean_x, y - mean_y, f64::from(t));
        xx += t * x * x;
        yy += t * y * y;
        xy += t * x * y;
    }
    // What is left of a constant after rounding is no spread.
    let constant = |v: &[f64]| {
        let mut there = v.iter().zip(times).filter(|(_, t)| **t > 0).map(|(v, _)| v);
        let first = there.next();
        there.all(|v| Some(v) == first)
    };
    if constant(x) || constant(y) { f64::NAN } else { (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_constants_and_ties() {
        let of = |x: &[f64], y: &[f64]| Numbers::new(x.into(), y.into()).figures(&vec![1; x.len()]);
        assert!(of(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]).iter().all(|r| (r - 1.0).abs() < 1e-15));
        assert!((of(&[1.0, 2.0, 9.0], &[9.0, 2.0, 1.0])[1] + 1.0).abs() < 1e-15);
        assert!(of(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0])[0].is_nan() && of(&[], &[])[1].is_nan());
        // Ranks 1, 2.5, 2.5 and 1, 2, 3.
        assert!((of(&[1.0, 5.0, 5.0], &[1.0, 2.0, 3.0])[1] - 0.75f64.sqrt()).abs() < 1e-12);
        // A line twice is two lines.
        let (x, y) = ([1.0, 5.0, 5.0, 2.0], [1.0, 2.0, 2.0, 3.0]);
        let weighted = Numbers::new(vec![1.0, 5.0, 2.0], vec![1.0, 2.0, 3.0]).figures(&[1, 2, 1]);
        assert!(of(&x, &y).iter().zip(weighted).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!((number(" 3.8 "), number("3,8"), number("nan")), (Some(3.8), None, None));
    }
}
