//! What optimizers that look at one element at a time have in common: how the work is split, and rows without a
//! gradient.

use std::ops::Range;

use super::parts::cut;
use crate::ops::{AdamW, Lion};
use crate::{Gradient, Pool, Tensor, Weight, kernels};

/// What a row without a gradient is given.
static ZEROS: [f32; 4096] = [0.0; 4096];

/// One AdamW step.
pub(crate) fn adamw(
    pool: &Pool,
    step: &AdamW,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    [m, v]: [&mut Tensor; 2],
    lazy: bool,
) {
    let (isa, tensors) = (kernels::isa(), [weight.data_mut(), m.data_mut(), v.data_mut()]);
    update(pool, gradient, lazy, tensors, |[w, m, v], g| kernels::adamw(isa, step, w, g, m, v));
}

/// One Lion step.
pub(crate) fn lion(
    pool: &Pool,
    step: &Lion,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    m: &mut Tensor,
    lazy: bool,
) {
    let (isa, tensors) = (kernels::isa(), [weight.data_mut(), m.data_mut()]);
    update(pool, gradient, lazy, tensors, |[w, m], g| kernels::lion(isa, step, w, g, m));
}

/// Calls `f` on pieces of a parameter and its moments, all of one length, with the piece's gradient, until every
/// element has had its turn; split over the threads. Of a gradient that is kept by rows, the other rows are given
/// zeros, or left alone where `lazy`. Moments that are zero and stay so are then not written to (see
/// [`Tensor::untouched`](crate::Tensor::untouched)).
fn update<const N: usize>(
    pool: &Pool,
    gradient: Gradient<'_>,
    lazy: bool,
    tensors: [&mut [f32]; N],
    f: impl Fn([&mut [f32]; N], &[f32]) + Sync,
) {
    let len = tensors[0].len();
    assert!(tensors.iter().all(|t| t.len() == len), "a parameter and its moments");
    let share = |ranges: &[Range<usize>], cols: usize| -> Vec<[&mut [f32]; N]> {
        let mut cuts = tensors.map(|t| cut(t, ranges, cols).into_iter());
        let part = |_| cuts.each_mut().map(|cut| cut.next().expect("a part for every range"));
        ranges.iter().map(part).collect()
    };
    match gradient {
        Gradient::Dense(gradient) => {
            let ranges = pool.ranges(len, 4096, 64 << 10);
            let parts = share(&ranges, 1);
            pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, part)| {
                f(part, &gradient.data()[range]);
            });
        }
        Gradient::Rows(gradient) => {
            let (sorted, cols) = (gradient.sorted(), gradient.cols().max(1));
            let ranges = pool.ranges(len / cols, 1, (64 << 10) / cols);
            let parts = share(&ranges, cols);
            pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, mut part)| {
                let piece = cols.min(ZEROS.len());
                let mut fresh: [Vec<f32>; N] = std::array::from_fn(|_| vec![0.0; piece]);
                let mut zeros = |part: &mut [&mut [f32]; N], elements: Range<usize>| {
                    for start in elements.clone().step_by(piece).filter(|_| !lazy) {
                        let end = elements.end.min(start + piece);
                        let piece = part.each_mut().map(|t| &mut t[start..end]);
                        without_gradient(piece, &mut fresh, &f);
                    }
                };
                let first = sorted.partition_point(|&(row, _)| row < range.start);
                let mut at = 0;
                for &(row, place) in sorted[first..].iter().take_while(|&&(row, _)| row < range.end) {
                    let row = (row - range.start) * cols;
                    zeros(&mut part, at..row);
                    f(part.each_mut().map(|t| &mut t[row..row + cols]), gradient.row(place));
                    at = row + cols;
                }
                zeros(&mut part, at..range.len() * cols);
            });
        }
    }
}

