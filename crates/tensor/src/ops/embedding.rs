//! Embedding: rows of a matrix by id.

use crate::kernels::{self, Rows};
use crate::ops::{cut, row_ranges};
use crate::weight::widen;
use crate::{Backward, Gradients, Graph, ParamId, Run, Tensor, Var};

/// Rows `ids` of a weight: [rows, features] → [ids, features].
///
/// Backward: `dW[id] += dy` for every token of that id. Panics on an id without a row; batches are checked when
/// they are made.
pub fn embedding(graph: &mut Graph<'_>, weight: ParamId, ids: &[u32]) -> Var {
    let run = graph.run;
    let w = run.params.get(weight);
    let cols = w.cols();
    let mut y = Tensor::unspecified(ids.len(), cols);
    let ranges = row_ranges(run.pool, ids.len(), cols);
    let parts = cut(y.data_mut(), &ranges, cols);
    let rows: Rows<'_> = w.as_rows();
    run.pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, part)| {
        for (&id, y) in ids[range].iter().zip(part.chunks_exact_mut(cols.max(1))) {
            let id = id as usize;
            widen(y, rows.slice(id * cols..(id + 1) * cols));
        }
    });
    graph.record(y, || Box::new(EmbeddingBackward { weight, ids: ids.to_vec() }))
}

struct EmbeddingBackward {
    weight: ParamId,
    ids: Vec<u32>,
}

impl Backward for EmbeddingBackward {
    fn backward(self: Box<Self>, run: Run<'_>, dy: Tensor, gradients: &mut Gradients) {
        if !gradients.wants(self.weight) {
            return;
        }
        let dw = gradients.param_add(run, self.weight);
        // Threads share the columns, not the tokens: an id may occur twice, and sums keep one order.
        let mut rest = Some(dw.view_mut());
        let parts = run.pool.ranges(dy.cols(), 16).into_iter().map(|range| {
            let (part, right) = rest.take().expect("one remainder a range").split_cols(range.len());
            rest = Some(right);
            (range, part)
        });
        run.pool.run_parts(parts.collect(), |(range, mut part)| {
            for (t, &id) in self.ids.iter().enumerate() {
                kernels::add(run.isa, part.row_mut(id as usize), &dy.row(t)[range.clone()]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check};

    #[test]
    fn gathers_rows_and_adds_gradients_of_repeated_ids() {
        for ids in [vec![], vec![4], vec![0, 3, 3, 1, 3, 0, 2]] {
            let case = Case::new(&[]).param(&[5, 6]);
            check(
                &case,
                |g, _, p| embedding(g, p[0], &ids),
                |x| ids.iter().flat_map(|&id| x[0][id as usize * 6..][..6].to_vec()).collect(),
            );
        }
    }
}
