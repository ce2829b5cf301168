//! The Lion update.

use super::Isa;
use super::vector::{Simd, dispatch};
use crate::ops::Lion;

/// Updates the weights `w` and the momentum `m` in place with the gradient `g`, all of one length
/// (Chen et al. 2023, algorithm 2). The sign of 0 is 0.
pub fn lion(isa: Isa, step: &Lion, w: &mut [f32], g: &[f32], m: &mut [f32]) {
    assert!(g.len() == w.len() && m.len() == w.len(), "Lion's three slices");
    dispatch!(isa, lion_any(step: &Lion, w: &mut [f32], g: &[f32], m: &mut [f32]))
}

// Plain Rust, the same bits on every instruction set, as for AdamW.
#[inline(always)]
fn lion_any<S: Simd>(_: S, step: &Lion, w: &mut [f32], g: &[f32], m: &mut [f32]) {
    let keep = 1.0 - step.lr * step.weight_decay;
    let (rest1, rest2) = (1.0 - step.beta1, 1.0 - step.beta2);
    for ((w, g), m) in w.iter_mut().zip(g).zip(m) {
        let g = g * step.grad_scale;
        let direction = *m * step.beta1 + g * rest1;
        let up = if direction > 0.0 { step.lr } else { 0.0 };
        let down = if direction < 0.0 { step.lr } else { 0.0 };
        *w = *w * keep - (up - down);
        *m = *m * step.beta2 + g * rest2;
    }
}
