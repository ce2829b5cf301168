//! Attention to rows that are keys and values at once, for all heads: what remains of attention to the source when its
//! key and value matrices are multiplied into queries and outputs instead (`ops::heads`).
//!
//! To each head of a query the rows look the same, so the heads of a query are as good as queries of their own of one
//! head (multi-query attention, Shazeer 2019).

use std::ops::Range;

use super::{Attention, Mask, Saved, Span};
use crate::cpu::attention::Results;
use crate::cpu::int8::ByColumns;
use crate::ops::KeyValues;
use crate::{Backward, Context, DType, Dropout, Gradients, Graph, Tensor, Var, Weight, cpu};

/// `softmax(q·xᵀ)·x` for every span and head.
///
/// `q`: [query tokens, num_heads · d], `x`: [key tokens, d]; result as `q`. A span's `position` means nothing here, its
/// mask is full, and every row of `x` belongs to at most one.
pub fn attention_to_features(
    graph: &mut Graph<'_>,
    q: &Var,
    x: &Var,
    num_heads: usize,
    spans: &[Span],
) -> Var {
    let dropout = graph.next_dropout();
    let (tokens, d) = (q.value.rows(), x.value.cols());
    assert_eq!(q.value.cols(), num_heads * d, "{num_heads} heads of a query over features");
    let rows = |r: &Range<usize>| r.start * num_heads..r.end * num_heads;
    assert!(spans.iter().all(|s| s.mask == Mask::Full), "every query of a span sees all of its rows");
    let spans = spans.iter().map(|s| Span { queries: rows(&s.queries), ..s.clone() }).collect();
    let (scale, dtype) = (1.0, DType::F32);
    let what = Attention { num_heads: 1, d_kv: d, scale, bias: None, relative: None, dtype, spans };
    let queries = q.value.clone().reshaped(tokens * num_heads, d);
    let operands = [(&queries, 0), (&x.value, 0), (&x.value, 0)];
    let (out, lse) = cpu::attention::forward(graph.context, &what, operands, graph.records(), dropout);
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
        let (tokens, columns) = (dy.rows(), dy.cols());
        let (q, x) = (&self.q.tensor, &self.x.tensor);
        let dy = dy.reshaped(q.rows(), self.what.d_kv);
        // Every layer looks at the same rows: the derivatives go straight to the sum so far.
        let sum = self.x.node.map(|node| gradients.take(node));
        let results = Results { out: &self.out, lse: &self.lse, dropout: self.dropout };
        let (dq, dx) = cpu::attention::features::backward(context, &self.what, q, x, results, &dy, sum);
        gradients.add(context, self.q.node, dq.reshaped(tokens, columns));
        if let (Some(node), Some(dx)) = (self.x.node, dx) {
            gradients.put(node, dx);
        }
    }
}

/// What the queries of decoding steps look at: [source tokens, d].
pub struct Features(pub(crate) HeldFeatures);

pub(crate) enum HeldFeatures {
    F32(Tensor),
    /// Bits, and columns of a row.
    Bf16(Vec<u16>, usize),
    Int8(ByColumns),
}

impl Features {
    /// As they are.
    pub fn new(x: Tensor) -> Self {
        Features(HeldFeatures::F32(x))
    }

    /// As `weight` (whose products the queries are) is kept: rounded to whole numbers with a scale a column where that is
    /// int8, so that scores and sums are int8 products; to bf16 where it is and passes of that precision leave it so.
    pub fn beside(context: Context<'_>, x: Tensor, weight: &Weight) -> Self {
        Features(match weight.panels() {
            Some(_) => HeldFeatures::Int8(ByColumns::new(&x)),
            None if KeyValues::dtype_beside(context.precision, weight) == DType::Bf16 => {
                HeldFeatures::Bf16(cpu::cache::rounded(context, x.data()), x.cols())
            }
            None => HeldFeatures::F32(x),
        })
    }

    /// Source tokens.
    pub fn rows(&self) -> usize {
        match &self.0 {
            HeldFeatures::F32(x) => x.rows(),
            HeldFeatures::Bf16(bits, cols) => bits.len().checked_div(*cols).unwrap_or(0),
            HeldFeatures::Int8(x) => x.rows(),
        }
    }
}

/// Queries of one decoding step that look at the same features: the hypotheses of a source.
#[derive(Clone)]
pub struct FeatureSpan<'a> {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// What they look at.
    pub features: &'a Features,
}

/// The same in a decoding step, where a span has few queries: each gets the bits that it gets alone, and nothing is
/// recorded. Spans are in the order of their queries, every row in one.
pub fn attend_features(graph: &Graph<'_>, q: &Tensor, num_heads: usize, spans: &[FeatureSpan<'_>]) -> Tensor {
    cpu::attention::features::steps(graph.context, q, num_heads, spans)
}
