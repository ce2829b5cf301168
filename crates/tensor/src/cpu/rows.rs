//! Copying rows.

use crate::Tensor;

/// Row `to_rows[i]` of `to` becomes row `from_rows[i]` of `from`: the columns of it from `column` on.
pub(crate) fn copy(
    to: &mut Tensor,
    to_rows: impl IntoIterator<Item = usize>,
    from: &Tensor,
    from_rows: impl IntoIterator<Item = usize>,
    column: usize,
) {
    let cols = to.cols();
    let data = to.data_mut();
    for (to, row) in to_rows.into_iter().zip(from_rows) {
        data[to * cols..][..cols].copy_from_slice(&from.row(row)[column..][..cols]);
    }
}
