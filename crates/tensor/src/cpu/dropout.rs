//! Dropout masks, computed from their key wherever they are needed.

use super::parts::each_rows;
use crate::{Context, Dropout, Tensor, kernels};

/// Multiplies by the mask, in place where nobody shares the tensor.
pub(crate) fn drop_elements(context: Context<'_>, dropout: Dropout, x: Tensor) -> Tensor {
    let mut y = x.into_unique();
    let cols = y.cols();
    each_rows(context, &mut y, |range, y| {
        kernels::dropout_in_place(context.isa, y, dropout.key, (range.start * cols) as u64, dropout.rate);
    });
    y
}
