//! ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum (F) as the Python package `rouge_score` computes them, without stemming.
//!
//! n-grams are counted as often as they occur, ROUGE-L is the length of the longest common subsequence. ROUGE-Lsum
//! takes lines of a text for its sentences (Lin 2004, section 3.2): of a text of one line it is ROUGE-L.

use std::collections::HashMap;

use crate::jieba;
use crate::lcs::places;
use crate::lexicon::Lexicon;
use crate::ngrams::{Counts, total};
use crate::token::is_space;

/// The version whose figures these are.
pub const VERSION: &str = "0.1.2";

/// What counts as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tokens {
    /// Runs of `a` to `z` and digits after lower-casing, the package's own: no other script has any.
    Default,
    /// Every character but white space.
    Char,
    /// Words of jieba, `jieba.lcut`, but white space.
    Jieba,
}

impl Tokens {
    /// All of them.
    pub const ALL: [Tokens; 3] = [Tokens::Default, Tokens::Char, Tokens::Jieba];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Tokens::Default => "default",
            Tokens::Char => "char",
            Tokens::Jieba => "jieba",
        }
    }

    /// A text as it is cut: the package lower-cases for its own tokens.
    fn prepared(self, text: &str) -> String {
        if self == Tokens::Default { text.to_lowercase() } else { text.to_owned() }
    }

    fn cut(self, prepared: &str) -> Vec<&str> {
        match self {
            Tokens::Default => {
                let is_token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                prepared.split(|c| !is_token(c)).filter(|token| !token.is_empty()).collect()
            }
            Tokens::Char => {
                let characters = prepared.char_indices().filter(|(_, c)| !is_space(*c));
                characters.map(|(at, c)| &prepared[at..at + c.len_utf8()]).collect()
            }
            Tokens::Jieba => jieba::words(prepared),
        }
    }
}

/// `rouge1`, `rouge2`, `rougeL`, `rougeLsum` of one prediction, each against the reference that it likes best.
pub fn scores(tokens: Tokens, prediction: &str, references: &[&str]) -> [f64; 4] {
    let predicted = Text::new(tokens, prediction);
    let mut best = [0.0f64; 4];
    for reference in references {
        let scores = compare(&predicted, &Text::new(tokens, reference));
        best.iter_mut().zip(scores).for_each(|(best, score)| *best = best.max(score));
    }
    best
}

/// A text's lines, each in its tokens. Cut as a whole and line by line a text has the same tokens, since no line end
/// is part of any.
struct Text {
    tokens: Tokens,
    lines: Vec<String>,
}

impl Text {
    fn new(tokens: Tokens, text: &str) -> Self {
        let lines = text.split('\n').filter(|line| !line.is_empty());
        Text { tokens, lines: lines.map(|line| tokens.prepared(line)).collect() }
    }

    fn lines(&self) -> impl Iterator<Item = Vec<&str>> {
        self.lines.iter().map(|line| self.tokens.cut(line))
    }
}

fn compare(prediction: &Text, reference: &Text) -> [f64; 4] {
    let mut lexicon = Lexicon::default();
    let predicted: Vec<Vec<u32>> = prediction.lines().map(|line| lexicon.ids(line)).collect();
    let expected: Vec<Vec<u32>> = reference.lines().map(|line| lexicon.ids(line)).collect();
    let (p, r) = (predicted.concat(), expected.concat());
    let ngrams = |n| {
        let found = Counts::of(&p, n, 32).matched(&Counts::of(&r, n, 32));
        f_score(found as usize, total(p.len(), n).max(1), total(r.len(), n).max(1))
    };
    if p.is_empty() || r.is_empty() {
        return [0.0; 4];
    }
    let longest = f_score(places(&p, &r).len(), p.len(), r.len());
    let summary = match (&predicted[..], &expected[..]) {
        ([_], [_]) => longest,
        _ => f_score(summary_hits(&predicted, &expected), p.len(), r.len()),
    };
    [ngrams(1), ngrams(2), longest, summary]
}

/// Tokens of the reference's lines that are in the longest common subsequence with a line of the prediction, each
/// counted at most as often as it occurs on both sides.
fn summary_hits(predicted: &[Vec<u32>], expected: &[Vec<u32>]) -> usize {
    let mut left = [predicted, expected].map(|lines| {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        lines.iter().flatten().for_each(|&token| *counts.entry(token).or_default() += 1);
        counts
    });
    let mut hits = 0;
    for line in expected {
        let mut union: Vec<usize> = predicted.iter().flat_map(|p| places(p, line)).collect();
        union.sort_unstable();
        union.dedup();
        for place in union {
            let [p, r] = left.each_mut().map(|counts| counts.get_mut(&line[place]).filter(|n| **n > 0));
            if let (Some(p), Some(r)) = (p, r) {
                (*p, *r, hits) = (*p - 1, *r - 1, hits + 1);
            }
        }
    }
    hits
}

fn f_score(found: usize, predicted: usize, expected: usize) -> f64 {
    let (precision, recall) = (found as f64 / predicted as f64, found as f64 / expected as f64);
    if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_each_kind() {
        let of = |tokens: Tokens, text| {
            Text::new(tokens, text).lines().map(|line| line.join("|")).collect::<Vec<_>>()
        };
        assert_eq!(of(Tokens::Default, "The Café_2, 好"), ["the|caf|2"]);
        assert_eq!(of(Tokens::Char, "A 好\u{3000}。\n\nb"), ["A|好|。", "b"]);
        assert_eq!(of(Tokens::Jieba, "水运工程 管理"), ["水运|工程|管理"]);
    }

    #[test]
    fn lines_are_sentences_of_the_last_only() {
        // Out of order the lines have a subsequence of one of them, but both are found.
        let [one, _, longest, summary] = scores(Tokens::Char, "甲乙\n丙丁", &["丙丁\n甲乙"]);
        assert_eq!((one, longest, summary), (1.0, 0.5, 1.0));
        assert_eq!(scores(Tokens::Default, "好", &["好"]), [0.0; 4]);
        assert_eq!(scores(Tokens::Char, "ab", &["xy", "ab"]), [1.0; 4]);
    }
}
