//! Rotating pairs of neighbouring numbers.

use super::Isa;
use super::vector::{Simd, dispatch};

/// Rotates every pair of `x`, heads of `turns.len()` numbers one after the other, by the angle whose sine and cosine
/// stand at the pair's place in `turns`: `(a, b) ← (a·cos − b·sin, b·cos + a·sin)`, or the other way round with `back`.
pub fn rotate(isa: Isa, x: &mut [f32], turns: &[f32], back: bool) {
    assert!(turns.len().is_multiple_of(2), "a sine and a cosine for every pair");
    assert!(!turns.is_empty() && x.len().is_multiple_of(turns.len()) || x.is_empty(), "whole heads");
    dispatch!(isa, rotate_any(x: &mut [f32], turns: &[f32], back: bool))
}

#[inline(always)]
fn rotate_any<S: Simd>(_: S, x: &mut [f32], turns: &[f32], back: bool) {
    let sign = if back { -1.0 } else { 1.0 };
    for x in x.chunks_exact_mut(turns.len().max(1)) {
        let (pairs, _) = x.as_chunks_mut::<2>();
        let (turns, _) = turns.as_chunks::<2>();
        for ([a, b], [sin, cos]) in pairs.iter_mut().zip(turns) {
            let sin = sign * sin;
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
