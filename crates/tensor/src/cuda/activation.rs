//! Activations, forwards and backwards.

use super::matrix::device;
use super::norm::column_sums;
use crate::cpu::sums::Sums;
use crate::ops::{Activation, Form};
use crate::{Context, ParamId, Tensor};

/// How kernels call an activation, or none.
pub(super) fn code(activation: Option<Activation>) -> u32 {
    match activation {
        Some(Activation::GeluTanh) => 0,
        Some(Activation::GeluErf) => 1,
        Some(Activation::Relu) => 2,
        Some(Activation::Silu) => 3,
        None => 4,
    }
}

/// `act(x)`, or `act(x[:, ..n]) · x[:, n..]` where it is gated.
pub(crate) fn forward(context: Context<'_>, form: Form, activation: Activation, x: &Tensor) -> Tensor {
    let (device, act) = (device(context), code(Some(activation)));
    match form {
        Form::Plain => plain(context, activation, x, 0),
        Form::Gated => {
            let cols = x.cols() / 2;
            let mut y = Tensor::on(device, x.rows(), cols);
            let count = x.rows() * cols;
            device.launch_each("gated", count, &arguments![&mut y, x, act, cols as u32, count as u64]);
            y
        }
    }
}

fn plain(context: Context<'_>, activation: Activation, x: &Tensor, bias: u64) -> Tensor {
    let (device, count) = (device(context), x.rows() * x.cols());
    let mut y = Tensor::on(device, x.rows(), x.cols());
    let arguments = arguments![&mut y, x, at bias, code(Some(activation)), x.cols() as u32, count as u64];
    device.launch_each("activate", count, &arguments);
    y
}

/// The derivative by `x` from that by the result.
pub(crate) fn backward(
    context: Context<'_>,
    form: Form,
    activation: Activation,
    x: &Tensor,
    dy: &Tensor,
) -> Tensor {
    match form {
        Form::Plain => plain_backward(context, activation, x, dy, 0),
        Form::Gated => {
            let (device, cols) = (device(context), dy.cols());
            let count = dy.rows() * cols;
            let mut dx = Tensor::on(device, x.rows(), x.cols());
            let arguments = arguments![&mut dx, dy, x, code(Some(activation)), cols as u32, count as u64];
            device.launch_each("gated_backward", count, &arguments);
            dx
        }
    }
}

fn plain_backward(
    context: Context<'_>,
    activation: Activation,
    x: &Tensor,
    dy: &Tensor,
    bias: u64,
) -> Tensor {
    let (device, count) = (device(context), x.rows() * x.cols());
    let mut dx = Tensor::on(device, x.rows(), x.cols());
    let arguments =
        arguments![&mut dx, dy, x, at bias, code(Some(activation)), x.cols() as u32, count as u64];
    device.launch_each("activate_backward", count, &arguments);
    dx
}

/// `act(x + bias)`, row by row.
pub(crate) fn biased(context: Context<'_>, activation: Activation, x: &Tensor, bias: ParamId) -> Tensor {
    plain(context, activation, x, context.params.vector_at(bias, x.cols()))
}

/// The derivatives by `x` and by the bias from that by the result.
pub(crate) fn biased_backward(
    context: Context<'_>,
    activation: Activation,
    x: &Tensor,
    bias: ParamId,
    dy: &Tensor,
) -> (Tensor, Sums) {
    let bias = context.params.vector_at(bias, x.cols());
    let dx = plain_backward(context, activation, x, dy, bias);
    let sums = column_sums(device(context), &dx, 0..dx.cols(), None);
    (dx, sums)
}
