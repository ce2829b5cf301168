//! Between f32 and the two 16-bit formats.

use super::Isa;
use super::vector::{Simd, dispatch};

/// Widens bf16 bits; exact.
pub fn bf16_to_f32(isa: Isa, y: &mut [f32], x: &[u16]) {
    assert_eq!(y.len(), x.len(), "a conversion's two sides");
    dispatch!(isa, bf16_to_f32_any(y: &mut [f32], x: &[u16]))
}

#[inline(always)]
fn bf16_to_f32_any<S: Simd>(_: S, y: &mut [f32], x: &[u16]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f32::from_bits(u32::from(x) << 16);
    }
}

/// Widens f16 bits; exact.
pub fn f16_to_f32(isa: Isa, y: &mut [f32], x: &[u16]) {
    assert_eq!(y.len(), x.len(), "a conversion's two sides");
    dispatch!(isa, f16_to_f32_any(y: &mut [f32], x: &[u16]))
}

#[inline(always)]
fn f16_to_f32_any<S: Simd>(s: S, y: &mut [f32], x: &[u16]) {
    let (mut ys, mut xs) = (y.chunks_exact_mut(S::LANES), x.chunks_exact(S::LANES));
    for (y, x) in (&mut ys).zip(&mut xs) {
        // SAFETY: the chunk has LANES numbers.
        s.put(y, unsafe { s.load_f16(x.as_ptr()) });
    }
    let rest = xs.remainder();
    let mut padded = [0u16; 16];
    padded[..rest.len()].copy_from_slice(rest);
    // SAFETY: no vector has more than 16 lanes.
    s.put_part(ys.into_remainder(), unsafe { s.load_f16(padded.as_ptr()) });
}

/// Rounds to bf16 bits, nearest even; a NaN stays a NaN.
pub fn f32_to_bf16(isa: Isa, y: &mut [u16], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "a conversion's two sides");
    dispatch!(isa, f32_to_bf16_any(y: &mut [u16], x: &[f32]))
}

#[inline(always)]
fn f32_to_bf16_any<S: Simd>(_: S, y: &mut [u16], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = round_to_bf16(x);
    }
}

/// The nearest bf16, ties to even.
#[inline(always)]
pub(super) fn round_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Rounding could carry a NaN's mantissa over into an infinity: set its quiet bit instead.
    let bits = if x.is_nan() { bits | 0x40_0000 } else { rounded };
    (bits >> 16) as u16
}

/// Rounds to f16 bits, nearest even; too large becomes infinite, a NaN stays a NaN.
pub fn f32_to_f16(isa: Isa, y: &mut [u16], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "a conversion's two sides");
    dispatch!(isa, f32_to_f16_any(y: &mut [u16], x: &[f32]))
}

#[inline(always)]
fn f32_to_f16_any<S: Simd>(s: S, y: &mut [u16], x: &[f32]) {
    let (mut ys, mut xs) = (y.chunks_exact_mut(S::LANES), x.chunks_exact(S::LANES));
    for (y, x) in (&mut ys).zip(&mut xs) {
        // SAFETY: the chunk has LANES numbers.
        unsafe { s.store_f16(y.as_mut_ptr(), s.get(x)) };
    }
    let rest = ys.into_remainder();
    let mut padded = [0u16; 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { s.store_f16(padded.as_mut_ptr(), s.get_part(xs.remainder())) };
    rest.copy_from_slice(&padded[..rest.len()]);
}
