//! Metrics by name, and several of them over the same lines.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{exact_match, f1};
use crate::chrf::Chrf;
use crate::csl::{Accumulator, Scores};

/// A score of generated texts against references, between 0 and 1; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Mean smoothed sentence BLEU by characters ([`mod@crate::csl`]).
    Bleu,
    /// Mean ROUGE-1 by characters.
    Rouge1,
    /// Mean ROUGE-2 by characters.
    Rouge2,
    /// Mean ROUGE-L by characters.
    RougeL,
    /// chrF2 over all lines ([`crate::chrf`]).
    Chrf,
    /// Share of lines that are the reference but for white space around them: of labels, the accuracy.
    Accuracy,
    /// Mean F1 of labels, every label weighing the same.
    MacroF1,
    /// Share of lines with the reference's words (`answer.rs`).
    ExactMatch,
    /// Mean F1 of the words of a line (`answer.rs`).
    F1,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 9] = [
        Metric::Bleu,
        Metric::Rouge1,
        Metric::Rouge2,
        Metric::RougeL,
        Metric::Chrf,
        Metric::Accuracy,
        Metric::MacroF1,
        Metric::ExactMatch,
        Metric::F1,
    ];

    /// Its name in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Bleu => "bleu",
            Metric::Rouge1 => "rouge-1",
            Metric::Rouge2 => "rouge-2",
            Metric::RougeL => "rouge-l",
            Metric::Chrf => "chrf",
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro-f1",
            Metric::ExactMatch => "exact-match",
            Metric::F1 => "f1",
        }
    }

    /// The metric of that name.
    pub fn by_name(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    fn is_csl(self) -> bool {
        matches!(self, Metric::Bleu | Metric::Rouge1 | Metric::Rouge2 | Metric::RougeL)
    }
}

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
    csl: Accumulator,
    chrf: Chrf,
    lines: u64,
    equal: u64,
    exact: u64,
    f1: f64,
    /// Of each label: how often it was predicted, expected, and both.
    labels: BTreeMap<String, [u64; 3]>,
}

impl Scorer {
    /// For these metrics; only what they need is computed.
    pub fn new(metrics: &[Metric]) -> Self {
        Scorer {
            metrics: metrics.to_vec(),
            csl: Accumulator::default(),
            chrf: Chrf::default(),
            lines: 0,
            equal: 0,
            exact: 0,
            f1: 0.0,
            labels: BTreeMap::new(),
        }
    }

    /// Adds one line.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        let (predicted, expected) = (prediction.trim(), reference.trim());
        self.lines += 1;
        if self.metrics.iter().any(|metric| metric.is_csl()) {
            self.csl.add(prediction, reference);
        }
        for metric in self.metrics.iter().collect::<BTreeSet<_>>() {
            match metric {
                Metric::Bleu | Metric::Rouge1 | Metric::Rouge2 | Metric::RougeL => {}
                Metric::Chrf => self.chrf.add(prediction, reference),
                Metric::Accuracy => self.equal += u64::from(predicted == expected),
                Metric::ExactMatch => self.exact += u64::from(exact_match(prediction, reference)),
                Metric::F1 => self.f1 += f1(prediction, reference),
                Metric::MacroF1 => {
                    for (name, at) in [(predicted, 0), (expected, 1)] {
                        self.labels.entry(name.to_owned()).or_default()[at] += 1;
                    }
                    if let Some(label) = self.labels.get_mut(predicted).filter(|_| predicted == expected) {
                        label[2] += 1;
                    }
                }
            }
        }
    }

    /// Every metric with its score, in the order asked for; zeros where nothing was added.
    pub fn scores(&self) -> Vec<(Metric, f64)> {
        let csl: Scores = self.csl.mean();
        let mean = |sum: f64| sum / self.lines.max(1) as f64;
        let score = |&metric: &Metric| {
            let score = match metric {
                Metric::Bleu => csl.bleu,
                Metric::Rouge1 => csl.rouge_1,
                Metric::Rouge2 => csl.rouge_2,
                Metric::RougeL => csl.rouge_l,
                Metric::Chrf => self.chrf.score(),
                Metric::Accuracy => mean(self.equal as f64),
                Metric::ExactMatch => mean(self.exact as f64),
                Metric::F1 => mean(self.f1),
                Metric::MacroF1 => {
                    let each = |&[predicted, expected, both]: &[u64; 3]| {
                        2.0 * both as f64 / (predicted + expected) as f64
                    };
                    self.labels.values().map(each).sum::<f64>() / self.labels.len().max(1) as f64
                }
            };
            (metric, score)
        };
        self.metrics.iter().map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::words;

    fn score(metric: Metric, lines: &[(&str, &str)]) -> f64 {
        let mut scorer = Scorer::new(&[metric]);
        lines.iter().for_each(|(p, r)| scorer.add(p, r));
        scorer.scores()[0].1
    }

    #[test]
    fn labels() {
        let lines = [("正面", "正面"), ("正面 ", "负面"), ("负面", "负面"), ("其他", "正面")];
        assert_eq!(score(Metric::Accuracy, &lines), 0.5);
        // 正面: 1 of 2 and 2; 负面: 1 of 1 and 2; 其他: 0 of 1 and 0.
        assert!((score(Metric::MacroF1, &lines) - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert_eq!(score(Metric::Accuracy, &[]), 0.0);
    }

    #[test]
    fn answers() {
        assert_eq!(words("《三国Romance 2》，3.5"), ["三", "国", "romance", "2", "3", "5"]);
        assert_eq!(
            score(Metric::ExactMatch, &[("《红楼梦》 ", "红楼梦"), ("红楼", "红楼梦"), ("A b", "a  B.")]),
            2.0 / 3.0
        );
        // 2 of 2 and 3 words; a word that occurs twice counts once where the reference has it once.
        assert_eq!(score(Metric::F1, &[("红楼", "红楼梦")]), 0.8);
        assert_eq!(score(Metric::F1, &[("the the cat", "the dog")]), 0.4);
        assert_eq!(score(Metric::F1, &[("。", ""), ("", "梦")]), 0.5);
    }

    #[test]
    fn names_lead_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::by_name(metric.name()), Some(metric));
        }
        assert_eq!(Metric::by_name("BLEU"), None);
        assert_eq!(crate::csl([("今天", "今天好")]).bleu, score(Metric::Bleu, &[("今天", "今天好")]));
    }
}
