//! Activations on their way into products with int8 weights.

use std::ops::Range;

use super::parts::{cut, row_ranges};
use crate::kernels::{self, Activations, GROUP, Isa, Panels, matmul_int8, quantize_row};
use crate::ops::Activation;
use crate::{Context, MatMut, Tensor};

/// Rows in int8, with a scale for every group of their columns.
pub(crate) struct Quantized {
    /// The numbers: memory of activations' kind, which is kept from one operation to the next.
    q: Tensor,
    scales: Vec<f32>,
    sums: Vec<i32>,
    rows: usize,
    cols: usize,
}

/// Some of those rows, to be written.
struct QuantizedMut<'a> {
    q: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
    cols: usize,
}

impl QuantizedMut<'_> {
    /// Columns from a multiple of [`GROUP`] on of a row.
    fn write(&mut self, isa: Isa, row: usize, col: usize, x: &[f32]) {
        let ([of_row, groups, sums], before) = (Activations::room(1, self.cols), Activations::room(1, col));
        let [numbers, scales, shares] = Activations::room(1, x.len());
        let at = |of_row: usize, before: usize, count: usize| {
            let first = row * of_row + before;
            first..first + count
        };
        quantize_row(
            isa,
            x,
            &mut self.q[at(of_row, before[0], numbers)],
            &mut self.scales[at(groups, before[1], scales)],
            &mut self.sums[at(sums, before[2], shares)],
        );
    }
}

/// Rows of a chunk of the first products of a feed-forward block: what a group of their outputs takes stays in the
/// second-level cache.
const CHUNK: usize = 64;

/// Rows [rows, cols] that are to be quantised, perhaps multiplied by factors first: as many rows of factors as belong
/// together, in turn.
#[derive(Clone, Copy)]
struct Wide<'a> {
    x: &'a [f32],
    cols: usize,
    factors: Option<&'a [f32]>,
}

impl Wide<'_> {
    fn quantize(self, isa: Isa, rows: Range<usize>, to: &mut QuantizedMut<'_>) {
        let cols = self.cols;
        let mut multiplied = vec![0.0; if self.factors.is_some() { cols } else { 0 }];
        for (at, row) in rows.enumerate() {
            let mut x = &self.x[row * cols..(row + 1) * cols];
            if let Some(factors) = self.factors {
                let first = row * cols % factors.len();
                for ((y, x), factor) in multiplied.iter_mut().zip(x).zip(&factors[first..]) {
                    *y = x * factor;
                }
                x = &multiplied;
            }
            to.write(isa, at, 0, x);
        }
    }
}

impl Quantized {
    /// The rows of `x`, shared out over the threads.
    pub(crate) fn new(context: Context<'_>, x: &Tensor) -> Quantized {
        Quantized::parts(context, x, 1, None)
    }

    /// The rows of `x` after RMSNorm, whose results are nowhere else.
    pub(crate) fn normed(context: Context<'_>, x: &Tensor, weight: &[f32], eps: f32) -> Quantized {
        let isa = context.isa;
        let ranges = row_ranges(context.pool, x.rows(), x.cols());
        Quantized::from_chunks(context, x.rows(), x.cols(), ranges, |rows, to| {
            let mut normed = vec![0.0; x.cols()];
            for (at, row) in rows.enumerate() {
                kernels::rms_norm(isa, &mut normed, x.row(row), weight, eps, None);
                to.write(isa, at, 0, &normed);
            }
        })
    }

    /// `act(x[:, ..n]) · x[:, n..]`, [rows, n] of [rows, 2n], likewise.
    pub(crate) fn gated(context: Context<'_>, activation: Activation, x: &Tensor) -> Quantized {
        let (isa, cols) = (context.isa, x.cols() / 2);
        let ranges = row_ranges(context.pool, x.rows(), cols);
        Quantized::from_chunks(context, x.rows(), cols, ranges, |rows, to| {
            let mut active = vec![0.0; cols];
            for (at, row) in rows.enumerate() {
                kernels::gated(isa, activation, &mut active, x.row(row), cols);
                to.write(isa, at, 0, &active);
            }
        })
    }

    /// `act(x·Gᵀ) · (x·Wᵀ)` of many rows of `x`, shared out over the threads: a group of outputs of both products at a time,
    /// activated and rounded before it leaves the cache. `gate`, `linear`: [n, cols of x].
    pub(crate) fn gated_product(
        context: Context<'_>,
        x: &Quantized,
        activation: Activation,
        [gate, linear]: [&Panels; 2],
    ) -> Quantized {
        let (isa, inner) = (context.isa, gate.rows());
        let ranges = context.pool.ranges(x.rows, 1, CHUNK);
        Quantized::from_chunks(context, x.rows, inner, ranges, |rows, to| {
            let mut both = vec![0.0; CHUNK * 2 * GROUP];
            let mut active = vec![0.0; CHUNK * GROUP];
            for first in (0..inner).step_by(GROUP) {
                let outputs = first..inner.min(first + GROUP);
                let cols = outputs.len();
                for top in (0..rows.len()).step_by(CHUNK) {
                    let count = CHUNK.min(rows.len() - top);
                    let (both, active) = (&mut both[..count * 2 * cols], &mut active[..count * cols]);
                    let here = x.rows(rows.start + top, count);
                    let (left, right) = MatMut::new(both, count, 2 * cols, 2 * cols).split_cols(cols);
                    matmul_int8(left, here, gate, outputs.clone());
                    matmul_int8(right, here, linear, outputs.clone());
                    kernels::gated(isa, activation, active, both, cols);
                    for (at, active) in active.chunks_exact(cols).enumerate() {
                        to.write(isa, top + at, first, active);
                    }
                }
            }
        })
    }

