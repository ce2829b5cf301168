//! Rows by id, and adding to rows by id.

use super::parts::each_rows;
use crate::{Context, MatMut, Tensor, Weight, kernels};

/// The rows `ids` of a weight in f32.
pub(crate) fn gather(context: Context<'_>, weight: &Weight, ids: &[u32]) -> Tensor {
    let (rows, cols) = (weight.as_rows(), weight.cols());
    let mut y = Tensor::unspecified(ids.len(), cols);
    each_rows(context, &mut y, |range, part| {
        for (&id, y) in ids[range].iter().zip(part.chunks_exact_mut(cols.max(1))) {
            let id = id as usize;
            rows.slice(id..id + 1).widen(y);
        }
    });
    y
}

/// `y += factor ·` the rows `ids` of a weight.
pub(crate) fn add_gathered(context: Context<'_>, y: &mut Tensor, factor: f32, weight: &Weight, ids: &[u32]) {
    let (rows, cols) = (weight.as_rows(), weight.cols());
    assert_eq!((y.rows(), y.cols()), (ids.len(), cols), "an id a row");
    each_rows(context, y, |range, part| {
        let mut wide = vec![0.0; cols];
        for (&id, y) in ids[range].iter().zip(part.chunks_exact_mut(cols.max(1))) {
            let id = id as usize;
            rows.slice(id..id + 1).widen(&mut wide);
            kernels::axpy(context.isa, y, factor, &wide);
        }
    });
}

/// `row ids[t] of dw += dy[t]` for every `t`, in that order.
pub(crate) fn add_rows(context: Context<'_>, dw: &mut Tensor, ids: &[u32], dy: &Tensor) {
    let ids: Vec<usize> = ids.iter().map(|&id| id as usize).collect();
    add_to_rows_of(context, dw.view_mut(), &ids, dy);
}

/// The same.
pub(crate) fn add_to_rows(context: Context<'_>, dw: &mut Tensor, rows: &[usize], dy: &Tensor) {
    add_to_rows_of(context, dw.view_mut(), rows, dy);
}

/// `row rows[t] of dw += dy[t]` for every `t`, in that order.
pub(crate) fn add_to_rows_of(context: Context<'_>, dw: MatMut<'_>, rows: &[usize], dy: &Tensor) {
    // Threads share the columns, not the tokens: a row may occur twice, and sums keep one order.
    let parts = dw.cut_cols(context.pool.shares(dy.cols(), 16));
    context.pool.run_parts(parts, |(range, mut part)| {
        for (t, &row) in rows.iter().enumerate() {
            kernels::add(context.isa, part.row_mut(row), &dy.row(t)[range.clone()]);
        }
    });
}
