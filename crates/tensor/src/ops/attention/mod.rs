//! Attention with relative bias over packed sequences, without 1/√d_kv (T5's weights absorb it).
//!
//! Every span (a sequence's queries and the keys they may see) and every head is one piece of work. Forward keeps
//! only the logarithm of each row's softmax denominator; backward computes the probabilities again from it
//! (Dao et al. 2022), so nothing of size queries × keys outlives its piece.

mod cached;
mod piece;
mod shared;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use cached::{CachedAttention, CachedRows, CachedSpan, attend_cached};
use piece::{Derivatives, Kept, KeyDerivatives, Piece};
pub use shared::{FeatureSpan, attend_features, attention_to_features};

use crate::cpu::bias_table::BiasTable;
use crate::cpu::parts::{cut, each};
use crate::graph::Dropout;
use crate::ops::RelativeBias;
use crate::{Backward, Context, Gradients, Graph, MatMut, MatRef, ParamId, Tensor, Var};

/// Queries and the keys they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// Rows of the key and value tensors.
    pub keys: Range<usize>,
    /// Position of the first query counted from the first key.
    pub position: usize,
}

/// What an attention does.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Number of heads.
    pub num_heads: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Bias by relative position.
    pub bias: Option<RelativeBias>,
    /// Whether a query sees only keys up to its own position.
    pub causal: bool,
    /// The sequences, in the order of their queries; every query row belongs to exactly one.
    pub spans: Vec<Span>,
}

/// Where queries, keys or values are: columns from `column` on, head after head.
#[derive(Clone, Copy)]
pub struct Columns<'v> {
    /// The tensor, often the output of several linear layers side by side.
    pub var: &'v Var,
    /// First column of the first head.
    pub column: usize,
}

/// `softmax(q·kᵀ + bias)·v` for every span and head: [query tokens, num_heads · d_kv].
pub fn attention(
    graph: &mut Graph<'_>,
    q: Columns<'_>,
    k: Columns<'_>,
    v: Columns<'_>,
    what: &Attention,
) -> Var {
    let context = graph.context;
    let inner = what.num_heads * what.d_kv;
    let dropout = graph.next_dropout();
    let mut out = Tensor::unspecified(q.var.value.rows(), inner);
    let mut lse = graph.records().then(|| Tensor::unspecified(out.rows(), what.num_heads));
    let views = [q, k, v].map(|s| s.var.value.view().columns(s.column, inner));
    what.forward(context, views, &mut out, lse.as_mut(), dropout);
    let sources =
        [q, k, v].map(|s| Saved { tensor: s.var.value.clone(), node: s.var.node(), column: s.column });
    let saved = out.clone();
    graph.record(out, || {
        let lse = lse.expect("kept when the tape records");
        Box::new(AttentionBackward { what: what.clone(), sources, out: saved, lse, dropout })
    })
}

impl Attention {
    /// `out`: [queries, num_heads · d_kv], overwritten; `lse`: [queries, num_heads], likewise.
    fn forward(
        &self,
        context: Context<'_>,
        [q, k, v]: [MatRef<'_>; 3],
        out: &mut Tensor,
        lse: Option<&mut Tensor>,
        dropout: Option<Dropout>,
    ) {
        let table = self.table(context);
        let outs = self.pieces(out.view_mut(), 0, |s| s.queries.clone(), self.d_kv);
        let lses: Vec<Option<MatMut<'_>>> = match lse {
            Some(lse) => {
                self.pieces(lse.view_mut(), 0, |s| s.queries.clone(), 1).into_iter().map(Some).collect()
            }
            None => outs.iter().map(|_| None).collect(),
        };
        each(context, outs.into_iter().zip(lses).collect(), |index, (out, lse)| {
            self.piece(index, q, k, v, table.as_ref(), dropout).forward(context, out, lse);
        });
    }

    fn table(&self, context: Context<'_>) -> Option<BiasTable> {
        let bias = self.bias.as_ref()?;
        let before = self.spans.iter().map(|s| s.position + s.queries.len()).max().unwrap_or(0);
        let after = if self.causal { 0 } else { self.spans.iter().map(|s| s.keys.len()).max().unwrap_or(0) };
        Some(BiasTable::new(context, bias, self.num_heads, before, after))
    }

    /// Cuts a tensor into the blocks of every span and head: rows by `range`, columns of `width` a head from
    /// `column` on; span by span, head by head.
    fn pieces<'m>(
        &self,
        matrix: MatMut<'m>,
        column: usize,
        range: impl Fn(&Span) -> Range<usize>,
        width: usize,
    ) -> Vec<MatMut<'m>> {
        let mut pieces = Vec::with_capacity(self.spans.len() * self.num_heads);
        let (_, matrix) = matrix.split_cols(column);
        let (mut rest, _) = matrix.split_cols(self.num_heads * width);
        let mut at = 0;
        for span in &self.spans {
            let range = range(span);
            assert!(range.start >= at, "spans are in the order of their rows");
            let (mut rows, below) = rest.split_rows(range.start - at).1.split_rows(range.len());
            (rest, at) = (below, range.end);
            for _ in 0..self.num_heads {
                let (head, right) = rows.split_cols(width);
                pieces.push(head);
                rows = right;
            }
        }
        pieces
    }

    fn piece<'a>(
        &'a self,
        index: usize,
        q: MatRef<'a>,
        k: MatRef<'a>,
        v: MatRef<'a>,
        table: Option<&'a BiasTable>,
        dropout: Option<Dropout>,
    ) -> Piece<'a> {
        let (span, head) = (&self.spans[index / self.num_heads], index % self.num_heads);
        let of = |m: MatRef<'a>, rows: &Range<usize>| {
            m.columns(head * self.d_kv, self.d_kv).rows(rows.start, rows.len())
        };
        Piece {
            q: of(q, &span.queries),
            k: of(k, &span.keys),
            v: of(v, &span.keys),
            position: span.position,
            causal: self.causal,
            bias: table.map(|t| (t, head)),
            dropout: dropout.map(|d| Dropout { key: crate::mix(d.key, index as u64), ..d }),
        }
    }
}

