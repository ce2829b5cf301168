//! The `csl` preset: ROUGE-1/2/L and BLEU by characters, averaged over lines.

use crate::bleu::bleu;
use crate::rouge::{rouge_l, rouge_n};
use crate::token::{Token, bleu_tokens, is_blank, rouge_sentences};

/// Four scores between 0 and 1: of one line, or means over lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// F score of different characters.
    pub rouge_1: f64,
    /// F score of different pairs of neighbouring characters.
    pub rouge_2: f64,
    /// F score of the different characters of longest common subsequences.
    pub rouge_l: f64,
    /// Smoothed sentence BLEU.
    pub bleu: f64,
}

impl Scores {
    /// The scores of one prediction against its reference.
    ///
    /// A prediction of white space alone scores 0 everywhere. Where `rouge` refuses a line because a side has no
    /// sentence (an empty reference, a side of one full stop) ROUGE is 0 and BLEU as usual.
    pub fn of_line(prediction: &str, reference: &str) -> Scores {
        Scores::of_references(prediction, &[reference])
    }

    /// The scores against several references: ROUGE against the one that each likes best, BLEU against all at once.
    pub fn of_references(prediction: &str, references: &[&str]) -> Scores {
        if is_blank(prediction) {
            return Scores::default();
        }
        let p = rouge_sentences(prediction);
        let r: Vec<_> = references.iter().map(|reference| rouge_sentences(reference)).collect();
        let best = |score: &dyn Fn(&[Vec<Token>]) -> f64| r.iter().map(|r| score(r)).fold(0.0, f64::max);
        let tokens: Vec<_> = references.iter().map(|reference| bleu_tokens(reference)).collect();
        Scores {
            rouge_1: best(&|r| rouge_n(&p, r, 1)),
            rouge_2: best(&|r| rouge_n(&p, r, 2)),
            rouge_l: best(&|r| rouge_l(&p, r)),
            bleu: bleu(&bleu_tokens(prediction), &tokens),
        }
    }

    /// Names and values in the usual order: `rouge-1`, `rouge-2`, `rouge-l`, `bleu`.
    pub fn entries(&self) -> [(&'static str, f64); 4] {
        [("rouge-1", self.rouge_1), ("rouge-2", self.rouge_2), ("rouge-l", self.rouge_l), ("bleu", self.bleu)]
    }
}

/// Means over lines that arrive one at a time.
///
/// ```
/// let mut scores = t5kit_eval::Accumulator::default();
/// scores.add("今天天气很好", "今天天气好");
/// scores.add("", "一个标题");
/// assert_eq!(scores.count(), 2);
/// assert!(scores.mean().bleu < 0.5);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    sum: Scores,
    count: u64,
}

impl Accumulator {
    /// Adds one line.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        let line = Scores::of_line(prediction, reference);
        self.sum.rouge_1 += line.rouge_1;
        self.sum.rouge_2 += line.rouge_2;
        self.sum.rouge_l += line.rouge_l;
        self.sum.bleu += line.bleu;
        self.count += 1;
    }

    /// Lines added so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The means; zeros where nothing was added.
    pub fn mean(&self) -> Scores {
        let n = self.count.max(1) as f64;
        Scores {
            rouge_1: self.sum.rouge_1 / n,
            rouge_2: self.sum.rouge_2 / n,
            rouge_l: self.sum.rouge_l / n,
            bleu: self.sum.bleu / n,
        }
    }
}

/// The mean scores of (prediction, reference) pairs; zeros for none.
pub fn csl<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Scores {
    let mut scores = Accumulator::default();
    for (prediction, reference) in pairs {
        scores.add(prediction, reference);
    }
    scores.mean()
}
