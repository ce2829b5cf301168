//! To JSON in transformers' names.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::architecture::FIELD;
use super::{Activation, T5Architecture, T5Config};
use crate::error::{Error, Result};
use crate::output::AtomicFile;

/// Fields that are written and never read: as the file has them.
const THEIRS: [&str; 3] = ["architectures", "is_encoder_decoder", "use_cache"];

impl T5Config {
    /// The configuration as transformers writes it, the fields that are not ours at the end.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |field: &str, value: Value| map.insert(field.to_owned(), value);
        let class = match &*self.model_type {
            "umt5" => "UMT5ForConditionalGeneration",
            "mt5" => "MT5ForConditionalGeneration",
            _ => "T5ForConditionalGeneration",
        };
        // No class of transformers has the parameters of another architecture.
        if self.architecture == T5Architecture::EncoderDecoder {
            put("architectures", json!([class]));
        }
        put("model_type", json!(self.model_type));
        put("is_encoder_decoder", json!(!self.architecture.one_stack()));
        put("vocab_size", json!(self.vocab_size));
        put("d_model", json!(self.d_model));
        put("d_kv", json!(self.d_kv));
        put("d_ff", json!(self.d_ff));
        put("num_layers", json!(self.num_layers));
        put("num_decoder_layers", json!(self.num_decoder_layers));
        put("num_heads", json!(self.num_heads));
        put("relative_attention_num_buckets", json!(self.relative_attention_num_buckets));
        put("relative_attention_max_distance", json!(self.relative_attention_max_distance));
        put("dropout_rate", json!(self.dropout_rate));
        put("layer_norm_epsilon", json!(self.layer_norm_epsilon));
        put("initializer_factor", json!(self.initializer_factor));
        put("feed_forward_proj", json!(self.feed_forward_proj));
        // transformers works these two out for itself; CTranslate2 reads them from the file.
        if let Some(kind) = self.feed_forward() {
            let name = match kind.activation {
                Activation::Relu => "relu",
                Activation::Gelu => "gelu",
                Activation::GeluNew => "gelu_new",
                Activation::Silu => "silu",
            };
            put("dense_act_fn", json!(name));
            put("is_gated_act", json!(kind.gated));
        }
        put("tie_word_embeddings", json!(self.tie_word_embeddings));
        // Not transformers 4's; written only where they say something.
        if let Some(scale) = self.scale_decoder_outputs {
            put("scale_decoder_outputs", json!(scale));
        }
        if self.architecture != T5Architecture::EncoderDecoder {
            put(FIELD, json!(self.architecture.name()));
        }
        if self.cross_attention_relative_bias {
            put("cross_attention_relative_bias", json!(true));
        }
        put("pad_token_id", json!(self.pad_token_id));
        put(
            "eos_token_id",
            match &self.more_eos_token_ids[..] {
                [] => json!(self.eos_token_id),
                more => json!([&[self.eos_token_id], more].concat()),
            },
        );
        put("decoder_start_token_id", json!(self.decoder_start_token_id));
        put("use_cache", json!(true));
        // What a file in bert4keras's names says in transformers' as well was not read, and does not come back.
        for (field, value) in &self.other {
            if THEIRS.contains(&field.as_str()) || !map.contains_key(field) {
                map.insert(field.clone(), value.clone());
            }
        }
        map
    }

    /// Writes the configuration to `path`, complete or not at all. Nothing is replaced without `force`.
    ///
    /// # Errors
    /// [`Error::Config`] where a value is not valid, and those of [`AtomicFile`].
    pub fn write(&self, path: &Path, force: bool) -> Result<()> {
        self.validate_for(path)?;
        let mut file = AtomicFile::create(path, force)?;
        serde_json::to_writer_pretty(&mut file, &self.to_json())
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(Error::io(path, "write"))?;
        file.commit()
    }
}
