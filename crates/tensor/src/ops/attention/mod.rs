//! Attention over packed sequences: with T5's bias by relative position or NEZHA's vectors by it, scaled or not, and with
//! the mask of each sequence.
//!
//! Every span (a sequence's queries and the keys they may see) and every head is one piece of work. Forward keeps
//! only the logarithm of each row's softmax denominator; backward computes the probabilities again from it
//! (Dao et al. 2022), so nothing of size queries × keys outlives its piece.

mod cached;
mod shared;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use cached::{CachedAttention, CachedRows, CachedSpan, attend_cached};
pub(crate) use shared::HeldFeatures;
pub use shared::{FeatureSpan, Features, attend_features, attention_to_features};

use crate::cpu::attention::Results;
use crate::ops::{RelativeBias, RelativePositions};
use crate::{Backward, Context, DType, Dropout, Gradients, Graph, Tensor, Var, cpu, cuda};

/// Which of a span's keys a query sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    #[default]
    Full,
    /// Those up to its own position.
    Causal,
    /// The first so many, and those up to its own position: a source of so many tokens sees itself both ways and no
    /// target, the target sees the source and its own past (UniLM, Dong et al. 2019).
    Prefix(usize),
}

impl Mask {
    /// How many of the first `keys` keys a query at `position` sees; the others are unseen.
    pub(crate) fn seen(self, position: usize, keys: usize) -> usize {
        match self {
            Mask::Full => keys,
            Mask::Causal => keys.min(position + 1),
            Mask::Prefix(prefix) => keys.min(prefix.max(position + 1)),
        }
    }

    /// How many keys at most come after a query that sees them, out of `keys`.
    pub(crate) fn ahead(self, keys: usize) -> usize {
        match self {
            Mask::Full => keys,
            Mask::Causal => 0,
            Mask::Prefix(prefix) => keys.min(prefix),
        }
    }
}

/// Queries and the keys they see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Rows of the query tensor.
    pub queries: Range<usize>,
    /// Rows of the key and value tensors.
    pub keys: Range<usize>,
    /// Position of the first query counted from the first key.
    pub position: usize,
    /// Which of the keys each query sees.
    pub mask: Mask,
}

/// What an attention does.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Number of heads.
    pub num_heads: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// What products of queries and keys are multiplied by, above 0: 1/√d_kv (BERT), or 1 (T5, whose weights absorb it).
    pub scale: f32,
    /// Bias by relative position, added after that (T5).
    pub bias: Option<RelativeBias>,
    /// Vectors by relative position, added to keys and values (NEZHA).
    pub relative: Option<RelativePositions>,
    /// What products are made of where nothing is recorded and the pass leaves it to what is stored: f32, or bf16 beside
    /// weights as small ([`KeyValues::dtype_beside`](crate::ops::KeyValues::dtype_beside)), where the processor
    /// multiplies that.
    pub dtype: DType,
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

/// `softmax(scale·q·kᵀ + bias)·v` for every span and head: [query tokens, num_heads · d_kv]. With vectors `r` by relative
/// position, key j is `kⱼ + r[j − i]` to query i, and value j is `vⱼ + r[j − i]`.
pub fn attention(
    graph: &mut Graph<'_>,
    q: Columns<'_>,
    k: Columns<'_>,
    v: Columns<'_>,
    what: &Attention,
) -> Var {
    let dropout = graph.next_dropout();
    let operands = [q, k, v].map(|s| (&s.var.value, s.column));
    let (out, lse) =
        on!(graph.context => attention::forward(graph.context, what, operands, graph.records(), dropout));
    let (context, out_value) = (graph.context, out.clone());
    graph.record(out, || {
        let keep = |x: &Tensor| match context.device {
            None => x.clone(),
            Some(_) => cuda::attention::kept(context, what, x),
        };
        let sources =
            [q, k, v].map(|s| Saved { tensor: keep(&s.var.value), node: s.var.node(), column: s.column });
        let lse = lse.expect("kept when the tape records");
        Box::new(AttentionBackward { what: what.clone(), sources, out: keep(&out_value), lse, dropout })
    })
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
        groups.iter_mut().for_each(|group| group.sort_by_key(|&i| self.sources[i].column));
        let operands = self.sources.each_ref().map(|s| (&s.tensor, s.column));
        let results = Results { out: &self.out, lse: &self.lse, dropout: self.dropout };
        let bias = what.bias.as_ref().filter(|bias| gradients.wants(bias.weight));
        let tensors = match context.device {
            None => {
                let (tensors, by_position) =
                    cpu::attention::backward(context, what, operands, &groups, results, &dy);
                if let Some(bias) = bias {
                    by_position.add_to_buckets(what, bias, gradients.param_add(context, bias.weight));
                }
                tensors
            }
            Some(_) => {
                let (tensors, by_bucket) =
                    cuda::attention::backward(context, what, operands, &groups, results, &dy);
                if let (Some(bias), Some(by_bucket)) = (bias, by_bucket) {
                    by_bucket.add_to(context, gradients.param_add(context, bias.weight));
                }
                tensors
            }
        };
        for (group, gradient) in groups.iter().zip(tensors) {
            gradients.add(context, self.sources[group[0]].node, gradient);
        }
    }
}
