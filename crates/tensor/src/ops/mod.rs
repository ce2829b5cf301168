//! The operations of the T5 and BERT families, one file each: what it computes, shapes, forward, backward, and
//! a check against an obvious version in f64 and its finite differences.
//!
//! Operations take the pass they belong to ([`Graph`](crate::Graph)) and activations ([`Var`](crate::Var)),
//! and return an activation. Shapes are the caller's responsibility: a mismatch panics.

mod activation;
mod adafactor;
mod adamw;
mod adapter;
mod attention;
mod cache;
mod cross_entropy;
mod dropout;
mod embedding;
mod heads;
mod layer_norm;
mod linear;
mod lion;
mod logits_row;
mod matmul;
mod norms;
mod recompute;
mod relative_bias;
mod residual;
mod rms_norm;
mod rows;
mod scale;
mod update;

#[cfg(test)]
mod check;

pub use crate::kernels::{Activation, AdamW, Lion};
pub use activation::{activate, gated};
pub use adafactor::{Adafactor, adafactor, adafactor_vector};
pub use adamw::adamw;
pub use attention::{
    Attention, CachedAttention, CachedRows, CachedSpan, Columns, FeatureSpan, Span, attend_cached,
    attend_features, attention, attention_to_features,
};
pub use cache::KeyValues;
pub use cross_entropy::{CrossEntropy, Losses, cross_entropy};
pub use dropout::dropout;
pub(crate) use embedding::add_to_rows;
pub use embedding::embedding;
pub use heads::{heads_from_features, heads_to_features};
pub use layer_norm::layer_norm;
pub use linear::{linear, logits};
pub use lion::lion;
pub use logits_row::{LogitsRow, each_row};
pub use norms::{NonFinite, sum_squares};
pub use recompute::recompute;
pub use relative_bias::RelativeBias;
pub use residual::residual;
pub use rms_norm::rms_norm;
pub use rows::{gather_rows, scatter_rows};
pub use scale::scale;

use std::ops::Range;

use crate::{Context, Pool, Tensor, kernels};

/// Elementwise work below this many elements is not worth handing to another thread.
const SMALL: usize = 16 << 10;
/// Nor is a part of it of fewer.
const LEAST: usize = 4 << 10;

/// Row ranges to be claimed: one range when the work is small. `cols`: elements a row.
fn row_ranges(pool: &Pool, rows: usize, cols: usize) -> Vec<Range<usize>> {
    if rows == 0 {
        Vec::new()
    } else if rows * cols < SMALL {
        std::iter::once(0..rows).collect()
    } else {
        pool.ranges(rows, 1, LEAST.div_ceil(cols.max(1)))
    }
}

/// The same with a range a thread at most, where sums are made of every range: of other ranges they would have other
/// last digits.
fn row_shares(pool: &Pool, rows: usize, cols: usize) -> Vec<Range<usize>> {
    if rows * cols < SMALL { row_ranges(pool, rows, cols) } else { pool.shares(rows, 1) }
}

/// Cuts a row-major slice into the given consecutive row ranges.
fn cut<'a, T>(mut data: &'a mut [T], ranges: &[Range<usize>], cols: usize) -> Vec<&'a mut [T]> {
    ranges
        .iter()
        .map(|range| {
            let (part, rest) = std::mem::take(&mut data).split_at_mut(range.len() * cols);
            data = rest;
            part
        })
        .collect()
}

/// The elements of a range of rows.
fn elements(range: &Range<usize>, cols: usize) -> Range<usize> {
    range.start * cols..range.end * cols
}

/// `y ← 0`
pub(crate) fn fill_zeros(pool: &Pool, y: &mut Tensor) {
    let ranges = pool.ranges(y.data().len(), 4096, 16 << 10);
    pool.run_parts(cut(y.data_mut(), &ranges, 1), |part| part.fill(0.0));
}

/// `y += x`
pub(crate) fn add_in_place(context: Context<'_>, y: &mut Tensor, x: &Tensor) {
    assert_eq!((y.rows(), y.cols()), (x.rows(), x.cols()));
    let cols = x.cols();
    let ranges = row_ranges(context.pool, x.rows(), cols);
    let parts = cut(y.data_mut(), &ranges, cols);
    context.pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, y)| {
        kernels::add(context.isa, y, &x.data()[elements(&range, cols)]);
    });
}
