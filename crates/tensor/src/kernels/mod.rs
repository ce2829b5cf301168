//! Instruction-set code: every inner loop of the crate, safe functions that check sizes, run-time dispatch.
//!
//! This is the plain version of every kernel; the vectorised ones take its place file by file.

mod isa;
mod oracle;

use std::ops::Range;

pub use isa::{ISA_VARIABLE, Isa, IsaError, available, init, isa};

/// Weight rows `[n, k]`, contiguous, in storage precision (bf16 and f16 as raw bits).
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// bfloat16, the upper half of an f32.
    Bf16(&'a [u16]),
    /// IEEE half precision.
    F16(&'a [u16]),
}

impl<'a> Rows<'a> {
    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Rows::F32(w) => w.len(),
            Rows::Bf16(w) | Rows::F16(w) => w.len(),
        }
    }

    /// Whether there are no weights.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights in `range`, counted in elements.
    pub fn slice(&self, range: Range<usize>) -> Rows<'a> {
        match *self {
            Rows::F32(w) => Rows::F32(&w[range]),
            Rows::Bf16(w) => Rows::Bf16(&w[range]),
            Rows::F16(w) => Rows::F16(&w[range]),
        }
    }
}

/// What stands between the two products of a feed-forward block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// GELU by the tanh approximation.
    GeluTanh,
    /// GELU by the error function.
    GeluErf,
    /// max(0, x)
    Relu,
    /// x·sigmoid(x)
    Silu,
}

/// One AdamW step's numbers.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// 1 − beta1^t
    pub bias1: f32,
    /// 1 − beta2^t
    pub bias2: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
}

/// `y[i*ldy + j] = Σ_l x[i*ldx + l] · w[j*k + l]`
#[allow(clippy::too_many_arguments)]
pub fn matmul_rows(
    _: Isa,
    y: &mut [f32],
    ldy: usize,
    x: &[f32],
    ldx: usize,
    m: usize,
    w: Rows,
    n: usize,
    k: usize,
) {
    assert_eq!(w.len(), n * k, "weights of a {n}×{k} product");
    oracle::matmul_rows(y, ldy, x, ldx, m, w, n, k);
}

/// RMSNorm of every row of `x`.
pub fn rms_norm(_: Isa, y: &mut [f32], x: &[f32], weight: &[f32], eps: f32, rstd: Option<&mut [f32]>) {
    oracle::rms_norm(y, x, weight, eps, rstd);
}

/// Backward of [`rms_norm`]; `dweight` accumulates.
#[allow(clippy::too_many_arguments)]
pub fn rms_norm_backward(
    _: Isa,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
) {
    oracle::rms_norm_backward(dx, accumulate, dweight, dy, x, weight, rstd);
}

/// LayerNorm of every row of `x`.
pub fn layer_norm(
    _: Isa,
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    stats: Option<(&mut [f32], &mut [f32])>,
) {
    oracle::layer_norm(y, x, weight, bias, eps, stats);
}

/// Backward of [`layer_norm`]; `dweight` and `dbias` accumulate.
#[allow(clippy::too_many_arguments)]
pub fn layer_norm_backward(
    _: Isa,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    mean: &[f32],
    rstd: &[f32],
) {
    oracle::layer_norm_backward(dx, accumulate, dweight, dbias, dy, x, weight, mean, rstd);
}

/// `y = act(x)`
pub fn activate(_: Isa, act: Activation, y: &mut [f32], x: &[f32]) {
    oracle::activate(act, y, x);
}

/// `dx = dy · act'(x)`
pub fn activate_backward(_: Isa, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    oracle::activate_backward(act, dx, dy, x);
}

/// `y = act(x[:, ..cols]) · x[:, cols..]`
pub fn gated(_: Isa, act: Activation, y: &mut [f32], x: &[f32], cols: usize) {
    oracle::gated(act, y, x, cols);
}

/// Backward of [`gated`].
pub fn gated_backward(_: Isa, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], cols: usize) {
    oracle::gated_backward(act, dx, dy, x, cols);
}

/// One row in place; returns its log-sum-exp.
pub fn softmax(_: Isa, s: &mut [f32], bias: Option<&[f32]>) -> f32 {
    oracle::softmax(s, bias)
}

