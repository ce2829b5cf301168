//! Every operation on the emulated device against the processor's.

mod attention;
mod choosing;
mod learning;
mod operations;
mod products;
mod steps;
mod whole;

use super::emulated::device;
use crate::{Rng, Tensor};

fn normal(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.normal() as f32).collect()
}

fn tensor(rng: &mut Rng, rows: usize, cols: usize) -> Tensor {
    Tensor::from_vec(rows, cols, normal(rng, rows * cols))
}

/// Within `bound` of the largest number, and nothing that is not one.
fn close(what: &str, got: &[f32], want: &[f32], bound: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(1f32, |m, w| m.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= bound * largest, "{what}, element {i}: {g} {w}");
    }
}
