//! The AdamW update, and Adam's.

use super::Isa;
use super::vector::{Simd, dispatch};
use crate::ops::AdamW;

/// Updates the weights `w` and the moments `m`, `v` in place with the gradient `g`, all of one length.
/// The arithmetic is that of `torch.optim.AdamW`: decoupled decay first.
pub fn adamw(isa: Isa, step: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert!(g.len() == w.len() && m.len() == w.len() && v.len() == w.len(), "AdamW's four slices");
    dispatch!(isa, adamw_any(step: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]))
}

// Plain Rust: it vectorises, and without fused multiply-adds it gives the same bits on every instruction set.
#[inline(always)]
fn adamw_any<S: Simd>(_: S, step: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let keep = 1.0 - step.lr * step.weight_decay;
    let step_size = step.lr / step.bias1;
    let root_bias2 = step.bias2.sqrt();
    let (rest1, rest2) = (1.0 - step.beta1, 1.0 - step.beta2);
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * step.grad_scale + *w * step.l2;
        *m += (g - *m) * rest1;
        *v = *v * step.beta2 + g * g * rest2;
        let denominator = v.sqrt() / root_bias2 + step.eps;
        *w = *w * keep - step_size * (*m / denominator);
    }
}
