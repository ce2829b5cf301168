//! chrF2 and chrF2++ as sacreBLEU 2 computes them by default: n-grams of 1 to 6 characters, white space left out, for
//! `++` those of 1 and 2 words too, recall weighed twice (Popović 2015, 2017), counted over all lines.

use crate::lexicon::Lexicon;
use crate::ngrams::{Counts, total};
use crate::python::split;
use crate::token::is_space;

const CHARACTERS: usize = 6;
const BETA_SQUARED: f64 = 4.0;

/// How many numbers a line's statistics are: for each length of n-gram how many were predicted, expected, and found
/// in both.
pub fn width(word_order: usize) -> usize {
    3 * (CHARACTERS + word_order)
}

/// Writes the statistics of one line, against the reference that scores best.
pub fn statistics(word_order: usize, prediction: &str, references: &[&str], out: &mut [f64]) {
    let predicted = Side::new(prediction, word_order);
    let mut best = -1.0;
    let mut one = vec![0.0; out.len()];
    for reference in references {
        compare(&predicted, &Side::new(reference, word_order), word_order, &mut one);
        let score = score(&one);
        if score > best {
            best = score;
            out.copy_from_slice(&one);
        }
    }
}

/// A text as characters, and as words where these count.
struct Side<'a> {
    characters: Vec<u32>,
    words: Vec<&'a str>,
}

impl<'a> Side<'a> {
    fn new(text: &'a str, word_order: usize) -> Self {
        let characters = text.chars().filter(|&c| !is_space(c)).map(u32::from).collect();
        Side { characters, words: if word_order > 0 { words(text) } else { Vec::new() } }
    }
}

/// Words with a mark at the end, else one at the beginning, taken off.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in split(text) {
        let (first, last) = (word.chars().next(), word.chars().next_back());
        let mark = |c: Option<char>| c.filter(|c| c.is_ascii_punctuation());
        if word.chars().nth(1).is_none() {
            words.push(word);
        } else if let Some(last) = mark(last) {
            words.extend([&word[..word.len() - last.len_utf8()], &word[word.len() - last.len_utf8()..]]);
        } else if let Some(first) = mark(first) {
            words.extend([&word[..first.len_utf8()], &word[first.len_utf8()..]]);
        } else {
            words.push(word);
        }
    }
    words
}

fn compare(predicted: &Side, expected: &Side, word_order: usize, out: &mut [f64]) {
    let mut lexicon = Lexicon::default();
    let words = [predicted, expected].map(|side| lexicon.ids(side.words.iter().copied()));
    let characters = [&predicted.characters, &expected.characters];
    let orders = (1..=CHARACTERS).map(|n| (characters, n, 21));
    for ((sides, n, bits), out) in
        orders.chain((1..=word_order).map(|n| ([&words[0], &words[1]], n, 32))).zip(out.chunks_exact_mut(3))
    {
        let [hypothesis, reference] = sides.map(|ids| Counts::of(ids, n, bits));
        let [predicted, expected] = sides.map(|ids| total(ids.len(), n));
        // Where the reference is too short the prediction is not held against it.
        out[0] = if expected > 0 { predicted as f64 } else { 0.0 };
        out[1] = expected as f64;
        out[2] = hypothesis.matched(&reference) as f64;
    }
}

/// The score of summed statistics, from 0 to 100.
pub fn score(sums: &[f64]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for counts in sums.chunks_exact(3).filter(|c| c[0] > 0.0 && c[1] > 0.0) {
        precision += counts[2] / counts[0];
        recall += counts[2] / counts[1];
        orders += 1.0;
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    let (precision, recall) = (precision / orders, recall / orders);
    100.0 * ((1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_leave_their_words_once() {
        assert_eq!(words("(hi) \"a, 好。 . ..."), ["(hi", ")", "\"a", ",", "好。", ".", "..", "."]);
    }
}
