//! T5 and its family as the loader sees them.

use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::Checkpoint;
use t5kit_formats::config::{T5Architecture, T5Config};
use t5kit_tensor::{DType, Params};

use super::layout::layout;
use crate::architecture::{Architecture, Part, Portable, Slot, VocabularyNames};
use crate::memory::Widths;
use crate::{Error, T5};

/// In checkpoints of T5 1.0, and of no use: its network never read it (transformers leaves it out too).
const UNUSED: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

impl Architecture for T5Config {
    type Model = T5;

    fn vocabulary(&self) -> VocabularyNames {
        VocabularyNames {
            embedding: "shared.weight",
            aliases: &["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"],
            softmax: "lm_head.weight",
            bias: None,
            bias_alias: None,
        }
    }

    fn read(checkpoint: &Checkpoint, given: Option<&Path>) -> t5kit_formats::Result<Self> {
        let config = T5Config::of(checkpoint, given)?;
        let architecture = config.architecture;
        let own = || checkpoint.names().find(|name| name.starts_with("encoder.block."));
        match own().filter(|_| architecture != T5Architecture::EncoderDecoder) {
            None => Ok(config),
            Some(tensor) => Err(t5kit_formats::Error::Config {
                path: checkpoint.path().to_owned(),
                field: "t5kit_architecture".to_owned(),
                what: format!(
                    "the configuration says {}, which has no encoder of its own, and the weights have one ({tensor}); \
                     leave the field out, or give the weights' own `config`",
                    architecture.name()
                ),
            }),
        }
    }

    /// T5's positions are relative, of any number.
    fn raise_positions(&mut self, _: usize) -> t5kit_formats::Result<()> {
        Err(t5kit_formats::Error::Config {
            path: "(configuration)".into(),
            field: "model_type".to_owned(),
            what: format!(
                "{} has no table of positions that `max_positions` could raise; leave it out",
                self.model_type
            ),
        })
    }

    fn family(&self) -> &'static str {
        let gated = self.feed_forward().is_some_and(|f| f.gated);
        let tokenizer = self.other.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
        match self.model_type.as_str() {
            _ if self.cross_attention_relative_bias => "T5 of bert4keras (bias in cross-attention)",
            "umt5" => "umT5",
            // bytes, three special ids and sentinels
            _ if tokenizer == "ByT5Tokenizer" || self.vocab_size == 384 && gated => "ByT5",
            "mt5" => "mT5",
            _ if gated => "T5 1.1",
            _ => "T5 1.0",
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let tied = if self.tie_word_embeddings { "softmax shares the embedding" } else { "separate softmax" };
        let scaled = if self.scales_decoder_outputs() { ", scaled by d_model^-0.5" } else { "" };
        let decoders = self.num_decoder_layers;
        let layers = match self.architecture {
            T5Architecture::EncoderDecoder => format!("{} encoder, {decoders} decoder", self.num_layers),
            T5Architecture::Shared => format!("{decoders} that encoder and decoder share"),
            T5Architecture::LanguageModel | T5Architecture::PrefixLm => {
                format!("{decoders} decoder, no encoder")
            }
        };
        let mut facts = vec![
            ("architecture", self.architecture.name().to_owned()),
            ("d_model", self.d_model.to_string()),
            ("d_kv × num_heads", format!("{} × {}", self.d_kv, self.num_heads)),
            ("d_ff", format!("{} ({})", self.d_ff, self.feed_forward_proj)),
            ("layers", layers),
            ("vocabulary rows", format!("{} ({tied}{scaled})", self.vocab_size)),
        ];
        if self.cross_attention_relative_bias {
            facts.push(("cross-attention", "with the decoder's relative bias".to_owned()));
        }
        facts
    }

    fn layout(&self) -> Vec<Slot> {
        layout(self)
    }

    fn rows(&self) -> usize {
        self.vocab_size
    }

    fn with_rows(&self, keep: &[u32]) -> t5kit_formats::Result<Self> {
        T5Config::with_rows(self, keep)
    }

    fn is_tied(&self) -> bool {
        self.tie_word_embeddings
    }

    fn tie(&mut self, tied: bool) {
        self.tie_word_embeddings = tied;
    }

    /// T5 1.0, whose matrix is always shared.
    fn is_always_tied(&self) -> bool {
        self.model_type == "t5" && self.feed_forward().is_some_and(|f| !f.gated)
    }

    fn ignores(&self, tensor: &str) -> bool {
        tensor == UNUSED && !self.cross_attention_relative_bias
    }

    /// What transformers and CTranslate2 read. A softmax whose hidden states are scaled although its matrix is separate
    /// (see `scale_decoder_outputs`) gets the scale into its matrix, which every program reads alike.
    fn portable(&self, dtype: DType) -> Portable<Self> {
        let (mut config, mut softmax_factor, mut notes) = (self.clone(), 1.0, Vec::new());
        match (self.tie_word_embeddings, self.scales_decoder_outputs()) {
            (false, true) => {
                softmax_factor = (self.d_model as f32).powf(-0.5);
                config.scale_decoder_outputs = None;
            }
            (true, false) => notes.push(
                "transformers 4 and CTranslate2 will scale the hidden states before the shared softmax, which this \
                 model does not want"
                    .to_owned(),
            ),
            _ => config.scale_decoder_outputs = None,
        }
        if self.cross_attention_relative_bias {
            let what = "transformers and CTranslate2 know no relative bias in cross-attention; only t5kit runs this model";
            notes.push(what.to_owned());
        }
        if self.architecture != T5Architecture::EncoderDecoder {
            let name = self.architecture.name();
            notes.push(format!(
                "transformers and CTranslate2 know no {name} architecture of T5; only t5kit runs this model"
            ));
        }
        // transformers 5's name for it, which would win.
        config.other.shift_remove("dtype");
        config.other.insert("torch_dtype".to_owned(), Value::from(dtype.torch()));
        Portable { config, softmax_factor, notes, tables: Vec::new() }
    }

    fn write(&self, path: &Path, force: bool) -> t5kit_formats::Result<()> {
        T5Config::write(self, path, force)
    }

    fn widths(&self) -> Widths {
        super::widths(self)
    }

    fn lora_targets(&self) -> &'static [&'static str] {
        &["q", "v"]
    }

    fn source_part(&self) -> Part {
        match self.architecture {
            T5Architecture::EncoderDecoder => Part::Encoder,
            _ => Part::Decoder,
        }
    }

    // peft runs no model of one stack of T5.
    fn task_type(&self) -> Option<&'static str> {
        (!self.architecture.one_stack()).then_some("SEQ_2_SEQ_LM")
    }

    fn other(&self) -> &Map<String, Value> {
        &self.other
    }

    fn validate(&self) -> t5kit_formats::Result<()> {
        T5Config::validate(self)
    }

    fn build(self, params: Params) -> Result<T5, Error> {
        T5::new(self, params)
    }
}