/// Calls `f` with a gradient of zeros on pieces of a parameter and its moments; on zeros in their place where all
/// moments are zero. `fresh`: zeros, before and after.
fn without_gradient<const N: usize>(
    tensors: [&mut [f32]; N],
    fresh: &mut [Vec<f32>; N],
    f: impl Fn([&mut [f32]; N], &[f32]),
) {
    let len = tensors[0].len();
    if !tensors[1..].iter().all(|moment| is_zero(moment)) {
        return f(tensors, &ZEROS[..len]);
    }
    let mut instead = fresh.each_mut().map(|zeros| &mut zeros[..len]);
    instead[0] = &mut *tensors[0];
    f(instead, &ZEROS[..len]);
    for (moment, now) in tensors.into_iter().zip(fresh).skip(1) {
        if !is_zero(&now[..len]) {
            moment.copy_from_slice(&now[..len]);
            now.fill(0.0);
        }
    }
}

/// Whether every bit is zero.
fn is_zero(x: &[f32]) -> bool {
    x.chunks(64).all(|x| x.iter().fold(0, |bits, x| bits | x.to_bits()) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::embedding;
    use crate::{Gradients, Graph, Params, Rng};

    /// A gradient by rows updates as the dense one with its zeros does, to the bit; lazily, only the rows it has.
    #[test]
    fn rows_without_a_gradient_are_given_zeros_or_left_alone() {
        let (rows, cols) = (300, 40);
        let mut rng = Rng::new(3, 0);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let mut params = Params::default();
        let start = normal(rows * cols);
        let id = params.add("shared", Weight::owned(&[rows, cols], start.clone()));
        let adamw = AdamW {
            lr: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            l2: 0.0,
            bias1: 0.1,
            bias2: 0.001,
            grad_scale: 0.5,
        };
        let lion = Lion { lr: 1e-2, beta1: 0.9, beta2: 0.99, weight_decay: 0.1, grad_scale: 0.5 };
        let isa = kernels::isa();
        for threads in [1, 3] {
            let pool = Pool::new(threads);
            for ids in [vec![0u32, 299, 17, 18, 17], vec![150], (0..300).collect()] {
                let gradients = [false, true].map(|by_rows| {
                    let mut gradients = Gradients::new();
                    if by_rows {
                        gradients.keep_rows(id);
                    }
                    let mut graph = Graph::training(&params, &pool, None);
                    let y = embedding(&mut graph, id, &ids);
                    let mut rng = Rng::new(4, 0);
                    let dy = (0..ids.len() * cols).map(|_| rng.normal() as f32).collect();
                    gradients.put(y.node().unwrap(), Tensor::from_vec(ids.len(), cols, dy));
                    graph.backward(&mut gradients);
                    gradients
                });
                let [dense, by_rows] = gradients.each_ref().map(|g| g.get(id).unwrap());
                assert!(matches!(by_rows, Gradient::Rows(_)));
                // Rows that were never touched, as at the beginning of a run, among others.
                let mut moments = normal(rows * cols);
                moments.chunks_mut(3 * cols).for_each(|rows| rows[..2 * cols].fill(0.0));
                let l2 = AdamW { weight_decay: 0.0, l2: 0.1, ..adamw };
                let after = |gradient, lazy, which: usize| {
                    let (mut w, mut m) = (start.clone(), moments.clone());
                    let mut v: Vec<f32> = moments.iter().map(|m| m * m).collect();
                    match which {
                        0 | 1 => update(&pool, gradient, lazy, [&mut w, &mut m, &mut v], |[w, m, v], g| {
                            kernels::adamw(isa, if which == 0 { &adamw } else { &l2 }, w, g, m, v);
                        }),
                        _ => update(&pool, gradient, lazy, [&mut w, &mut m], |[w, m], g| {
                            kernels::lion(isa, &lion, w, g, m);
                        }),
                    }
                    (w, m, v)
                };
                for which in 0..3 {
                    let exact = after(dense, false, which);
                    assert!(after(by_rows, false, which) == exact);
                    let lazily = after(by_rows, true, which);
                    for row in 0..rows {
                        let at = row * cols..(row + 1) * cols;
                        let want = if ids.contains(&(row as u32)) { &exact.0 } else { &start };
                        assert_eq!(lazily.0[at.clone()], want[at.clone()], "row {row}");
                        assert_ne!(exact.0[at.clone()], start[at], "row {row} moves by its moments");
                    }
                }
            }
        }
    }
}
