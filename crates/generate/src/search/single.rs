//! Greedy decoding and sampling: hypotheses that do not know of each other.

use std::sync::Arc;

use t5kit_tensor::mix;
use t5kit_tensor::ops::{Interest, LogitsRow};

use super::{Found, Look, Next, Parent, Prepared};
use crate::Generated;
use crate::lookup::{Acceptance, Guess};
use crate::processors::{History, LogitsProcessor, Scores};
use crate::warpers::draw;

/// The targets of one request, a row each.
pub(crate) struct Samples {
    number: u64,
    live: Vec<Hypothesis>,
    ended: Vec<Hypothesis>,
    /// What each token that the live ones are fed is followed by.
    chosen: Vec<(Option<u32>, f32)>,
    /// How often what was looked up was right.
    acceptance: Acceptance,
}

/// One target on its way.
struct Hypothesis {
    /// Which of the request's.
    sample: usize,
    /// What it has said, and in the course of a step what is proposed behind it.
    ids: Vec<u32>,
    /// How many of them are said.
    said: usize,
    score: f32,
    /// What may come next, proposed or not.
    guess: Guess,
}

impl Samples {
    pub fn new(prepared: &Prepared, number: u64) -> Self {
        let ids = &prepared.given;
        let new = |sample| {
            let (ids, said) = (ids.clone(), ids.len());
            Hypothesis { sample, ids, said, score: 0.0, guess: Guess::default() }
        };
        let live = (0..prepared.options.num_return_sequences).map(new).collect();
        Samples { number, live, ended: Vec::new(), chosen: Vec::new(), acceptance: Acceptance::default() }
    }

    pub fn guess(
        &mut self,
        prepared: &Prepared,
        source: &[u32],
        session: &Acceptance,
        chances: &mut Vec<Vec<f32>>,
    ) {
        let (options, given) = (&prepared.options, prepared.given.len());
        for hypothesis in &mut self.live {
            // The step chooses one token in any case.
            let left = options.max_new_tokens - (hypothesis.said - given) - 1;
            // Without the start token, which for BERT is what a source ends with.
            let said = &hypothesis.ids[1..];
            hypothesis.guess = Guess::new(source, said, options.prompt_lookup_num_tokens.min(left));
            chances.push(hypothesis.guess.chances(&self.acceptance, session));
        }
    }

    pub fn propose(&mut self, counts: &mut impl Iterator<Item = usize>) {
        for (hypothesis, count) in self.live.iter_mut().zip(counts) {
            hypothesis.ids.extend_from_slice(&hypothesis.guess.ids[..count]);
        }
    }

