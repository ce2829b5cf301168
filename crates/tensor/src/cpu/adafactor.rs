//! The Adafactor step: squares by row and by column, and the update from them.

use std::ops::Range;

use super::parts::cut;
use crate::ops::Adafactor;
use crate::{Gradient, Pool, Tensor, Weight, kernels};

/// Rows are taken in this many blocks at most: their sums are added up block by block, so that the result does not
/// depend on the threads.
const BLOCKS: usize = 64;

/// A matrix: see [`adafactor`](crate::ops::adafactor).
pub(crate) fn matrix(
    pool: &Pool,
    step: &Adafactor,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    row: &mut Tensor,
    col: &mut Tensor,
) {
    let (isa, weight) = (kernels::isa(), weight.data_mut());
    let (rows, cols) = (row.cols(), col.cols());
    if rows * cols == 0 {
        return;
    }
    let values = gradient.values();
    let sorted = match gradient {
        Gradient::Dense(_) => None,
        Gradient::Rows(gradient) => Some(gradient.sorted()),
    };
    let kept = values.len() / cols;
    let blocks = Blocks::new(kept);

    // The squares' means by row, in the order in which the rows are kept, and their sums by column.
    let mut means = vec![0.0f32; kept];
    let mut sums = vec![0.0f64; blocks.count * cols];
    let parts = blocks.shares(pool).into_iter().zip(blocks.cut(pool, &mut sums, cols));
    let mean_ranges = blocks.rows_of_shares(pool);
    let parts = parts.zip(cut(&mut means, &mean_ranges, 1)).collect();
    pool.run_parts(parts, |((share, sums), mut means)| {
        for (block, sums) in share.zip(sums.chunks_exact_mut(cols)) {
            let range = blocks.rows(block);
            let (here, rest) = std::mem::take(&mut means).split_at_mut(range.len());
            means = rest;
            let g = &values[range.start * cols..range.end * cols];
            kernels::adafactor_squares(isa, g, step.grad_scale, step.eps1, here, sums);
        }
    });
    let absent = (rows - kept) as f64 * f64::from(step.eps1);
    let rest = 1.0 - step.beta2;
    for (j, c) in col.data_mut().iter_mut().enumerate() {
        let sum: f64 = sums.iter().skip(j).step_by(cols).sum();
        *c = *c * step.beta2 + ((sum + absent) / rows as f64) as f32 * rest;
    }
    match &sorted {
        None => {
            row.data_mut().iter_mut().zip(&means).for_each(|(r, mean)| *r = *r * step.beta2 + mean * rest)
        }
        Some(sorted) => {
            let mut met = sorted.iter().peekable();
            for (i, r) in row.data_mut().iter_mut().enumerate() {
                let mean = met.next_if(|&&(row, _)| row == i).map_or(step.eps1, |&(_, at)| means[at]);
                *r = *r * step.beta2 + mean * rest;
            }
        }
    }

    // The update is rowᵢ·colⱼ·gᵢⱼ; its root mean square is clipped.
    let mean = row.data().iter().map(|&r| f64::from(r)).sum::<f64>() / rows as f64;
    let row_factor = |i: usize| (mean / f64::from(row.data()[i])).sqrt() as f32 * step.grad_scale;
    let row_of = |at: usize| match gradient {
        Gradient::Dense(_) => at,
        Gradient::Rows(gradient) => gradient.row_of(at),
    };
    let mut row_factors: Vec<f32> = (0..kept).map(|at| row_factor(row_of(at))).collect();
    let col_factors: Vec<f32> = col.data().iter().map(|c| c.sqrt().recip()).collect();
    let mut squares = vec![0.0f64; blocks.count];
    let parts = blocks.shares(pool).into_iter().zip(blocks.cut(pool, &mut squares, 1)).collect();
    pool.run_parts(parts, |(share, squares)| {
        for (block, square) in share.zip(squares) {
            let range = blocks.rows(block);
            let g = &values[range.start * cols..range.end * cols];
            *square = kernels::adafactor_update_squares(isa, g, &row_factors[range], &col_factors);
        }
    });
    let rms = (squares.iter().sum::<f64>() / (rows * cols) as f64).sqrt();
    let lr = step.rate(isa, weight);
    let size = (lr / (rms / f64::from(step.clip_threshold)).max(1.0)) as f32;
    row_factors.iter_mut().for_each(|r| *r *= size);
    let keep = (1.0 - lr * f64::from(step.weight_decay)) as f32;
    match gradient {
        Gradient::Dense(_) => {
            let ranges = pool.ranges(rows, 1, 64);
            let parts = ranges.iter().cloned().zip(cut(weight, &ranges, cols)).collect();
            pool.run_parts(parts, |(range, w)| {
                let g = &values[range.start * cols..range.end * cols];
                kernels::adafactor_apply(isa, w, g, &row_factors[range], &col_factors, keep);
            });
        }
        Gradient::Rows(gradient) => {
            if keep != 1.0 {
                let ranges = pool.ranges(weight.len(), 4096, 64 << 10);
                pool.run_parts(cut(weight, &ranges, 1), |w| kernels::scale(isa, w, keep));
            }
            for (at, factor) in row_factors.chunks(1).enumerate() {
                let w = &mut weight[row_of(at) * cols..][..cols];
                kernels::adafactor_apply(isa, w, gradient.row(at), factor, &col_factors, 1.0);
            }
        }
    }
}

