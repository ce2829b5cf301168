//! Element by element: zeros, sums, multiples.

use std::ops::Range;

use super::parts::{cut, each_rows, elements};

use crate::{Context, Dropout, Tensor, kernels};

/// `y ← 0`
pub(crate) fn fill_zeros(context: Context<'_>, y: &mut Tensor) {
    let ranges = context.pool.ranges(y.data().len(), 4096, 16 << 10);
    context.pool.run_parts(cut(y.data_mut(), &ranges, 1), |part| part.fill(0.0));
}

/// `y += x`
pub(crate) fn add_in_place(context: Context<'_>, y: &mut Tensor, x: &Tensor) {
    assert_eq!((y.rows(), y.cols()), (x.rows(), x.cols()));
    each_rows(context, y, |range, y| kernels::add(context.isa, y, &x.data()[elements(&range, x.cols())]));
}

/// `y += Σ` of the rows of some columns of `x`, row by row; `y`: as many elements.
pub(crate) fn add_column_sums(context: Context<'_>, y: &mut Tensor, x: &Tensor, columns: Range<usize>) {
    let x = x.view().columns(columns.start, columns.len());
    assert_eq!(y.data().len(), x.cols, "a sum for every column");
    // Threads share the columns, so that the sums are the same for any number of them.
    let ranges = context.pool.shares(x.cols, 16);
    let parts = cut(y.data_mut(), &ranges, 1);
    context.pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, sums)| {
        (0..x.rows).for_each(|row| kernels::add(context.isa, sums, &x.row(row)[range.clone()]));
    });
}

/// `factor · x`, in place where nobody shares the tensor.
pub(crate) fn multiply(context: Context<'_>, x: Tensor, factor: f32) -> Tensor {
    let mut y = x.into_unique();
    each_rows(context, &mut y, |_, y| kernels::scale(context.isa, y, factor));
    y
}

/// `x + dropout(y)`, in `y`'s memory where nobody shares it.
pub(crate) fn add_branch(context: Context<'_>, x: &Tensor, y: Tensor, dropout: Option<Dropout>) -> Tensor {
    assert_eq!((x.rows(), x.cols()), (y.rows(), y.cols()));
    let mut sum = y.into_unique();
    let cols = sum.cols();
    each_rows(context, &mut sum, |range, sum| {
        // Row by row, so that the second pass finds the row in the first cache.
        for (row, sum) in range.zip(sum.chunks_exact_mut(cols.max(1))) {
            if let Some(d) = dropout {
                kernels::dropout_in_place(context.isa, sum, d.key, (row * cols) as u64, d.rate);
            }
            kernels::add(context.isa, sum, x.row(row));
        }
    });
    sum
}
