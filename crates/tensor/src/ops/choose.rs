//! What happens to logits before a token is chosen from them.

use crate::ops::{cut, row_ranges};
use crate::{Graph, Tensor};

/// Makes ids impossible in every row: their logits become −∞. Ids beyond the rows are ignored.
pub fn suppress(logits: &mut Tensor, ids: impl Iterator<Item = u32> + Clone) {
    let cols = logits.cols();
    for row in logits.data_mut().chunks_exact_mut(cols.max(1)) {
        for id in ids.clone().filter(|&id| (id as usize) < cols) {
            row[id as usize] = f32::NEG_INFINITY;
        }
    }
}

/// Calls `f(index, row)` for every row of the logits, rows shared out over the threads, and returns what it gives in
/// the order of the rows. All that is done to a row is done in one call, while it is in its core's cache.
pub fn each_row<T: Send>(
    graph: &Graph<'_>,
    logits: &mut Tensor,
    f: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let (pool, rows, cols) = (graph.run.pool, logits.rows(), logits.cols());
    let mut found: Vec<Option<T>> = (0..rows).map(|_| None).collect();
    let ranges = row_ranges(pool, rows, cols);
    let parts = cut(logits.data_mut(), &ranges, cols).into_iter().zip(cut(&mut found, &ranges, 1));
    pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (part, found))| {
        let rows = part.chunks_exact_mut(cols.max(1));
        for (index, (row, found)) in range.clone().zip(rows.zip(found)) {
            *found = Some(f(index, row));
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
                row[0] += index as f32;
                index
            });
            assert_eq!(found, (0..rows).collect::<Vec<_>>());
            assert!((0..rows).all(|i| logits.row(i)[0] == i as f32));
        }
    }

    #[test]
    fn suppressed_ids_are_impossible_in_every_row() {
        let mut logits = Tensor::from_vec(2, 3, vec![1.0; 6]);
        suppress(&mut logits, [0, 2, 99].into_iter());
        let out = f32::NEG_INFINITY;
        assert_eq!(logits.data(), [out, 1.0, out, out, 1.0, out]);
    }
}
