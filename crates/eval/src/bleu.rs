//! Sentence BLEU as nltk computes it with `SmoothingFunction().method1`.
//!
//! Orders 1 to 4, equal weights. An order without a match counts 0.1 matches; an order for which the prediction is
//! too short has a denominator of 1, so it enters with a precision of 0.1; a prediction that shares no token
//! with a reference scores 0. Of several references each n-gram counts as often as the one that has it most, and the
//! length is the closest.

use crate::ngrams::{Counts, total};
use crate::token::Token;

/// What method 1 counts for an order without a match.
const EPSILON: f64 = 0.1;

/// BLEU of one prediction; there is at least one reference.
pub fn bleu(prediction: &[Token], references: &[Vec<Token>]) -> f64 {
    let ids = |tokens: &[Token]| tokens.iter().map(|token| token.id()).collect::<Vec<u32>>();
    let (predicted, expected) = (ids(prediction), references.iter().map(|r| ids(r)).collect::<Vec<_>>());
    let mut log_sum = 0.0;
    for n in 1..=4 {
        let counts = expected.iter().map(|ids| Counts::of(ids, n, 21)).reduce(Counts::most);
        let matches = Counts::of(&predicted, n, 21).matched(&counts.unwrap_or_default());
        if n == 1 && matches == 0 {
            return 0.0;
        }
        let matches = if matches == 0 { EPSILON } else { matches as f64 };
        log_sum += (matches / total(predicted.len(), n).max(1) as f64).ln() * 0.25;
    }
    let length = closest(predicted.len(), expected.iter().map(Vec::len));
    brevity_penalty(predicted.len(), length) * log_sum.exp()
}

/// The length that differs least, of two the shorter; 0 for none.
pub fn closest(length: usize, of: impl Iterator<Item = usize>) -> usize {
    of.min_by_key(|&l| (l.abs_diff(length), l)).unwrap_or(0)
}

fn brevity_penalty(predicted: usize, expected: usize) -> f64 {
    if predicted > expected { 1.0 } else { (1.0 - expected as f64 / predicted as f64).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::bleu_tokens;

    fn of(prediction: &str, reference: &str) -> f64 {
        bleu(&bleu_tokens(prediction), &[bleu_tokens(reference)])
    }

    #[test]
    fn a_match_is_one_and_nothing_shared_is_zero() {
        assert!((of("今天天气好", "今天天气好") - 1.0).abs() < 1e-12);
        assert_eq!(of("今天天气好", "abc"), 0.0);
    }

    #[test]
    fn short_predictions_are_smoothed() {
        // One token right of one: precisions 1, 0.1, 0.1, 0.1; no brevity penalty.
        assert!((of("好", "好") - 0.1f64.powf(0.75)).abs() < 1e-12);
        // The same against four tokens: penalty exp(1 - 4).
        assert!((of("好", "好人好事") - 0.1f64.powf(0.75) * (-3f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn repetitions_are_clipped() {
        // 1 of 4 unigrams; 0.1 of 3, of 2 and of 1.
        let expected = (0.25 * (0.1 / 3.0) * (0.1 / 2.0) * 0.1f64).powf(0.25);
        assert!((of("好好好好", "好") - expected).abs() < 1e-12);
    }

    #[test]
    fn of_two_lengths_as_near_the_shorter() {
        assert_eq!(closest(5, [7, 3].into_iter()), 3);
        assert_eq!(closest(5, [9, 6].into_iter()), 6);
    }
}
