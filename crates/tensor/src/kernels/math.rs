//! exp, the logistic function and the normal distribution on vectors.

use super::vector::Simd;

/// e^x to about one unit in the last place; exactly 0 where the result would be below the normal numbers
/// (x < −87.336…), +∞ where it would be too large, NaN for NaN.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, e^r by a polynomial (minimax, 3·10⁻⁹), 2^n into the exponent.
#[inline(always)]
pub(super) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let (lowest, highest) = (s.splat(-87.336_54), s.splat(88.722_84));
    // The clamp keeps the unused lanes' integers in range; a NaN, the second operand, comes through.
    let inside = s.min(s.splat(89.0), s.max(s.splat(-88.0), x));
    let n = s.round(s.mul(inside, s.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, the first with so few bits that n times it is exact.
    let r = s.mul_add(n, s.splat(-0.693_359_4), inside);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let p = s.mul_add(r, s.splat(0.001_381_454), s.splat(0.008_368_745));
    let p = s.mul_add(p, r, s.splat(0.041_668_39));
    let p = s.mul_add(p, r, s.splat(0.166_665_21));
    let p = s.mul_add(p, r, s.splat(0.499_999_94));
    let p = s.mul_add(s.mul(r, r), p, s.add(r, s.splat(1.0)));
    let value = s.scale_by_power(p, n);
    let value = s.select_less(x, lowest, s.splat(0.0), value);
    s.select_less(highest, x, s.splat(f32::INFINITY), value)
}

/// The logistic function 1 / (1 + e^−z), and e^−z itself, which the derivative needs: σ' = e^−z · σ².
/// z is held above −80 so that e^−z stays finite.
#[inline(always)]
pub(super) fn sigmoid<S: Simd>(s: S, z: S::F) -> (S::F, S::F) {
    let e = exp(s, s.sub(s.splat(0.0), s.max(s.splat(-80.0), z)));
    (s.reciprocal(s.add(s.splat(1.0), e)), e)
}

/// The normal distribution function Φ(x) (within 10⁻⁷) and its density.
///
/// Φ(−|x|) = e^(−x²/2) · t · P(t) with t = 1 / (1 + 0.3·|x|), P fitted for this purpose (absolute error 2·10⁻⁹);
/// computed on the small side, so there is no cancellation.
#[inline(always)]
pub(super) fn normal<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let one = s.splat(1.0);
    let e = exp(s, s.mul(s.mul(x, s.splat(-0.5)), x));
    // Held below 10³⁰ for the reciprocal; e has long vanished there. The clamp lets NaN through.
    let t = s.reciprocal(s.mul_add(s.min(s.splat(1e30), s.abs(x)), s.splat(0.3), one));
    let mut p = s.splat(0.030_795_379);
    for coefficient in
        [-0.133_015_47, 0.156_592_3, 0.001_060_383_9, 0.094_098_25, 0.112_140_25, 0.118_555_15, 0.119_773_77]
    {
        p = s.mul_add(p, t, s.splat(coefficient));
    }
    let tail = s.mul(s.mul(e, t), p);
    // 1/√(2π)
    (s.select_less(x, s.splat(0.0), tail, s.sub(one, tail)), s.mul(e, s.splat(0.398_942_3)))
}
