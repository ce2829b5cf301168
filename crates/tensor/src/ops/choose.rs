//! What decoding asks of logits.

use crate::ops::{cut, elements, row_ranges};
use crate::{Graph, Tensor, kernels};

/// Makes ids impossible in every row: their logits become −∞. Ids beyond the rows are ignored.
pub fn suppress(logits: &mut Tensor, ids: impl Iterator<Item = u32> + Clone) {
    let cols = logits.cols();
    for row in logits.data_mut().chunks_exact_mut(cols.max(1)) {
        for id in ids.clone().filter(|&id| (id as usize) < cols) {
            row[id as usize] = f32::NEG_INFINITY;
        }
    }
}

/// The largest logit of every row, the first of equals.
pub fn argmax(graph: &Graph<'_>, logits: &Tensor) -> Vec<u32> {
    per_row(graph, logits, 0, |isa, row| kernels::argmax(isa, row).0 as u32)
}

/// `log Σ exp` of every row: what a logit must lose to become a log-probability.
pub fn log_sum_exp(graph: &Graph<'_>, logits: &Tensor) -> Vec<f32> {
    per_row(graph, logits, 0.0, kernels::logsumexp)
}

fn per_row<T: Copy + Send>(
    graph: &Graph<'_>,
    logits: &Tensor,
    zero: T,
    f: impl Fn(kernels::Isa, &[f32]) -> T + Sync,
) -> Vec<T> {
    let (run, cols) = (graph.run, logits.cols());
    let mut found = vec![zero; logits.rows()];
    let ranges = row_ranges(run.pool, logits.rows(), cols);
    let parts = cut(&mut found, &ranges, 1);
    run.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, found)| {
        let rows = logits.data()[elements(range, cols)].chunks_exact(cols.max(1));
        rows.zip(found).for_each(|(row, found)| *found = f(run.isa, row));
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Pool, Regime};

    #[test]
    fn finds_the_first_largest_that_is_allowed() {
        let (params, pool) = (Params::default(), Pool::new(2));
        let graph = Graph::inference(&params, &pool, Regime::Steps);
        let mut logits = Tensor::from_vec(2, 4, vec![1.0, 3.0, 3.0, 2.0, 0.0, -1.0, -2.0, 0.0]);
        assert_eq!(argmax(&graph, &logits), [1, 0]);
        let all = log_sum_exp(&graph, &logits);
        assert!((f64::from(all[1]) - (2.0 + (-1f64).exp() + (-2f64).exp()).ln()).abs() < 1e-6);
        suppress(&mut logits, [0, 1, 99].into_iter());
        assert_eq!(argmax(&graph, &logits), [2, 3]);
    }
}