    pub fn fed<'s>(&'s self, rows: &mut Vec<&'s [u32]>) {
        rows.extend(self.live.iter().map(|h| &h.ids[h.said - 1..]));
    }

    /// The ids that a row has said when what comes behind `ahead` of its proposals is chosen, and the id that is
    /// looked for there, if any.
    fn said(&self, prepared: &Prepared, row: usize, ahead: usize) -> (History<'_>, Option<u32>) {
        let (hypothesis, given) = (&self.live[row], prepared.given.len());
        let ids = &hypothesis.ids[..hypothesis.said + ahead];
        let first = prepared.options.first_sentinel;
        (History { ids, given }, first.filter(|_| ids.len() == given && hypothesis.sample == 0))
    }

    pub fn interest(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        row: usize,
        ahead: usize,
    ) -> Option<Interest> {
        let (history, first) = self.said(prepared, row, ahead);
        let (options, warpers) = (&prepared.options, &prepared.warpers);
        let ids = prepared.processors.touches(history, extra)?;
        let mut sums = if options.scores { vec![1.0] } else { Vec::new() };
        let mut best = 1;
        if options.draws() {
            best = warpers.best().max(usize::from(first.is_some()));
            if !sums.contains(&warpers.temperature()) {
                sums.push(warpers.temperature());
            }
        }
        Some(Interest { best, ids, sums })
    }

    pub fn look(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        row: usize,
        ahead: usize,
        logits: &mut LogitsRow<'_>,
    ) -> Look {
        let options = &prepared.options;
        let (history, first) = self.said(prepared, row, ahead);
        let History { ids, given } = history;
        let wants_sentinel = first.is_some_and(|id| logits.argmax().0 == id);
        let all = if options.scores { logits.log_sum_exp() } else { 0.0 };
        // The score is the model's, not that of what the processors leave.
        let before = (options.scores && options.draws()).then(|| logits.saved());
        prepared.processors.process(history, &mut Scores::logits(logits));
        extra.iter().for_each(|processor| processor.process(history, &mut Scores::logits(logits)));
        let found = if options.draws() {
            prepared.warpers.warp(logits);
            let step = (ids.len() - given) as u64 + 1;
            let sample = self.live[row].sample as u64;
            let id = draw(logits, uniform(options.seed, self.number, sample, step));
            let score = id.zip(before).and_then(|(id, before)| before.get(id));
            Found::Token(id, score.map_or(0.0, |x| x - all))
        } else {
            let (best, value) = logits.argmax();
            Found::Token((value > f32::NEG_INFINITY).then_some(best), value - all)
        };
        Look { wants_sentinel, found }
    }

    pub fn take(&mut self, looks: Vec<Option<Look>>) {
        self.chosen = looks
            .into_iter()
            .map(|look| match look.map(|look| look.found) {
                Some(Found::Token(id, log_prob)) => (id, log_prob),
                _ => (None, 0.0),
            })
            .collect();
    }

    pub fn advance(
        &mut self,
        prepared: &Prepared,
        session: &mut Acceptance,
        token: &mut dyn FnMut(usize, u32),
    ) -> Next {
        let (options, given) = (&prepared.options, prepared.given.len());
        let mut parents = Vec::with_capacity(self.live.len());
        let mut chosen = std::mem::take(&mut self.chosen).into_iter();
        for (row, mut hypothesis) in std::mem::take(&mut self.live).into_iter().enumerate() {
            let before = hypothesis.said;
            let proposed = hypothesis.ids.split_off(before);
            let mut proposals = proposed.iter();
            let mut goes_on = true;
            // One for the last token, and one for each proposed: as long as what is proposed is what is chosen.
            for (id, log_prob) in chosen.by_ref().take(1 + proposed.len()).collect::<Vec<_>>() {
                let Some(id) = id else {
                    goes_on = false;
                    break;
                };
                hypothesis.ids.push(id);
                hypothesis.score += log_prob;
                token(hypothesis.sample, id);
                goes_on = !options.ids.ends(id) && hypothesis.ids.len() - given < options.max_new_tokens;
                if !goes_on || proposals.next() != Some(&id) {
                    break;
                }
            }
            hypothesis.said = hypothesis.ids.len();
            let came = &hypothesis.ids[before..];
            self.acceptance.learn(&hypothesis.guess, came);
            session.learn(&hypothesis.guess, came);
            if goes_on {
                // What was fed: the last token before, and what was proposed.
                parents.push(Parent { row, rejected: 1 + proposed.len() - came.len() });
                self.live.push(hypothesis);
            } else {
                self.ended.push(hypothesis);
            }
        }
        if !self.live.is_empty() {
            return Next::Rows(parents);
        }
        self.ended.sort_by_key(|hypothesis| hypothesis.sample);
        let target = |h: Hypothesis| Generated {
            ids: h.ids[1..].to_vec(),
            score: options.scores.then_some(h.score),
            probability: None,
        };
        Next::Done(std::mem::take(&mut self.ended).into_iter().map(target).collect())
    }
}

/// A number in [0, 1) that depends on these four alone.
fn uniform(seed: u64, source: u64, sample: u64, step: u64) -> f64 {
    (mix(mix(mix(seed, source), sample), step) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}
