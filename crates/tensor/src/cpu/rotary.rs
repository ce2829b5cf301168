//! Rotating columns by position.

use std::ops::Range;

use super::parts::each_rows;
use crate::{Context, Tensor, kernels};

/// Rotates the pairs of some columns of every row by its position, or back; in place where nobody shares the tensor.
/// `turns`: [positions, width of a head].
pub(crate) fn rotate(
    context: Context<'_>,
    x: Tensor,
    columns: Range<usize>,
    positions: &[u32],
    turns: &Tensor,
    back: bool,
) -> Tensor {
    let mut y = x.into_unique();
    let cols = y.cols();
    each_rows(context, &mut y, |range, y| {
        for (y, &position) in y.chunks_exact_mut(cols.max(1)).zip(&positions[range]) {
            kernels::rotate(context.isa, &mut y[columns.clone()], turns.row(position as usize), back);
        }
    });
    y
}
