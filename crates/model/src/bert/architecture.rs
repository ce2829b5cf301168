//! BERT and its family as the loader sees them.

use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::Checkpoint;
use t5kit_formats::config::{BertConfig, Positions};
use t5kit_tensor::{DType, Params};

use super::layout::layout;
use super::{Bert, positions};
use crate::Error;
use crate::architecture::{Architecture, Part, Portable, Slot, Table, VocabularyNames};
use crate::memory::Widths;

impl Architecture for BertConfig {
    type Model = Bert;

    fn vocabulary(&self) -> VocabularyNames {
        VocabularyNames {
            embedding: match self.positions() {
                Positions::Learnt => "bert.embeddings.word_embeddings.weight",
                Positions::Relative => "nezha.embeddings.word_embeddings.weight",
                Positions::Rotary => "roformer.embeddings.word_embeddings.weight",
            },
            aliases: &[],
            softmax: "cls.predictions.decoder.weight",
            bias: Some("cls.predictions.bias"),
            bias_alias: Some("cls.predictions.decoder.bias"),
        }
    }

    fn read(checkpoint: &Checkpoint, given: Option<&Path>) -> t5kit_formats::Result<Self> {
        BertConfig::of(checkpoint, given)
    }

    /// Google's names are those of a BERT, `BertModel`'s have none before them.
    fn settle_names(&self, checkpoint: &mut Checkpoint) -> t5kit_formats::Result<()> {
        checkpoint.name_body(&self.model_type)
    }

    fn raise_positions(&mut self, positions: usize) -> t5kit_formats::Result<()> {
        BertConfig::raise_positions(self, positions)
    }

    fn most_tokens(&self) -> Option<usize> {
        BertConfig::most_tokens(self)
    }

    /// The head for masked words, which `BertModel` has not.
    fn in_head(&self, slot: &Slot) -> bool {
        slot.part == Part::Softmax
    }

    fn family(&self) -> &'static str {
        match self.positions() {
            Positions::Learnt => "BERT (as UniLM)",
            Positions::Relative => "NEZHA (as UniLM)",
            Positions::Rotary => "RoFormer (as UniLM)",
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let positions = match self.positions() {
            Positions::Learnt => match self.position_rows {
                Some(rows) => format!("{} of {rows} learnt", self.max_position_embeddings),
                None => format!("{} learnt", self.max_position_embeddings),
            },
            Positions::Relative => format!("relative, up to {}", self.max_relative_position),
            Positions::Rotary => "rotary".to_owned(),
        };
        vec![
            ("hidden_size", self.hidden_size.to_string()),
            ("num_attention_heads", self.num_attention_heads.to_string()),
            ("intermediate_size", format!("{} ({})", self.intermediate_size, self.hidden_act)),
            ("num_hidden_layers", self.num_hidden_layers.to_string()),
            ("positions", positions),
            ("vocabulary rows", self.vocab_size.to_string()),
        ]
    }

    fn layout(&self) -> Vec<Slot> {
        layout(self)
    }

    fn rows(&self) -> usize {
        self.vocab_size
    }

    fn with_rows(&self, keep: &[u32]) -> t5kit_formats::Result<Self> {
        BertConfig::with_rows(self, keep)
    }

    fn is_tied(&self) -> bool {
        self.tie_word_embeddings
    }

    fn tie(&mut self, tied: bool) {
        self.tie_word_embeddings = tied;
    }

    fn is_always_tied(&self) -> bool {
        true
    }

    /// The pooler and the head for the next sentence, which take no part in UniLM; positions that are computed. A
    /// RoFormer has no pooler: one that has is a RoFormer-sim.
    fn ignores(&self, tensor: &str) -> bool {
        tensor.contains(".pooler.") && self.positions() != Positions::Rotary
            || ["cls.seq_relationship.", "position_ids", "embed_positions", "positions_encoding"]
                .iter()
                .any(|part| tensor.contains(part))
    }

    fn portable(&self, dtype: DType) -> Portable<Self> {
        let mut config = self.clone();
        config.other.shift_remove("dtype");
        config.other.insert("torch_dtype".to_owned(), Value::from(dtype.torch()));
        let mut tables = Vec::new();
        if config.position_rows.take().is_some() {
            let shape = vec![config.max_position_embeddings, config.hidden_size];
            let name = format!("{}.embeddings.position_embeddings.weight", config.model_type);
            tables.push(Table { name, shape, replaces: true, make: positions::composed });
        }
        if self.positions() == Positions::Rotary {
            let shape = vec![config.max_position_embeddings, config.hidden_size / config.num_attention_heads];
            let name = "roformer.encoder.embed_positions.weight".to_owned();
            tables.push(Table { name, shape, replaces: false, make: positions::sinusoids });
        }
        Portable { config, softmax_factor: 1.0, notes: Vec::new(), tables }
    }

    fn write(&self, path: &Path, force: bool) -> t5kit_formats::Result<()> {
        BertConfig::write(self, path, force)
    }

    fn validate(&self) -> t5kit_formats::Result<()> {
        BertConfig::validate(self)
    }

    fn widths(&self) -> Widths {
        super::widths(self)
    }

    fn lora_targets(&self) -> &'static [&'static str] {
        &["query", "value"]
    }

    // peft has no word for UniLM, and hands what it is given on to a model of no kind.
    fn task_type(&self) -> Option<&'static str> {
        None
    }

    fn other(&self) -> &Map<String, Value> {
        &self.other
    }

    fn build(self, params: Params) -> Result<Bert, Error> {
        Bert::new(self, params)
    }
}
