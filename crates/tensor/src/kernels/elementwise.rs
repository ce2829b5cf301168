//! Sums, scaled sums and dot products of whole slices.
//!
//! Loops without a reduction are plain Rust: compiled once per instruction set, the compiler vectorises them.

use super::Isa;
use super::vector::{Simd, dispatch};

/// Inner product. The order of the additions depends on the instruction set, but not on anything else.
pub fn dot(isa: Isa, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "dot product of unequal lengths");
    dispatch!(isa, dot_any(a: &[f32], b: &[f32]) -> f32)
}

#[inline(always)]
fn dot_any<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let (mut a4, mut b4) = (a.chunks_exact(4 * S::LANES), b.chunks_exact(4 * S::LANES));
    for (a, b) in (&mut a4).zip(&mut b4) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.mul_add(s.get(&a[i * S::LANES..]), s.get(&b[i * S::LANES..]), *sum);
        }
    }
    for (a, b) in a4.remainder().chunks(S::LANES).zip(b4.remainder().chunks(S::LANES)) {
        sums[0] = s.mul_add(s.get_part(a), s.get_part(b), sums[0]);
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// `y += x`
pub fn add(isa: Isa, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "sum of unequal lengths");
    dispatch!(isa, add_any(y: &mut [f32], x: &[f32]))
}

#[inline(always)]
fn add_any<S: Simd>(_: S, y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// `y += a·x`
pub fn axpy(isa: Isa, y: &mut [f32], a: f32, x: &[f32]) {
    assert_eq!(y.len(), x.len(), "sum of unequal lengths");
    dispatch!(isa, axpy_any(y: &mut [f32], a: f32, x: &[f32]))
}

#[inline(always)]
fn axpy_any<S: Simd>(_: S, y: &mut [f32], a: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// `y *= a`
pub fn scale(isa: Isa, y: &mut [f32], a: f32) {
    dispatch!(isa, scale_any(y: &mut [f32], a: f32))
}

#[inline(always)]
fn scale_any<S: Simd>(_: S, y: &mut [f32], a: f32) {
    for y in y {
        *y *= a;
    }
}

/// Σ x², in sixteen f64 partial sums whose order is fixed: the same bits on every instruction set.
pub fn sum_squares(isa: Isa, x: &[f32]) -> f64 {
    dispatch!(isa, sum_squares_any(x: &[f32]) -> f64)
}

#[inline(always)]
fn sum_squares_any<S: Simd>(_: S, x: &[f32]) -> f64 {
    let mut sums = [0f64; 16];
    let mut chunks = x.chunks_exact(16);
    for chunk in &mut chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(chunks.remainder()) {
        *sum += f64::from(x) * f64::from(x);
    }
    sums.iter().sum()
}

/// Σ x, in sixteen f64 partial sums as [`sum_squares`].
pub fn sum(isa: Isa, x: &[f32]) -> f64 {
    dispatch!(isa, sum_any(x: &[f32]) -> f64)
}

#[inline(always)]
fn sum_any<S: Simd>(_: S, x: &[f32]) -> f64 {
    let mut sums = [0f64; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f64::from(x);
    }
    sums.iter().sum()
}

/// Where the first infinity or NaN is.
pub fn first_non_finite(x: &[f32]) -> Option<usize> {
    /// Big enough to vectorise well, small enough to look through again.
    const BLOCK: usize = 1024;
    for (index, block) in x.chunks(BLOCK).enumerate() {
        // The exponent's eight bits are all set in infinities and NaN only.
        let bad = block.iter().fold(false, |bad, v| bad | (v.to_bits() & 0x7f80_0000 == 0x7f80_0000));
        if bad {
            return block.iter().position(|v| !v.is_finite()).map(|at| index * BLOCK + at);
        }
    }
    None
}

/// The largest value and where it stands, the first of equals; NaN never wins. An empty slice, or one with
/// nothing above −∞, gives `(0, −∞)`.
pub fn argmax(isa: Isa, x: &[f32]) -> (usize, f32) {
    dispatch!(isa, argmax_any(x: &[f32]) -> (usize, f32))
}

#[inline(always)]
fn argmax_any<S: Simd>(s: S, x: &[f32]) -> (usize, f32) {
    let best = largest(s, x);
    if best == f32::NEG_INFINITY {
        return (0, best);
    }
    let wanted = s.splat(best);
    let whole = x.len() / S::LANES * S::LANES;
    let block =
        (0..whole).step_by(S::LANES).find(|&at| s.any_equal(s.get(&x[at..]), wanted)).unwrap_or(whole);
    let at = block + x[block..].iter().position(|&v| v == best).unwrap_or(0);
    (at, x[at])
}

/// The largest value, NaN ignored, −∞ when there is none.
#[inline(always)]
pub(super) fn largest<S: Simd>(s: S, x: &[f32]) -> f32 {
    // Four chains hide the latency; the comparison drops a NaN in its first operand.
    let mut best = [s.splat(f32::NEG_INFINITY); 4];
    let mut chunks = x.chunks_exact(4 * S::LANES);
    for chunk in &mut chunks {
        for (i, best) in best.iter_mut().enumerate() {
            *best = s.max(s.get(&chunk[i * S::LANES..]), *best);
        }
    }
    let mut rest = chunks.remainder().chunks_exact(S::LANES);
    for chunk in &mut rest {
        best[0] = s.max(s.get(chunk), best[0]);
    }
    let all = s.max(s.max(best[0], best[1]), s.max(best[2], best[3]));
    rest.remainder().iter().fold(s.largest(all), |a, &b| if b > a { b } else { a })
}
