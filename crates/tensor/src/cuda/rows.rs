//! Copying rows.

use std::sync::Arc;

use super::device::{Core, THREADS};
use super::matrix::{at_column, grid_of_rows};
use crate::ops::Which;
use crate::{DType, Tensor};

/// Keys and values of `rows` rows of `from`, their columns from `column` on, into rows of a cache that keeps `dtype`.
#[allow(clippy::too_many_arguments)] // two places and what lies there
pub(crate) fn keep(
    device: &Arc<Core>,
    to: &mut Tensor,
    to_rows: Which<'_>,
    from: &Tensor,
    from_rows: Which<'_>,
    rows: usize,
    column: usize,
    dtype: DType,
) {
    // Two numbers of bf16 are in the place of one.
    let (kernel, numbers) = match dtype {
        DType::Bf16 => ("narrow_rows", 2),
        _ => ("copy_rows", 1),
    };
    let cols = numbers * to.cols();
    assert!(column + cols <= from.cols(), "columns of rows that are copied");
    // A list lives until the kernel has been started, and memory is given back in the order of the stream.
    let mut lists = Vec::new();
    let mut place = |which: Which<'_>, tensor: &Tensor, at: u64| match which {
        Which::From(first) => {
            assert!(first + rows <= tensor.rows(), "rows that are copied");
            (at + (first * tensor.cols() * size_of::<f32>()) as u64, 0)
        }
        Which::List(list) => {
            assert!(
                list.len() == rows && list.iter().all(|&row| (row as usize) < tensor.rows()),
                "rows copied"
            );
            lists.push(device.upload(list));
            (at, lists.last().map_or(0, |list| list.at()))
        }
    };
    let at = to.address_mut();
    let (to_at, to_list) = place(to_rows, to, at);
    let (from_at, from_list) = place(from_rows, from, at_column(from, column));
    let arguments = arguments![
        at to_at, cols as u32, at to_list, at from_at, from.cols() as u32, at from_list, rows as u32, cols as u32
    ];
    device.launch(kernel, grid_of_rows(rows, cols), THREADS, 0, &arguments);
}

/// Row `to_rows[i]` of `to` becomes row `from_rows[i]` of `from`: the columns of it from `column` on, `rows` times.
pub(crate) fn copy(
    device: &Arc<Core>,
    to: &mut Tensor,
    to_rows: Which<'_>,
    from: &Tensor,
    from_rows: Which<'_>,
    rows: usize,
    column: usize,
) {
    keep(device, to, to_rows, from, from_rows, rows, column, DType::F32);
}
