//! T5 as what training, scoring and generation work with.

use t5kit_formats::config::T5Config;
use t5kit_tensor::ops::KeyValues;
use t5kit_tensor::{DType, DeviceError, Graph, Packed, ParamId, Params, Precision, Tensor, Var};

use super::T5;
use crate::memory::Widths;
use crate::seq2seq::check_heads;
use crate::{Batch, Cache, Config, Seq2Seq, Softmax, SpecialIds};

impl Seq2Seq for T5 {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn check_device(&self) -> Result<(), DeviceError> {
        check_heads(self.config.d_kv)
    }

    fn softmax(&self) -> Softmax {
        Softmax { weight: self.network.softmax, bias: None }
    }

    fn looked_up(&self) -> Vec<ParamId> {
        let (shared, softmax) = (self.network.shared, self.network.softmax);
        if shared == softmax { Vec::new() } else { vec![shared] }
    }

    fn special_ids(&self) -> SpecialIds {
        let c = &self.config;
        let end = [&[c.eos_token_id], &c.more_eos_token_ids[..]].concat();
        // Of one sequence a target begins after the source's last id, which is its end.
        let start = if c.architecture.one_stack() { c.eos_token_id } else { c.decoder_start_token_id };
        SpecialIds { start, end, pad: c.pad_token_id }
    }

    fn config(&self) -> Config {
        Config::T5(self.config.clone())
    }

    fn grow(&mut self, rows: usize, means: &[(usize, Vec<u32>)]) {
        self.grow_to(rows, means);
    }

    fn widths(&self) -> Widths {
        widths(&self.config)
    }

    fn hidden<'a>(&'a self, graph: &mut Graph<'a>, batch: &Batch) -> Var {
        if self.network.encoder.is_none() {
            return self.say(graph, batch);
        }
        let encoded = self.encode(graph, batch.sources());
        let inputs = batch.inputs(self.config.decoder_start_token_id);
        self.decode(graph, &inputs, batch.sources(), &encoded)
    }

    fn kept(&self, precision: Precision) -> DType {
        match self.network.decoder.blocks.first() {
            Some(block) => KeyValues::dtype_beside(precision, self.params.get(block.attention.k)),
            None => DType::F32,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.config.num_decoder_layers, self.config.inner_dim())
    }

    fn start<'a>(&'a self, graph: &mut Graph<'a>, cache: &mut Cache, sources: &Packed, budgets: &[usize]) {
        assert_eq!(sources.len(), budgets.len(), "a budget for every source");
        cache.keep_in(self.kept(graph.context.precision));
        let seen = match self.network.encoder {
            Some(_) => {
                let encoded = self.encode(graph, sources);
                self.seen(graph, sources, &encoded, budgets)
            }
            None => self.seen_before(graph, sources),
        };
        cache.add(seen.into_iter().zip(budgets.iter().copied()));
    }

    fn step<'a>(&'a self, graph: &mut Graph<'a>, fed: &Packed, cache: &mut Cache) -> Tensor {
        self.feed(graph, fed, cache)
    }
}

/// The widths of a configuration, from which memory is predicted.
pub fn widths(c: &T5Config) -> Widths {
    // One stack counts as the encoder, which sources pass through.
    let (encoder_layers, decoder_layers) = match c.architecture.one_stack() {
        true => (c.num_decoder_layers, 0),
        false => (c.num_layers, c.num_decoder_layers),
    };
    Widths {
        rows: c.vocab_size,
        d_model: c.d_model,
        inner: c.inner_dim(),
        num_heads: c.num_heads,
        d_ff: c.d_ff,
        gated: c.feed_forward().is_some_and(|f| f.gated),
        encoder_layers,
        decoder_layers,
        transform: false,
        beside_keys: false,
    }
}
