//! Activations, forwards and backwards.

use super::parts::{cut, each_rows, elements, row_ranges};
use crate::ops::{Activation, Form};
use crate::{Context, Tensor, kernels};

/// `act(x)`, or `act(x[:, ..n]) · x[:, n..]` where it is gated.
pub(crate) fn forward(context: Context<'_>, form: Form, activation: Activation, x: &Tensor) -> Tensor {
    let from = x.cols();
    let cols = match form {
        Form::Plain => from,
        Form::Gated => from / 2,
    };
    let mut y = Tensor::unspecified(x.rows(), cols);
    each_rows(context, &mut y, |range, y| {
        let x = &x.data()[elements(&range, from)];
        match form {
            Form::Plain => kernels::activate(context.isa, activation, y, x),
            Form::Gated => kernels::gated(context.isa, activation, y, x, cols),
        }
    });
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
    let cols = dy.cols();
    let mut dx = Tensor::unspecified(x.rows(), x.cols());
    let ranges = row_ranges(context.pool, x.rows(), cols);
    let parts = cut(dx.data_mut(), &ranges, x.cols());
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, dx)| {
        let dy = &dy.data()[elements(range, cols)];
        let x = &x.data()[elements(range, x.cols())];
        match form {
            Form::Plain => kernels::activate_backward(context.isa, activation, dx, dy, x),
            Form::Gated => kernels::gated_backward(context.isa, activation, dx, dy, x, cols),
        }
    });
    dx
}
