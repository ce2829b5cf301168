//! Metrics of lines that arrive one at a time, each as one number between 0 and 1.

use crate::compute::{Texts, compute};
use crate::metric::Metric;
use crate::resample::Bootstrap;

/// Several metrics over lines that arrive one at a time.
///
/// ```
/// use t5kit_eval::{Metric, Scorer};
/// let mut scorer = Scorer::new(&[Metric::Accuracy, Metric::Bleu]);
/// scorer.add("正面", "正面");
/// scorer.add("正面", "负面");
/// assert_eq!(scorer.scores()[0], (Metric::Accuracy, 0.5));
/// ```
#[derive(Clone, Debug)]
pub struct Scorer {
    metrics: Vec<Metric>,
    predictions: Vec<String>,
    references: Vec<String>,
}

impl Scorer {
    /// For these metrics.
    pub fn new(metrics: &[Metric]) -> Self {
        Scorer { metrics: metrics.to_vec(), predictions: Vec::new(), references: Vec::new() }
    }

    /// Adds one line.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        self.predictions.push(prediction.to_owned());
        self.references.push(reference.to_owned());
    }

    /// Every metric with its main figure as a share of the most it can be, in the order asked for. Not a number for
    /// what these lines have no figure of: sources, or numbers.
    pub fn scores(&self) -> Vec<(Metric, f64)> {
        let references = std::slice::from_ref(&self.references);
        let texts = Texts { predictions: &self.predictions, references, ..Texts::default() };
        let none = Bootstrap { samples: 0, ..Bootstrap::default() };
        let score = |&metric: &Metric| {
            let report = compute(&[metric], texts, none);
            let figure = report.ok().map(|mut report| report.figures.swap_remove(metric.main_figure()));
            (metric, figure.map_or(f64::NAN, |figure| figure.value / figure.most))
        };
        self.metrics.iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(metric: Metric, lines: &[(&str, &str)]) -> f64 {
        let mut scorer = Scorer::new(&[metric]);
        lines.iter().for_each(|(p, r)| scorer.add(p, r));
        scorer.scores()[0].1
    }

    #[test]
    fn shares() {
        assert_eq!(score(Metric::Accuracy, &[]), 0.0);
        assert_eq!(score(Metric::Chrf, &[("标题", "标题")]), 1.0);
        assert_eq!(score(Metric::F1, &[("。", ""), ("", "梦")]), 0.5);
        assert_eq!(score(Metric::Csl, &[("今天", "今天好")]), score(Metric::Bleu, &[("今天", "今天好")]));
        assert_eq!(crate::csl([("今天", "今天好")]).bleu, score(Metric::Bleu, &[("今天", "今天好")]));
        assert!(
            score(Metric::Pearson, &[("1", "好")]).is_nan() && score(Metric::Copy, &[("1", "1")]).is_nan()
        );
    }
}
