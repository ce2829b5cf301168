//! The finished hypotheses of a beam search, and the state of one search.
//!
//! The rules are those of transformers 4.57: `GenerationMixin._beam_search` where there is one group, and
//! `BeamSearchScorer` (`generation/beam_search.py`) with several, which stops a little differently. With
//! [`EarlyStopping::T5`] they are those of T5's own search (mesh-tensorflow, `beam_search.py`) for one source: every
//! candidate that ends is a hypothesis, not the better half alone; what the length cuts off is none; and the search ends
//! when the worst finished hypothesis, of however few, is better than the best open one can become.

use t5kit_formats::generation_config::EarlyStopping;

use crate::options::{GenerateOptions, LengthNormalization};

/// What the searches of requests with the same options have in common.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Hypotheses of one search.
    pub beams: usize,
    /// Whether the search is one of several groups.
    pub grouped: bool,
    pub early_stopping: EarlyStopping,
    pub length_penalty: f32,
    pub normalization: LengthNormalization,
    pub max_new_tokens: usize,
    /// The ids that end a hypothesis.
    pub end: Vec<u32>,
}

impl Rules {
    pub fn new(options: &GenerateOptions) -> Self {
        Rules {
            beams: options.num_beams / options.num_beam_groups,
            grouped: options.num_beam_groups > 1,
            early_stopping: options.early_stopping,
            length_penalty: options.length_penalty,
            normalization: options.length_normalization,
            max_new_tokens: options.max_new_tokens,
            end: options.ids.end.clone(),
        }
    }

    /// How many candidates a step looks at: enough for as many hypotheses to go on as there are beams, whatever ends
    /// (transformers' `beams_to_keep`).
    pub fn wanted(&self) -> usize {
        self.beams * (1 + self.end.len()).max(2)
    }

    /// The score of a hypothesis of `length` new tokens with this log-probability.
    pub fn score(&self, log_prob: f32, length: usize) -> f32 {
        let base = match self.normalization {
            LengthNormalization::Hf => length as f64,
            LengthNormalization::T5 => (5.0 + length as f64) / 6.0,
        };
        log_prob / base.powf(f64::from(self.length_penalty)) as f32
    }
}

/// A hypothesis that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Beam {
    /// All of the decoder's ids.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities of what was generated.
    pub sum: f32,
    /// Its row in the step that comes; while a step is worked on, that of its parent.
    pub row: usize,
}

/// A way to continue: the sum of log-probabilities with it, which beam, and the id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub sum: f32,
    pub beam: usize,
    pub id: u32,
}

/// A hypothesis that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub ids: Vec<u32>,
    pub score: f32,
}

/// The search for one source's targets, or one group's share of it.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub beams: Vec<Beam>,
    /// The best so far, best first; at most as many as there are beams. After T5's search open ones may follow.
    pub finished: Vec<Finished>,
    /// The ids by which hypotheses went on in the last step.
    pub taken: Vec<u32>,
    pub done: bool,
}

impl Search {
    /// Begins with the ids that were given, in row `row` of the first step.
    pub fn new(given: Vec<u32>, row: usize) -> Self {
        Search {
            beams: vec![Beam { ids: given, sum: 0.0, row }],
            finished: Vec::new(),
            taken: Vec::new(),
            done: false,
        }
    }

    /// Takes a step: `candidates` are the best continuations, [`Rules::wanted`] of them, best first; `length` is the number of new
    /// tokens they have, their last included. The beams are then those that go on.
    pub fn advance(&mut self, candidates: &[Candidate], length: usize, rules: &Rules) {
        let last = length >= rules.max_new_tokens;
        let t5 = rules.early_stopping == EarlyStopping::T5;
        let mut open = Vec::with_capacity(rules.beams);
        for (rank, c) in candidates.iter().enumerate() {
            let parent = &self.beams[c.beam];
            let mut ids = Vec::with_capacity(parent.ids.len() + 16);
            ids.extend_from_slice(&parent.ids);
            ids.push(c.id);
            // In a group, and in T5's search, what is cut off by the length is added below.
            if rules.end.contains(&c.id) || last && !rules.grouped && !t5 {
                // The second half only sees to it that enough go on.
                if rank < rules.beams || t5 {
                    self.finish(ids, rules.score(c.sum, length), rules);
                }
            } else if open.len() < rules.beams {
                open.push(Beam { ids, sum: c.sum, row: parent.row });
            }
        }
        self.taken = open.iter().filter_map(|beam| beam.ids.last().copied()).collect();
        let best =
            if rules.grouped { candidates.first().map(|c| c.sum) } else { open.first().map(|b| b.sum) };
        self.done = self.is_done(best, length, rules);
        if t5 && (last || self.done) {
            // Fewer may have ended than are asked for: open ones come behind them, in their order.
            let left = rules.beams.saturating_sub(self.finished.len());
            for beam in open.drain(..).take(left) {
                self.finished.push(Finished { ids: beam.ids, score: rules.score(beam.sum, length) });
            }
        } else if last && !self.done {
            for beam in open.drain(..) {
                self.finish(beam.ids, rules.score(beam.sum, length), rules);
            }
        }
        self.done |= last || open.is_empty();
        if self.finished.is_empty() && open.is_empty() {
            // Nothing was possible: what there was is the result.
            for beam in std::mem::take(&mut self.beams) {
                self.finish(beam.ids, rules.score(beam.sum, (length - 1).max(1)), rules);
            }
        }
        self.beams = if self.done { Vec::new() } else { open };
    }

