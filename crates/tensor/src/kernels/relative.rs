//! Numbers by relative position, spread over the keys of a row and summed back: distances beyond the last one share its
//! number.

use super::Isa;
use super::vector::{Simd, dispatch};

/// `s[j] += by[clip(j − position) + max]` for every key j, distances clipped to `max` either way; `by`: [2·max + 1].
pub fn add_by_distance(isa: Isa, s: &mut [f32], by: &[f32], position: usize) {
    assert!(by.len() % 2 == 1, "as many distances before as after");
    dispatch!(isa, add_by_distance_any(s: &mut [f32], by: &[f32], position: usize))
}

/// `by[d + max] = Σ s[j]` over the keys j whose clipped distance is d: the way back of [`add_by_distance`].
pub fn sum_by_distance(isa: Isa, by: &mut [f32], s: &[f32], position: usize) {
    assert!(by.len() % 2 == 1, "as many distances before as after");
    dispatch!(isa, sum_by_distance_any(by: &mut [f32], s: &[f32], position: usize))
}

/// The keys whose distance is the furthest before, those within, and the entry of the first within.
#[inline(always)]
fn parts(keys: usize, distances: usize, position: usize) -> (usize, usize, usize) {
    let max = distances / 2;
    let far = position.saturating_sub(max).min(keys);
    let near = (position + max + 1).min(keys).max(far);
    (far, near, (far + max).saturating_sub(position))
}

#[inline(always)]
fn add_by_distance_any<S: Simd>(_: S, s: &mut [f32], by: &[f32], position: usize) {
    let (far, near, first) = parts(s.len(), by.len(), position);
    s[..far].iter_mut().for_each(|s| *s += by[0]);
    let within = &by[first.min(by.len())..];
    s[far..near].iter_mut().zip(within).for_each(|(s, by)| *s += by);
    s[near..].iter_mut().for_each(|s| *s += by[by.len() - 1]);
}

#[inline(always)]
fn sum_by_distance_any<S: Simd>(s: S, by: &mut [f32], x: &[f32], position: usize) {
    let (far, near, first) = parts(x.len(), by.len(), position);
    by.fill(0.0);
    let last = by.len() - 1;
    let within = first.min(by.len());
    by[within..].iter_mut().zip(&x[far..near]).for_each(|(by, x)| *by = *x);
    by[0] += total(s, &x[..far]);
    by[last] += total(s, &x[near..]);
}

#[inline(always)]
fn total<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut sums = s.splat(0.0);
    for at in (0..x.len()).step_by(S::LANES) {
        sums = s.add(sums, s.next(&x[at..]));
    }
    s.sum(sums)
}
