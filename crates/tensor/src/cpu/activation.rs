//! Activations, forwards and backwards.

use super::parts::{cut, each_rows, elements, row_ranges, row_shares};
use super::sums::Sums;
use crate::ops::{Activation, Form};
use crate::{Context, ParamId, Tensor, kernels};

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

/// `act(x + bias)`, row by row.
pub(crate) fn biased(context: Context<'_>, activation: Activation, x: &Tensor, bias: ParamId) -> Tensor {
    let (cols, bias) = (x.cols(), context.params.vector(bias));
    let mut y = Tensor::unspecified(x.rows(), cols);
    each_rows(context, &mut y, |range, y| {
        kernels::activate_biased(context.isa, activation, y, &x.data()[elements(&range, cols)], bias);
    });
    y
}

/// The derivatives by `x` and by the bias from that by the result.
pub(crate) fn biased_backward(
    context: Context<'_>,
    activation: Activation,
    x: &Tensor,
    bias: ParamId,
    dy: &Tensor,
) -> (Tensor, Sums) {
    let (rows, cols, bias) = (x.rows(), x.cols(), context.params.vector(bias));
    let mut dx = Tensor::unspecified(rows, cols);
    let ranges = row_shares(context.pool, rows, cols);
    let mut sums = Sums::new(ranges.len(), cols);
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(sums.parts());
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, db))| {
        let at = elements(range, cols);
        let (dy, x) = (&dy.data()[at.clone()], &x.data()[at]);
        kernels::activate_biased_backward(context.isa, activation, dx, db, dy, x, bias);
    });
    (dx, sums)
}
