//! Optimizer steps, and the norm of a gradient.

use std::sync::Arc;

use super::device::{Core, THREADS};
use super::{Argument, Memory};
use crate::ops::{Adafactor, AdamW, Lion};
use crate::{Context, Gradient, Tensor, Weight};

/// Elements of a piece, which is a block's: what a card's processors share out among themselves.
const PIECE: usize = 16 << 10;
/// Slices that sums of squares are made of, and rows in those of columns.
const SLICES: usize = 256;

/// The gradient of a weight on a device, which is never kept by rows.
fn dense(gradient: Gradient<'_>) -> &Tensor {
    match gradient {
        Gradient::Dense(tensor) => tensor,
        Gradient::Rows(_) => unreachable!("gradients on a device are dense"),
    }
}

/// What an optimizer remembers is beside the weight from its first step on.
fn beside(core: &Arc<Core>, tensor: &mut Tensor) {
    if tensor.core().is_none() {
        *tensor = tensor.to_device(core);
    }
}

/// The pieces of a parameter as the kernels' `Piece`, and how many.
fn pieces(core: &Arc<Core>, count: usize, tensors: [u64; 4]) -> (Memory, usize) {
    let piece = |first: usize| {
        let at = |from: u64| if from == 0 { 0 } else { from + (first * size_of::<f32>()) as u64 };
        let [w, g, m, v] = tensors.map(at);
        [w, g, m, v, PIECE.min(count - first) as u64]
    };
    let pieces: Vec<[u64; 5]> = (0..count).step_by(PIECE).map(piece).collect();
    (core.upload(&pieces), pieces.len())
}

/// One AdamW step.
pub(crate) fn adamw(
    core: &Arc<Core>,
    step: &AdamW,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    [m, v]: [&mut Tensor; 2],
) {
    beside(core, m);
    beside(core, v);
    let (count, g) = (weight.len(), dense(gradient));
    assert!([&*m, v, g].iter().all(|t| t.rows() * t.cols() == count), "a parameter and its moments");
    let at = [weight.placed_mut(), g.address(), m.address_mut(), v.address_mut()];
    let (pieces, blocks) = pieces(core, count, at);
    let AdamW { lr, beta1, beta2, eps, weight_decay, l2, bias1, bias2, grad_scale } = *step;
    let arguments = arguments![&pieces, lr, beta1, beta2, eps, weight_decay, l2, bias1, bias2, grad_scale];
    core.launch("adamw", [blocks, 1, 1], THREADS, 0, &arguments);
}

/// One Lion step.
pub(crate) fn lion(
    core: &Arc<Core>,
    step: &Lion,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    m: &mut Tensor,
) {
    beside(core, m);
    let (count, g) = (weight.len(), dense(gradient));
    assert!([&*m, g].iter().all(|t| t.rows() * t.cols() == count), "a parameter and its momentum");
    let (pieces, blocks) = pieces(core, count, [weight.placed_mut(), g.address(), m.address_mut(), 0]);
    let Lion { lr, beta1, beta2, weight_decay, grad_scale } = *step;
    let arguments = arguments![&pieces, lr, beta1, beta2, weight_decay, grad_scale];
    core.launch("lion", [blocks, 1, 1], THREADS, 0, &arguments);
}

/// f64 numbers on a device.
fn doubles(core: &Arc<Core>, count: usize) -> Memory {
    core.allocate(count * size_of::<f64>())
}

/// Σ of some of those, on the device.
fn total(core: &Arc<Core>, parts: &Memory, count: usize) -> Memory {
    let sum = doubles(core, 1);
    core.launch("sum_doubles", [1, 1, 1], THREADS, 0, &arguments![&sum, parts, count as u64]);
    sum
}

/// Σ of the squares of f32 numbers, on the device.
fn squares(core: &Arc<Core>, at: u64, count: usize) -> Memory {
    let parts = doubles(core, SLICES);
    core.launch("sum_squares", [SLICES, 1, 1], THREADS, 0, &arguments![&parts, at at, count as u64]);
    total(core, &parts, SLICES)
}

