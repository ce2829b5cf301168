//! Attention of a decoding step against cached keys and values.

use std::ops::Range;

use super::piece::with_scratch;
use super::{BiasTable, each};
use crate::kernels::{self, Bf16, Cached, Kept, KeyStrips, Look, Part, ScoreBias};
use crate::ops::{CachedAttention, CachedRows, CachedSpan, KeyValues, RelativePositions};
use crate::{Context, DType, Isa, MatMut, MatRef, Rows, Tensor};

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
        let bias = table.as_ref().map(|t| {
            let (values, stride) = t.heads_from(span.position);
            ScoreBias { values: &values[heads.start * stride..], head: stride, query: 0 }
        });
        if let Some(strips) = span.cache.strips() {
            assert!(
                bias.is_none()
                    && what.relative.is_none()
                    && matches!(&span.keys, CachedRows::Range(all) if *all == (0..strips.keys())),
                "queries see all of a source and nothing beside"
            );
            return attend_strips(context, part, q, strips, heads, what.scale);
        }
        let look = Look { heads: heads.len(), d_kv, keys: span.keys.len(), scale: what.scale, bias };
        match span.cache.dtype() {
            DType::Bf16 => attend_span(context, part, q, &parts(span, first, halves), look, what, span),
            _ => attend_span(context, part, q, &parts(span, first, |x| x), look, what, span),
        }
    };
    let size: usize = what.spans.iter().map(|s| s.keys.len() * s.queries.len()).sum();
    if size * inner < SMALL {
        work.into_iter().for_each(step);
    } else {
        each(context, work, |_, item| step(item));
    }
    out
}

fn attend_span<K: Kept>(
    context: Context<'_>,
    out: MatMut<'_>,
    q: MatRef<'_>,
    parts: &[Part<'_, K>],
    look: Look<'_>,
    what: &CachedAttention<'_>,
    span: &CachedSpan<'_>,
) {
    match &what.relative {
        Some(relative) => attend_relative(context, out, q, parts, look, relative, span.position),
        None => with_scratch(|scratch| {
            let scores = scratch.first(q.rows * look.heads * look.keys);
            kernels::attend(context.isa, out, q, parts, look, scores);
        }),
    }
}

/// Keys and values of a source, looked at by some heads. Queries and probabilities are rounded to bf16 as these are.
fn attend_strips(
    context: Context<'_>,
    mut out: MatMut<'_>,
    q: MatRef<'_>,
    strips: &KeyStrips,
    heads: Range<usize>,
    scale: f32,
) {
    let (d_kv, keys) = (strips.d_kv(), strips.keys());
    let [depth, breadth] = strips.strides();
    with_scratch(|scratch| {
        // Two numbers in bf16 have the place of one in f32.
        let [scores, queries, weights] =
            scratch.take([q.rows * keys, q.rows * depth / 2, q.rows * breadth / 2]);
        let queries: &mut [u16] = bytemuck::cast_slice_mut(queries);
        let weights: &mut [u16] = bytemuck::cast_slice_mut(weights);
        for (place, head) in heads.enumerate() {
            let first = place * d_kv;
            let sums = out.reborrow().split_cols(first).1.split_cols(d_kv).0;
            for (row, to) in queries.chunks_exact_mut(depth).enumerate() {
                round_row(context.isa, to, &q.row(row)[first..first + d_kv]);
            }
            strips.scores(head, MatMut::new(scores, q.rows, keys, keys), queries);
            let of_keys = scores.chunks_exact_mut(keys.max(1)).zip(weights.chunks_exact_mut(breadth.max(1)));
            for (p, to) in of_keys {
                kernels::softmax(context.isa, p, scale, None);
                round_row(context.isa, to, p);
            }
            strips.sums(head, sums, weights);
        }
    });
}

/// A row in bf16, zeros behind it.
fn round_row(isa: Isa, to: &mut [u16], row: &[f32]) {
    let (to, rest) = to.split_at_mut(row.len());
    kernels::f32_to_bf16(isa, to, row);
    rest.fill(0);
}

/// Numbers in bf16, two in the place of one of f32.
fn halves(rows: &[f32]) -> &[Bf16] {
    Bf16::of(bytemuck::cast_slice(rows))
}

/// Where a span's keys and values are, heads from column `column` on; `numbers` sees what rows keep as what it is.
fn parts<'a, K: Kept>(
    span: &'a CachedSpan<'_>,
    column: usize,
    numbers: impl Fn(&'a [f32]) -> &'a [K],
) -> Vec<Part<'a, K>> {
    let all = 0..span.queries.len();
    let part = |cache: &'a KeyValues, start: usize, keys: usize, rows: Option<&'a [u32]>| {
        assert_eq!(cache.dtype(), span.cache.dtype(), "all keys and values of a span are kept alike");
        let stride = 2 * cache.cols();
        let from = &numbers(cache.tensor().data())[start * stride..];
        let (k, v) = match keys {
            0 => (from, from),
            _ => (&from[column..], &from[cache.cols() + column..]),
        };
        Cached { k, k_stride: stride, v, v_stride: stride, keys, rows }
    };
    match &span.keys {
        CachedRows::Range(range) => {
            let cached = part(span.cache, range.start, range.len(), None);
            vec![Part { cached, first: 0, queries: all }]
        }
        CachedRows::List(rows) => {
            let cached = part(span.cache, 0, rows.len(), Some(rows));
            vec![Part { cached, first: 0, queries: all }]
        }
        CachedRows::Shared { first, rows, own } => {
            assert_eq!(own.len(), all.len(), "a list of rows for every query");
            let mut parts = Vec::with_capacity(1 + own.len());
            let cached = part(first, rows.start, rows.len(), None);
            parts.push(Part { cached, first: 0, queries: all });
            for (query, own) in own.iter().enumerate() {
                let cached = part(span.cache, 0, own.len(), Some(own));
                parts.push(Part { cached, first: rows.len(), queries: query..query + 1 });
            }
            parts
        }
    }
}

