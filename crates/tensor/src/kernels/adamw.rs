//! The AdamW update, and Adam's.

use super::Isa;
use super::vector::{Simd, dispatch};

/// One AdamW step's numbers, as `torch.optim.AdamW` names them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay: every step first multiplies the weights by 1 − lr·weight_decay.
    pub weight_decay: f32,
    /// L2 penalty, added to the gradient as `torch.optim.Adam`'s weight decay is; 0 in AdamW.
    pub l2: f32,
    /// 1 − beta1^t, t counting steps from 1; computed from this very `beta1`, since 1 − beta is sensitive to the
    /// rounding of beta to f32.
    pub bias1: f32,
    /// 1 − beta2^t
    pub bias2: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
}

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
