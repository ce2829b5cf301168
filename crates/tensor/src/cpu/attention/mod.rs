//! Attention: every span and every head is one piece of work, claimed by whichever thread is free.

pub(crate) mod cached;
pub(crate) mod features;
mod piece;

use std::ops::Range;

use super::bias_table::BiasTable;
use super::parts::{cut, each};
use crate::ops::{Attention, RelativeBias, Span};
use crate::{Context, DType, Dropout, MatMut, MatRef, Precision, Tensor, kernels};
use piece::{Derivatives, Kept, KeyDerivatives, Piece};

/// A tensor and the column at which the first head begins.
type Operand<'a> = (&'a Tensor, usize);

/// What the way back reads of the way forward.
pub(crate) struct Results<'a> {
    /// The output: [queries, num_heads · d_kv].
    pub(crate) out: &'a Tensor,
    /// Logarithms of the softmax's denominators: [queries, num_heads].
    pub(crate) lse: &'a Tensor,
    /// The dropout of the probabilities.
    pub(crate) dropout: Option<Dropout>,
}

/// The output, [queries, num_heads · d_kv], of queries, keys and values; with `keep` the logarithms of the softmax's
/// denominators, [queries, num_heads].
pub(crate) fn forward(
    context: Context<'_>,
    what: &Attention,
    operands: [Operand<'_>; 3],
    keep: bool,
    dropout: Option<Dropout>,
) -> (Tensor, Option<Tensor>) {
    let context = match (what.dtype, context.precision) {
        (DType::Bf16, Precision::Stored) if !keep && kernels::bf16_products() => {
            Context { precision: Precision::Bf16, ..context }
        }
        _ => context,
    };
    let inner = what.num_heads * what.d_kv;
    let rows = operands[0].0.rows();
    let mut out = Tensor::unspecified(rows, inner);
    let mut lse = keep.then(|| Tensor::unspecified(rows, what.num_heads));
    let [q, k, v] = operands.map(|(tensor, column)| tensor.view().columns(column, inner));
    let table = what.table(context);
    let outs = what.pieces(out.view_mut(), 0, |s| s.queries.clone(), what.d_kv);
    let lses: Vec<Option<MatMut<'_>>> = match &mut lse {
        Some(lse) => what.pieces(lse.view_mut(), 0, |s| s.queries.clone(), 1).into_iter().map(Some).collect(),
        None => outs.iter().map(|_| None).collect(),
    };
    each(context, outs.into_iter().zip(lses).collect(), |index, (out, lse)| {
        what.piece(index, q, k, v, table.as_ref(), dropout).forward(context, out, lse);
    });
    (out, lse)
}

/// The derivatives by queries, keys and values, a tensor for each of `groups` (operands that are columns of one tensor,
/// from left to right), and those by relative position.
pub(crate) fn backward(
    context: Context<'_>,
    what: &Attention,
    operands: [Operand<'_>; 3],
    groups: &[Vec<usize>],
    of: Results<'_>,
    dy: &Tensor,
) -> (Vec<Tensor>, ByPosition) {
    let (heads, inner) = (what.num_heads, what.num_heads * what.d_kv);
    let table = what.table(context);
    let [q, k, v] = operands.map(|(tensor, column)| tensor.view().columns(column, inner));
    let rows = |i: usize, s: &Span| if i == 0 { s.queries.clone() } else { s.keys.clone() };
    let mut tensors: Vec<Tensor> = Vec::new();
    for group in groups {
        let (of, columns) = (operands[group[0]].0, group.len() * inner);
        let covered = |i: usize| what.spans.iter().map(|s| rows(i, s).len()).sum::<usize>() == of.rows();
        let all = columns == of.cols() && group.iter().all(|&i| covered(i));
        tensors.push(Tensor::to_fill(of.rows(), of.cols(), all));
    }
    let mut blocks: [Vec<MatMut<'_>>; 3] = Default::default();
    for (group, gradient) in groups.iter().zip(&mut tensors) {
        let (mut rest, mut first) = (gradient.view_mut(), 0);
        for &i in group {
            let (part, right) = rest.split_cols(operands[i].1 + inner - first);
            let column = operands[i].1 - first;
            blocks[i] = what.pieces(part, column, |s| rows(i, s), what.d_kv);
            (rest, first) = (right, operands[i].1 + inner);
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
        let piece = what.piece(index, q, k, v, table.as_ref(), of.dropout);
        let (span, head) = (&what.spans[index / heads], index % heads);
        let [out, dout, lse] = [(of.out, what.d_kv), (dy, what.d_kv), (of.lse, 1)].map(|(t, width)| {
            t.view().columns(head * width, width).rows(span.queries.start, span.queries.len())
        });
        let keys = KeyDerivatives::Apart { dk, dv };
        piece.backward(context, Kept { out, dout, lse }, Derivatives { dq, keys, dbias });
    });
    (tensors, ByPosition { widths, sums: dbias })
}

/// Derivatives by the bias of every relative position, a piece after another.
pub(crate) struct ByPosition {
    widths: Vec<Range<usize>>,
    sums: Vec<f32>,
}

impl ByPosition {
    /// Sums them into buckets, in an order that does not depend on the threads, and adds those to the derivative by the
    /// bias's weight.
    pub(crate) fn add_to_buckets(&self, what: &Attention, bias: &RelativeBias, gradient: &mut Tensor) {
        let heads = what.num_heads;
        let mut sums = vec![0.0f64; bias.num_buckets * heads];
        for (index, width) in self.widths.iter().enumerate() {
            let span = &what.spans[index / heads];
            let zero = (span.position + span.queries.len()) as isize - 1;
            for (i, d) in self.sums[width.clone()].iter().enumerate() {
                sums[bias.bucket(i as isize - zero) * heads + index % heads] += f64::from(*d);
            }
        }
        for (g, sum) in gradient.data_mut().iter_mut().zip(sums) {
            *g += sum as f32;
        }
    }
}

impl Attention {
    fn table(&self, context: Context<'_>) -> Option<BiasTable> {
        let bias = self.bias.as_ref()?;
        let before = self.spans.iter().map(|s| s.position + s.queries.len()).max().unwrap_or(0);
        let after = self.spans.iter().map(|s| s.mask.ahead(s.keys.len())).max().unwrap_or(0);
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
            mask: span.mask,
            scale: self.scale,
            bias: table.map(|t| (t, head)),
            relative: self.relative.as_ref(),
            dropout: dropout.map(|d| Dropout { key: crate::mix(d.key, index as u64), ..d }),
        }
    }
}
