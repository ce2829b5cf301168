//! Rotating columns by position.

use std::ops::Range;

use super::matrix::device;
use crate::{Context, Tensor};

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
    let device = device(context);
    let mut y = x.into_unique();
    let (positions, turns) = (device.upload(positions), turns.to_device(device));
    let count = y.rows() * columns.len() / 2;
    let at = y.address_mut() + (columns.start * size_of::<f32>()) as u64;
    let sign = if back { -1f32 } else { 1.0 };
    let arguments = arguments![
        at at, y.cols() as u32, columns.len() as u32, &positions, &turns, turns.cols() as u32, sign, count as u64
    ];
    device.launch_each("rotate", count, &arguments);
    y
}
