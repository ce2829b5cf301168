//! What may not, or should rather not, come next: transformers' logits processors, in its order.
//!
//! Each is a small piece that changes a few scores of one hypothesis; source: transformers 4.57,
//! `generation/logits_process.py` and `GenerationMixin._get_logits_processor`.

use std::ops::Range;
use std::sync::Arc;

use t5kit_tensor::ops::LogitsRow;

use crate::GenerateOptions;
use crate::constrain::Constrained;

/// The scores of one hypothesis's next token: logits, or log-probabilities in beam search. The latter are kept as
/// logits and the logarithm of their softmax's denominator, so that changing a few costs nothing for the others.
pub struct Scores<'a> {
    logits: LogitsRow<'a>,
    shift: f32,
}

impl<'a> Scores<'a> {
    /// Scores that are the logits themselves.
    pub fn logits(logits: &'a mut LogitsRow<'_>) -> Self {
        Scores { logits: logits.reborrow(), shift: 0.0 }
    }

    /// Log-probabilities: the logits less `log_sum_exp`.
    pub fn log_probs(logits: &'a mut LogitsRow<'_>, log_sum_exp: f32) -> Self {
        Scores { logits: logits.reborrow(), shift: log_sum_exp }
    }

    /// The score of an id; −∞ for one without a row.
    pub fn get(&self, id: u32) -> f32 {
        self.logits.get(id).map_or(f32::NEG_INFINITY, |x| x - self.shift)
    }

    /// Changes the score of an id, if it has a row.
    pub fn set(&mut self, id: u32, score: f32) {
        self.logits.set(id, score + self.shift);
    }

    /// Makes all ids impossible but these.
    pub fn keep(&mut self, ids: &[u32]) {
        let kept: Vec<(u32, f32)> = ids.iter().filter_map(|&id| Some((id, self.logits.get(id)?))).collect();
        self.logits.clear();
        kept.into_iter().for_each(|(id, x)| self.logits.set(id, x));
    }

    /// Makes all ids impossible but those whose bit is set, the lowest of a word first.
    pub fn keep_where(&mut self, bits: &[u64]) {
        self.logits.keep_where(bits);
    }

    /// Makes an id impossible.
    pub fn ban(&mut self, id: u32) {
        self.set(id, f32::NEG_INFINITY);
    }
}

/// The decoder's ids so far.
#[derive(Clone, Copy)]
pub struct History<'a> {
    /// All of them: the start token, the prefix, and what was generated.
    pub ids: &'a [u32],
    /// How many of them were given: start token and prefix.
    pub given: usize,
}

/// One thing that changes scores.
pub trait LogitsProcessor: Send + Sync {
    /// Changes the scores of the token after `history`.
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>);

    /// The ids whose scores it reads or changes one by one after `history`, beside making all others impossible; `None`: it
    /// may be any.
    fn touches(&self, _history: History<'_>) -> Option<Vec<u32>> {
        None
    }
}

/// Ids that occur already, start token and prefix included, have positive scores divided and negative ones multiplied
/// by this (Keskar et al. 2019).
pub struct RepetitionPenalty(pub f32);

impl LogitsProcessor for RepetitionPenalty {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        let mut ids = history.ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let score = scores.get(id);
            scores.set(id, if score < 0.0 { score * self.0 } else { score / self.0 });
        }
    }

    fn touches(&self, history: History<'_>) -> Option<Vec<u32>> {
        Some(history.ids.to_vec())
    }
}

/// No sequence of this many ids occurs twice.
pub struct NoRepeatNGram(pub usize);

impl LogitsProcessor for NoRepeatNGram {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        self.complete(history).for_each(|id| scores.ban(id));
    }

    fn touches(&self, history: History<'_>) -> Option<Vec<u32>> {
        Some(self.complete(history).collect())
    }
}

impl NoRepeatNGram {
    /// The ids with which a sequence would occur again.
    fn complete<'h>(&self, history: History<'h>) -> impl Iterator<Item = u32> + 'h {
        let first = (history.ids.len() + 1).checked_sub(self.0);
        let begun = first.map(|first| &history.ids[first..]);
        history.ids.windows(self.0).filter_map(move |window| {
            let (&last, before) = window.split_last()?;
            (Some(before) == begun).then_some(last)
        })
    }
}

/// Sequences of ids that do not occur: the last id of one is impossible after the others. An end alone is no word.
pub struct NoBadWords(pub Vec<Vec<u32>>);

impl LogitsProcessor for NoBadWords {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        self.complete(history).for_each(|id| scores.ban(id));
    }

    fn touches(&self, history: History<'_>) -> Option<Vec<u32>> {
        Some(self.complete(history).collect())
    }
}

impl NoBadWords {
    /// The ids with which one of the words would be complete.
    fn complete<'a>(&'a self, history: History<'a>) -> impl Iterator<Item = u32> + 'a {
        self.0.iter().filter_map(move |word| {
            let (&last, before) = word.split_last()?;
            // As in transformers, a word of several ids needs as many before it, the start token among them.
            let said = word.len() <= history.ids.len() && history.ids.ends_with(before);
            (before.is_empty() || said).then_some(last)
        })
    }
}

/// The end does not come before this many new ids.
pub struct MinNewTokens {
    /// How many.
    pub count: usize,
    /// The ids that end a target.
    pub end: Vec<u32>,
}

impl LogitsProcessor for MinNewTokens {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        if history.ids.len() - history.given < self.count {
            self.end.iter().for_each(|&id| scores.ban(id));
        }
    }

    fn touches(&self, _: History<'_>) -> Option<Vec<u32>> {
        Some(self.end.clone())
    }
}