/// Sum of all squares in f64.
pub(crate) fn sum_squares(_: Context<'_>, gradient: Gradient<'_>) -> f64 {
    let g = dense(gradient);
    let core = g.core().expect("a gradient on a device");
    let mut sum = [0u8; 8];
    squares(core, g.address(), g.rows() * g.cols()).read(&mut sum);
    f64::from_ne_bytes(sum)
}

/// What of a matrix decides Adafactor's update: its row and column means, and Σ of the former.
struct Factors<'a> {
    row: Argument,
    col: &'a Tensor,
    row_sum: Argument,
    rows: usize,
    cols: usize,
}

/// A matrix: see [`adafactor`](crate::ops::adafactor).
pub(crate) fn matrix(
    core: &Arc<Core>,
    step: &Adafactor,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    row: &mut Tensor,
    col: &mut Tensor,
) {
    beside(core, row);
    beside(core, col);
    let (g, rows, cols) = (dense(gradient), row.cols(), col.cols());
    assert_eq!(
        (g.rows() * g.cols(), weight.len()),
        (rows * cols, rows * cols),
        "a matrix and its mean squares"
    );
    if rows * cols == 0 {
        return;
    }
    let (scale, eps, beta2) = (step.grad_scale, step.eps1, step.beta2);
    let wide = doubles(core, rows);
    let arguments = arguments![&mut *row, &wide, g, cols as u32, scale, eps, beta2];
    core.launch("adafactor_rows", [rows, 1, 1], THREADS, 0, &arguments);
    let row_sum = total(core, &wide, rows);
    let slices = rows.div_ceil(256).min(SLICES);
    let partial = doubles(core, slices * cols);
    let columns = cols.div_ceil(THREADS as usize);
    let arguments = arguments![&partial, g, rows as u32, cols as u32, scale, eps];
    core.launch("adafactor_columns", [columns, slices, 1], THREADS, 0, &arguments);
    let arguments = arguments![&mut *col, &partial, slices as u32, rows as u32, cols as u32, beta2];
    core.launch("adafactor_mean_columns", [columns, 1, 1], THREADS, 0, &arguments);
    let of_rows = doubles(core, rows);
    let arguments = arguments![&of_rows, g, &*row, &*col, &row_sum, rows as u32, cols as u32, scale];
    core.launch("adafactor_squares", [rows, 1, 1], THREADS, 0, &arguments);
    let update = total(core, &of_rows, rows);
    let factors = Factors { row: (&*row).into(), col, row_sum: (&row_sum).into(), rows, cols };
    apply(core, step, weight, g, factors, &update);
}

/// A vector: see [`adafactor_vector`](crate::ops::adafactor_vector).
pub(crate) fn vector(core: &Arc<Core>, step: &Adafactor, weight: &mut Weight, g: &Tensor, v: &mut Tensor) {
    beside(core, v);
    let count = weight.len();
    assert!([&*v, g].iter().all(|t| t.rows() * t.cols() == count), "a vector and its moments");
    if count == 0 {
        return;
    }
    let parts = doubles(core, SLICES);
    let arguments = arguments![&parts, &mut *v, g, count as u64, step.grad_scale, step.eps1, step.beta2];
    core.launch("adafactor_vector", [SLICES, 1, 1], THREADS, 0, &arguments);
    let update = total(core, &parts, SLICES);
    let null = Argument::Pointer(0);
    let factors = Factors { row: null, col: v, row_sum: null, rows: 1, cols: count };
    apply(core, step, weight, g, factors, &update);
}

fn apply(
    core: &Arc<Core>,
    step: &Adafactor,
    weight: &mut Weight,
    g: &Tensor,
    of: Factors<'_>,
    update_squares: &Memory,
) {
    let (at, count) = (weight.placed_mut(), weight.len());
    let size = step.scale_parameter.then(|| squares(core, at, count));
    let [to, g, col, rows, cols] = arguments![at at, g, of.col, of.rows as u32, of.cols as u32];
    let mut arguments = vec![to, g, of.row, col, of.row_sum, rows, cols];
    arguments.extend(arguments![step.grad_scale, step.lr, step.weight_decay, step.clip_threshold, step.eps2]);
    arguments.push(update_squares.into());
    arguments.push(size.as_ref().map_or(Argument::Pointer(0), Argument::from));
    core.launch_each("adafactor_apply", count, &arguments);
}
