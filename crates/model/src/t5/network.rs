//! The network: what happens to a packed batch on its way to hidden states.
//!
//! Encoder and decoder are the same stack of blocks; a decoder's blocks also look at the encoder's output, and
//! while generating take their keys and values from a cache.

use std::rc::Rc;

use t5kit_formats::config::T5Config;
use t5kit_tensor::ops::{self, Attention, CachedAttention, CachedRows, CachedSpan, Columns, KeyValues, Span};
use t5kit_tensor::{Graph, Packed, ParamId, Tensor, Var};

use super::cache::CrossCache;
use super::{AttentionLayer, Block, DecoderCache, Stack, T5};

/// Where a block's keys and values come from.
enum Memory<'m> {
    /// Every sequence is there as a whole.
    Whole { own: Rc<[Span]>, cross: Option<(Rc<[Span]>, Var)> },
    /// One new token a sequence; the rest is in the cache.
    Cached { cache: &'m mut DecoderCache },
}

impl T5 {
    /// The encoder's last hidden states: [source tokens, d_model].
    ///
    /// Panics on ids without a row; check batches with [`Packed::check_ids`].
    pub fn encode<'a>(&'a self, graph: &mut Graph<'a>, sources: &Packed) -> Var {
        let memory = Memory::Whole { own: spans(sources, sources), cross: None };
        self.stack(graph, &self.network.encoder, sources.ids(), memory)
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
        let cross = Some((spans(inputs, sources), encoded.clone()));
        let memory = Memory::Whole { own: spans(inputs, inputs), cross };
        let hidden = self.stack(graph, &self.network.decoder, inputs.ids(), memory);
        self.scaled(graph, hidden)
    }

    /// A cache for generating from these sources: one slot each. `tokens`: how many will be fed for each source at
    /// most, all its hypotheses together, which decides what is cheaper.
    pub fn start(
        &self,
        graph: &mut Graph<'_>,
        sources: &Packed,
        encoded: &Var,
        tokens: usize,
    ) -> DecoderCache {
        let blocks = &self.network.decoder.blocks;
        let layers = blocks.iter().filter_map(|block| block.cross.as_ref());
        let cross = if layers.clone().all(|a| self.does_without_keys(graph, a))
            && generates_few(&self.config, tokens)
        {
            CrossCache::Features(encoded.value.clone())
        } else {
            let keys = |a: &AttentionLayer| ops::linear(graph, encoded, &[a.k, a.v]).value;
            CrossCache::Keys(layers.map(keys).map(KeyValues::from_packed).collect())
        };
        DecoderCache::new(blocks.len(), self.inner(), sources.ranges().collect(), cross)
    }

    /// One decoding step: feeds `ids[i]` to slot `i`; hidden states ready for the softmax: [slots, d_model].
    pub fn step<'a>(&'a self, graph: &mut Graph<'a>, ids: &[u32], cache: &mut DecoderCache) -> Tensor {
        assert_eq!(ids.len(), cache.slots(), "an id for every slot");
        cache.advance();
        let hidden = self.stack(graph, &self.network.decoder, ids, Memory::Cached { cache });
        self.scaled(graph, hidden).value
    }

    fn inner(&self) -> usize {
        self.config.inner_dim()
    }

    /// T5 1.0 scales where softmax and embedding share a matrix.
    fn scaled(&self, graph: &mut Graph<'_>, hidden: Var) -> Var {
        if self.config.scales_decoder_outputs() {
            ops::scale(graph, hidden, (self.config.d_model as f32).powf(-0.5))
        } else {
            hidden
        }
    }

    fn stack<'a>(
        &'a self,
        graph: &mut Graph<'a>,
        stack: &'a Stack,
        ids: &[u32],
        mut memory: Memory<'_>,
    ) -> Var {
        let (params, shared) = (graph.context.params, self.network.shared);
        let mut x = graph.recording(params.trains(shared), |graph| {
            let embedded = ops::embedding(graph, shared, ids);
            saw(graph, &embedded, "the rows of", shared);
            ops::dropout(graph, embedded)
        });
        let source = match &memory {
            Memory::Whole { cross: Some((_, encoded)), .. } => encoded.node().is_some(),
            _ => false,
        };
        for (layer, block) in stack.blocks.iter().enumerate() {
            // Where nothing below is trained, nothing is kept and the way back ends.
            let wanted = x.node().is_some() || source || block.params().any(|id| params.learns(id));
            x = graph.recording(wanted, |graph| match &mut memory {
                Memory::Whole { own, cross } => {
                    self.block_of_whole(graph, block, layer, x, own, cross.as_ref())
                }
                cached => self.block(graph, block, layer, x, cached),
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
        layer: usize,
        x: Var,
        own: &Rc<[Span]>,
        cross: Option<&(Rc<[Span]>, Var)>,
    ) -> Var {
        let (own, spans) = (own.clone(), cross.map(|(spans, _)| spans.clone()));
        let inputs = std::iter::once(x).chain(cross.map(|(_, encoded)| encoded.clone())).collect();
        ops::recompute(graph, inputs, move |graph, inputs| {
            let mut inputs = inputs.into_iter();
            let x = inputs.next().expect("the block's input is the first");
            let cross = spans.clone().zip(inputs.next());
            self.block(graph, block, layer, x, &mut Memory::Whole { own: own.clone(), cross })
        })
    }

    fn block(
        &self,
        graph: &mut Graph<'_>,
        block: &Block,
        layer: usize,
        x: Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        let a = &block.attention;
        let normed = self.norm(graph, &x, a.norm);
        let attended = self.attend_own(graph, a, layer, &normed, memory);
        drop(normed);
        saw(graph, &attended, "the attention by", a.q);
        let branch = ops::linear(graph, &attended, &[a.o]);
        let mut x = ops::residual(graph, &x, branch);
        saw(graph, &x, "the hidden states after", a.o);

        if let Some(a) = &block.cross {
            let normed = self.norm(graph, &x, a.norm);
            let attended = self.attend_source(graph, a, layer, &normed, memory);
            saw(graph, &attended, "the attention by", a.q);
            let branch = ops::linear(graph, &attended, &[a.o]);
            x = ops::residual(graph, &x, branch);
            saw(graph, &x, "the hidden states after", a.o);
        }

        let f = &block.feed_forward;
        let normed = self.norm(graph, &x, f.norm);
        let inner = ops::linear(graph, &normed, &f.wi);
        saw(graph, &inner, "the output of", f.wi[0]);
        let active = match f.wi.len() {
            2 => ops::gated(graph, self.network.activation, &inner),
            _ => ops::activate(graph, self.network.activation, &inner),
        };
        drop((normed, inner));
        saw(graph, &active, "the activation before", f.wo);
        let active = ops::dropout(graph, active);
        let branch = ops::linear(graph, &active, &[f.wo]);
        let x = ops::residual(graph, &x, branch);
        saw(graph, &x, "the hidden states after", f.wo);
        x
    }

    fn norm(&self, graph: &mut Graph<'_>, x: &Var, weight: ParamId) -> Var {
        let y = ops::rms_norm(graph, x, weight, self.config.layer_norm_epsilon as f32);
        saw(graph, &y, "the output of", weight);
        y
    }

    /// Self-attention before its output projection.
    fn attend_own(
        &self,
        graph: &mut Graph<'_>,
        a: &AttentionLayer,
        layer: usize,
        x: &Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        let qkv = ops::linear(graph, x, &[a.q, a.k, a.v]);
        saw(graph, &qkv, "the output of", a.q);
        let inner = self.inner();
        match memory {
            Memory::Whole { own, cross } => {
                let what = self.attention(a, cross.is_some(), own.to_vec());
                let at = |column| Columns { var: &qkv, column };
                ops::attention(graph, at(0), at(inner), at(2 * inner), &what)
            }
            Memory::Cached { cache } => {
                cache.store(layer, &qkv.value, inner);
                let what = self.cached_attention(a, cache.own_spans());
                Var::constant(ops::attend_cached(graph, &qkv.value, 0, &cache.own[layer], &what))
            }
        }
    }

    /// Attention to the encoder's output before its output projection.
    fn attend_source(
        &self,
        graph: &mut Graph<'_>,
        a: &AttentionLayer,
        layer: usize,
        x: &Var,
        memory: &mut Memory<'_>,
    ) -> Var {
        let q = ops::linear(graph, x, &[a.q]);
        let heads = self.config.num_heads;
        match memory {
            Memory::Whole { cross, .. } => {
                let (spans, encoded) = cross.as_ref().expect("a decoder is given its sources");
                if graph.trains() && self.does_without_keys(graph, a) && self.targets_are_short(spans) {
                    let q = ops::heads_to_features(graph, &q, a.k, heads);
                    let found = ops::attention_to_features(graph, &q, encoded, heads, spans);
                    return ops::heads_from_features(graph, &found, a.v, heads);
                }
                let kv = ops::linear(graph, encoded, &[a.k, a.v]);
                let what = self.attention(a, false, spans.to_vec());
                let at = |column| Columns { var: &kv, column };
                ops::attention(graph, Columns { var: &q, column: 0 }, at(0), at(self.inner()), &what)
            }
            Memory::Cached { cache } => match &cache.cross {
                CrossCache::Keys(keys) => {
                    let range = |Span { queries, keys, position }| CachedSpan {
                        queries,
                        keys: CachedRows::Range(keys),
                        position,
                    };
                    let spans = cache.cross_spans().into_iter().map(range).collect();
                    let what = self.cached_attention(a, spans);
                    Var::constant(ops::attend_cached(graph, &q.value, 0, &keys[layer], &what))
                }
                CrossCache::Features(x) => {
                    let q = ops::heads_to_features(graph, &q, a.k, heads).value;
                    let found = ops::attend_features(graph, &q, x, heads, &cache.cross_spans());
                    ops::heads_from_features(graph, &Var::constant(found), a.v, heads)
                }
            },
        }
    }

    /// Whether a layer can look at the source's features themselves: its key and value matrices are all there is
    /// between.
    fn does_without_keys(&self, graph: &Graph<'_>, layer: &AttentionLayer) -> bool {
        layer.bias.is_none()
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
            && features_cost_less(c, sources, targets, pairs)
    }

    fn attention(&self, layer: &AttentionLayer, causal: bool, spans: Vec<Span>) -> Attention {
        Attention {
            num_heads: self.config.num_heads,
            d_kv: self.config.d_kv,
            bias: layer.bias,
            causal,
            spans,
        }
    }

    fn cached_attention<'s>(
        &self,
        layer: &AttentionLayer,
        spans: Vec<CachedSpan<'s>>,
    ) -> CachedAttention<'s> {
        CachedAttention { num_heads: self.config.num_heads, d_kv: self.config.d_kv, bias: layer.bias, spans }
    }
}

