//! Activations on their way into products with int8 weights.

use super::parts::{cut, row_ranges};
use crate::kernels::{Activations, quantize_row};
use crate::{Context, Tensor};

/// Rows in int8, with a scale for every group of their columns.
pub(crate) struct Quantized {
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    rows: usize,
    cols: usize,
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
        let (numbers, groups) = Activations::room(rows, cols);
        let (mut q, mut scales, mut sums) = (vec![0; numbers], vec![0.0; groups], vec![0; groups]);
        let (of_row, groups_of_row) = Activations::room(1, cols);
        let ranges = row_ranges(context.pool, rows, cols);
        let pieces = cut(&mut q, &ranges, of_row).into_iter().zip(
            cut(&mut scales, &ranges, groups_of_row).into_iter().zip(cut(&mut sums, &ranges, groups_of_row)),
        );
        context.pool.run_parts(ranges.iter().zip(pieces).collect(), |(range, (q, (scales, sums)))| {
            let mut multiplied = vec![0.0; if factors.is_some() { cols } else { 0 }];
            let scales = scales.chunks_exact_mut(groups_of_row.max(1));
            let sums = sums.chunks_exact_mut(groups_of_row.max(1));
            for ((row, q), (scales, sums)) in
                range.clone().zip(q.chunks_exact_mut(of_row.max(1))).zip(scales.zip(sums))
            {
                let mut x = &x.data()[row * cols..(row + 1) * cols];
                if let Some(factors) = factors {
                    let factors = &factors[row % parts * cols..][..cols];
                    for ((y, x), factor) in multiplied.iter_mut().zip(x).zip(factors) {
                        *y = x * factor;
                    }
                    x = &multiplied;
                }
                quantize_row(context.isa, x, q, scales, sums);
            }
        });
        Quantized { q, scales, sums, rows, cols }
    }

    /// `count` rows from one on.
    pub(crate) fn rows(&self, first: usize, count: usize) -> Activations<'_> {
        self.every(first, 1, count)
    }

    /// `count` rows from one on, every `step`-th.
    pub(crate) fn every(&self, first: usize, step: usize, count: usize) -> Activations<'_> {
        Activations::new(&self.q, &self.scales, &self.sums, self.rows, self.cols).every(first, step, count)
    }
}
