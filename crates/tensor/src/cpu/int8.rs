//! Activations on their way into products with int8 weights.

use std::ops::Range;

use super::parts::{cut, row_ranges};
use crate::kernels::{Activations, Isa, Panels, matmul_int8, quantize_row};
use crate::{Context, MatMut, Tensor};

/// Rows in int8, with a scale for every group of their columns.
pub(crate) struct Quantized {
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    rows: usize,
    cols: usize,
}

/// Rows [rows, cols] that are to be quantised, perhaps multiplied by factors first: as many rows of factors as belong
/// together, in turn.
#[derive(Clone, Copy)]
struct Wide<'a> {
    x: &'a [f32],
    cols: usize,
    factors: Option<&'a [f32]>,
}

impl Wide<'_> {
    fn quantize(self, isa: Isa, rows: Range<usize>, q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
        let cols = self.cols;
        let [of_row, groups, shares] = Activations::room(1, cols);
        let mut multiplied = vec![0.0; if self.factors.is_some() { cols } else { 0 }];
        let beside = scales.chunks_exact_mut(groups.max(1)).zip(sums.chunks_exact_mut(shares.max(1)));
        for ((row, q), (scales, sums)) in rows.zip(q.chunks_exact_mut(of_row.max(1))).zip(beside) {
            let mut x = &self.x[row * cols..(row + 1) * cols];
            if let Some(factors) = self.factors {
                let first = row * cols % factors.len();
                for ((y, x), factor) in multiplied.iter_mut().zip(x).zip(&factors[first..]) {
                    *y = x * factor;
                }
                x = &multiplied;
            }
            quantize_row(isa, x, q, scales, sums);
        }
    }
}

impl Quantized {
    /// The rows of `x`, shared out over the threads.
    pub(crate) fn new(context: Context<'_>, x: &Tensor) -> Quantized {
        Quantized::parts(context, x, 1, None)
    }

    /// Every row of `x` as `parts` rows beside each other, whose numbers are multiplied by `factors` first: [cols of x].
    pub(crate) fn parts(
        context: Context<'_>,
        x: &Tensor,
        parts: usize,
        factors: Option<&[f32]>,
    ) -> Quantized {
        let (rows, cols) = (x.rows() * parts, x.cols() / parts.max(1));
        let mut all = Quantized::room(rows, cols);
        let wide = Wide { x: x.data(), cols, factors };
        let [of_row, groups, shares] = Activations::room(1, cols);
        let ranges = row_ranges(context.pool, rows, cols);
        let beside =
            cut(&mut all.scales, &ranges, groups).into_iter().zip(cut(&mut all.sums, &ranges, shares));
        let pieces = cut(&mut all.q, &ranges, of_row).into_iter().zip(beside);
        context.pool.run_parts(ranges.into_iter().zip(pieces).collect(), |(range, (q, (scales, sums)))| {
            wide.quantize(context.isa, range, q, scales, sums);
        });
        all
    }

    /// The same on this thread alone: `x`: [rows, cols], multiplied by `factors`, [cols].
    pub(crate) fn here(isa: Isa, x: &[f32], cols: usize, factors: Option<&[f32]>) -> Quantized {
        let rows = x.len().checked_div(cols).unwrap_or(0);
        let mut all = Quantized::room(rows, cols);
        Wide { x, cols, factors }.quantize(isa, 0..rows, &mut all.q, &mut all.scales, &mut all.sums);
        all
    }

    fn room(rows: usize, cols: usize) -> Quantized {
        let [numbers, groups, shares] = Activations::room(rows, cols);
        Quantized { q: vec![0; numbers], scales: vec![0.0; groups], sums: vec![0; shares], rows, cols }
    }

    /// All rows.
    pub(crate) fn all(&self) -> Activations<'_> {
        Activations::new(&self.q, &self.scales, &self.sums, self.rows, self.cols)
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
        let by_rows = Panels::new(rows, cols, &q, &vec![1.0; rows]);
        let columns = by_rows.transposed(0..rows, &scales);
        ByColumns { scales, rows: by_rows, columns }
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
