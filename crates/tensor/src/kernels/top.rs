//! The largest numbers of a row: the candidates of a decoding step.

use super::Isa;
use super::vector::{Simd, dispatch};

/// Vectors looked at together: a block without a candidate costs little more than reading it.
const VECTORS: usize = 4;

/// Appends to `found` the `count` largest numbers above `floor` with their places, the largest first and the first of
/// equals first; fewer where there are not so many. NaN and −∞ are never among them.
pub fn top(isa: Isa, x: &[f32], count: usize, floor: f32, found: &mut Vec<(f32, u32)>) {
    assert!(u32::try_from(x.len()).is_ok(), "places fit into 32 bits");
    if count > 0 {
        dispatch!(isa, top_any(x: &[f32], count: usize, floor: f32, found: &mut Vec<(f32, u32)>))
    }
}

#[inline(always)]
fn top_any<S: Simd>(s: S, x: &[f32], count: usize, mut floor: f32, found: &mut Vec<(f32, u32)>) {
    let first = found.len();
    let block = VECTORS * S::LANES;
    let mut at = 0;
    // The comparison drops a NaN in its first operand.
    let nothing = s.splat(f32::NEG_INFINITY);
    for chunk in x.chunks(block) {
        let may = chunk.len() < block || {
            let mut best = [nothing; VECTORS];
            for (i, best) in best.iter_mut().enumerate() {
                *best = s.max(s.get(&chunk[i * S::LANES..]), nothing);
            }
            s.largest(s.max(s.max(best[0], best[1]), s.max(best[2], best[3]))) > floor
        };
        if may {
            for (i, &value) in chunk.iter().enumerate() {
                if value > floor && value > f32::NEG_INFINITY {
                    let place = first + found[first..].partition_point(|&(other, _)| other >= value);
                    found.insert(place, (value, (at + i) as u32));
                    found.truncate(first + count);
                    if found.len() == first + count {
                        floor = floor.max(found[first + count - 1].0);
                    }
                }
            }
        }
        at += chunk.len();
    }
}