/// A vector: see [`adafactor_vector`](crate::ops::adafactor_vector).
pub(crate) fn vector(step: &Adafactor, weight: &mut Weight, gradient: &Tensor, v: &mut Tensor) {
    let (isa, weight) = (kernels::isa(), weight.data_mut());
    let (g, v) = (gradient.data(), v.data_mut());
    if g.is_empty() {
        return;
    }
    let squares = kernels::adafactor_vector(isa, g, step.grad_scale, step.eps1, step.beta2, v);
    let rms = (squares / g.len() as f64).sqrt();
    let lr = step.rate(isa, weight);
    let size = (lr / (rms / f64::from(step.clip_threshold)).max(1.0)) as f32 * step.grad_scale;
    let factors: Vec<f32> = v.iter().map(|v| v.sqrt().recip()).collect();
    let keep = (1.0 - lr * f64::from(step.weight_decay)) as f32;
    kernels::adafactor_apply(isa, weight, g, &[size], &factors, keep);
}

impl Adafactor {
    /// The learning rate of a parameter.
    fn rate(&self, isa: kernels::Isa, weight: &[f32]) -> f64 {
        let scale = match self.scale_parameter {
            false => 1.0,
            true => {
                let rms = (kernels::sum_squares(isa, weight) / weight.len() as f64).sqrt();
                rms.max(f64::from(self.eps2))
            }
        };
        f64::from(self.lr) * scale
    }
}

/// Rows in blocks whose number and sizes depend on nothing but the number of rows.
#[derive(Clone, Copy)]
struct Blocks {
    rows: usize,
    size: usize,
    count: usize,
}

impl Blocks {
    fn new(rows: usize) -> Self {
        let size = rows.div_ceil(BLOCKS).max(16);
        Blocks { rows, size, count: rows.div_ceil(size) }
    }

    fn rows(&self, block: usize) -> Range<usize> {
        block * self.size..((block + 1) * self.size).min(self.rows)
    }

    /// The threads' shares of the blocks.
    fn shares(&self, pool: &Pool) -> Vec<Range<usize>> {
        pool.shares(self.count, 1)
    }

    /// The rows of those shares.
    fn rows_of_shares(&self, pool: &Pool) -> Vec<Range<usize>> {
        let row = |block: usize| (block * self.size).min(self.rows);
        self.shares(pool).into_iter().map(|share| row(share.start)..row(share.end)).collect()
    }

    /// Cuts what has `width` elements a block into those shares.
    fn cut<'a, T>(&self, pool: &Pool, data: &'a mut [T], width: usize) -> Vec<&'a mut [T]> {
        cut(data, &self.shares(pool), width)
    }
}
