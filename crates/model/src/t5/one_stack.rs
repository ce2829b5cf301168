//! T5's decoder as a language model or prefix LM: source and target are one sequence, in one stack.
//!
//! As mesh-tensorflow lays it out (`delimited_lm`, whose `[inputs, </s>, targets, </s>]` is moved right by one) a sequence is
//! the start id, the source with its `</s>`, and the target but for its last id; loss is on the target alone
//! (`loss_on_targets_only`). A prefix LM's first so many positions, up to that which reads the source's `</s>`, see each
//! other both ways (`input_full_attention`).

use t5kit_formats::config::T5Architecture;
use t5kit_tensor::ops::{self, KeyValues, Mask};
use t5kit_tensor::{Graph, Packed, Tensor, Var};

use super::T5;
use super::network::{Memory, Whole};
use crate::Batch;
use crate::Seq2Seq;
use crate::cache::{Seen, keep_before_last};
use crate::packing::Sequences;

impl T5 {
    /// What a token sees, by how many tokens come before its target.
    fn mask(&self) -> fn(usize) -> Mask {
        match self.config.architecture {
            T5Architecture::PrefixLm => Mask::Prefix,
            _ => |_| Mask::Causal,
        }
    }

    /// The hidden states that say a batch's targets, ready for the softmax: [target tokens, d_model].
    pub(super) fn say<'a>(&'a self, graph: &mut Graph<'a>, batch: &Batch) -> Var {
        let sequences = Sequences::of_batch(batch, Some(self.config.decoder_start_token_id));
        let memory = Memory::Whole(Whole {
            own: sequences.spans(self.mask()),
            cross: None,
            saying: Some(sequences.saying(self.mask()).into()),
        });
        let hidden = self.stack(graph, &self.network.decoder, &sequences.ids, memory);
        self.scaled(graph, hidden)
    }

    /// Runs sources through the blocks and keeps of each block the keys and values of all their tokens but the last,
    /// which the stack is fed first.
    pub(super) fn seen_before(&self, graph: &mut Graph<'_>, sources: &Packed) -> Vec<Seen> {
        let sequences = Sequences::of_sources(sources, Some(self.config.decoder_start_token_id));
        let (blocks, inner) = (&self.network.decoder.blocks, self.inner());
        let mut seen: Vec<Vec<KeyValues>> =
            sources.ranges().map(|_| Vec::with_capacity(blocks.len())).collect();
        let (context, dtype) = (graph.context, self.kept(graph.context.precision));
        let mut keep = |kv: &Tensor| {
            let rows = sequences.places.iter().map(|(rows, _)| rows.clone());
            keep_before_last(context, &mut seen, kv, rows, inner, dtype);
        };
        let own = sequences.spans(self.mask());
        let mut x = self.embed(graph, &sequences.ids);
        for (layer, block) in blocks.iter().enumerate() {
            // Nobody asks for what the last block makes of the source.
            if layer + 1 == blocks.len() {
                let a = &block.attention;
                let normed = self.norm(graph, &x, a.norm);
                keep(&ops::linear(graph, &normed, &[a.k, a.v]).value);
                break;
            }
            let mut memory = Memory::Before { own: own.clone(), keep: &mut keep };
            x = self.block(graph, block, layer, x, &mut memory);
        }
        seen.into_iter().map(Seen::Keys).collect()
    }
}