/// The same with vectors by relative position beside keys and values: what they add to scores is a bias, and what they
/// add to values comes of the probabilities' sums by distance.
fn attend_relative<K: Kept>(
    context: Context<'_>,
    mut out: MatMut<'_>,
    q: MatRef<'_>,
    parts: &[Part<'_, K>],
    look: Look<'_>,
    relative: &RelativePositions,
    position: usize,
) {
    let Look { heads, d_kv, keys, scale, bias } = look;
    let (queries, distances) = (q.rows, relative.distances());
    if queries == 0 {
        return;
    }
    let vectors = Rows::f32(relative.table().data(), d_kv);
    with_scratch(|scratch| {
        let (one, all) = (queries * distances, queries * heads * keys);
        let [scores, added, by, found] = scratch.take([all, all, one, queries * d_kv]);
        for head in 0..heads {
            let q = q.columns(head * d_kv, d_kv);
            let products = MatMut::new(by, queries, distances, distances);
            kernels::matmul_rows(context.isa, products, q.data, q.row_stride, vectors);
            for (query, by) in by.chunks_exact_mut(distances).enumerate() {
                let added = &mut added[(query * heads + head) * keys..][..keys];
                match bias {
                    Some(b) => {
                        added.copy_from_slice(&b.values[query * b.query + head * b.head..][..keys]);
                    }
                    None => added.fill(0.0),
                }
                kernels::scale(context.isa, by, scale);
                kernels::add_by_distance(context.isa, added, by, position);
            }
        }
        let bias = Some(ScoreBias { values: added, head: keys, query: heads * keys });
        kernels::attend(context.isa, out.reborrow(), q, parts, Look { bias, ..look }, scores);
        for head in 0..heads {
            for (query, by) in by.chunks_exact_mut(distances).enumerate() {
                let p = &scores[(query * heads + head) * keys..][..keys];
                kernels::sum_by_distance(context.isa, by, p, position);
            }
            let sums = MatMut::new(found, queries, d_kv, d_kv);
            kernels::matmul_columns(context.isa, sums, by, distances, vectors, 0);
            for (query, found) in found.chunks_exact(d_kv).enumerate() {
                kernels::add(context.isa, &mut out.row_mut(query)[head * d_kv..][..d_kv], found);
            }
        }
    });
}
