//! Attention to rows that are keys and values at once.

use super::piece::{Derivatives, Kept, KeyDerivatives, with_scratch};
use super::{Results, each};
use crate::cpu::cache::rounded;
use crate::ops::{Attention, FeatureSpan, HeldFeatures};
use crate::{Context, MatMut, MatRef, Rows, Tensor, kernels};

/// The derivatives by `q`, [queries, d], and by the rows `x` where `sum` asks for them: added to what there is.
pub(crate) fn backward(
    context: Context<'_>,
    what: &Attention,
    q: &Tensor,
    x: &Tensor,
    of: Results<'_>,
    dy: &Tensor,
    sum: Option<Option<Tensor>>,
) -> (Tensor, Option<Tensor>) {
    let (d, rows) = (what.d_kv, x.rows());
    let (q, x) = (q.view(), x.view());
    let mut dq = Tensor::unspecified(q.rows, d);
    let mut dx = sum.map(|sum| match sum {
        Some(sum) => (sum.into_unique(), true),
        None => {
            let seen: usize = what.spans.iter().map(|s| s.keys.len()).sum();
            (Tensor::to_fill(rows, d, seen == rows), false)
        }
    });
    let keys: Vec<KeyDerivatives<'_>> = match &mut dx {
        Some((dx, add)) => {
            let pieces = what.pieces(dx.view_mut(), 0, |s| s.keys.clone(), d).into_iter();
            pieces.map(|dx| KeyDerivatives::Shared { dx, add: *add }).collect()
        }
        None => what.spans.iter().map(|_| KeyDerivatives::Unwanted).collect(),
    };
    let dqs = what.pieces(dq.view_mut(), 0, |s| s.queries.clone(), d);
    each(context, dqs.into_iter().zip(keys).collect(), |index, (dq, keys)| {
        let rows = &what.spans[index].queries;
        let [out, dout, lse] = [of.out, dy, of.lse].map(|t| t.view().rows(rows.start, rows.len()));
        let piece = what.piece(index, q, x, x, None, of.dropout);
        piece.backward(context, Kept { out, dout, lse }, Derivatives { dq, keys, dbias: &mut [] });
    });
    (dq, dx.map(|(dx, _)| dx))
}

/// Few queries a span, each with the bits that it gets alone.
pub(crate) fn steps(context: Context<'_>, q: &Tensor, num_heads: usize, spans: &[FeatureSpan<'_>]) -> Tensor {
    let d = q.cols() / num_heads;
    let mut out = Tensor::unspecified(q.rows(), q.cols());
    // With fewer spans than threads, the queries of each are shared out too.
    let threads = context.pool.threads();
    let shares = if spans.len() >= threads { 1 } else { threads };
    let rows = q.rows() * num_heads;
    let queries = MatRef::new(q.data(), rows, d, d);
    let mut rest = MatMut::new(out.data_mut(), rows, d, d);
    let mut work = Vec::with_capacity(spans.len() * shares);
    for span in spans {
        let (first, count) = (span.queries.start * num_heads, span.queries.len() * num_heads);
        for share in 0..shares {
            let of = count * share / shares..count * (share + 1) / shares;
            let (part, below) = rest.split_rows(of.len());
            rest = below;
            work.push((queries.rows(first + of.start, of.len()), span.features, part));
        }
    }
    assert_eq!(rest.rows, 0, "every query row is in a span");
    each(context, work, |_, (q, features, mut out)| {
        let keys = features.rows();
        with_scratch(|scratch| {
            let p = scratch.first(q.rows * keys);
            let scores = MatMut::new(p, q.rows, keys, keys);
            let queries = &q.data[..q.rows * d];
            match &features.0 {
                HeldFeatures::F32(x) => kernels::matmul_rows(context.isa, scores, queries, d, x.as_rows()),
                HeldFeatures::Bf16(x, cols) if kernels::bf16_rows(context.isa) => {
                    let queries = rounded(context, queries);
                    kernels::matmul_rows_bf16(context.isa, scores, &queries, d, Rows::bf16(x, *cols));
                }
                HeldFeatures::Bf16(x, cols) => {
                    kernels::matmul_rows(context.isa, scores, queries, d, Rows::bf16(x, *cols))
                }
                HeldFeatures::Int8(x) => x.scores(context.isa, scores, queries),
            }
            for p in p.chunks_exact_mut(keys) {
                kernels::softmax(context.isa, p, 1.0, None);
            }
            match &features.0 {
                HeldFeatures::F32(x) => {
                    kernels::matmul_columns(context.isa, out.reborrow(), p, keys, x.as_rows(), 0)
                }
                HeldFeatures::Bf16(x, cols) => {
                    kernels::matmul_columns(context.isa, out.reborrow(), p, keys, Rows::bf16(x, *cols), 0)
                }
                HeldFeatures::Int8(x) => x.sums(context.isa, out.reborrow(), p),
            }
        });
    });
    out
}
