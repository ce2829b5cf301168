//! The Adafactor step (Shazeer and Stern 2018, algorithms 4 and 5), in the arithmetic of transformers' `Adafactor`
//! without relative steps and momentum. A matrix keeps the mean squares of its rows and of its columns; its second
//! moments are their outer product over the mean.

use super::{Learned, Learning};
use crate::{Gradient, Pool, cpu, cuda};

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

/// Updates matrices `[rows, cols]` and their mean squares, row: [1, rows] and col: [1, cols], and vectors and their second
/// moments, of the same length, in place.
///
/// A gradient that is kept by rows costs no more than its rows: a row without one keeps its weights (but for weight
/// decay) and has the mean square `eps1`.
pub fn adafactor(pool: &Pool, step: &Adafactor, of: Learning<'_>) {
    let (device, parts) = of.parts();
    match device {
        Some(device) => cuda::adafactor::step(&device, step, parts),
        None => parts.into_iter().for_each(|Learned { weight, gradient, state }| match (state, gradient) {
            ([row, col], gradient) => cpu::adafactor::matrix(pool, step, weight, gradient, row, col),
            ([v], Gradient::Dense(gradient)) => cpu::adafactor::vector(step, weight, gradient, v),
            _ => panic!("mean squares by row and column, or a vector's"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::adafactor::{matrix, vector};
    use crate::ops::embedding;
    use crate::{Gradients, Graph, Params, Rng, Tensor, Weight};

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
                        matrix(&pool, &s, &mut w, Gradient::Dense(&g), &mut row, &mut col);
                        vector(&s, &mut flat, &g, &mut v);
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
                    matrix(&pool, &s, w, gradients.get(id).unwrap(), row, col);
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
