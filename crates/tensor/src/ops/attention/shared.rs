//! Attention to rows that are keys and values at once, for all heads: what remains of attention to the source when its
//! key and value matrices are multiplied into queries and outputs instead (`ops::heads`).
//!
//! To each head of a query the rows look the same, so the heads of a query are as good as queries of their own of one
//! head (multi-query attention, Shazeer 2019).

use std::ops::Range;

use super::piece::with_scratch;
use super::{Attention, Derivatives, Kept, KeyDerivatives, Saved, Span};
use crate::cpu::parts::each;
use crate::graph::Dropout;
use crate::kernels;
use crate::{Backward, Context, Gradients, Graph, MatMut, MatRef, Rows, Tensor, Var};

/// `softmax(q·xᵀ)·x` for every span and head.
///
/// `q`: [query tokens, num_heads · d], `x`: [key tokens, d]; result as `q`. A span's `position` means nothing here, and
/// every row of `x` belongs to at most one.
pub fn attention_to_features(
    graph: &mut Graph<'_>,
    q: &Var,
    x: &Var,
    num_heads: usize,
    spans: &[Span],
) -> Var {
    let context = graph.context;
    let dropout = graph.next_dropout();
    let (tokens, d) = (q.value.rows(), x.value.cols());
    assert_eq!(q.value.cols(), num_heads * d, "{num_heads} heads of a query over features");
    let rows = |r: &Range<usize>| r.start * num_heads..r.end * num_heads;
    let spans = spans.iter().map(|s| Span { queries: rows(&s.queries), ..s.clone() }).collect();
    let what = Attention { num_heads: 1, d_kv: d, bias: None, causal: false, spans };
    let queries = q.value.clone().reshaped(tokens * num_heads, d);
    let mut out = Tensor::unspecified(queries.rows(), d);
    let mut lse = graph.records().then(|| Tensor::unspecified(queries.rows(), 1));
    let features = x.value.view();
    what.forward(context, [queries.view(), features, features], &mut out, lse.as_mut(), dropout);
    let saved = out.clone();
    graph.record(out.reshaped(tokens, num_heads * d), || {
        let lse = lse.expect("kept when the tape records");
        let q = Saved { tensor: queries, node: q.node(), column: 0 };
        let x = Saved { tensor: x.value.clone(), node: x.node(), column: 0 };
        Box::new(SharedBackward { what, q, x, out: saved, lse, dropout })
    })
}

struct SharedBackward {
    what: Attention,
    q: Saved,
    x: Saved,
    out: Tensor,
    lse: Tensor,
    dropout: Option<Dropout>,
}

impl Backward for SharedBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (what, d) = (&self.what, self.what.d_kv);
        let (q, x) = (self.q.tensor.view(), self.x.tensor.view());
        let (tokens, columns) = (dy.rows(), dy.cols());
        let dy = dy.reshaped(q.rows, d);
        let mut dq = Tensor::unspecified(q.rows, d);
        // Every layer looks at the same rows: the derivatives go straight to the sum so far.
        let mut dx = self.x.node.map(|node| match gradients.take(node) {
            Some(sum) => (sum.into_unique(), true),
            None => {
                let seen: usize = what.spans.iter().map(|s| s.keys.len()).sum();
                (Tensor::to_fill(x.rows, d, seen == x.rows), false)
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
            let [out, dout, lse] = [&self.out, &dy, &self.lse].map(|t| t.view().rows(rows.start, rows.len()));
            let piece = what.piece(index, q, x, x, None, self.dropout);
            piece.backward(context, Kept { out, dout, lse }, Derivatives { dq, keys, dbias: &mut [] });
        });
        gradients.add(context, self.q.node, dq.reshaped(tokens, columns));
        if let (Some(node), Some((dx, _))) = (self.x.node, dx) {
            gradients.put(node, dx);
        }
    }
}

/// Queries of one decoding step that look at the same features: the hypotheses of a source.
#[derive(Clone, Debug)]
pub struct FeatureSpan<'a> {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// What they look at: [source tokens, d].
    pub features: &'a Tensor,
}

/// The same in a decoding step, where a span has few queries: each gets the bits that it gets alone, and nothing is
/// recorded. Spans are in the order of their queries, every row in one.
pub fn attend_features(graph: &Graph<'_>, q: &Tensor, num_heads: usize, spans: &[FeatureSpan<'_>]) -> Tensor {
    let (context, d) = (graph.context, q.cols() / num_heads);
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
        assert_eq!(features.cols(), d, "{num_heads} heads of a query over features");
        let (x, keys) = (Rows::f32(features.data(), d), features.rows());
        with_scratch(|scratch| {
            let p = scratch.first(q.rows * keys);
            let scores = MatMut::new(p, q.rows, keys, keys);
            kernels::matmul_rows(context.isa, scores, q.data, d, x);
            for p in p.chunks_exact_mut(keys) {
                kernels::softmax(context.isa, p, None);
            }
            kernels::matmul_columns(context.isa, out.reborrow(), p, keys, x, 0);
        });
    });
    out
}
