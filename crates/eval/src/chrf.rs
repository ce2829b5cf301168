//! chrF2 as sacrebleu 2 computes it by default: n-grams of 1 to 6 characters, white space left out, recall weighed
//! twice (Popović 2015, 2016), counted over the whole corpus.

use std::collections::HashMap;

use crate::token::is_space;

const ORDER: usize = 6;
const BETA_SQUARED: f64 = 4.0;

/// Counts over lines that arrive one at a time.
#[derive(Clone, Debug, Default)]
pub struct Chrf {
    /// For each length of n-gram: predicted, expected, and found in both.
    counts: [[u64; 3]; ORDER],
}

impl Chrf {
    /// Adds one line.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        let characters = |text: &str| text.chars().filter(|&c| !is_space(c)).collect::<Vec<char>>();
        let (predicted, expected) = (characters(prediction), characters(reference));
        for (n, counts) in (1..).zip(&mut self.counts) {
            let (hypothesis, reference) = (ngrams(&predicted, n), ngrams(&expected, n));
            // Where the reference is too short the prediction is not held against it.
            if !reference.is_empty() {
                counts[0] += (predicted.len() + 1).saturating_sub(n) as u64;
            }
            counts[1] += (expected.len() + 1).saturating_sub(n) as u64;
            let found = hypothesis.iter().map(|(gram, &count)| count.min(*reference.get(gram).unwrap_or(&0)));
            counts[2] += found.sum::<u64>();
        }
    }

    /// The score, between 0 and 1.
    pub fn score(&self) -> f64 {
        let known = self.counts.iter().filter(|c| c[0] > 0 && c[1] > 0);
        let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
        for &[predicted, expected, found] in known {
            precision += found as f64 / predicted as f64;
            recall += found as f64 / expected as f64;
            orders += 1.0;
        }
        if precision + recall == 0.0 {
            return 0.0;
        }
        let (precision, recall) = (precision / orders, recall / orders);
        (1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    }
}

fn ngrams(characters: &[char], n: usize) -> HashMap<&[char], u64> {
    let mut counts = HashMap::new();
    for gram in characters.windows(n) {
        *counts.entry(gram).or_insert(0) += 1;
    }
    counts
}
