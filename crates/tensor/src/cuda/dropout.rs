//! Dropout masks, computed from their key wherever they are needed: those of the processor, to the bit.

use super::elementwise::dropout_arguments;
use super::matrix::device;
use crate::{Context, Dropout, Tensor};

/// Multiplies by the mask, in place where nobody shares the tensor.
pub(crate) fn drop_elements(context: Context<'_>, dropout: Dropout, mut x: Tensor) -> Tensor {
    let (device, count) = (device(context), x.rows() * x.cols());
    let from = x.address();
    // Where the memory is the same, each element is read before it is written.
    let mut y = if x.is_unique() { x } else { Tensor::on(device, x.rows(), x.cols()) };
    let [to, from, n] = arguments![&mut y, at from, count as u64];
    let [key, threshold, kept] = dropout_arguments(Some(dropout));
    device.launch_each("dropout", count, &[to, from, n, key, threshold, kept]);
    y
}
