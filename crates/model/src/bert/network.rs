//! The network: what happens to packed sequences on their way to the hidden states that say targets.
//!
//! One stack of layers, each normalised behind its residual connections. Whole sequences see by UniLM's mask; while
//! generating, the keys and values of a source's tokens are there and a step adds one position of each target.

use std::rc::Rc;
use std::sync::Arc;

use t5kit_tensor::ops::{
    self, Attention, CachedAttention, CachedSpan, Columns, KeyValues, Mask, Span, Table,
};
use t5kit_tensor::{Graph, Packed, ParamId, Precision, Tensor, Var};

use super::positions::COARSE;
use super::{Bert, Layer, Place, norm_params};
use crate::Seq2Seq;
use crate::cache::{Seen, keep_before_last};
use crate::packing::{Saying, Sequences};
use crate::seq2seq::saw;
use crate::{Batch, Cache};

/// Sequences that a layer sees as a whole.
struct Whole {
    positions: Arc<[u32]>,
    spans: Rc<[Span]>,
    /// The rows that go on from the last layer, with their positions; all others' keys and values are looked at.
    last: Rc<Saying>,
}

impl Whole {
    fn new(sequences: &Sequences) -> Self {
        Whole {
            positions: sequences.positions.clone(),
            spans: sequences.spans(Mask::Prefix),
            last: Rc::new(sequences.saying(Mask::Prefix)),
        }
    }
}