    fn is_done(&self, best: Option<f32>, length: usize, rules: &Rules) -> bool {
        let (Some(best), Some(worst)) = (best, self.finished.last()) else { return false };
        if rules.early_stopping == EarlyStopping::T5 {
            return worst.score > rules.score(best, rules.max_new_tokens);
        }
        if self.finished.len() < rules.beams {
            return false;
        }
        let reachable = match rules.early_stopping {
            EarlyStopping::Yes => return true,
            EarlyStopping::Never if rules.length_penalty > 0.0 => rules.score(best, rules.max_new_tokens),
            EarlyStopping::Never | EarlyStopping::No | EarlyStopping::T5 => rules.score(best, length),
        };
        reachable <= worst.score
    }

    fn finish(&mut self, ids: Vec<u32>, score: f32, rules: &Rules) {
        let at = self.finished.partition_point(|other| other.score >= score);
        if at < rules.beams {
            self.finished.insert(at, Finished { ids, score });
            self.finished.truncate(rules.beams);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(early_stopping: EarlyStopping, length_penalty: f32) -> Rules {
        let normalization = LengthNormalization::Hf;
        Rules {
            beams: 2,
            grouped: false,
            early_stopping,
            length_penalty,
            normalization,
            max_new_tokens: 4,
            end: vec![1],
        }
    }

    fn candidates(of: &[(f32, usize, u32)]) -> Vec<Candidate> {
        of.iter().map(|&(sum, beam, id)| Candidate { sum, beam, id }).collect()
    }

    #[test]
    fn only_the_better_half_ends_and_as_many_go_on() {
        let mut search = Search::new(vec![0], 7);
        let rules = rules(EarlyStopping::No, 1.0);
        search.advance(&candidates(&[(-1.0, 0, 1), (-2.0, 0, 5), (-3.0, 0, 6), (-4.0, 0, 7)]), 1, &rules);
        assert_eq!(
            search.finished.iter().map(|f| (&f.ids[..], f.score)).collect::<Vec<_>>(),
            [(&[0, 1][..], -1.0)]
        );
        let rows: Vec<_> = search.beams.iter().map(|b| (&b.ids[..], b.sum, b.row)).collect();
        assert_eq!(rows, [(&[0, 5][..], -2.0, 7), (&[0, 6][..], -3.0, 7)]);
        search.advance(&candidates(&[(-2.1, 0, 5), (-2.2, 1, 6), (-2.3, 1, 1), (-4.0, 0, 7)]), 2, &rules);
        assert_eq!(search.finished.len(), 1, "an end of the second half is no hypothesis");
        assert!(!search.done);
    }

    #[test]
    fn stopping_early_late_or_never() {
        let ends = candidates(&[(-1.0, 0, 1), (-2.0, 0, 5), (-3.0, 0, 6), (-4.0, 0, 7)]);
        // The best open hypothesis has −3 after two tokens: −1.5 now, −0.75 if it went on to four.
        let more = candidates(&[(-2.4, 0, 1), (-3.0, 0, 5), (-3.5, 1, 6), (-4.0, 1, 7)]);
        let done = |early_stopping, length_penalty| {
            let mut search = Search::new(vec![0], 0);
            let rules = rules(early_stopping, length_penalty);
            search.advance(&ends, 1, &rules);
            assert!(!search.done);
            search.advance(&more, 2, &rules);
            search.done
        };
        assert!(done(EarlyStopping::Yes, 1.0));
        assert!(done(EarlyStopping::No, 1.0));
        assert!(!done(EarlyStopping::Never, 1.0));
        assert!(done(EarlyStopping::Never, 0.0));
    }

    #[test]
    fn normalisations() {
        let mut rules = rules(EarlyStopping::No, 2.0);
        assert_eq!(rules.score(-8.0, 2), -2.0);
        rules.normalization = LengthNormalization::T5;
        assert_eq!(rules.score(-8.0, 7), -2.0);
        rules.length_penalty = 0.0;
        assert_eq!(rules.score(-8.0, 7), -8.0);
    }

    #[test]
    fn the_last_step_keeps_what_there_is() {
        let mut search = Search::new(vec![0], 0);
        let rules = rules(EarlyStopping::No, 1.0);
        search.advance(&candidates(&[(-4.0, 0, 9), (-8.0, 0, 8), (-9.0, 0, 7)]), 4, &rules);
        assert!(search.done && search.beams.is_empty());
        assert_eq!(search.finished.iter().map(|f| f.score).collect::<Vec<_>>(), [-1.0, -2.0]);
        let mut nothing = Search::new(vec![0, 3], 0);
        nothing.advance(&[], 1, &rules);
        assert!(nothing.done && nothing.finished[0].ids == [0, 3]);
    }
}
