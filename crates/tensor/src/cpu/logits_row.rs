//! What happens to a row of logits before and while a token is chosen from it.

use super::parts::{cut, row_ranges};
use crate::kernels::Isa;
use crate::{Context, Graph, Tensor, kernels};

/// The scores of a hypothesis's next token, one an id. Everything that reads or changes many of them at once is an
/// operation here; single ones are read and set.
pub struct LogitsRow<'a> {
    isa: Isa,
    values: &'a mut [f32],
}

impl<'a> LogitsRow<'a> {
    /// A row that is no part of a tensor.
    pub fn new(values: &'a mut [f32]) -> Self {
        LogitsRow { isa: kernels::isa(), values }
    }

    /// A shorter borrow of the same row.
    pub fn reborrow(&mut self) -> LogitsRow<'_> {
        LogitsRow { isa: self.isa, values: self.values }
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The score of an id, if it has one.
    pub fn get(&self, id: u32) -> Option<f32> {
        self.values.get(id as usize).copied()
    }

    /// Changes the score of an id, if it has one.
    pub fn set(&mut self, id: u32, score: f32) {
        if let Some(x) = self.values.get_mut(id as usize) {
            *x = score;
        }
    }

    /// All scores, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.values.iter().copied()
    }

    /// Changes every score.
    pub fn map(&mut self, f: impl Fn(f32) -> f32) {
        self.values.iter_mut().for_each(|x| *x = f(*x));
    }

    /// The largest score and its id, the first of equals.
    pub fn argmax(&self) -> (u32, f32) {
        let (id, score) = kernels::argmax(self.isa, self.values);
        (id as u32, score)
    }

    /// `log Σ exp`: what log-probabilities are less than logits.
    pub fn log_sum_exp(&self) -> f32 {
        kernels::logsumexp(self.isa, self.values)
    }

    /// The `count` largest scores with their ids, the largest first and the first of equals first; fewer where there
    /// are not so many above −∞.
    pub fn top(&self, count: usize) -> Vec<(f32, u32)> {
        let mut found = Vec::with_capacity(count.min(self.len()) + 1);
        kernels::top(self.isa, self.values, count, f32::NEG_INFINITY, &mut found);
        found
    }

    /// Turns scores into probabilities.
    pub fn softmax(&mut self) {
        kernels::softmax(self.isa, self.values, 1.0, None);
    }
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
            *found = Some(f(index, &mut LogitsRow { isa, values }));
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
        row.reborrow().softmax();
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6 && row.get(2) == Some(0.0));
        row.map(|p| 2.0 * p);
        assert!((row.iter().sum::<f32>() - 2.0).abs() < 1e-6);
    }
}
