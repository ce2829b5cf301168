//! Greedy decoding and sampling: hypotheses that do not know of each other.

use std::sync::Arc;

use t5kit_tensor::mix;
use t5kit_tensor::ops::LogitsRow;

use super::{Found, Look, Next, Prepared};
use crate::Generated;
use crate::processors::{History, LogitsProcessor, Scores};
use crate::warpers::draw;

/// The targets of one request, a row each.
pub(crate) struct Samples {
    number: u64,
    /// New tokens that the targets have.
    length: usize,
    live: Vec<Hypothesis>,
    ended: Vec<Hypothesis>,
    /// What each of the live ones takes next.
    chosen: Vec<(Option<u32>, f32)>,
}

/// One target on its way.
struct Hypothesis {
    /// Which of the request's.
    sample: usize,
    ids: Vec<u32>,
    score: f32,
}

impl Samples {
    pub fn new(prepared: &Prepared, number: u64) -> Self {
        let live = (0..prepared.options.num_return_sequences)
            .map(|sample| Hypothesis { sample, ids: prepared.given.clone(), score: 0.0 })
            .collect();
        Samples { number, length: 0, live, ended: Vec::new(), chosen: Vec::new() }
    }

    pub fn last_ids(&self, ids: &mut Vec<u32>) {
        ids.extend(self.live.iter().filter_map(|h| h.ids.last()));
    }

    pub fn look(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        row: usize,
        logits: &mut LogitsRow<'_>,
    ) -> Look {
        let (options, hypothesis) = (&prepared.options, &self.live[row]);
        let first = options.first_sentinel.filter(|_| self.length == 0 && hypothesis.sample == 0);
        let wants_sentinel = first.is_some_and(|id| logits.argmax().0 == id);
        let all = if options.scores { logits.log_sum_exp() } else { 0.0 };
        let history = History { ids: &hypothesis.ids, given: prepared.given.len() };
        // The score is the model's, not that of what the processors leave.
        let before: Vec<f32> =
            if options.scores && options.do_sample { logits.iter().collect() } else { Vec::new() };
        prepared.processors.process(history, &mut Scores::logits(logits));
        extra.iter().for_each(|processor| processor.process(history, &mut Scores::logits(logits)));
        let found = if options.do_sample {
            prepared.warpers.warp(logits);
            let step = self.length as u64 + 1;
            let id = draw(logits, uniform(options.seed, self.number, hypothesis.sample as u64, step));
            Found::Token(id, id.and_then(|id| before.get(id as usize)).map_or(0.0, |x| x - all))
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

    pub fn advance(&mut self, prepared: &Prepared, token: &mut dyn FnMut(usize, u32)) -> Next {
        let options = &prepared.options;
        self.length += 1;
        let mut parents = Vec::with_capacity(self.live.len());
        let chosen = std::mem::take(&mut self.chosen);
        for (row, (mut hypothesis, (id, log_prob))) in
            std::mem::take(&mut self.live).into_iter().zip(chosen).enumerate()
        {
            if let Some(id) = id {
                hypothesis.ids.push(id);
                hypothesis.score += log_prob;
                token(hypothesis.sample, id);
            }
            if id.is_some_and(|id| !options.ids.ends(id)) && self.length < options.max_new_tokens {
                parents.push(row);
                self.live.push(hypothesis);
            } else {
                self.ended.push(hypothesis);
            }
        }
        if !self.live.is_empty() {
            return Next::Rows(parents);
        }
        self.ended.sort_by_key(|hypothesis| hypothesis.sample);
        let target =
            |h: Hypothesis| Generated { ids: h.ids[1..].to_vec(), score: options.scores.then_some(h.score) };
        Next::Done(std::mem::take(&mut self.ended).into_iter().map(target).collect())
    }
}

/// A number in [0, 1) that depends on these four alone.
fn uniform(seed: u64, source: u64, sample: u64, step: u64) -> f64 {
    (mix(mix(mix(seed, source), sample), step) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}
