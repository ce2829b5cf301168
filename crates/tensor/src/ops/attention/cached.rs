//! Attention of a decoding step against cached keys and values; nothing is recorded.

use std::ops::Range;

use crate::ops::{KeyValues, RelativeBias, RelativePositions};
use crate::{Graph, Tensor};

/// Queries of one decoding step that see the same keys: the hypotheses of a source, or one alone.
#[derive(Clone, Debug)]
pub struct CachedSpan<'a> {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// Where their keys and values are.
    pub cache: &'a KeyValues,
    /// Which of its rows.
    pub keys: CachedRows<'a>,
    /// Position of every one of the queries, counted from the first key.
    pub position: usize,
}

/// Where keys and values lie in a cache.
#[derive(Clone, Debug)]
pub enum CachedRows<'a> {
    /// One after the other.
    Range(Range<usize>),
    /// The row of each position.
    List(&'a [u32]),
    /// Positions that all queries of the span see, such as those of a source, and then each its own, such as those that a
    /// hypothesis has said.
    Shared {
        /// Where the first positions are: a cache of their own, or the same.
        first: &'a KeyValues,
        /// Their rows there, one after the other.
        rows: Range<usize>,
        /// For each query the rows of its further positions, in the span's cache: for all queries as many.
        own: Vec<&'a [u32]>,
    },
}

impl CachedRows<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            CachedRows::Range(range) => range.len(),
            CachedRows::List(rows) => rows.len(),
            CachedRows::Shared { rows, own, .. } => rows.len() + own.first().map_or(0, |own| own.len()),
        }
    }
}

/// What an attention with a cache does.
#[derive(Clone, Debug)]
pub struct CachedAttention<'a> {
    /// Number of heads.
    pub num_heads: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// What products of queries and keys are multiplied by, as for [`Attention`](super::Attention).
    pub scale: f32,
    /// Bias by relative position.
    pub bias: Option<RelativeBias>,
    /// Vectors by relative position, added to keys and values.
    pub relative: Option<RelativePositions>,
    /// The queries, in the order of their rows, every row in exactly one span.
    pub spans: Vec<CachedSpan<'a>>,
}

/// `softmax(scale·q·kᵀ + bias)·v` for every query and head: [queries, num_heads · d_kv]. `q` holds the queries in its
/// columns from `column` on. A query's result does not depend on the others.
pub fn attend_cached(graph: &Graph<'_>, q: &Tensor, column: usize, what: &CachedAttention<'_>) -> Tensor {
    on!(graph.context => attention::cached::attend(graph.context, q, column, what))
}
