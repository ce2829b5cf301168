//! Copying rows.

use crate::Tensor;
use crate::ops::Which;

/// `count` rows of `to` become rows of `from`: their columns from `column` on.
pub(crate) fn copy(
    to: &mut Tensor,
    to_rows: Which<'_>,
    from: &Tensor,
    from_rows: Which<'_>,
    count: usize,
    column: usize,
) {
    let row = |which: Which<'_>, i: usize| match which {
        Which::From(first) => first + i,
        Which::List(rows) => rows[i] as usize,
    };
    let cols = to.cols();
    let data = to.data_mut();
    for i in 0..count {
        let (to, from) = (row(to_rows, i), &from.row(row(from_rows, i))[column..][..cols]);
        data[to * cols..][..cols].copy_from_slice(from);
    }
}
