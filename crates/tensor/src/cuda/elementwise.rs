//! Element by element: zeros, sums, multiples.

use std::ops::Range;

use super::Argument;
use super::matrix::device;
use super::norm::{add_partial_sums, column_sums};
use crate::cpu::sums::Sums;
use crate::{Context, Dropout, ParamId, Tensor};

fn count(tensor: &Tensor) -> usize {
    tensor.rows() * tensor.cols()
}

/// A dropout as kernels take it: key, threshold and what is kept is multiplied by (see the processor's kernel).
pub(super) fn dropout_arguments(dropout: Option<Dropout>) -> [Argument; 3] {
    let (key, rate) = dropout.map_or((0, 0.0), |d| (d.key, d.rate));
    let threshold = (f64::from(rate) * 4_294_967_296.0).ceil() as u32;
    arguments![key, threshold, 1.0 / (1.0 - rate)]
}

/// `y ← 0`
pub(crate) fn fill_zeros(context: Context<'_>, y: &mut Tensor) {
    let n = count(y);
    device(context).launch_each("fill", n, &arguments![y, 0f32, n as u64]);
}

/// `y += x`
pub(crate) fn add_in_place(context: Context<'_>, y: &mut Tensor, x: &Tensor) {
    assert_eq!((y.rows(), y.cols()), (x.rows(), x.cols()));
    let n = count(y);
    device(context).launch_each("add", n, &arguments![y, x, n as u64]);
}

/// `y += Σ` of the rows of some columns of `x`; `y`: as many elements.
pub(crate) fn add_column_sums(context: Context<'_>, y: &mut Tensor, x: &Tensor, columns: Range<usize>) {
    let Sums::Device(partial) = column_sums(device(context), x, columns, None) else {
        unreachable!("sums on a device");
    };
    add_partial_sums(context, y, &partial);
}

/// `factor · x`, in place where nobody shares the tensor.
pub(crate) fn multiply(context: Context<'_>, mut x: Tensor, factor: f32) -> Tensor {
    let (device, n) = (device(context), count(&x));
    if x.is_unique() {
        let at = x.address_mut();
        device.launch_each("scale", n, &arguments![at at, at at, factor, n as u64]);
        return x;
    }
    let mut y = Tensor::on(device, x.rows(), x.cols());
    device.launch_each("scale", n, &arguments![&mut y, &x, factor, n as u64]);
    y
}

/// `x + dropout(y)`, in `y`'s memory where nobody shares it.
pub(crate) fn add_branch(context: Context<'_>, x: &Tensor, y: Tensor, dropout: Option<Dropout>) -> Tensor {
    add_branch_biased(context, x, y, None, dropout)
}

/// `x + dropout(y + bias)`, likewise.
pub(super) fn add_branch_biased(
    context: Context<'_>,
    x: &Tensor,
    mut y: Tensor,
    bias: Option<ParamId>,
    dropout: Option<Dropout>,
) -> Tensor {
    assert_eq!((x.rows(), x.cols()), (y.rows(), y.cols()));
    let (device, n, cols) = (device(context), count(x), x.cols());
    let bias = bias.map_or(0, |id| context.params.vector_at(id, cols));
    let from = y.address();
    // What y's memory holds is read where it is written, element by element.
    let mut sum = if y.is_unique() { y } else { Tensor::on(device, x.rows(), cols) };
    let [key, threshold, kept] = dropout_arguments(dropout);
    let [to, x, branch, bias, n_argument, cols] =
        arguments![&mut sum, x, at from, at bias, n as u64, cols as u32];
    device.launch_each("add_branch", n, &[to, x, branch, bias, n_argument, cols, key, threshold, kept]);
    sum
}
