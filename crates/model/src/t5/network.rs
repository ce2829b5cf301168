//! The network: what happens to a packed batch on its way to hidden states.
//!
//! Encoder and decoder are the same stack of blocks; a decoder's blocks also look at the encoder's output, and
//! while generating take their keys and values from a cache. What is special where one stack is all there is, is in
//! `one_stack.rs`.

use std::rc::Rc;

use t5kit_tensor::ops::{
    self, Attention, CachedAttention, CachedSpan, Columns, FeedForward, KeyValues, Mask, Span,
};
use t5kit_tensor::{Graph, Packed, ParamId, Precision, Tensor, Var};

use super::{AttentionLayer, Block, Stack, T5};
use crate::cache::Seen;
use crate::packing::Saying;
use crate::seq2seq::saw;
use crate::{Cache, Seq2Seq};

/// Where a block's keys and values come from.
pub(super) enum Memory<'m> {
    /// Every sequence is there as a whole.
    Whole(Whole),
    /// Sources before their targets, as wholes; what each block makes of their keys and values is kept.
    Before { own: Rc<[Span]>, keep: &'m mut dyn FnMut(&Tensor) },
    /// New tokens of sequences; the rest is in the cache.
    Cached { cache: &'m mut Cache },
}

/// Whole sequences.
pub(super) struct Whole {
    /// What a token sees of its own sequence.
    pub own: Rc<[Span]>,
    /// What a decoder sees of the sources, and the encoder's output.
    pub cross: Option<(Rc<[Span]>, Var)>,
    /// The rows that go on from the last block, if not all do.
    pub saying: Option<Rc<Saying>>,
}

impl T5 {
    /// The encoder's last hidden states: [source tokens, d_model].
    ///
    /// Panics on ids without a row, which [`Packed::check_ids`] finds, and where there is no encoder.
    pub fn encode<'a>(&'a self, graph: &mut Graph<'a>, sources: &Packed) -> Var {
        let own = spans(sources, sources, Mask::Full);
        let memory = Memory::Whole(Whole { own, cross: None, saying: None });
        let encoder = self.network.encoder.as_ref().expect("a model with an encoder");
        self.stack(graph, encoder, sources.ids(), memory)
    }

    /// The decoder's last hidden states, ready for the softmax: [target tokens, d_model]. `inputs` are the targets
    /// shifted right ([`Packed::shifted_right`]), one for each source.
    pub fn decode<'a>(
        &'a self,
        graph: &mut Graph<'a>,
        inputs: &Packed,
        sources: &Packed,
        encoded: &Var,
    ) -> Var {
        let cross = Some((spans(inputs, sources, Mask::Full), encoded.clone()));
        let own = spans(inputs, inputs, Mask::Causal);
        let memory = Memory::Whole(Whole { own, cross, saying: None });
        let hidden = self.stack(graph, &self.network.decoder, inputs.ids(), memory);
        self.scaled(graph, hidden)
    }

    /// What the decoder sees of each source while generating: its features where it is fed few tokens, at most
    /// `budgets[i]`, else keys and values of every layer.
    pub(super) fn seen(
        &self,
        graph: &mut Graph<'_>,
        sources: &Packed,
        encoded: &Var,
        budgets: &[usize],
    ) -> Vec<Seen> {
        let layers: Vec<_> = self.network.decoder.blocks.iter().filter_map(|b| b.cross.as_ref()).collect();
        let able = layers.iter().all(|a| self.does_without_keys(graph, a));
        let few = |budget: usize| able && self.widths().generates_few(budget);
        let rows = |i: usize| sources.range(i).collect::<Vec<_>>();
        let mut seen: Vec<Seen> = Vec::with_capacity(sources.len());
        let context = graph.context;
        let features = |x| match layers.first() {
            Some(a) => ops::Features::beside(context, x, self.params.get(a.k)),
            None => ops::Features::new(x),
        };
        for (i, &budget) in budgets.iter().enumerate() {
            seen.push(match few(budget) {
                true if sources.len() == 1 => Seen::Features(features(encoded.value.clone())),
                true => Seen::Features(features(ops::gather_rows(&encoded.value, &rows(i)))),
                false => Seen::Keys(Vec::with_capacity(layers.len())),
            });
        }
        // Keys and values of all that want them at once, a layer after the other.
        let wanting: Vec<usize> = (0..seen.len()).filter(|&i| matches!(seen[i], Seen::Keys(_))).collect();
        if wanting.is_empty() {
            return seen;
        }
        let all = wanting.len() == sources.len();
        let of_them: Vec<usize> = wanting.iter().flat_map(|&i| sources.range(i)).collect();
        let encoded =
            if all { encoded.clone() } else { Var::constant(ops::gather_rows(&encoded.value, &of_them)) };
        for a in layers {
            let keys = ops::linear(graph, &encoded, &[a.k, a.v]).value;
            let ranges = wanting.iter().scan(0, |first, &i| {
                let rows = *first..*first + sources.range(i).len();
                *first = rows.end;
                Some(rows)
            });
            let kept = self.kept(graph.context.precision);
            let own = match a.bias {
                Some(_) => KeyValues::taken(graph.context, &keys, ranges, 0, self.inner(), kept),
                None => KeyValues::of_sources(
                    graph.context,
                    &keys,
                    ranges,
                    self.config.num_heads,
                    self.inner(),
                    kept,
                ),
            };
            for (&i, own) in wanting.iter().zip(own) {
                if let Seen::Keys(layers) = &mut seen[i] {
                    layers.push(own);
                }
            }
        }
        seen
    }

    /// One decoding step: feeds sequence `i` to slot `i`; hidden states ready for the softmax: [tokens fed, d_model].
    pub(super) fn feed<'a>(&'a self, graph: &mut Graph<'a>, fed: &Packed, cache: &mut Cache) -> Tensor {
        cache.advance(fed);
        let hidden = self.stack(graph, &self.network.decoder, fed.ids(), Memory::Cached { cache });
        self.scaled(graph, hidden).value
    }

    pub(super) fn inner(&self) -> usize {
        self.config.inner_dim()
    }

    /// T5 1.0 scales where softmax and embedding share a matrix.
    pub(super) fn scaled(&self, graph: &mut Graph<'_>, hidden: Var) -> Var {
        if self.config.scales_decoder_outputs() {
            ops::scale(graph, hidden, (self.config.d_model as f32).powf(-0.5))
        } else {
            hidden
        }
    }

    /// The rows of the embedding: [ids, d_model].
    pub(super) fn embed(&self, graph: &mut Graph<'_>, ids: &[u32]) -> Var {
        let shared = self.network.shared;
        let wanted = graph.context.params.trains(shared);
        graph.recording(wanted, |graph| {
            let embedded = ops::embedding(graph, shared, ids);
            saw(graph, &embedded, "the rows of", shared);
            ops::dropout(graph, embedded)
        })
    }

    /// Ids through a stack and its last norm: [ids, d_model], or the rows that say something.
    pub(super) fn stack<'a>(
        &'a self,
        graph: &mut Graph<'a>,
        stack: &'a Stack,
        ids: &[u32],
        mut memory: Memory<'_>,
    ) -> Var {
        let params = graph.context.params;
        let mut x = self.embed(graph, ids);
        let source = match &memory {
            Memory::Whole(Whole { cross: Some((_, encoded)), .. }) => encoded.node().is_some(),
            _ => false,
        };
        for (layer, block) in stack.blocks.iter().enumerate() {
            // Where nothing below is trained, nothing is kept and the way back ends.
            let wanted = x.node().is_some() || source || block.params().any(|id| params.learns(id));
            x = graph.recording(wanted, |graph| match &mut memory {
                Memory::Whole(whole) => {
                    let is_last = layer + 1 == stack.blocks.len();
                    self.block_of_whole(graph, block, x, whole, is_last)
                }
                memory => self.block(graph, block, layer, x, memory),
            });
        }
        let wanted = x.node().is_some() || params.trains(stack.final_norm);
        graph.recording(wanted, |graph| {
            let x = self.norm(graph, &x, stack.final_norm);
            ops::dropout(graph, x)
        })
    }

    /// A block that a training pass may compute again on its way back instead of keeping what is within.
    fn block_of_whole<'a>(
        &'a self,
        graph: &mut Graph<'a>,
        block: &'a Block,
        x: Var,
        whole: &Whole,
        is_last: bool,
    ) -> Var {
        let (own, saying) = (whole.own.clone(), whole.saying.clone().filter(|_| is_last));
        let (spans, encoded) = whole.cross.clone().unzip();
        ops::recompute(graph, std::iter::once(x).chain(encoded).collect(), move |graph, inputs| {
            let mut inputs = inputs.into_iter();
            let x = inputs.next().expect("the block's input is the first");
            let cross = spans.clone().zip(inputs.next());
            let whole = Whole { own: own.clone(), cross, saying: saying.clone() };
            self.block(graph, block, 0, x, &mut Memory::Whole(whole))
        })
    }

    /// `layer`: its number, by which a cache knows it, and nothing else.
    pub(super) fn block(
        &self,
        graph: &mut Graph<'_>,
        block: &Block,
        layer: usize,
        x: Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        let a = &block.attention;
        let attended = self.attend_own(graph, a, layer, &x, memory);
        let x = match memory {
            Memory::Whole(Whole { saying: Some(saying), .. }) => ops::select_rows(graph, &x, &saying.rows),
            _ => x,
        };
        saw(graph, &attended, "the attention by", a.q);
        let branch = ops::linear(graph, &attended, &[a.o]);
        let mut x = ops::residual(graph, &x, branch);
        saw(graph, &x, "the hidden states after", a.o);

        if let Some(a) = &block.cross {
            let attended = self.attend_source(graph, a, layer, &x, memory);
            saw(graph, &attended, "the attention by", a.q);
            let branch = ops::linear(graph, &attended, &[a.o]);
            x = ops::residual(graph, &x, branch);
            saw(graph, &x, "the hidden states after", a.o);
        }

        let branch = self.feed_forward(graph, block, &x);
        let x = ops::residual(graph, &x, branch);
        saw(graph, &x, "the hidden states after", block.feed_forward.wo);
        x
    }

    /// A block's last part, before it is added to what goes through.
    fn feed_forward(&self, graph: &mut Graph<'_>, block: &Block, x: &Var) -> Var {
        let f = &block.feed_forward;
        let eps = self.config.layer_norm_epsilon as f32;
        let activation = self.network.activation;
        let parts = FeedForward { norm: f.norm, eps, wi: &f.wi, activation, wo: f.wo };
        if let Some(branch) = ops::feed_forward_in_int8(graph, &x.value, parts) {
            return Var::constant(branch);
        }
        let quick = ops::normed_linear_in_int8(graph, &x.value, f.norm, eps, &f.wi).map(Var::constant);
        let active = match (quick, &f.wi[..]) {
            (None, &[wi]) => {
                let normed = self.norm(graph, x, f.norm);
                ops::dense(graph, &normed, wi.into(), activation)
            }
            (quick, wi) => {
                let inner = quick.unwrap_or_else(|| {
                    let normed = self.norm(graph, x, f.norm);
                    ops::linear(graph, &normed, wi)
                });
                saw(graph, &inner, "the output of", wi[0]);
                match wi.len() {
                    2 => ops::gated(graph, activation, &inner),
                    _ => ops::activate(graph, activation, &inner),
                }
            }
        };
        saw(graph, &active, "the activation before", f.wo);
        let active = ops::dropout(graph, active);
        ops::linear(graph, &active, &[f.wo])
    }

    pub(super) fn norm(&self, graph: &mut Graph<'_>, x: &Var, weight: ParamId) -> Var {
        let y = ops::rms_norm(graph, x, weight, self.config.layer_norm_epsilon as f32);
        saw(graph, &y, "the output of", weight);
        y
    }

    /// The products of layers behind a norm.
    fn behind_norm(&self, graph: &mut Graph<'_>, x: &Var, norm: ParamId, layers: &[ParamId]) -> Var {
        let eps = self.config.layer_norm_epsilon as f32;
        if let Some(y) = ops::normed_linear_in_int8(graph, &x.value, norm, eps, layers) {
            return Var::constant(y);
        }
        let normed = self.norm(graph, x, norm);
        ops::linear(graph, &normed, layers)
    }

    /// Self-attention to what comes in, before its output projection.
    fn attend_own(
        &self,
        graph: &mut Graph<'_>,
        a: &AttentionLayer,
        layer: usize,
        x: &Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        if let Memory::Whole(Whole { saying: Some(saying), .. }) = memory {
            let normed = self.norm(graph, x, a.norm);
            return self.attend_saying(graph, a, &normed, saying);
        }
        let qkv = self.behind_norm(graph, x, a.norm, &[a.q, a.k, a.v]);
        saw(graph, &qkv, "the output of", a.q);
        let inner = self.inner();
        match memory {
            Memory::Whole(Whole { own, .. }) | Memory::Before { own, .. } => {
                let what = self.attention(a, own.to_vec());
                let at = |column| Columns { var: &qkv, column };
                let attended = ops::attention(graph, at(0), at(inner), at(2 * inner), &what);
                if let Memory::Before { keep, .. } = memory {
                    keep(&qkv.value);
                }
                attended
            }
            Memory::Cached { cache } => {
                cache.store(layer, &qkv.value, inner);
                let spans = match self.network.encoder {
                    Some(_) => cache.own_spans(layer),
                    None => cache.joint_spans(layer),
                };
                let what = self.cached_attention(a, spans);
                Var::constant(ops::attend_cached(graph, &qkv.value, 0, &what))
            }
        }
    }

    /// The same of the rows that say something alone.
    fn attend_saying(&self, graph: &mut Graph<'_>, a: &AttentionLayer, x: &Var, saying: &Saying) -> Var {
        let kv = ops::linear(graph, x, &[a.k, a.v]);
        saw(graph, &kv, "the output of", a.k);
        let x = ops::select_rows(graph, x, &saying.rows);
        let q = ops::linear(graph, &x, &[a.q]);
        saw(graph, &q, "the output of", a.q);
        let what = self.attention(a, saying.spans.clone());
        let at = |column| Columns { var: &kv, column };
        ops::attention(graph, Columns { var: &q, column: 0 }, at(0), at(self.inner()), &what)
    }

    /// Attention of what comes in to the encoder's output, before its output projection.
    fn attend_source(
        &self,
        graph: &mut Graph<'_>,
        a: &AttentionLayer,
        layer: usize,
        x: &Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        let q = self.behind_norm(graph, x, a.norm, &[a.q]);
        let heads = self.config.num_heads;
        match memory {
            Memory::Whole(Whole { cross, .. }) => {
                let (spans, encoded) = cross.as_ref().expect("a decoder is given its sources");
                if graph.trains() && self.does_without_keys(graph, a) && self.targets_are_short(spans) {
                    let q = ops::heads_to_features(graph, &q, a.k, heads);
                    let found = ops::attention_to_features(graph, &q, encoded, heads, spans);
                    return ops::heads_from_features(graph, &found, a.v, heads);
                }
                let kv = ops::linear(graph, encoded, &[a.k, a.v]);
                let what = self.attention(a, spans.to_vec());
                let at = |column| Columns { var: &kv, column };
                ops::attention(graph, Columns { var: &q, column: 0 }, at(0), at(self.inner()), &what)
            }
            Memory::Before { .. } => unreachable!("a stack that looks at sources has none of its own"),
            Memory::Cached { cache } => Var::constant(self.attend_cached_source(graph, a, layer, &q, cache)),
        }
    }

    /// The same for the new tokens of slots. Where some sources are kept as features and others as keys and values, the
    /// queries part ways and come back.
    fn attend_cached_source(
        &self,
        graph: &mut Graph<'_>,
        a: &AttentionLayer,
        layer: usize,
        q: &Var,
        cache: &Cache,
    ) -> Tensor {
        let heads = self.config.num_heads;
        let spans = cache.source_spans(layer, a.bias.is_some());
        let (by_features, by_keys) = (spans.features.0, spans.keys.0);
        let mixed = !by_features.is_empty() && !by_keys.is_empty();
        let of = |rows: &[usize]| match mixed {
            true => Var::constant(ops::gather_rows(&q.value, rows)),
            false => q.clone(),
        };
        let found = (!by_features.is_empty()).then(|| {
            let q = ops::heads_to_features(graph, &of(&by_features), a.k, heads).value;
            let found = ops::attend_features(graph, &q, heads, &spans.of_features);
            ops::heads_from_features(graph, &Var::constant(found), a.v, heads).value
        });
        let Some(found) = found else {
            let what = self.cached_attention(a, spans.of_keys);
            return ops::attend_cached(graph, &q.value, 0, &what);
        };
        if !mixed {
            return found;
        }
        let what = self.cached_attention(a, spans.of_keys);
        let attended = ops::attend_cached(graph, &of(&by_keys).value, 0, &what);
        let mut all = Tensor::unspecified(q.value.rows(), q.value.cols());
        ops::scatter_rows(&mut all, &by_features, &found);
        ops::scatter_rows(&mut all, &by_keys, &attended);
        all
    }

    /// Whether a layer can look at the source's features themselves: its key and value matrices are all there is
    /// between.
    fn does_without_keys(&self, graph: &Graph<'_>, layer: &AttentionLayer) -> bool {
        graph.looks_at_features()
            && layer.bias.is_none()
            && [layer.k, layer.v].iter().all(|&id| graph.context.params.adapter(id).is_none())
    }

    /// Whether looking at the source's features costs a training pass less than keys and values, and keeps no more than
    /// twice the memory for the way back.
    fn targets_are_short(&self, spans: &[Span]) -> bool {
        let c = &self.config;
        let sum = |f: fn(&Span) -> usize| spans.iter().map(f).sum::<usize>();
        let (sources, targets) = (sum(|s| s.keys.len()), sum(|s| s.queries.len()));
        let pairs = sum(|s| s.keys.len() * s.queries.len());
        targets * c.num_heads * c.d_model <= 2 * sources * c.inner_dim()
            && self.widths().features_cost_less(sources, targets, pairs)
    }

    fn attention(&self, layer: &AttentionLayer, spans: Vec<Span>) -> Attention {
        Attention {
            num_heads: self.config.num_heads,
            d_kv: self.config.d_kv,
            scale: 1.0,
            bias: layer.bias,
            relative: None,
            dtype: self.kept(Precision::Stored),
            spans,
        }
    }

    fn cached_attention<'s>(
        &self,
        layer: &AttentionLayer,
        spans: Vec<CachedSpan<'s>>,
    ) -> CachedAttention<'s> {
        CachedAttention {
            num_heads: self.config.num_heads,
            d_kv: self.config.d_kv,
            scale: 1.0,
            bias: layer.bias,
            relative: None,
            spans,
        }
    }
}

/// Sequence `i` of `queries` looks at sequence `i` of `keys`.
fn spans(queries: &Packed, keys: &Packed, mask: Mask) -> Rc<[Span]> {
    assert_eq!(queries.len(), keys.len(), "as many queries as keys");
    let span = |(queries, keys)| Span { queries, keys, position: 0, mask };
    queries.ranges().zip(keys.ranges()).map(span).collect()
}
