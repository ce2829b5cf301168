//! ROUGE-N and ROUGE-L as the Python package `rouge` 1.0.1 computes them.
//!
//! It counts *different* n-grams (sets, not multisets), keeps no boundary between sentences for n-grams, adds 1e-8
//! to the denominator of the F score, and takes for ROUGE-L the union, over all pairs of sentences, of the
//! different tokens of a longest common subsequence.

use crate::lcs;
use crate::token::Token;
use std::collections::HashSet;

/// `2pr / (p + r + 1e-8)` of the precision and recall that `overlap` different items make.
fn f_score(predicted: usize, expected: usize, overlap: usize) -> f64 {
    let ratio = |of: usize| if of == 0 { 0.0 } else { overlap as f64 / of as f64 };
    let (precision, recall) = (ratio(predicted), ratio(expected));
    2.0 * ((precision * recall) / (precision + recall + 1e-8))
}

/// The F score of the different n-grams, `n` 1 or 2. 0 where a side has no sentence.
pub fn rouge_n(prediction: &[Vec<Token>], reference: &[Vec<Token>], n: usize) -> f64 {
    if prediction.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let (predicted, expected) = (ngram_set(prediction, n), ngram_set(reference, n));
    f_score(predicted.len(), expected.len(), common(&predicted, &expected))
}

/// The different n-grams of all sentences in a row, sorted.
fn ngram_set(sentences: &[Vec<Token>], n: usize) -> Vec<u64> {
    assert!(n == 1 || n == 2, "ROUGE-{n}");
    let words: Vec<u64> = sentences.iter().flatten().map(|t| u64::from(t.id())).collect();
    let mut set: Vec<u64> = match n {
        1 => words,
        _ => words.windows(2).map(|w| w[0] << 32 | w[1]).collect(),
    };
    set.sort_unstable();
    set.dedup();
    set
}

/// How many items two sorted sets share.
fn common(a: &[u64], b: &[u64]) -> usize {
    let (small, large) = if a.len() < b.len() { (a, b) } else { (b, a) };
    small.iter().filter(|item| large.binary_search(item).is_ok()).count()
}

/// The F score of ROUGE-L at summary level. 0 where a side has no sentence.
pub fn rouge_l(prediction: &[Vec<Token>], reference: &[Vec<Token>]) -> f64 {
    if prediction.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let (predicted, expected) = (ngram_set(prediction, 1), ngram_set(reference, 1));
    // No union can hold more than the tokens that both sides have, so most lines need few of their pairs. And
    // a union does not care how often a sentence occurs.
    let limit = common(&predicted, &expected);
    let (prediction, reference) = (different(prediction), different(reference));
    let mut union = HashSet::new();
    'pairs: for expected in &reference {
        for predicted in &prediction {
            if union.len() == limit {
                break 'pairs;
            }
            union.extend(lcs::members(expected, predicted));
        }
    }
    f_score(predicted.len(), expected.len(), union.len())
}

fn different(sentences: &[Vec<Token>]) -> Vec<&Vec<Token>> {
    let mut seen = HashSet::new();
    sentences.iter().filter(|s| seen.insert(*s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::rouge_sentences;

    fn scores(prediction: &str, reference: &str) -> [f64; 3] {
        let (p, r) = (rouge_sentences(prediction), rouge_sentences(reference));
        [rouge_n(&p, &r, 1), rouge_n(&p, &r, 2), rouge_l(&p, &r)]
    }

    #[test]
    fn repeated_characters_count_once() {
        let [one, two, l] = scores("好好好好", "好");
        assert!((one - 1.0).abs() < 1e-7 && two == 0.0 && (l - 1.0).abs() < 1e-7);
    }

    #[test]
    fn a_side_without_sentences_scores_nothing() {
        assert_eq!(scores(".", "好"), [0.0; 3]);
        assert_eq!(scores("好", ""), [0.0; 3]);
    }

    #[test]
    fn bigrams_cross_sentences_and_lcs_does_not() {
        let [_, two, l] = scores("ab", "a.b");
        assert!((two - 1.0).abs() < 1e-7, "{two}");
        assert!((l - 1.0).abs() < 1e-7, "the union over both sentences: {l}");
        let [_, two, l] = scores("a.b", "ba");
        assert!(two == 0.0 && (l - 1.0).abs() < 1e-7, "{two} {l}");
    }
}
