//! Tokens from a softmax's inputs: what is looked at of a row of logits, without the row ever being anywhere as a whole.
//!
//! Logits of all ids are the largest thing that a step makes, and most of the time all that is wanted of a row is its best
//! few and the sum of all. Here some columns at a time are multiplied into a tile that stays in the cache, looked through
//! there, and overwritten by the next.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;

use super::linear::{Given, Side, quantized_for};
use super::parts::each;
use crate::ops::{Interest, Known, PART};
use crate::{Context, Isa, MatMut, Tensor, kernels};

/// Columns of a tile.
const COLUMNS: usize = 512;
/// Rows of a tile: with so many its logits, and the weights that they come of, stay in the second-level cache.
const ROWS: usize = 64;

/// What some parts of a row's columns have told.
#[derive(Clone, Default)]
struct Found {
    /// The best of those that are not named, best first and the lower id first of equals.
    best: Vec<(f32, u32)>,
    /// The scores of those named.
    named: Vec<(u32, f32)>,
    /// For each part the largest of the others and the sum of the exponentials of what they are less than it.
    sums: Vec<[f32; 2]>,
}

/// What each of the interests, one a row of `x`, asks for: no ids twice, in order, and none of its sums divided.
pub(crate) fn known(
    context: Context<'_>,
    x: &Tensor,
    softmax: Side<'_>,
    interests: &[&Interest],
) -> Vec<Known> {
    assert_eq!(x.rows(), interests.len(), "an interest a row");
    let ids = softmax.weight.rows();
    let quantized = quantized_for(context, x, &[softmax]);
    let given = Given::new(context, x, quantized.as_ref(), &[softmax]);
    // Parts that belong to one thread pass by one list of the best: the first of them tell what the others have to beat.
    let shares = context.pool.shares(ids, PART);
    let mut found: Vec<Vec<Found>> = shares.iter().map(|_| vec![Found::default(); x.rows()]).collect();
    each(context, shares.into_iter().zip(&mut found).collect(), |_, (share, found)| {
        for (at, found) in found.chunks_mut(ROWS).enumerate() {
            let rows = at * ROWS..at * ROWS + found.len();
            for first in share.clone().step_by(PART) {
                let part = first..share.end.min(first + PART);
                look(context, &given, softmax, part, rows.start, &interests[rows.clone()], found);
            }
        }
    });
    let known =
        |(row, interest): (usize, &&Interest)| gather(ids, interest, found.iter().map(|share| &share[row]));
    interests.iter().enumerate().map(known).collect()
}

/// Some rows' logits of a part, tile by tile.
fn look(
    context: Context<'_>,
    given: &Given<'_>,
    softmax: Side<'_>,
    part: Range<usize>,
    first: usize,
    interests: &[&Interest],
    found: &mut [Found],
) {
    thread_local!(static TILE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) });
    TILE.with_borrow_mut(|tile| {
        tile.resize(ROWS * COLUMNS, 0.0);
        // Logarithms of the sums of each row's tiles.
        let mut sums = [[0.0f32; PART / COLUMNS]; ROWS];
        for (at, from) in part.clone().step_by(COLUMNS).enumerate() {
            let columns = from..part.end.min(from + COLUMNS);
            let tile = &mut tile[..found.len() * columns.len()];
            let y = MatMut::new(tile, found.len(), columns.len(), columns.len());
            given.multiply(context, y, first, softmax, columns.clone());
            for (row, logits) in tile.chunks_exact_mut(columns.len()).enumerate() {
                sums[row][at] = found[row].see(context.isa, interests[row], columns.start, logits);
            }
        }
        let tiles = part.len().div_ceil(COLUMNS);
        for ((found, sums), interest) in found.iter_mut().zip(&sums).zip(interests) {
            if !interest.sums.is_empty() {
                found.sums.push(together(&sums[..tiles]));
            }
        }
    });
}

impl Found {
    /// Looks at logits of the ids from `first` on, those named of which are then −∞: the logarithm of the sum of the
    /// others' exponentials, where that is asked for.
    fn see(&mut self, isa: Isa, interest: &Interest, first: usize, logits: &mut [f32]) -> f32 {
        let ids = &interest.ids;
        let place = |end: usize| ids.partition_point(|&id| (id as usize) < end);
        for &id in &ids[place(first)..place(first + logits.len())] {
            let x = &mut logits[id as usize - first];
            self.named.push((id, std::mem::replace(x, f32::NEG_INFINITY)));
        }
        if interest.best > 0 {
            let full = self.best.len() == interest.best;
            let floor = if full { self.best[interest.best - 1].0 } else { f32::NEG_INFINITY };
            let before = self.best.len();
            kernels::top(isa, logits, interest.best, floor, &mut self.best);
            self.best[before..].iter_mut().for_each(|(_, id)| *id += first as u32);
            // Both are in order, and the first half has the lower ids.
            self.best.sort_by(by_score);
            self.best.truncate(interest.best);
        }
        if interest.sums.is_empty() { 0.0 } else { kernels::logsumexp(isa, logits) }
    }
}

/// The larger first; none of them is NaN, and both zeros are one.
fn by_score(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    b.0.partial_cmp(&a.0).unwrap_or(Ordering::Equal)
}

/// A part's sum from the logarithms of its tiles' sums.
fn together(of_tiles: &[f32]) -> [f32; 2] {
    let largest = of_tiles.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if of_tiles.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
        return [largest, f32::NAN];
    }
    if largest == f32::NEG_INFINITY {
        return [largest, 0.0];
    }
    let sum: f64 = of_tiles.iter().map(|&x| (f64::from(x) - f64::from(largest)).exp()).sum();
    [largest, sum as f32]
}

/// What is known of a row then.
fn gather<'a>(ids: usize, interest: &Interest, shares: impl Iterator<Item = &'a Found> + Clone) -> Known {
    let mut known = Known::new(ids, shares.clone().flat_map(|share| share.named.iter().copied()));
    let mut best: Vec<(f32, u32)> = shares.clone().flat_map(|share| share.best.iter().copied()).collect();
    best.sort_by(|a, b| by_score(a, b).then(a.1.cmp(&b.1)));
    best.truncate(interest.best);
    if best.len() < interest.best && shares.clone().flat_map(|share| &share.sums).any(|sum| sum[1].is_nan()) {
        known.miss();
    }
    known.add_best(best, interest.best);
    for &divisor in &interest.sums {
        known.add_sums(divisor, shares.clone().flat_map(|share| share.sums.iter().copied()).collect());
    }
    known
}