/// `s = exp(s + bias − lse)`
pub fn softmax_again(_: Isa, s: &mut [f32], bias: Option<&[f32]>, lse: f32) {
    oracle::softmax_again(s, bias, lse);
}

/// `dp = p · (dp − delta)`
pub fn softmax_backward(_: Isa, dp: &mut [f32], p: &[f32], delta: f32) {
    oracle::softmax_backward(dp, p, delta);
}

/// log Σ exp(x)
pub fn logsumexp(_: Isa, x: &[f32]) -> f32 {
    oracle::logsumexp(x)
}

/// `x = exp(x − lse) · scale`
pub fn exp_sub_scale(_: Isa, x: &mut [f32], lse: f32, scale: f32) {
    oracle::exp_sub_scale(x, lse, scale);
}

/// The first of the largest values.
pub fn argmax(_: Isa, x: &[f32]) -> (usize, f32) {
    oracle::argmax(x)
}

/// Σ a·b
pub fn dot(_: Isa, a: &[f32], b: &[f32]) -> f32 {
    oracle::dot(a, b)
}

/// `y += x`
pub fn add(_: Isa, y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// `y += a·x`
pub fn axpy(_: Isa, y: &mut [f32], a: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// `y *= a`
pub fn scale(_: Isa, y: &mut [f32], a: f32) {
    y.iter_mut().for_each(|y| *y *= a);
}

/// Σ x²
pub fn sum_squares(_: Isa, x: &[f32]) -> f64 {
    oracle::sum_squares(x)
}

/// Where the first infinity or NaN is.
pub fn first_non_finite(x: &[f32]) -> Option<usize> {
    x.iter().position(|v| !v.is_finite())
}

/// `y = x · mask`
pub fn dropout(_: Isa, y: &mut [f32], x: &[f32], key: u64, first: u64, rate: f32) {
    y.iter_mut()
        .zip(x)
        .zip(0..)
        .for_each(|((y, x), i)| *y = x * oracle::dropout_factor(key, first + i, rate));
}

/// `y *= mask`
pub fn dropout_in_place(_: Isa, y: &mut [f32], key: u64, first: u64, rate: f32) {
    y.iter_mut().zip(0..).for_each(|(y, i)| *y *= oracle::dropout_factor(key, first + i, rate));
}

/// `y += x · mask`
pub fn dropout_add(_: Isa, y: &mut [f32], x: &[f32], key: u64, first: u64, rate: f32) {
    y.iter_mut()
        .zip(x)
        .zip(0..)
        .for_each(|((y, x), i)| *y += x * oracle::dropout_factor(key, first + i, rate));
}

/// One AdamW step in place.
pub fn adamw(_: Isa, step: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    oracle::adamw(step, w, g, m, v);
}

/// Widens bf16.
pub fn bf16_to_f32(_: Isa, y: &mut [f32], x: &[u16]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = half::bf16::from_bits(x).to_f32());
}

/// Widens f16.
pub fn f16_to_f32(_: Isa, y: &mut [f32], x: &[u16]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = half::f16::from_bits(x).to_f32());
}

/// Rounds to bf16, nearest even.
pub fn f32_to_bf16(_: Isa, y: &mut [u16], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = half::bf16::from_f32(x).to_bits());
}

/// Rounds to f16, nearest even.
pub fn f32_to_f16(_: Isa, y: &mut [u16], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = half::f16::from_f32(x).to_bits());
}

/// Attention of one query position.
#[allow(clippy::too_many_arguments)]
pub fn attend_one(
    _: Isa,
    out: &mut [f32],
    q: &[f32],
    k: &[f32],
    k_stride: usize,
    v: &[f32],
    v_stride: usize,
    keys: usize,
    heads: Range<usize>,
    d_kv: usize,
    bias: Option<(&[f32], usize)>,
    scratch: &mut [f32],
) {
    assert!(scratch.len() >= heads.len() * keys, "scratch for {} heads of {keys} keys", heads.len());
    oracle::attend_one(out, q, k, k_stride, v, v_stride, keys, heads, d_kv, bias);
}