/// Whether it takes fewer multiplications to look at the source's features than to make keys and values of all
/// `sources` tokens first, when `targets` tokens look at them, `pairs` in all.
fn features_cost_less(c: &T5Config, sources: usize, targets: usize, pairs: usize) -> bool {
    let [sources, targets, pairs, d, heads, inner] =
        [sources, targets, pairs, c.d_model, c.num_heads, c.inner_dim()].map(|n| n as u128);
    pairs * heads * d + targets * d * inner <= sources * d * inner + pairs * inner
}

/// Whether a decoder that is fed at most so many tokens for each source looks at the source's features. It depends on
/// nothing else, so that a source gets the same alone and in company; the weights pass by in any case.
pub(crate) fn generates_few(c: &T5Config, tokens: usize) -> bool {
    features_cost_less(c, 1, 0, tokens)
}

/// Shows a value to a pass that looks for the first one that is not finite.
fn saw(graph: &mut Graph<'_>, x: &Var, what: &str, weight: ParamId) {
    let params = graph.context.params;
    graph.watch(&x.value, || format!("{what} {}", params.name(weight)));
}

/// Sequence `i` of `queries` looks at sequence `i` of `keys`.
fn spans(queries: &Packed, keys: &Packed) -> Rc<[Span]> {
    assert_eq!(queries.len(), keys.len(), "as many queries as keys");
    let span = |(queries, keys)| Span { queries, keys, position: 0 };
    queries.ranges().zip(keys.ranges()).map(span).collect()
}