/// Ids that never come.
pub struct Suppress {
    /// One by one.
    pub ids: Vec<u32>,
    /// And all of these.
    pub range: Range<u32>,
}

impl LogitsProcessor for Suppress {
    fn process(&self, _: History<'_>, scores: &mut Scores<'_>) {
        for id in self.ids.iter().copied().chain(self.range.clone()) {
            scores.ban(id);
        }
    }

    fn touches(&self, _: History<'_>) -> Option<Vec<u32>> {
        Some(self.ids.iter().copied().chain(self.range.clone()).collect())
    }
}

/// Several, one after the other.
pub struct Processors(Vec<Box<dyn LogitsProcessor>>);

impl Processors {
    /// What the options ask for, in transformers' order; for a model of `rows` rows.
    pub fn new(options: &GenerateOptions, rows: usize) -> Self {
        let end = &options.ids.end;
        let mut all: Vec<Box<dyn LogitsProcessor>> = Vec::new();
        if options.repetition_penalty != 1.0 {
            all.push(Box::new(RepetitionPenalty(options.repetition_penalty)));
        }
        if options.no_repeat_ngram_size > 0 {
            all.push(Box::new(NoRepeatNGram(options.no_repeat_ngram_size)));
        }
        let words: Vec<Vec<u32>> = options
            .bad_words_ids
            .iter()
            .filter(|word| word.len() > 1 || !end.contains(&word[0]))
            .cloned()
            .collect();
        if !words.is_empty() {
            all.push(Box::new(NoBadWords(words)));
        }
        if options.min_new_tokens > 0 {
            all.push(Box::new(MinNewTokens { count: options.min_new_tokens, end: end.clone() }));
        }
        if let Some(constraint) = options.constraint.clone() {
            all.push(Box::new(Constrained { constraint, max_new_tokens: options.max_new_tokens }));
        }
        all.push(Box::new(Suppress {
            ids: options.suppress.clone(),
            range: options.pieces as u32..rows as u32,
        }));
        Processors(all)
    }

    /// Lets each change the scores.
    pub fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        self.0.iter().for_each(|processor| processor.process(history, scores));
    }

    /// The ids that they read or change one by one, those of `extra` among them; `None`: it may be any.
    pub(crate) fn touches(
        &self,
        history: History<'_>,
        extra: &[Arc<dyn LogitsProcessor>],
    ) -> Option<Vec<u32>> {
        let mut all = Vec::new();
        for processor in &self.0 {
            all.append(&mut processor.touches(history)?);
        }
        for processor in extra {
            all.append(&mut processor.touches(history)?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_model::SpecialIds;

    const OUT: f32 = f32::NEG_INFINITY;

    fn after(processor: &dyn LogitsProcessor, ids: &[u32], mut logits: Vec<f32>) -> Vec<f32> {
        processor.process(History { ids, given: 1 }, &mut Scores::logits(&mut LogitsRow::new(&mut logits)));
        logits
    }

    #[test]
    fn a_repeated_id_is_punished_once() {
        let got = after(&RepetitionPenalty(2.0), &[0, 2, 2, 3], vec![1.0, 1.0, -1.0, 4.0]);
        assert_eq!(got, [0.5, 1.0, -2.0, 2.0]);
        let mut logits = vec![1.0, 2.0];
        RepetitionPenalty(2.0).process(
            History { ids: &[0], given: 1 },
            &mut Scores::log_probs(&mut LogitsRow::new(&mut logits), 3.0),
        );
        assert_eq!(logits, [-1.0, 2.0], "a log-probability of −2 becomes −4");
    }

    #[test]
    fn ngrams_are_complete_only_once() {
        let free = vec![1.0; 5];
        assert_eq!(after(&NoRepeatNGram(2), &[0, 3, 4, 3], free.clone()), [1.0, 1.0, 1.0, 1.0, OUT]);
        assert_eq!(after(&NoRepeatNGram(1), &[0, 3], free.clone()), [OUT, 1.0, 1.0, OUT, 1.0]);
        assert_eq!(after(&NoRepeatNGram(3), &[0], free.clone()), free);
        assert_eq!(after(&NoRepeatNGram(9), &[0, 1, 0, 1], free.clone()), free);
    }

    #[test]
    fn bad_words_lose_their_last_id() {
        let words = NoBadWords(vec![vec![1], vec![3, 4], vec![0, 2, 9]]);
        assert_eq!(after(&words, &[0, 3], vec![1.0; 5]), [1.0, OUT, 1.0, 1.0, OUT]);
        assert_eq!(after(&words, &[0, 2], vec![1.0; 5]), [1.0, OUT, 1.0, 1.0, 1.0], "no row for 9");
        let options = GenerateOptions {
            bad_words_ids: vec![vec![1]],
            ..GenerateOptions::new(3, SpecialIds::default())
        };
        let mut logits = vec![1.0; 5];
        let history = History { ids: &[0], given: 1 };
        Processors::new(&options, 5).process(history, &mut Scores::logits(&mut LogitsRow::new(&mut logits)));
        assert_eq!(logits, [1.0, 1.0, 1.0, OUT, OUT], "`</s>` stays, padding rows go");
    }

    #[test]
    fn the_end_comes_after_enough_ids() {
        let min = MinNewTokens { count: 1, end: vec![1] };
        assert_eq!(after(&min, &[0], vec![1.0; 2]), [1.0, OUT]);
        assert_eq!(after(&min, &[0, 5], vec![1.0; 2]), [1.0, 1.0]);
    }
}