impl Bert {
    /// The hidden states that say a batch's targets, ready for the softmax: [target tokens, embedding_size].
    pub(super) fn say<'a>(&'a self, graph: &mut Graph<'a>, batch: &Batch) -> Var {
        let sequences = Sequences::of_batch(batch, None);
        let whole = Rc::new(Whole::new(&sequences));
        let mut x = self.embed(graph, &sequences.ids, &sequences.positions, &sequences.segments);
        let layers = &self.network.layers;
        for (i, layer) in layers.iter().enumerate() {
            let whole = whole.clone();
            let is_last = i + 1 == layers.len();
            // Where nothing below is trained, nothing is kept and the way back ends.
            let params = graph.context.params;
            let wanted = x.node().is_some() || layer.params().any(|id| params.learns(id));
            x = graph.recording(wanted, |graph| {
                ops::recompute(graph, vec![x], move |graph, mut inputs| {
                    let x = inputs.pop().expect("the layer's input");
                    if is_last {
                        self.last_layer(graph, layer, &x, &whole.last, &whole.positions)
                    } else {
                        self.layer(graph, layer, x, &whole)
                    }
                })
            });
        }
        self.transform(graph, x)
    }

    /// Runs sources through the layers and keeps of each layer the keys and values of all their tokens but the last,
    /// which a decoder is fed first.
    pub(super) fn seen<'a>(&'a self, graph: &mut Graph<'a>, sources: &Packed) -> Vec<Seen> {
        let sequences = Sequences::of_sources(sources, None);
        let whole = Whole::new(&sequences);
        let (context, layers) = (graph.context, &self.network.layers);
        let dtype = self.kept(context.precision);
        let mut seen: Vec<Vec<KeyValues>> =
            sources.ranges().map(|_| Vec::with_capacity(layers.len())).collect();
        let mut x = self.embed(graph, &sequences.ids, &sequences.positions, &sequences.segments);
        for (i, layer) in layers.iter().enumerate() {
            let width = self.config.hidden_size;
            let mut keep =
                |kv: &Tensor| keep_before_last(context, &mut seen, kv, sources.ranges(), width, dtype);
            // Nobody asks for what the last layer makes of the source.
            if i + 1 == layers.len() {
                keep(&self.keys(graph, layer, &x, &whole.positions).value);
                break;
            }
            let qkv = self.queries_and_keys(graph, layer, &x, &whole.positions);
            keep(&qkv.value);
            let attended = self.attend(graph, &qkv, whole.spans.to_vec());
            drop(qkv);
            x = self.behind(graph, layer, x, attended);
        }
        seen.into_iter().map(Seen::Keys).collect()
    }

    /// One decoding step: feeds sequence `i` to slot `i`; hidden states ready for the softmax: [tokens fed, embedding_size].
    /// The first token that a slot is fed is its source's last.
    pub(super) fn feed<'a>(&'a self, graph: &mut Graph<'a>, fed: &Packed, cache: &mut Cache) -> Tensor {
        cache.advance(fed);
        let (positions, segments): (Vec<u32>, Vec<u32>) =
            cache.stands().map(|(source, own)| ((source + own - 1) as u32, u32::from(own > 1))).unzip();
        let positions: Arc<[u32]> = positions.into();
        let mut x = self.embed(graph, fed.ids(), &positions, &segments);
        for (i, layer) in self.network.layers.iter().enumerate() {
            let qkv = self.queries_and_keys(graph, layer, &x, &positions);
            cache.store(i, &qkv.value, self.config.hidden_size);
            let what = self.cached_attention(cache.joint_spans(i));
            let attended = Var::constant(ops::attend_cached(graph, &qkv.value, 0, &what));
            x = self.behind(graph, layer, x, attended);
        }
        self.transform(graph, x).value
    }

    /// Tokens, positions and segments added up: [tokens, hidden_size].
    fn embed(&self, graph: &mut Graph<'_>, ids: &[u32], positions: &[u32], segments: &[u32]) -> Var {
        let (n, params) = (&self.network, graph.context.params);
        let most = (self.config.type_vocab_size - 1) as u32;
        let segments: Vec<u32> = segments.iter().map(|&segment| segment.min(most)).collect();
        let table = match n.place {
            Place::Learnt { table, .. } => Some(table),
            _ => None,
        };
        let wanted =
            [Some(n.words), Some(n.segments), table].into_iter().flatten().chain(norm_params(n.embedded));
        let x = graph.recording(wanted.into_iter().any(|id| params.trains(id)), |graph| {
            let x = self.sum(graph, ids, positions, &segments);
            saw(graph, &x, "the rows of", n.words);
            let x = ops::layer_norm(graph, &x, n.embedded);
            saw(graph, &x, "the output of", n.embedded.weight);
            ops::dropout(graph, x)
        });
        let Some(project) = n.project else { return x };
        let wanted = x.node().is_some()
            || params.learns(project.weight)
            || project.bias.is_some_and(|id| params.learns(id));
        graph.recording(wanted, |graph| {
            let x = ops::linear(graph, &x, &[project]);
            saw(graph, &x, "the output of", project.weight);
            x
        })
    }

    fn sum(&self, graph: &mut Graph<'_>, ids: &[u32], positions: &[u32], segments: &[u32]) -> Var {
        let n = &self.network;
        let (words, segments) = (Table::new(n.words, ids), Table::new(n.segments, segments));
        let Place::Learnt { table, rows } = n.place else {
            return ops::embeddings(graph, &[words, segments]);
        };
        if self.config.max_position_embeddings <= rows {
            return ops::embeddings(graph, &[words, Table::new(table, positions), segments]);
        }
        // As `positions::composed`: with u = (p − α·p₀) / (1 − α) position i·rows + j is α·uᵢ + (1 − α)·uⱼ = pⱼ + α/(1 − α)·(pᵢ − p₀).
        let rows = rows as u32;
        let of = |f: fn(u32, u32) -> u32| -> Vec<u32> { positions.iter().map(|&p| f(p, rows)).collect() };
        let (fine, coarse, zero) = (of(|p, n| p % n), of(|p, n| p / n), vec![0; positions.len()]);
        let factor = COARSE / (1.0 - COARSE);
        let fine = Table::new(table, &fine);
        let coarse = Table { factor, ..Table::new(table, &coarse) };
        let zero = Table { factor: -factor, ..Table::new(table, &zero) };
        ops::embeddings(graph, &[words, fine, coarse, zero, segments])
    }

    /// A layer of whole sequences.
    fn layer(&self, graph: &mut Graph<'_>, layer: &Layer, x: Var, whole: &Whole) -> Var {
        let qkv = self.queries_and_keys(graph, layer, &x, &whole.positions);
        let attended = self.attend(graph, &qkv, whole.spans.to_vec());
        drop(qkv);
        self.behind(graph, layer, x, attended)
    }

    /// The last layer, from which only the rows that say something go on.
    fn last_layer(
        &self,
        graph: &mut Graph<'_>,
        layer: &Layer,
        x: &Var,
        last: &Saying,
        positions: &Arc<[u32]>,
    ) -> Var {
        let kv = self.keys(graph, layer, x, positions);
        let x = ops::select_rows(graph, x, &last.rows);
        let q = ops::linear(graph, &x, &[layer.q]);
        saw(graph, &q, "the output of", layer.q.weight);
        let q = self.turned(graph, q, 1, &last.positions);
        let width = self.config.hidden_size;
        let (at, what) = (|column| Columns { var: &kv, column }, self.attention(last.spans.clone()));
        let attended = ops::attention(graph, Columns { var: &q, column: 0 }, at(0), at(width), &what);
        drop((q, kv));
        self.behind(graph, layer, x, attended)
    }

    /// Queries, keys and values side by side: [tokens, 3 · hidden_size].
    fn queries_and_keys(&self, graph: &mut Graph<'_>, layer: &Layer, x: &Var, positions: &Arc<[u32]>) -> Var {
        let qkv = ops::linear(graph, x, &[layer.q, layer.k, layer.v]);
        saw(graph, &qkv, "the output of", layer.q.weight);
        self.turned(graph, qkv, 2, positions)
    }

    /// Keys and values side by side: [tokens, 2 · hidden_size].
    fn keys(&self, graph: &mut Graph<'_>, layer: &Layer, x: &Var, positions: &Arc<[u32]>) -> Var {
        let kv = ops::linear(graph, x, &[layer.k, layer.v]);
        saw(graph, &kv, "the output of", layer.k.weight);
        self.turned(graph, kv, 1, positions)
    }

    /// RoFormer turns queries and keys by their positions, which are the first `parts` of what lies side by side; a
    /// model that says so values too, which come after keys.
    fn turned(&self, graph: &mut Graph<'_>, x: Var, parts: usize, positions: &Arc<[u32]>) -> Var {
        let Place::Rotary(turns) = &self.network.place else { return x };
        let width = self.config.hidden_size;
        let all = self.config.rotary_value && x.value.cols() > parts * width;
        let columns = 0..width * (parts + usize::from(all));
        ops::rotary(graph, x, columns, positions, &turns.of(positions))
    }

    /// Attention within whole sequences, queries, keys and values side by side.
    fn attend(&self, graph: &mut Graph<'_>, qkv: &Var, spans: Vec<Span>) -> Var {
        let (width, what) = (self.config.hidden_size, self.attention(spans));
        let at = |column| Columns { var: qkv, column };
        ops::attention(graph, at(0), at(width), at(2 * width), &what)
    }

    /// What comes behind a layer's attention: the output projection and the feed-forward layer, each with its residual
    /// connection and norm.
    fn behind(&self, graph: &mut Graph<'_>, layer: &Layer, x: Var, attended: Var) -> Var {
        saw(graph, &attended, "the attention by", layer.q.weight);
        let branch = ops::linear(graph, &attended, &[layer.o.weight]);
        drop(attended);
        let x = ops::residual_norm(graph, &x, branch, layer.o.bias, layer.attended);
        saw(graph, &x, "the hidden states after", layer.o.weight);
        let inner = ops::dense(graph, &x, layer.inner, self.network.activation);
        saw(graph, &inner, "the output of", layer.inner.weight);
        let branch = ops::linear(graph, &inner, &[layer.out.weight]);
        drop(inner);
        let x = ops::residual_norm(graph, &x, branch, layer.out.bias, layer.norm);
        saw(graph, &x, "the hidden states after", layer.out.weight);
        x
    }

    /// What comes before the softmax: [tokens, hidden_size] → [tokens, embedding_size].
    fn transform(&self, graph: &mut Graph<'_>, x: Var) -> Var {
        let (n, params) = (&self.network, graph.context.params);
        let learns = |id: ParamId| params.learns(id);
        let wanted = x.node().is_some()
            || learns(n.transform.weight)
            || n.transform.bias.is_some_and(learns)
            || norm_params(n.transformed).into_iter().any(learns);
        graph.recording(wanted, |graph| {
            let x = ops::dense(graph, &x, n.transform, n.activation);
            saw(graph, &x, "the output of", n.transform.weight);
            let x = ops::layer_norm(graph, &x, n.transformed);
            saw(graph, &x, "the output of", n.transformed.weight);
            x
        })
    }

    fn attention(&self, spans: Vec<Span>) -> Attention {
        let CachedAttention { num_heads, d_kv, scale, bias, relative, .. } =
            self.cached_attention(Vec::new());
        Attention { num_heads, d_kv, scale, bias, relative, dtype: self.kept(Precision::Stored), spans }
    }

    fn cached_attention<'s>(&self, spans: Vec<CachedSpan<'s>>) -> CachedAttention<'s> {
        let num_heads = self.config.num_attention_heads;
        let d_kv = self.config.hidden_size / num_heads;
        let relative = match &self.network.place {
            Place::Relative(vectors) => Some(vectors.clone()),
            _ => None,
        };
        CachedAttention { num_heads, d_kv, scale: (d_kv as f32).powf(-0.5), bias: None, relative, spans }
    }
}
