//! RMSNorm and LayerNorm, forwards and backwards, and the sums of rows that the derivatives by vectors are.

use std::ops::Range;

use super::device::THREADS;
use super::elementwise::{add_branch_biased, dropout_arguments};
use super::matrix::{at_column, device};
use super::{Argument, Device};
use crate::cpu::norm::{Moments, OfSum};
use crate::cpu::sums::Sums;
use crate::ops::LayerNorm;
use crate::{Context, Dropout, ParamId, Tensor};

/// RMSNorm of the rows of `x`, and of every row `1 / sqrt(mean(x²) + eps)`: [rows, 1].
pub(crate) fn rms(context: Context<'_>, x: &Tensor, weight: ParamId, eps: f32) -> (Tensor, Tensor) {
    let (rows, cols, device) = (x.rows(), x.cols(), device(context));
    let w = context.params.vector_at(weight, cols);
    let (mut y, mut rstd) = (Tensor::on(device, rows, cols), Tensor::on(device, rows, 1));
    let arguments = arguments![&mut y, &mut rstd, x, at w, cols as u32, eps];
    device.launch("rms_norm", [rows, 1, 1], THREADS, 0, &arguments);
    (y, rstd)
}

/// The derivatives by `x`, added to `sum` where there is one, and by the weight.
pub(crate) fn rms_backward(
    context: Context<'_>,
    sum: Option<Tensor>,
    dy: &Tensor,
    x: &Tensor,
    weight: ParamId,
    rstd: &Tensor,
) -> (Tensor, Sums) {
    let (rows, cols, device) = (dy.rows(), dy.cols(), device(context));
    let w = context.params.vector_at(weight, cols);
    let accumulate = sum.is_some() as u32;
    let mut dx = sum.map_or_else(|| Tensor::on(device, rows, cols), Tensor::into_unique);
    let arguments = arguments![&mut dx, accumulate, dy, x, at w, rstd, cols as u32];
    device.launch("rms_norm_backward", [rows, 1, 1], THREADS, 0, &arguments);
    (dx, column_sums(device, dy, 0..cols, Some(Normed { x, mean: None, rstd })))
}

/// LayerNorm of the rows of `x`.
pub(crate) fn layer(context: Context<'_>, x: &Tensor, norm: LayerNorm) -> (Tensor, Moments) {
    let (rows, cols, device) = (x.rows(), x.cols(), device(context));
    let [w, b] = [norm.weight, norm.bias].map(|id| context.params.vector_at(id, cols));
    let mut y = Tensor::on(device, rows, cols);
    let [mut mean, mut rstd] = [(); 2].map(|()| Tensor::on(device, rows, 1));
    let arguments = arguments![&mut y, &mut mean, &mut rstd, x, at w, at b, cols as u32, norm.eps];
    device.launch("layer_norm", [rows, 1, 1], THREADS, 0, &arguments);
    (y, Moments { mean, rstd })
}

/// The derivatives by `x`, by the weight and by the bias.
pub(crate) fn layer_backward(
    context: Context<'_>,
    dy: &Tensor,
    x: &Tensor,
    weight: ParamId,
    moments: &Moments,
) -> (Tensor, [Sums; 2]) {
    let (rows, cols, device) = (dy.rows(), dy.cols(), device(context));
    let w = context.params.vector_at(weight, cols);
    let Moments { mean, rstd } = moments;
    let mut dx = Tensor::on(device, rows, cols);
    let arguments = arguments![&mut dx, dy, x, at w, mean, rstd, cols as u32];
    device.launch("layer_norm_backward", [rows, 1, 1], THREADS, 0, &arguments);
    let normed = Normed { x, mean: Some(mean), rstd };
    (dx, [column_sums(device, dy, 0..cols, Some(normed)), column_sums(device, dy, 0..cols, None)])
}

/// The sum `x + dropout(y + bias)`, its LayerNorm, and the moments.
pub(crate) fn layer_of_sum(
    context: Context<'_>,
    x: &Tensor,
    y: Tensor,
    bias: Option<ParamId>,
    norm: LayerNorm,
    dropout: Option<Dropout>,
) -> (Tensor, Tensor, Moments) {
    let sum = add_branch_biased(context, x, y, bias, dropout);
    let (normed, moments) = layer(context, &sum, norm);
    (normed, sum, moments)
}

/// The derivatives from that by the result, `dy`.
pub(crate) fn layer_of_sum_backward(
    context: Context<'_>,
    dy: &Tensor,
    sum: &Tensor,
    norm: LayerNorm,
    moments: &Moments,
    dropout: Option<Dropout>,
) -> OfSum {
    let device = device(context);
    let (dx, [dw, db]) = layer_backward(context, dy, sum, norm.weight, moments);
    let branch = dropout.map(|dropout| {
        let mut branch = Tensor::on(device, dx.rows(), dx.cols());
        let count = dx.rows() * dx.cols();
        let [key, threshold, kept] = dropout_arguments(Some(dropout));
        let [to, from, elements] = arguments![&mut branch, &dx, count as u64];
        device.launch_each("dropout", count, &[to, from, elements, key, threshold, kept]);
        branch
    });
    let dbias = column_sums(device, branch.as_ref().unwrap_or(&dx), 0..dx.cols(), None);
    OfSum { dx, branch, vectors: [dw, db, dbias] }
}

/// What the derivative by a norm's weight multiplies that by its result with: (x − mean)·rstd.
pub(super) struct Normed<'a> {
    x: &'a Tensor,
    mean: Option<&'a Tensor>,
    rstd: &'a Tensor,
}

/// Sums over the rows of some columns of `dy`, times what was normed where that is given.
pub(super) fn column_sums(
    device: &Device,
    dy: &Tensor,
    columns: Range<usize>,
    normed: Option<Normed<'_>>,
) -> Sums {
    let (rows, cols) = (dy.rows(), columns.len());
    // So many that a card has work; they depend on the number of rows alone.
    let slices = rows.div_ceil(128).clamp(1, 64);
    let mut partial = Tensor::on(device, slices, cols);
    let null = Argument::Pointer(0);
    let [x, mean, rstd] = match normed {
        Some(normed) => [normed.x.into(), normed.mean.map_or(null, Argument::from), normed.rstd.into()],
        None => [null; 3],
    };
    let [to, dy, stride, rows, cols_argument] = arguments![
        &mut partial, at at_column(dy, columns.start), dy.cols() as u32, rows as u32, cols as u32
    ];
    let grid = [cols.div_ceil(32), slices, 1];
    device.launch("column_sums", grid, 256, 0, &[to, dy, stride, x, mean, rstd, rows, cols_argument]);
    Sums::Device(partial)
}

/// Adds sums up, to what is there.
pub(crate) fn add_partial_sums(context: Context<'_>, total: &mut Tensor, partial: &Tensor) {
    let (slices, cols) = (partial.rows(), partial.cols());
    assert_eq!(total.rows() * total.cols(), cols, "a sum for every element");
    let arguments = arguments![total, partial, slices as u32, cols as u32];
    device(context).launch_each("add_partial_sums", cols, &arguments);
}
