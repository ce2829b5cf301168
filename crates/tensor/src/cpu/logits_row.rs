//! What happens to a row of logits before and while a token is chosen from it.

use super::parts::{cut, row_ranges};
use crate::kernels::Isa;
use crate::ops::{Known, pick};
use crate::{Context, Graph, Tensor, kernels};

/// The scores of a hypothesis's next token, one an id. Everything that reads or changes many of them at once is an
/// operation here; single ones are read and set.
pub struct LogitsRow<'a> {
    isa: Isa,
    scores: Scores<'a>,
}

enum Scores<'a> {
    All(&'a mut [f32]),
    /// Some of a row that is on a device: what they do not answer is noted there.
    Some(&'a mut Known),
}

/// The scores of a row as they were once.
pub struct SavedRow(Saved);

enum Saved {
    All(Vec<f32>),
    Some(Known),
}

impl SavedRow {
    /// The score of an id, if it has one.
    pub fn get(&self, id: u32) -> Option<f32> {
        match &self.0 {
            Saved::All(values) => values.get(id as usize).copied(),
            Saved::Some(known) => known.get(id),
        }
    }
}

impl<'a> LogitsRow<'a> {
    /// A row that is no part of a tensor.
    pub fn new(values: &'a mut [f32]) -> Self {
        LogitsRow { isa: kernels::isa(), scores: Scores::All(values) }
    }

    /// One of which only some is known.
    pub(crate) fn known(isa: Isa, known: &'a mut Known) -> Self {
        LogitsRow { isa, scores: Scores::Some(known) }
    }

    /// A shorter borrow of the same row.
    pub fn reborrow(&mut self) -> LogitsRow<'_> {
        let scores = match &mut self.scores {
            Scores::All(values) => Scores::All(values),
            Scores::Some(known) => Scores::Some(known),
        };
        LogitsRow { isa: self.isa, scores }
    }

    /// The scores as they are now.
    pub fn saved(&self) -> SavedRow {
        SavedRow(match &self.scores {
            Scores::All(values) => Saved::All(values.to_vec()),
            Scores::Some(known) => Saved::Some((*known).clone()),
        })
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        match &self.scores {
            Scores::All(values) => values.len(),
            Scores::Some(known) => known.len(),
        }
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of an id, if it has one.
    pub fn get(&self, id: u32) -> Option<f32> {
        match &self.scores {
            Scores::All(values) => values.get(id as usize).copied(),
            Scores::Some(known) => known.get(id),
        }
    }

    /// Changes the score of an id, if it has one.
    pub fn set(&mut self, id: u32, score: f32) {
        match &mut self.scores {
            Scores::All(values) => {
                if let Some(x) = values.get_mut(id as usize) {
                    *x = score;
                }
            }
            Scores::Some(known) => known.set(id, score),
        }
    }

    /// All ids above −∞ with their scores, by id.
    pub fn possible(&self) -> Vec<(f32, u32)> {
        match &self.scores {
            Scores::All(values) => {
                let all = values.iter().copied().zip(0..);
                all.filter(|&(x, _)| x > f32::NEG_INFINITY).collect()
            }
            Scores::Some(known) => known.possible(),
        }
    }

    /// Divides every score by a number above 0.
    pub fn divide(&mut self, divisor: f32) {
        match &mut self.scores {
            Scores::All(values) => values.iter_mut().for_each(|x| *x /= divisor),
            Scores::Some(known) => known.divide(divisor),
        }
    }

    /// Makes every id impossible, with a score of −∞.
    pub fn clear(&mut self) {
        match &mut self.scores {
            Scores::All(values) => values.fill(f32::NEG_INFINITY),
            Scores::Some(known) => known.clear(),
        }
    }

    /// Makes the ids impossible whose score is below.
    pub fn keep_from(&mut self, least: f32) {
        match &mut self.scores {
            Scores::All(values) => {
                values.iter_mut().filter(|x| **x < least).for_each(|x| *x = f32::NEG_INFINITY);
            }
            Scores::Some(known) => known.keep_from(least),
        }
    }

    /// Makes all ids impossible but those whose bit is set, the lowest of a word first.
    pub fn keep_where(&mut self, bits: &[u64]) {
        let kept = |id: u32| bits.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1);
        match &mut self.scores {
            Scores::All(values) => {
                let gone = values.iter_mut().zip(0..).filter(|(_, id)| !kept(*id));
                gone.for_each(|(x, _)| *x = f32::NEG_INFINITY);
            }
            Scores::Some(known) => known.keep_where(kept, ids_of(bits)),
        }
    }

    /// The largest score and its id, the first of equals.
    pub fn argmax(&self) -> (u32, f32) {
        match &self.scores {
            Scores::All(values) => {
                let (id, score) = kernels::argmax(self.isa, values);
                (id as u32, score)
            }
            Scores::Some(known) => known.top(1).first().map_or((0, f32::NEG_INFINITY), |&(x, id)| (id, x)),
        }
    }

    /// `log Σ exp`: what log-probabilities are less than logits.
    pub fn log_sum_exp(&self) -> f32 {
        match &self.scores {
            Scores::All(values) => kernels::logsumexp(self.isa, values),
            Scores::Some(known) => known.log_sum_exp(),
        }
    }

    /// The `count` largest scores with their ids, the largest first and the first of equals first; fewer where there
    /// are not so many above −∞.
    pub fn top(&self, count: usize) -> Vec<(f32, u32)> {
        match &self.scores {
            Scores::All(values) => {
                let mut found = Vec::with_capacity(count.min(values.len()) + 1);
                kernels::top(self.isa, values, count, f32::NEG_INFINITY, &mut found);
                found
            }
            Scores::Some(known) => known.top(count),
        }
    }

    /// Draws an id with the probabilities of these scores, which are then worth nothing; `uniform` is in [0, 1). `None`
    /// where nothing is possible.
    pub fn draw(&mut self, uniform: f64) -> Option<u32> {
        match &mut self.scores {
            Scores::All(values) => {
                kernels::softmax(self.isa, values, 1.0, None);
                let total: f64 = values.iter().copied().map(f64::from).sum();
                pick((0..).zip(values.iter().copied().map(f64::from)), uniform * total)
            }
            Scores::Some(known) => known.draw(uniform),
        }
    }

    /// Turns scores into probabilities, in a row that is there as a whole. Panics in others.
    pub fn softmax(&mut self) {
        match &mut self.scores {
            Scores::All(values) => {
                kernels::softmax(self.isa, values, 1.0, None);
            }
            Scores::Some(_) => panic!("the softmax of a row on a device"),
        }
    }
}

