//! Sentence BLEU with one reference, as nltk computes it with `SmoothingFunction().method1`.
//!
//! Orders 1 to 4, equal weights. An order without a match counts 0.1 matches; an order for which the prediction is
//! too short has a denominator of 1, so it enters with a precision of 0.1; a prediction that shares no token
//! with the reference scores 0.

use crate::token::Token;

/// What method 1 counts for an order without a match.
const EPSILON: f64 = 0.1;

/// BLEU of one prediction.
pub fn bleu(prediction: &[Token], reference: &[Token]) -> f64 {
    let mut log_sum = 0.0;
    for n in 1..=4 {
        let matches = clipped_matches(prediction, reference, n);
        if n == 1 && matches == 0 {
            return 0.0;
        }
        let total = (prediction.len() + 1).saturating_sub(n).max(1);
        let matches = if matches == 0 { EPSILON } else { matches as f64 };
        log_sum += (matches / total as f64).ln() * 0.25;
    }
    brevity_penalty(prediction.len(), reference.len()) * log_sum.exp()
}

fn brevity_penalty(predicted: usize, expected: usize) -> f64 {
    if predicted > expected { 1.0 } else { (1.0 - expected as f64 / predicted as f64).exp() }
}

/// How many n-grams of the prediction the reference has too, each counted at most as often as it occurs there.
fn clipped_matches(prediction: &[Token], reference: &[Token], n: usize) -> usize {
    let (a, b) = (sorted_ngrams(prediction, n), sorted_ngrams(reference, n));
    let (mut i, mut j, mut matches) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, matches) = (i + 1, j + 1, matches + 1),
        }
    }
    matches
}

/// All n-grams, each packed into one number (21 bits a token), sorted.
fn sorted_ngrams(tokens: &[Token], n: usize) -> Vec<u128> {
    let mut all: Vec<u128> =
        tokens.windows(n).map(|w| w.iter().fold(0, |key, t| key << 21 | u128::from(t.id()))).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::bleu_tokens;

    fn of(prediction: &str, reference: &str) -> f64 {
        bleu(&bleu_tokens(prediction), &bleu_tokens(reference))
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
}