    /// Every row of `x` as `parts` rows beside each other, whose numbers are multiplied by `factors` first: [cols of x].
    pub(crate) fn parts(
        context: Context<'_>,
        x: &Tensor,
        parts: usize,
        factors: Option<&[f32]>,
    ) -> Quantized {
        let (rows, cols) = (x.rows() * parts, x.cols() / parts.max(1));
        let wide = Wide { x: x.data(), cols, factors };
        let ranges = row_ranges(context.pool, rows, cols);
        Quantized::from_chunks(context, rows, cols, ranges, |rows, to| wide.quantize(context.isa, rows, to))
    }

    /// The same on this thread alone: `x`: [rows, cols], multiplied by `factors`, [cols].
    pub(crate) fn here(isa: Isa, x: &[f32], cols: usize, factors: Option<&[f32]>) -> Quantized {
        let rows = x.len().checked_div(cols).unwrap_or(0);
        let mut all = Quantized::room(rows, cols);
        let q = bytemuck::cast_slice_mut(all.q.data_mut());
        let mut to = QuantizedMut { q, scales: &mut all.scales, sums: &mut all.sums, cols };
        Wide { x, cols, factors }.quantize(isa, 0..rows, &mut to);
        all
    }

    /// `f(rows, to)` for each of the ranges, which are all rows, shared out over the threads.
    fn from_chunks(
        context: Context<'_>,
        rows: usize,
        cols: usize,
        ranges: Vec<Range<usize>>,
        f: impl Fn(Range<usize>, &mut QuantizedMut<'_>) + Sync,
    ) -> Quantized {
        let mut all = Quantized::room(rows, cols);
        let [of_row, groups, shares] = Activations::room(1, cols);
        let beside =
            cut(&mut all.scales, &ranges, groups).into_iter().zip(cut(&mut all.sums, &ranges, shares));
        let q = bytemuck::cast_slice_mut(all.q.data_mut());
        let pieces = cut(q, &ranges, of_row).into_iter().zip(beside);
        context.pool.run_parts(ranges.into_iter().zip(pieces).collect(), |(range, (q, (scales, sums)))| {
            f(range, &mut QuantizedMut { q, scales, sums, cols });
        });
        all
    }

    fn room(rows: usize, cols: usize) -> Quantized {
        let [numbers, groups, shares] = Activations::room(rows, cols);
        // Rows are padded to whole words.
        let q = Tensor::unspecified(1, numbers / size_of::<f32>());
        Quantized { q, scales: vec![0.0; groups], sums: vec![0; shares], rows, cols }
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// All rows.
    pub(crate) fn all(&self) -> Activations<'_> {
        Activations::new(bytemuck::cast_slice(self.q.data()), &self.scales, &self.sums, self.rows, self.cols)
    }

    /// `count` rows from one on.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Activations<'_> {
        self.every(first, 1, count)
    }

    /// `count` rows from one on, every `step`-th.
    pub(crate) fn every(&self, first: usize, step: usize, count: usize) -> Activations<'_> {
        self.all().every(first, step, count)
    }
}

/// The rows of a tensor, [rows, cols], as whole numbers with a scale a *column*: what queries look at, both ways. An
/// outlier among the columns costs no other its precision.
pub(crate) struct ByColumns {
    /// Half a step of each column: largest magnitude / 127.
    scales: Vec<f32>,
    /// For products that sum over the columns.
    rows: Panels,
    /// For products that sum over the rows; their outputs have the scales.
    columns: Panels,
}

impl ByColumns {
    pub(crate) fn new(x: &Tensor) -> ByColumns {
        let (rows, cols) = (x.rows(), x.cols());
        let mut most = vec![0u32; cols];
        for row in 0..rows {
            // As whole numbers the bits of magnitudes are in order, infinity and NaN above all.
            most.iter_mut()
                .zip(x.row(row))
                .for_each(|(most, x)| *most = (*most).max(x.to_bits() & 0x7fff_ffff));
        }
        let most: Vec<f32> = most.into_iter().map(f32::from_bits).collect();
        let factors: Vec<f32> =
            most.iter().map(|&most| if most >= f32::MIN_POSITIVE { 127.0 / most } else { 0.0 }).collect();
        let mut q = Vec::with_capacity(rows * cols);
        for row in 0..rows {
            // Adding 1.5·2²³ leaves the nearest whole number in the lowest bits.
            q.extend(x.row(row).iter().zip(&factors).map(|(x, f)| (x * f + 12_582_912.0).to_bits() as i8));
        }
        let scales: Vec<f32> = most.iter().map(|most| most / 127.0).collect();
        let columns = Panels::of_columns(rows, cols, &q, &scales);
        ByColumns { scales, rows: Panels::new(rows, cols, &q, &vec![1.0; rows]), columns }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// Number of columns.
    pub(crate) fn cols(&self) -> usize {
        self.rows.cols()
    }

    /// `y = q·xᵀ`; `q`: rows one after another.
    pub(crate) fn scores(&self, isa: Isa, y: MatMut<'_>, q: &[f32]) {
        let q = Quantized::here(isa, q, self.cols(), Some(&self.scales));
        matmul_int8(y, q.all(), &self.rows, 0..self.rows());
    }

    /// `y = p·x`; `p`: rows one after another.
    pub(crate) fn sums(&self, isa: Isa, y: MatMut<'_>, p: &[f32]) {
        let p = Quantized::here(isa, p, self.rows(), None);
        matmul_int8(y, p.all(), &self.columns, 0..self.cols());
    }
}
