//! The Adafactor step: each of its parts one launch for all parameters.

use super::Device;
use super::device::THREADS;
use super::update::{PIECE, beside, doubles, runs, squares_of};
use super::{Argument, Memory};
use crate::ops::{Adafactor, Learned};
use crate::{Gradient, RowGradient};

/// Slices of a matrix's rows that sums of its columns are made of, at most, and the rows of one, at least.
const SLICES: usize = 256;
const SLICE: usize = 256;
/// Where a row has no gradient.
const NO_SLOT: u32 = u32::MAX;

/// What the kernels are told of all parameters, and the sizes of their grids.
#[derive(Default)]
struct Plan {
    /// The kernels' `Factored`.
    all: Vec<u64>,
    /// By parameter and one behind, the first of its blocks.
    first_row: Vec<u64>,
    first_piece: Vec<u64>,
    /// Runs of the weights.
    weights: Vec<u64>,
    /// Where rows of gradients by rows are, until the step has been started.
    slots: Vec<Memory>,
    rows: u64,
    columns: u64,
    pieces: u64,
    partial: u64,
    most_slices: usize,
}

impl Plan {
    fn add(&mut self, device: &Device, part: Learned<'_>) {
        let Learned { weight, gradient, state } = part;
        beside(device, state);
        let (rows, cols) = match &*state {
            [row, col] => (row.cols(), col.cols()),
            [v] => (1, v.cols()),
            _ => panic!("mean squares by row and column, or a vector's"),
        };
        let count = rows * cols;
        let (g, slots) = match gradient {
            Gradient::Dense(g) => {
                assert_eq!(g.rows() * g.cols(), count, "a parameter and its gradient");
                (g.address(), 0)
            }
            Gradient::Rows(g) => {
                assert_eq!(g.cols(), cols, "a parameter and its gradient");
                let slots = device.upload(&slots_of(g, rows));
                self.slots.push(slots);
                (g.address(), self.slots.last().map_or(0, Memory::at))
            }
        };
        assert_eq!(weight.len(), count, "a parameter and its mean squares");
        let (row, col) = match state {
            [row, col] => (row.address_mut(), col.address_mut()),
            [v] => (0, v.address_mut()),
            _ => unreachable!("seen above"),
        };
        let matrix = row != 0 || state.len() == 2;
        let slices = if matrix { rows.div_ceil(SLICE).min(SLICES) } else { 0 };
        let w = weight.placed_mut();
        self.all.extend([w, g, slots, row, col, rows as u64, cols as u64]);
        self.all.extend([self.rows, self.columns, self.pieces, self.partial, slices as u64]);
        self.first_row.push(self.rows);
        self.first_piece.push(self.pieces);
        runs(&mut self.weights, w, count);
        self.pieces += count.div_ceil(PIECE) as u64;
        if matrix {
            self.rows += rows as u64;
            self.columns += cols.div_ceil(THREADS as usize) as u64;
            self.partial += (slices * cols) as u64;
            self.most_slices = self.most_slices.max(slices);
        }
    }
}

/// By row of a matrix, the place of its gradient.
fn slots_of(gradient: &RowGradient, rows: usize) -> Vec<u32> {
    let mut slots = vec![NO_SLOT; rows];
    for (row, place) in gradient.sorted() {
        slots[row] = place as u32;
    }
    slots
}

/// One step.
pub(crate) fn step(device: &Device, step: &Adafactor, parts: Vec<Learned<'_>>) {
    let mut plan = Plan::default();
    for part in parts.into_iter().filter(|part| !part.weight.is_empty()) {
        plan.add(device, part);
    }
    let count = plan.first_row.len();
    if count == 0 {
        return;
    }
    let [mut first_row, mut first_piece] = [plan.first_row, plan.first_piece];
    first_row.push(plan.rows);
    first_piece.push(plan.pieces);
    let [rows, columns, pieces] = [plan.rows, plan.columns, plan.pieces].map(|n| n as usize);
    let all = device.kept("factored", plan.all);
    let first_row = device.kept("first rows", first_row);
    let (scale, eps, beta2) = (step.grad_scale, step.eps1, step.beta2);
    let params = count as u32;

    let of_rows = doubles(device, rows);
    let arguments = arguments![&*all, params, &of_rows, scale, eps, beta2];
    device.launch("adafactor_rows", [rows, 1, 1], THREADS, 0, &arguments);
    let row_sums = sums(device, &of_rows, &first_row, count);
    let partial = doubles(device, plan.partial as usize);
    let arguments = arguments![&*all, params, &partial, scale, eps];
    device.launch("adafactor_columns", [columns, plan.most_slices, 1], THREADS, 0, &arguments);
    let arguments = arguments![&*all, params, &partial, beta2];
    device.launch("adafactor_mean_columns", [columns, 1, 1], THREADS, 0, &arguments);

    let arguments = arguments![&*all, params, &of_rows, &row_sums, scale];
    device.launch("adafactor_squares", [rows, 1, 1], THREADS, 0, &arguments);
    let updates = sums(device, &of_rows, &first_row, count);
    let arguments = arguments![&*all, &updates, scale, eps, beta2];
    device.launch("adafactor_vectors", [count, 1, 1], THREADS, 0, &arguments);
    let sizes = step.scale_parameter.then(|| {
        let (parts, _) = squares_of(device, "weights", plan.weights);
        sums(device, &parts, &device.kept("first pieces", first_piece), count)
    });
    let sizes = sizes.as_ref().map_or(Argument::Pointer(0), Argument::from);
    let arguments = arguments![
        &*all,
        params,
        PIECE as u32,
        &row_sums,
        &updates,
        sizes,
        scale,
        step.lr,
        step.weight_decay,
        step.clip_threshold,
        step.eps2
    ];
    device.launch("adafactor_apply", [pieces, 1, 1], THREADS, 0, &arguments);
}

/// The sum of each parameter's numbers, on the device.
fn sums(device: &Device, of: &Memory, firsts: &Memory, count: usize) -> Memory {
    let totals = doubles(device, count);
    device.launch("sum_ranges", [count, 1, 1], THREADS, 0, &arguments![&totals, of, firsts]);
    totals
}
