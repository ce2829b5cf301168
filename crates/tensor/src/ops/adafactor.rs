//! The Adafactor step (Shazeer and Stern 2018, algorithms 4 and 5), in the arithmetic of transformers' `Adafactor`
//! without relative steps and momentum. A matrix keeps the mean squares of its rows and of its columns; its second
//! moments are their outer product over the mean.

use std::ops::Range;

use crate::ops::cut;
use crate::{Gradient, Pool, Tensor, Weight, kernels};

/// One step's numbers, as `transformers.optimization.Adafactor` names them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adafactor {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the mean squares in this step: 1 − t^decay_rate.
    pub beta2: f32,
    /// Added to every squared gradient.
    pub eps1: f32,
    /// Smallest size of a parameter that `scale_parameter` sees.
    pub eps2: f32,
    /// Largest root mean square of an update before the learning rate.
    pub clip_threshold: f32,
    /// Multiplies the learning rate by the root mean square of the parameter.
    pub scale_parameter: bool,
    /// Decoupled weight decay, by the learning rate.
    pub weight_decay: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
}

/// Rows are taken in this many blocks at most: their sums are added up block by block, so that the result does not
/// depend on the threads.
const BLOCKS: usize = 64;

/// Updates a matrix `[rows, cols]` and its mean squares, `row`: [1, rows] and `col`: [1, cols], in place.
///
/// A gradient that is kept by rows costs no more than its rows: a row without one keeps its weights (but for weight
/// decay) and has the mean square `eps1`.
pub fn adafactor(
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

/// Updates a vector and its second moments `v`, of the same length, in place.
pub fn adafactor_vector(step: &Adafactor, weight: &mut Weight, gradient: &Tensor, v: &mut Tensor) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::embedding;
    use crate::{Gradients, Graph, Params, Rng};

    const STEP: Adafactor = Adafactor {
        lr: 1e-2,
        beta2: 0.0,
        eps1: 1e-30,
        eps2: 1e-3,
        clip_threshold: 1.0,
        scale_parameter: true,
        weight_decay: 0.1,
        grad_scale: 0.5,
    };

    fn step(t: i32, scale_parameter: bool, weight_decay: f32) -> Adafactor {
        Adafactor { beta2: (1.0 - f64::from(t).powf(-0.8)) as f32, scale_parameter, weight_decay, ..STEP }
    }

    fn rms(x: &[f64]) -> f64 {
        (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt()
    }

    /// transformers' `Adafactor.step` as it is written there, in f64; `moments`: rows then columns, or a vector's.
    fn written_out(s: &Adafactor, w: &mut [f64], g: &[f32], cols: Option<usize>, moments: &mut [f64]) {
        let beta2 = f64::from(s.beta2);
        let g: Vec<f64> = g.iter().map(|&g| f64::from(g) * f64::from(s.grad_scale)).collect();
        let square = |i: usize| g[i] * g[i] + f64::from(s.eps1);
        let mix = |old: &mut f64, new: f64| *old = *old * beta2 + new * (1.0 - beta2);
        let update: Vec<f64> = match cols {
            Some(cols) => {
                let rows = g.len() / cols;
                let (row, col) = moments.split_at_mut(rows);
                for (i, row) in row.iter_mut().enumerate() {
                    mix(row, (0..cols).map(|j| square(i * cols + j)).sum::<f64>() / cols as f64);
                }
                for (j, col) in col.iter_mut().enumerate() {
                    mix(col, (0..rows).map(|i| square(i * cols + j)).sum::<f64>() / rows as f64);
                }
                let mean = row.iter().sum::<f64>() / rows as f64;
                (0..g.len()).map(|i| g[i] / (row[i / cols] / mean).sqrt() / col[i % cols].sqrt()).collect()
            }
            None => {
                moments.iter_mut().enumerate().for_each(|(i, v)| mix(v, square(i)));
                (0..g.len()).map(|i| g[i] / moments[i].sqrt()).collect()
            }
        };
        let clip = (rms(&update) / f64::from(s.clip_threshold)).max(1.0);
        let scale = if s.scale_parameter { rms(w).max(f64::from(s.eps2)) } else { 1.0 };
        let lr = f64::from(s.lr) * scale;
        for (w, u) in w.iter_mut().zip(update) {
            *w = *w * (1.0 - lr * f64::from(s.weight_decay)) - lr * u / clip;
        }
    }

    fn close(what: &str, got: &[f32], want: &[f64]) {
        let largest = want.iter().fold(0f64, |m, w| m.max(w.abs()));
        for (a, b) in got.iter().zip(want) {
            assert!((f64::from(*a) - b).abs() < 2e-6 * largest.max(1e-3), "{what}: {a} {b}");
        }
    }

    #[test]
    fn a_matrix_and_a_vector_are_updated_as_written_out_whatever_the_threads() {
        for (rows, cols) in [(1, 1), (1, 40), (40, 1), (70, 33), (1100, 20)] {
            for (scale_parameter, weight_decay) in [(false, 0.0), (true, 0.1)] {
                let results = [1, 3].map(|threads| {
                    let pool = Pool::new(threads);
                    let mut rng = Rng::new(6, rows as u64);
                    let mut normal =
                        || -> Vec<f32> { (0..rows * cols).map(|_| rng.normal() as f32).collect() };
                    let start = normal();
                    let mut w = Weight::owned(&[rows, cols], start.clone());
                    let mut flat = Weight::owned(&[rows * cols], start.clone());
                    let mut w64: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
                    let mut flat64 = w64.clone();
                    let (mut row, mut col) = (Tensor::zeros(1, rows), Tensor::zeros(1, cols));
                    let mut v = Tensor::zeros(1, rows * cols);
                    let (mut moments, mut v64) = (vec![0.0; rows + cols], vec![0.0; rows * cols]);
                    for t in 1..=4 {
                        let s = step(t, scale_parameter, weight_decay);
                        let mut g = normal();
                        g[..cols].fill(0.0); // a row that nothing flows to
                        written_out(&s, &mut w64, &g, Some(cols), &mut moments);
                        written_out(&s, &mut flat64, &g, None, &mut v64);
                        let g = Tensor::from_vec(rows, cols, g);
                        adafactor(&pool, &s, &mut w, Gradient::Dense(&g), &mut row, &mut col);
                        adafactor_vector(&s, &mut flat, &g, &mut v);
                    }
                    let (w, flat) = (w.to_tensor().data().to_vec(), flat.to_tensor());
                    close("matrix", &w, &w64);
                    close("rows", row.data(), &moments[..rows]);
                    close("columns", col.data(), &moments[rows..]);
                    close("vector", flat.data(), &flat64);
                    close("its moments", v.data(), &v64);
                    (w, row.data().to_vec(), col.data().to_vec())
                });
                assert!(results[0] == results[1]);
            }
        }
    }

    #[test]
    fn a_gradient_by_rows_updates_as_the_dense_one() {
        let (rows, cols) = (200, 24);
        let pool = Pool::new(2);
        let mut rng = Rng::new(7, 0);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let mut params = Params::default();
        let start = normal(rows * cols);
        let id = params.add("shared", Weight::owned(&[rows, cols], start.clone()));
        for weight_decay in [0.0, 0.1] {
            let mut states = [false, true].map(|by_rows| {
                let mut gradients = Gradients::new();
                if by_rows {
                    gradients.keep_rows(id);
                }
                (
                    gradients,
                    Weight::owned(&[rows, cols], start.clone()),
                    Tensor::zeros(1, rows),
                    Tensor::zeros(1, cols),
                )
            });
            for (t, ids) in [vec![199u32, 0, 5, 5], vec![7, 5], vec![0; 3]].into_iter().enumerate() {
                let dy = normal(ids.len() * cols);
                for (gradients, w, row, col) in &mut states {
                    gradients.clear();
                    let mut graph = Graph::training(&params, &pool, None);
                    let y = embedding(&mut graph, id, &ids);
                    gradients.put(y.node().unwrap(), Tensor::from_vec(ids.len(), cols, dy.clone()));
                    graph.backward(gradients);
                    let s = step(t as i32 + 1, true, weight_decay);
                    adafactor(&pool, &s, w, gradients.get(id).unwrap(), row, col);
                }
            }
            let [dense, by_rows] = states;
            for (what, got, want) in [
                ("weights", by_rows.1.as_f32().unwrap(), dense.1.as_f32().unwrap()),
                ("rows", by_rows.2.data(), dense.2.data()),
                ("columns", by_rows.3.data(), dense.3.data()),
            ] {
                let want: Vec<f64> = want.iter().map(|&w| f64::from(w)).collect();
                close(what, got, &want);
            }
        }
    }
}