struct Saved {
    tensor: Tensor,
    node: Option<usize>,
    column: usize,
}

struct AttentionBackward {
    what: Attention,
    sources: [Saved; 3],
    out: Tensor,
    lse: Tensor,
    dropout: Option<Dropout>,
}

impl Backward for AttentionBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let what = &self.what;
        let (heads, inner) = (what.num_heads, what.num_heads * what.d_kv);
        let table = what.table(context);
        let [q, k, v] = self.sources.each_ref().map(|s| s.tensor.view().columns(s.column, inner));
        // Queries, keys and values are often columns of one tensor, and then so are their gradients: groups of sources,
        // from left to right.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (i, source) in self.sources.iter().enumerate() {
            let same =
                |group: &&mut Vec<usize>| source.node.is_some_and(|n| self.sources[group[0]].node == Some(n));
            match groups.iter_mut().find(same) {
                Some(group) => group.push(i),
                None => groups.push(vec![i]),
            }
        }
        let rows = |i: usize, s: &Span| if i == 0 { s.queries.clone() } else { s.keys.clone() };
        let mut tensors: Vec<Tensor> = Vec::new();
        for group in &mut groups {
            group.sort_by_key(|&i| self.sources[i].column);
            let (of, columns) = (&self.sources[group[0]].tensor, group.len() * inner);
            let covered = |i: usize| what.spans.iter().map(|s| rows(i, s).len()).sum::<usize>() == of.rows();
            let all = columns == of.cols() && group.iter().all(|&i| covered(i));
            tensors.push(Tensor::to_fill(of.rows(), of.cols(), all));
        }
        let mut blocks: [Vec<MatMut<'_>>; 3] = Default::default();
        for (group, gradient) in groups.iter().zip(&mut tensors) {
            let (mut rest, mut first) = (gradient.view_mut(), 0);
            for &i in group {
                let (part, right) = rest.split_cols(self.sources[i].column + inner - first);
                let column = self.sources[i].column - first;
                blocks[i] = what.pieces(part, column, |s| rows(i, s), what.d_kv);
                (rest, first) = (right, self.sources[i].column + inner);
            }
        }
        let [dqs, dks, dvs] = blocks;
        let widths: Vec<Range<usize>> = what
            .spans
            .iter()
            .flat_map(|s| std::iter::repeat_n(s.position + s.queries.len() + s.keys.len(), heads))
            .scan(0, |at, width| {
                let range = *at..*at + width;
                *at = range.end;
                Some(range)
            })
            .collect();
        let mut dbias = vec![0.0f32; widths.last().map_or(0, |r| r.end)];
        let work = dqs.into_iter().zip(dks).zip(dvs).zip(cut(&mut dbias, &widths, 1)).collect();
        each(context, work, |index, (((dq, dk), dv), dbias)| {
            let piece = what.piece(index, q, k, v, table.as_ref(), self.dropout);
            let (span, head) = (&what.spans[index / heads], index % heads);
            let [out, dout, lse] =
                [(&self.out, what.d_kv), (&dy, what.d_kv), (&self.lse, 1)].map(|(t, width)| {
                    t.view().columns(head * width, width).rows(span.queries.start, span.queries.len())
                });
            let keys = KeyDerivatives::Apart { dk, dv };
            piece.backward(context, Kept { out, dout, lse }, Derivatives { dq, keys, dbias });
        });
        if let Some(bias) = &what.bias
            && gradients.wants(bias.weight)
        {
            add_bias(context, bias, what, &widths, &dbias, gradients);
        }
        for (group, gradient) in groups.iter().zip(tensors) {
            gradients.add(context, self.sources[group[0]].node, gradient);
        }
    }
}

/// Sums the derivatives by relative position into buckets, in an order that does not depend on the threads.
fn add_bias(
    context: Context<'_>,
    bias: &RelativeBias,
    what: &Attention,
    widths: &[Range<usize>],
    dbias: &[f32],
    gradients: &mut Gradients,
) {
    let heads = what.num_heads;
    let mut sums = vec![0.0f64; bias.num_buckets * heads];
    for (index, width) in widths.iter().enumerate() {
        let span = &what.spans[index / heads];
        let zero = (span.position + span.queries.len()) as isize - 1;
        for (i, d) in dbias[width.clone()].iter().enumerate() {
            sums[bias.bucket(i as isize - zero) * heads + index % heads] += f64::from(*d);
        }
    }
    let id: ParamId = bias.weight;
    let gradient = gradients.param_add(context, id);
    for (g, sum) in gradient.data_mut().iter_mut().zip(sums) {
        *g += sum as f32;
    }
}