/// The ids whose bits are set, the lowest of a word first.
pub fn ids_of(bits: &[u64]) -> impl Iterator<Item = u32> + '_ {
    bits.iter()
        .zip(0u32..)
        .flat_map(|(&word, at)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| 64 * at + bit))
}

/// Calls `f(index, row)` for every row of the logits, rows shared out over the threads, and returns what it gives in
/// the order of the rows. All that is done to a row is done in one call, while it is in its core's cache. Logits on a
/// device come to the processor first.
pub fn each_row<T: Send>(
    graph: &Graph<'_>,
    logits: &mut Tensor,
    f: impl Fn(usize, &mut LogitsRow<'_>) -> T + Sync,
) -> Vec<T> {
    let Context { pool, isa, .. } = graph.context;
    if logits.core().is_some() {
        *logits = logits.to_host();
    }
    let (rows, cols) = (logits.rows(), logits.cols());
    let mut found: Vec<Option<T>> = (0..rows).map(|_| None).collect();
    let ranges = row_ranges(pool, rows, cols);
    let parts = cut(logits.data_mut(), &ranges, cols).into_iter().zip(cut(&mut found, &ranges, 1));
    pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (part, found))| {
        let rows = part.chunks_exact_mut(cols.max(1));
        for (index, (values, found)) in range.clone().zip(rows.zip(found)) {
            *found = Some(f(index, &mut LogitsRow { isa, scores: Scores::All(values) }));
        }
    });
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Pool, Regime};

    #[test]
    fn every_row_is_visited_once_and_answers_are_in_order() {
        let params = Params::default();
        for (threads, rows, cols) in [(1, 3, 4), (2, 0, 5), (2, 7, 10_000), (3, 1, 40_000)] {
            let pool = Pool::new(threads);
            let graph = Graph::inference(&params, &pool, Regime::Steps);
            let mut logits = Tensor::zeros(rows, cols);
            let found = each_row(&graph, &mut logits, |index, row| {
                row.set(0, index as f32);
                index
            });
            assert_eq!(found, (0..rows).collect::<Vec<_>>());
            assert!((0..rows).all(|i| logits.row(i)[0] == i as f32));
        }
    }

    #[test]
    fn scores_are_read_set_and_ranked() {
        let mut values = [1.0, 3.0, -1.0, 3.0];
        let mut row = LogitsRow::new(&mut values);
        assert_eq!((row.argmax(), row.len(), row.get(9)), ((1, 3.0), 4, None));
        row.set(9, 5.0); // an id without a row
        row.set(2, f32::NEG_INFINITY);
        assert_eq!(row.top(9), [(3.0, 1), (3.0, 3), (1.0, 0)]);
        assert!((row.log_sum_exp() - (1f32.exp() + 2.0 * 3f32.exp()).ln()).abs() < 1e-6);
        let before = row.saved();
        row.divide(2.0);
        assert_eq!((row.get(1), before.get(1), before.get(9)), (Some(1.5), Some(3.0), None));
        row.keep_from(1.0);
        assert_eq!(row.possible(), [(1.5, 1), (1.5, 3)]);
        row.reborrow().softmax();
        assert!((row.get(3).unwrap() - 0.5).abs() < 1e-6 && row.get(2) == Some(0.0));
        row.keep_where(&[0b1100]);
        assert_eq!(row.possible().last(), Some(&(0.5, 3)));
        row.clear();
        assert!(row.possible().is_empty() && row.draw(0.5).is_none());
    }
}
