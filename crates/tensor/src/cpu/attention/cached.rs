//! Attention of a decoding step against cached keys and values.

use std::ops::Range;

use super::piece::with_scratch;
use super::{BiasTable, each};
use crate::kernels::{self, Cached};
use crate::ops::{CachedAttention, CachedRows, CachedSpan};
use crate::{Context, MatMut, Tensor};

/// Work smaller than this (keys × width × queries) is not worth handing to another thread.
const SMALL: usize = 8 << 10;

/// Every query by itself; with fewer spans than threads, the heads of each are shared out too.
pub(crate) fn attend(context: Context<'_>, q: &Tensor, column: usize, what: &CachedAttention<'_>) -> Tensor {
    let (num_heads, d_kv) = (what.num_heads, what.d_kv);
    let inner = num_heads * d_kv;
    let table = what.bias.as_ref().map(|bias| {
        let before = what.spans.iter().map(|s| s.position).max().unwrap_or(0);
        let after = what.spans.iter().map(|s| s.keys.len().saturating_sub(s.position + 1)).max().unwrap_or(0);
        BiasTable::new(context, bias, num_heads, before, after)
    });
    let mut out = Tensor::unspecified(q.rows(), inner);
    // With fewer spans than threads, the heads of each are shared out too.
    let threads = context.pool.threads();
    let shares = if what.spans.len() >= threads { 1 } else { threads.min(num_heads) };
    let mut work = Vec::with_capacity(what.spans.len() * shares);
    let mut rest = Some(out.view_mut());
    let mut at = 0;
    for span in &what.spans {
        assert_eq!(span.queries.start, at, "spans are in the order of their rows, every row in one");
        at = span.queries.end;
        let (mut rows, below) = rest.take().expect("one remainder a span").split_rows(span.queries.len());
        rest = Some(below);
        for share in 0..shares {
            let heads = num_heads * share / shares..num_heads * (share + 1) / shares;
            let (part, right) = rows.split_cols(heads.len() * d_kv);
            rows = right;
            work.push((span, heads, part));
        }
    }
    assert_eq!(at, q.rows(), "every query row is in a span");
    let step = |(span, heads, part): (&CachedSpan<'_>, Range<usize>, MatMut<'_>)| {
        let first = heads.start * d_kv;
        let q = q.view().rows(span.queries.start, span.queries.len()).columns(column + first, part.cols);
        let (start, rows) = match &span.keys {
            CachedRows::Range(range) => (range.start, None),
            CachedRows::List(rows) => (0, Some(*rows)),
        };
        let cache = span.cache;
        let (rows_from, stride) =
            (&cache.tensor().data()[start * cache.tensor().cols()..], cache.tensor().cols());
        let cached = Cached {
            k: &rows_from[first..],
            k_stride: stride,
            v: &rows_from[cache.cols() + first..],
            v_stride: stride,
            keys: span.keys.len(),
            rows,
        };
        let bias = table.as_ref().map(|t| {
            let (rows, stride) = t.heads_from(span.position);
            (&rows[heads.start * stride..], stride)
        });
        with_scratch(|scratch| {
            let scores = scratch.first(span.queries.len() * heads.len() * cached.keys);
            kernels::attend(context.isa, part, q, cached, heads.len(), d_kv, bias, scores);
        });
    };
    let size: usize = what.spans.iter().map(|s| s.keys.len() * s.queries.len()).sum();
    if size * inner < SMALL {
        work.into_iter().for_each(step);
    } else {
        each(context, work, |_, item| step(item));
    }
    out
}
