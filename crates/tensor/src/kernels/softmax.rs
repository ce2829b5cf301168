//! Softmax of one row, its backward, and what cross-entropy needs of it.

use super::Isa;
use super::elementwise::largest;
use super::math::exp;
use super::vector::{Simd, dispatch};

/// One row in place: `s ← softmax(scale·s + bias)`; returns log Σ exp(scale·s + bias). An empty row returns −∞, and a
/// row of nothing but −∞ becomes zeros and returns −∞. `scale` is above 0; 1 changes no bit.
pub fn softmax(isa: Isa, s: &mut [f32], scale: f32, bias: Option<&[f32]>) -> f32 {
    assert!(bias.is_none_or(|bias| bias.len() == s.len()), "a row's scores and biases");
    dispatch!(isa, softmax_any(s: &mut [f32], scale: f32, bias: Option<&[f32]>) -> f32)
}

/// `s ← exp(scale·s + bias − lse)`: the probabilities again, for the backward pass.
pub fn softmax_again(isa: Isa, s: &mut [f32], scale: f32, bias: Option<&[f32]>, lse: f32) {
    assert!(bias.is_none_or(|bias| bias.len() == s.len()), "a row's scores and biases");
    dispatch!(isa, softmax_again_any(s: &mut [f32], scale: f32, bias: Option<&[f32]>, lse: f32))
}

/// `dp ← p · (dp − delta)`, where delta is Σ p·dp.
pub fn softmax_backward(isa: Isa, dp: &mut [f32], p: &[f32], delta: f32) {
    assert_eq!(dp.len(), p.len(), "probabilities and their gradients");
    dispatch!(isa, softmax_backward_any(dp: &mut [f32], p: &[f32], delta: f32))
}

#[inline(always)]
fn softmax_backward_any<S: Simd>(_: S, dp: &mut [f32], p: &[f32], delta: f32) {
    for (dp, &p) in dp.iter_mut().zip(p) {
        *dp = p * (*dp - delta);
    }
}

/// log Σ exp(x); −∞ for an empty slice.
pub fn logsumexp(isa: Isa, x: &[f32]) -> f32 {
    dispatch!(isa, logsumexp_any(x: &[f32]) -> f32)
}

/// `x ← exp(x − lse) · scale − minus`: the gradient of cross-entropy but for the target's entry.
pub fn exp_sub_scale(isa: Isa, x: &mut [f32], lse: f32, scale: f32, minus: f32) {
    dispatch!(isa, exp_sub_scale_any(x: &mut [f32], lse: f32, scale: f32, minus: f32))
}

/// What is subtracted before exp: the maximum, or 0 where nothing is above −∞.
#[inline(always)]
fn shift_for(largest: f32) -> f32 {
    if largest == f32::NEG_INFINITY { 0.0 } else { largest }
}

/// Runs `$step` on every vector of `$s` and writes what it gives; unused lanes of the last are `$fill` going in.
macro_rules! map_vectors {
    ($token:ident, $lanes:expr, $s:expr, $x:ident, $fill:expr => $step:expr) => {{
        let mut chunks = $s.chunks_exact_mut($lanes);
        for chunk in &mut chunks {
            let $x = $token.get(chunk);
            $token.put(chunk, $step);
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            let mut padded = [$fill; MAX_LANES];
            padded[..rest.len()].copy_from_slice(rest);
            let $x = $token.get(&padded);
            $token.put_part(rest, $step);
        }
    }};
}

/// The widest vector of any instruction set.
const MAX_LANES: usize = 16;

#[inline(always)]
pub(super) fn softmax_any<S: Simd>(s: S, row: &mut [f32], scale: f32, bias: Option<&[f32]>) -> f32 {
    // With a bias the first pass has to write the row anyway and scales it; without one the second does.
    let (shift, scale) = match bias {
        Some(bias) => (shift_for(add_and_find_largest(s, row, scale, bias)), 1.0),
        None => (shift_for(scale * largest(s, row)), scale),
    };
    let (scales, back) = (s.splat(scale), s.splat(-shift));
    let mut sums = s.splat(0.0);
    map_vectors!(s, S::LANES, row, x, f32::NEG_INFINITY => {
        let e = exp(s, s.mul_add(x, scales, back));
        sums = s.add(sums, e);
        e
    });
    let sum = s.sum(sums);
    let scale = if sum == 0.0 { 0.0 } else { 1.0 / sum };
    for p in row {
        *p *= scale;
    }
    shift + sum.ln()
}

/// `row = scale·row + bias`, and the largest of the sums, NaN ignored.
#[inline(always)]
fn add_and_find_largest<S: Simd>(s: S, row: &mut [f32], scale: f32, bias: &[f32]) -> f32 {
    let (scales, mut best) = (s.splat(scale), s.splat(f32::NEG_INFINITY));
    let (mut rows, mut biases) = (row.chunks_exact_mut(S::LANES), bias.chunks_exact(S::LANES));
    for (row, bias) in (&mut rows).zip(&mut biases) {
        let sum = s.mul_add(s.get(row), scales, s.get(bias));
        s.put(row, sum);
        best = s.max(sum, best);
    }
    let mut best = s.largest(best);
    for (row, bias) in rows.into_remainder().iter_mut().zip(biases.remainder()) {
        *row = scale * *row + bias;
        best = if *row > best { *row } else { best };
    }
    best
}

#[inline(always)]
fn softmax_again_any<S: Simd>(s: S, row: &mut [f32], scale: f32, bias: Option<&[f32]>, lse: f32) {
    let scale = match bias {
        Some(bias) => {
            for (score, bias) in row.iter_mut().zip(bias) {
                *score = scale * *score + bias;
            }
            1.0
        }
        None => scale,
    };
    let (scales, back) = (s.splat(scale), s.splat(-shift_for(lse)));
    map_vectors!(s, S::LANES, row, x, f32::NEG_INFINITY => exp(s, s.mul_add(x, scales, back)));
}

#[inline(always)]
fn logsumexp_any<S: Simd>(s: S, x: &[f32]) -> f32 {
    let shift = shift_for(largest(s, x));
    let shifts = s.splat(shift);
    let mut sums = [s.splat(0.0); 2];
    let mut chunks = x.chunks_exact(2 * S::LANES);
    for chunk in &mut chunks {
        sums[0] = s.add(sums[0], exp(s, s.sub(s.get(chunk), shifts)));
        sums[1] = s.add(sums[1], exp(s, s.sub(s.get(&chunk[S::LANES..]), shifts)));
    }
    let rest = chunks.remainder();
    let mut padded = [f32::NEG_INFINITY; 2 * MAX_LANES];
    padded[..rest.len()].copy_from_slice(rest);
    for (sum, chunk) in sums.iter_mut().zip(padded.chunks_exact(S::LANES)) {
        *sum = s.add(*sum, exp(s, s.sub(s.get(chunk), shifts)));
    }
    shift + s.sum(s.add(sums[0], sums[1])).ln()
}

#[inline(always)]
fn exp_sub_scale_any<S: Simd>(s: S, x: &mut [f32], lse: f32, scale: f32, minus: f32) {
    let (shifts, scales, minuses) = (s.splat(lse), s.splat(scale), s.splat(minus));
    map_vectors!(s, S::LANES, x, v, f32::NEG_INFINITY =>
        s.sub(s.mul(exp(s, s.sub(v, shifts)), scales), minuses));
}
