//! BERT as what training, scoring and generation work with.

use t5kit_formats::config::{BertConfig, Positions};
use t5kit_tensor::ops::KeyValues;
use t5kit_tensor::{DType, DeviceError, Graph, Packed, ParamId, Params, Precision, Tensor, Var};

use super::Bert;
use crate::memory::Widths;
use crate::seq2seq::check_heads;
use crate::{Batch, Cache, Config, Seq2Seq, Softmax, SpecialIds};

impl Seq2Seq for Bert {
    fn config(&self) -> Config {
        Config::Bert(self.config.clone())
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn check_device(&self) -> Result<(), DeviceError> {
        check_heads(self.config.hidden_size / self.config.num_attention_heads)
    }

    fn softmax(&self) -> Softmax {
        let softmax = self.network.softmax;
        Softmax { weight: softmax.weight, bias: softmax.bias }
    }

    fn looked_up(&self) -> Vec<ParamId> {
        let n = &self.network;
        if n.words == n.softmax.weight { Vec::new() } else { vec![n.words] }
    }

    fn special_ids(&self) -> SpecialIds {
        let c = &self.config;
        SpecialIds { start: c.sep_token_id, end: vec![c.sep_token_id], pad: c.pad_token_id }
    }

    fn widths(&self) -> Widths {
        widths(&self.config)
    }

    fn hidden<'a>(&'a self, graph: &mut Graph<'a>, batch: &Batch) -> Var {
        self.say(graph, batch)
    }

    fn kept(&self, precision: Precision) -> DType {
        match self.network.layers.first() {
            Some(layer) => KeyValues::dtype_beside(precision, self.params.get(layer.k.weight)),
            None => DType::F32,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.config.num_hidden_layers, self.config.hidden_size)
    }

    fn start<'a>(&'a self, graph: &mut Graph<'a>, cache: &mut Cache, sources: &Packed, budgets: &[usize]) {
        assert_eq!(sources.len(), budgets.len(), "a budget for every source");
        cache.keep_in(self.kept(graph.context.precision));
        let seen = self.seen(graph, sources);
        cache.add(seen.into_iter().zip(budgets.iter().copied()));
    }

    fn step<'a>(&'a self, graph: &mut Graph<'a>, fed: &Packed, cache: &mut Cache) -> Tensor {
        self.feed(graph, fed, cache)
    }

    fn grow(&mut self, rows: usize, means: &[(usize, Vec<u32>)]) {
        self.grow_to(rows, means);
    }
}

/// The widths of a configuration, from which memory is predicted.
pub fn widths(c: &BertConfig) -> Widths {
    Widths {
        rows: c.vocab_size,
        d_model: c.hidden_size,
        inner: c.hidden_size,
        num_heads: c.num_attention_heads,
        d_ff: c.intermediate_size,
        gated: false,
        encoder_layers: c.num_hidden_layers,
        decoder_layers: 0,
        transform: true,
        beside_keys: matches!(c.positions(), Positions::Relative),
    }
}
