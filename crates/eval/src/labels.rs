//! Figures of labels as scikit-learn computes them: accuracy, macro and micro F1, Matthews' coefficient, a table of
//! classes, the confusion matrix. White space around a label is no part of it.

use std::collections::BTreeMap;

use crate::statistics::Statistics;

/// Labels predicted and right, numbered in the order of their names.
#[derive(Clone, Debug)]
pub struct Labels {
    names: Vec<String>,
    /// Of each line the predicted and the right label.
    lines: Vec<(u32, u32)>,
}

/// One label.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Share of those predicted that are right; 0 where none was predicted.
    pub precision: f64,
    /// Share of those expected that were predicted; 0 where none was expected.
    pub recall: f64,
    /// The harmonic mean of the two.
    pub f1: f64,
    /// How often it was expected.
    pub support: u64,
}

/// What there is to say of labels beyond a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassTable {
    /// Every label predicted or expected, by name.
    pub classes: Vec<Class>,
    /// How often a right label (first) was predicted as another: (right, predicted, times), no zeros, in order.
    pub confusion: Vec<(usize, usize, u64)>,
}

/// Per class how often it was predicted and right, predicted, and expected.
struct Tally {
    both: Vec<f64>,
    predicted: Vec<f64>,
    expected: Vec<f64>,
}

impl Labels {
    /// The labels of texts.
    pub fn new<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let trimmed = pairs.map(|(predicted, expected)| (predicted.trim(), expected.trim()));
        let mut ids: BTreeMap<&str, u32> = trimmed.clone().flat_map(|(p, e)| [(p, 0), (e, 0)]).collect();
        for (id, number) in ids.values_mut().zip(0..) {
            *id = number;
        }
        let lines = trimmed.map(|(predicted, expected)| (ids[predicted], ids[expected])).collect();
        Labels { lines, names: ids.into_keys().map(String::from).collect() }
    }

    fn tally(&self, times: &[u32]) -> Tally {
        let zeros = || vec![0.0; self.names.len()];
        let mut tally = Tally { both: zeros(), predicted: zeros(), expected: zeros() };
        for (&(predicted, expected), &times) in self.lines.iter().zip(times) {
            let times = f64::from(times);
            tally.predicted[predicted as usize] += times;
            tally.expected[expected as usize] += times;
            if predicted == expected {
                tally.both[expected as usize] += times;
            }
        }
        tally
    }

    /// The table of classes.
    pub fn table(&self) -> ClassTable {
        let tally = self.tally(&vec![1; self.lines.len()]);
        let share = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
        let class = |(i, name): (usize, &String)| Class {
            name: name.clone(),
            precision: share(tally.both[i], tally.predicted[i]),
            recall: share(tally.both[i], tally.expected[i]),
            f1: share(2.0 * tally.both[i], tally.predicted[i] + tally.expected[i]),
            support: tally.expected[i] as u64,
        };
        let mut confusion: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for &(predicted, expected) in &self.lines {
            *confusion.entry((expected as usize, predicted as usize)).or_default() += 1;
        }
        ClassTable {
            classes: self.names.iter().enumerate().map(class).collect(),
            confusion: confusion.into_iter().map(|((right, predicted), n)| (right, predicted, n)).collect(),
        }
    }
}

impl Statistics for Labels {
    /// Accuracy, macro F1, micro F1, Matthews' coefficient.
    fn figures(&self, times: &[u32]) -> Vec<f64> {
        let tally = self.tally(times);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (lines, right): (f64, f64) = (tally.expected.iter().sum(), tally.both.iter().sum());
        let (mut f1s, mut classes) = (0.0, 0.0);
        for ((both, predicted), expected) in tally.both.iter().zip(&tally.predicted).zip(&tally.expected) {
            if predicted + expected > 0.0 {
                f1s += 2.0 * both / (predicted + expected);
                classes += 1.0;
            }
        }
        let accuracy = right / lines.max(1.0);
        let spread = |counts: &[f64]| lines * lines - dot(counts, counts);
        let (predicted, expected) = (spread(&tally.predicted), spread(&tally.expected));
        let together = right * lines - dot(&tally.predicted, &tally.expected);
        let matthews =
            if predicted * expected == 0.0 { 0.0 } else { together / (predicted * expected).sqrt() };
        // Each line has one label, so micro precision, recall and F1 are all the accuracy.
        vec![accuracy, f1s / f64::max(classes, 1.0), accuracy, matthews]
    }

    fn count(&self) -> usize {
        self.lines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_three() {
        let pairs = [("正面", "正面"), ("正面 ", "负面"), ("负面", "负面"), ("其他", "正面")];
        let labels = Labels::new(pairs.into_iter());
        let [accuracy, macro_f1, micro_f1, _] = labels.figures(&[1; 4])[..] else { panic!() };
        assert_eq!((accuracy, micro_f1), (0.5, 0.5));
        // 正面: 1 of 2 and 2; 负面: 1 of 1 and 2; 其他: 0 of 1 and 0.
        assert!((macro_f1 - (0.5 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        let table = labels.table();
        assert_eq!(table.classes.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["其他", "正面", "负面"]);
        assert_eq!(table.confusion, [(1, 0, 1), (1, 1, 1), (2, 1, 1), (2, 2, 1)]);
        assert_eq!(
            (table.classes[2].precision, table.classes[2].recall, table.classes[2].support),
            (1.0, 0.5, 2)
        );
        // A class that a sample lacks does not count.
        assert_eq!(labels.figures(&[3, 0, 0, 0])[1], 1.0);
        assert_eq!(Labels::new([].into_iter()).figures(&[]), [0.0; 4]);
    }
}
