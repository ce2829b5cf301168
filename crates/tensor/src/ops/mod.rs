//! The operations of the T5 and BERT families, one file each: what it computes, shapes, forward, backward, and
//! a check against an obvious version in f64 and its finite differences.
//!
//! An operation is said here; how the processor does it is `cpu`'s.
//!
//! Operations take the pass they belong to ([`Graph`](crate::Graph)) and activations ([`Var`](crate::Var)),
//! and return an activation. Shapes are the caller's responsibility: a mismatch panics.

mod activation;
mod adafactor;
mod adamw;
mod adapter;
mod attention;
mod cache;
mod choose;
mod choose_rows;
mod cross_entropy;
mod dense;
mod dropout;
mod embedding;
mod feed_forward;
mod heads;
mod known_row;
mod layer_norm;
mod learning;
mod linear;
mod lion;
mod norms;
mod recompute;
mod relative_bias;
mod relative_positions;
mod residual;
mod residual_norm;
mod rms_norm;
mod rotary;
mod rows;
mod scale;

#[cfg(test)]
mod check;

pub use crate::cpu::logits_row::{LogitsRow, SavedRow, each_row, ids_of};
pub(crate) use activation::Form;
pub use activation::{Activation, activate, gated};
pub use adafactor::{Adafactor, adafactor};
pub use adamw::{AdamW, adamw};
pub(crate) use attention::HeldFeatures;
pub use attention::{
    Attention, CachedAttention, CachedRows, CachedSpan, Columns, FeatureSpan, Features, Mask, Span,
    attend_cached, attend_features, attention, attention_to_features,
};
pub use cache::KeyValues;
pub use choose::choose;
pub use choose_rows::choose_rows;
pub use cross_entropy::{CrossEntropy, Losses, cross_entropy};
pub use dense::dense;
pub use dropout::dropout;
pub use embedding::{Table, embedding, embeddings};
pub use feed_forward::{FeedForward, feed_forward_in_int8, normed_linear_in_int8};
pub(crate) use heads::Way;
pub use heads::{heads_from_features, heads_to_features};
pub use known_row::Interest;
pub(crate) use known_row::{Known, PART, pick};
pub use layer_norm::{LayerNorm, layer_norm};
pub(crate) use learning::Learned;
pub use learning::Learning;
pub use linear::{Linear, linear, logits};
pub use lion::{Lion, lion};
pub use norms::{NonFinite, sum_squares};
pub use recompute::recompute;
pub use relative_bias::RelativeBias;
pub use relative_positions::RelativePositions;
pub use residual::residual;
pub use residual_norm::residual_norm;
pub use rms_norm::rms_norm;
pub use rotary::{RotaryPositions, rotary};
pub(crate) use rows::{Which, copy_rows};
pub use rows::{gather_rows, scatter_rows, select_rows};
pub use scale::scale;
