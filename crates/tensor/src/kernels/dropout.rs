//! Dropout whose mask is a function of the element's number, so it need not be stored.
//!
//! Element i of a tensor is kept when hash(key, first + i), as a u32, is at least rate·2³²; kept values are
//! multiplied by 1/(1 − rate). The same bits on every instruction set and for any split of the tensor.

use std::ops::Range;

use super::Isa;
use super::vector::{Simd, dispatch};

/// `y = x · mask`
pub fn dropout(isa: Isa, y: &mut [f32], x: &[f32], key: u64, first: u64, rate: f32) {
    assert_eq!(y.len(), x.len(), "dropout's two sides");
    for (range, mask) in masks(y.len(), key, first, rate) {
        let (y, x) = (&mut y[range.clone()], &x[range]);
        dispatch!(isa, dropout_any(y: &mut [f32], x: &[f32], mask: Mask))
    }
}

/// `y *= mask`
pub fn dropout_in_place(isa: Isa, y: &mut [f32], key: u64, first: u64, rate: f32) {
    for (range, mask) in masks(y.len(), key, first, rate) {
        let y = &mut y[range];
        dispatch!(isa, dropout_in_place_any(y: &mut [f32], mask: Mask))
    }
}

/// `y += x · mask`
pub fn dropout_add(isa: Isa, y: &mut [f32], x: &[f32], key: u64, first: u64, rate: f32) {
    assert_eq!(y.len(), x.len(), "dropout's two sides");
    for (range, mask) in masks(y.len(), key, first, rate) {
        let (y, x) = (&mut y[range.clone()], &x[range]);
        dispatch!(isa, dropout_add_any(y: &mut [f32], x: &[f32], mask: Mask))
    }
}

/// The mask of a run of elements whose numbers differ in their lower 32 bits only.
#[derive(Clone, Copy)]
struct Mask {
    /// The lower half of the first element's number.
    first: u32,
    /// Two words mixed from the key and the upper half of the element's number.
    keys: [u32; 2],
    /// Hashes from here on are kept.
    threshold: u32,
    /// What a kept value is multiplied by.
    scale: f32,
}

impl Mask {
    /// What element `i` of the run is multiplied by. Two rounds of a 32-bit mixer (multipliers of good avalanche,
    /// found by the search program "hash-prospector"), the second key word between them so that two keys'
    /// masks are not permutations of one another.
    #[inline(always)]
    fn factor(&self, i: u32) -> f32 {
        let mut h = self.first.wrapping_add(i) ^ self.keys[0];
        h = (h ^ (h >> 16)).wrapping_mul(0x21f0_aaad).wrapping_add(self.keys[1]);
        h = (h ^ (h >> 15)).wrapping_mul(0xd35a_2d97);
        h ^= h >> 15;
        if h >= self.threshold { self.scale } else { 0.0 }
    }
}

/// Splits `len` elements, the first being number `first`, where the upper half of their number changes.
fn masks(len: usize, key: u64, first: u64, rate: f32) -> impl Iterator<Item = (Range<usize>, Mask)> {
    assert!((0.0..1.0).contains(&rate), "a dropout rate is at least 0 and below 1");
    let threshold = (f64::from(rate) * 4_294_967_296.0).ceil() as u32;
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == len {
            return None;
        }
        let number = first.wrapping_add(start as u64);
        let until_next = (1u64 << 32) - (number & 0xffff_ffff);
        let end = start + until_next.min((len - start) as u64) as usize;
        // The finaliser of splitmix64.
        let mut mixed = key.wrapping_add((number >> 32).wrapping_mul(0xa076_1d64_78bd_642f));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let keys = [mixed as u32, (mixed >> 32) as u32];
        let range = start..end;
        start = end;
        Some((range, Mask { first: number as u32, keys, threshold, scale: 1.0 / (1.0 - rate) }))
    })
}

#[inline(always)]
fn dropout_any<S: Simd>(_: S, y: &mut [f32], x: &[f32], mask: Mask) {
    for ((y, x), i) in y.iter_mut().zip(x).zip(0u32..) {
        *y = x * mask.factor(i);
    }
}

#[inline(always)]
fn dropout_in_place_any<S: Simd>(_: S, y: &mut [f32], mask: Mask) {
    for (y, i) in y.iter_mut().zip(0u32..) {
        *y *= mask.factor(i);
    }
}

#[inline(always)]
fn dropout_add_any<S: Simd>(_: S, y: &mut [f32], x: &[f32], mask: Mask) {
    for ((y, x), i) in y.iter_mut().zip(x).zip(0u32..) {
        *y += x * mask.factor(i);
    }
}
