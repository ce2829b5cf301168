//! Beam search and diverse beam search (Vijayakumar et al. 2016) for one request.

use std::sync::Arc;

use t5kit_tensor::ops::{Interest, LogitsRow};

use super::nbest::{self, Candidate};
use super::{Found, Look, Next, Parent, Prepared};
use crate::Generated;
use crate::processors::{History, LogitsProcessor, Scores};

/// The searches of a request's groups; without groups there is one.
pub(crate) struct Beams {
    groups: Vec<nbest::Search>,
    /// Where each row stands: its group, and its place among the group's beams.
    rows: Vec<(usize, usize)>,
    /// New tokens that the hypotheses have.
    length: usize,
    /// What the groups have taken in this step so far, sorted.
    taken: Vec<u32>,
}

impl Beams {
    pub fn new(prepared: &Prepared) -> Self {
        let groups = prepared.options.num_beam_groups;
        Beams {
            groups: (0..groups).map(|group| nbest::Search::new(prepared.given.clone(), group)).collect(),
            rows: (0..groups).map(|group| (group, 0)).collect(),
            length: 0,
            taken: Vec::new(),
        }
    }

    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    pub fn fed<'s>(&'s self, rows: &mut Vec<&'s [u32]>) {
        let beams = self.groups.iter().flat_map(|search| &search.beams);
        rows.extend(beams.map(|beam| &beam.ids[beam.ids.len() - 1..]));
    }

    pub fn interest(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        group: usize,
        row: usize,
    ) -> Option<Interest> {
        let Some((_, place)) = self.rows.get(row).copied().filter(|(of, _)| *of == group) else {
            return Some(Interest::default());
        };
        let history = History { ids: &self.groups[group].beams[place].ids, given: prepared.given.len() };
        let mut ids = prepared.processors.touches(history, extra)?;
        ids.extend_from_slice(&self.taken);
        Some(Interest { best: prepared.rules.wanted(), ids, sums: vec![1.0] })
    }

    pub fn look(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        group: usize,
        row: usize,
        logits: &mut LogitsRow<'_>,
    ) -> Option<Look> {
        let (_, place) = self.rows.get(row).copied().filter(|(of, _)| *of == group)?;
        let (options, beam) = (&prepared.options, &self.groups[group].beams[place]);
        let sentinel = options.first_sentinel.filter(|_| self.length == 0 && group == 0);
        let wants_sentinel = sentinel.is_some_and(|id| logits.argmax().0 == id);
        let all = logits.log_sum_exp();
        let mut scores = Scores::log_probs(logits, all);
        for run in self.taken.chunk_by(|a, b| a == b) {
            let score = scores.get(run[0]) - options.diversity_penalty * run.len() as f32;
            scores.set(run[0], score);
        }
        let history = History { ids: &beam.ids, given: prepared.given.len() };
        prepared.processors.process(history, &mut scores);
        extra.iter().for_each(|processor| processor.process(history, &mut scores));
        let mut best = logits.top(prepared.rules.wanted());
        best.iter_mut().for_each(|(x, _)| *x = *x - all + beam.sum);
        Some(Look { wants_sentinel, found: Found::Best(best) })
    }

    /// The best continuations of a group, best first. Where several are equally good: the earlier beam's, then the lower
    /// id.
    pub fn take(&mut self, prepared: &Prepared, group: usize, looks: Vec<Option<Look>>) {
        let Some(search) = self.groups.get_mut(group) else { return };
        if search.done {
            // In transformers a group that is done goes on with padding, which later groups then avoid.
            search.taken = vec![prepared.options.ids.pad; prepared.rules.beams];
        } else {
            let mut candidates: Vec<Candidate> = Vec::new();
            for (look, &(_, beam)) in looks.into_iter().zip(&self.rows) {
                if let Some(Look { found: Found::Best(best), .. }) = look {
                    candidates.extend(best.into_iter().map(|(sum, id)| Candidate { sum, beam, id }));
                }
            }
            candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
            candidates.truncate(prepared.rules.wanted());
            search.advance(&candidates, self.length + 1, &prepared.rules);
        }
        self.taken.extend(&search.taken);
        self.taken.sort_unstable();
    }

    pub fn advance(&mut self, prepared: &Prepared) -> Next {
        self.length += 1;
        self.taken.clear();
        if self.groups.iter().all(|search| search.done) {
            return Next::Done(self.outputs(prepared));
        }
        self.rows.clear();
        let mut parents = Vec::new();
        for (group, search) in self.groups.iter_mut().enumerate() {
            for (place, beam) in search.beams.iter_mut().enumerate() {
                let row = std::mem::replace(&mut beam.row, self.rows.len());
                parents.push(Parent { row, rejected: 0 });
                self.rows.push((group, place));
            }
        }
        Next::Rows(parents)
    }

    /// The best of all groups, best first. A single search has them in order, open ones last.
    fn outputs(&mut self, prepared: &Prepared) -> Vec<Generated> {
        let finished = self.groups.iter_mut().flat_map(|search| std::mem::take(&mut search.finished));
        let mut all: Vec<_> = finished.collect();
        if prepared.options.num_beam_groups > 1 {
            all.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        all.truncate(prepared.options.num_return_sequences);
        all.into_iter()
            .map(|f| Generated { ids: f.ids[1..].to_vec(), score: Some(f.score), probability: None })
            .collect()
    }
}
