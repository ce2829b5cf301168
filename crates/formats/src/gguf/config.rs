//! The configuration of a T5 in a GGUF file's metadata, in transformers' names.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::GgufFile;
use super::header::Info;
use super::metadata::Metadata;
use crate::config::{T5Config, family_of};
use crate::error::Result;

impl GgufFile {
    /// The configuration that the file's metadata and tensors say. What they do not say is transformers' default: the
    /// largest distance of relative positions (128), dropout, and of a feed-forward layer only whether it is gated, which
    /// is `gated-gelu`, or not, which is `relu`, as llama.cpp computes.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the key that is missing or wrong.
    pub fn config(&self) -> Result<T5Config> {
        let tensors = self.variables();
        let map = transformers(&tensors.path, &tensors.metadata, &tensors.tensors)?;
        T5Config::from_json(&tensors.path, map)
    }
}

/// What the family is called, by the tensors: see [`family_of`].
pub(super) fn model_type(tensors: &BTreeMap<String, Info>, rows: usize) -> &'static str {
    let has = |name: &str| tensors.contains_key(name);
    // umT5 alone has a bias in every layer.
    if has("enc.blk.1.attn_rel_b.weight") || has("dec.blk.1.attn_rel_b.weight") {
        return "umt5";
    }
    family_of(rows, is_gated(tensors), is_tied(tensors))
}

fn is_gated(tensors: &BTreeMap<String, Info>) -> bool {
    tensors.contains_key("enc.blk.0.ffn_gate.weight")
}

/// Whether the softmax is the embedding: where there is none of its own. A T5 1.0 whose softmax is written out is settled
/// where the two are compared.
fn is_tied(tensors: &BTreeMap<String, Info>) -> bool {
    !tensors.contains_key("output.weight") || !is_gated(tensors)
}

/// The configuration as a `config.json` would say it.
pub(super) fn transformers(
    path: &Path,
    metadata: &Metadata,
    tensors: &BTreeMap<String, Info>,
) -> Result<Map<String, Value>> {
    let need = |key: &str| {
        let missing = || metadata.error(key, "missing from the file's metadata; give `config` FILE");
        metadata.whole(key)?.ok_or_else(missing)
    };
    let rows = match tensors.get("token_embd.weight").map(|t| &*t.shape) {
        Some(&[rows, _]) => rows,
        Some(shape) => {
            let what = format!("{shape:?} is not the shape of an embedding matrix");
            return Err(crate::Error::tensor(path, "token_embd.weight", what));
        }
        None => return Err(crate::Error::tensor(path, "token_embd.weight", "is missing")),
    };
    let (d_model, heads) = (need("t5.embedding_length")?, need("t5.attention.head_count")?);
    let width = || d_model.checked_div(heads).filter(|width| width * heads == d_model);
    let d_kv = match metadata.whole("t5.attention.key_length")? {
        Some(d_kv) => d_kv,
        None => match width() {
            Some(d_kv) => d_kv,
            None => need("t5.attention.key_length")?,
        },
    };
    let layers = need("t5.block_count")?;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| _ = map.insert(key.to_owned(), value);
    put("model_type", model_type(tensors, rows).into());
    put("vocab_size", rows.into());
    put("d_model", d_model.into());
    put("d_kv", d_kv.into());
    put("d_ff", need("t5.feed_forward_length")?.into());
    put("num_layers", layers.into());
    put("num_decoder_layers", metadata.whole("t5.decoder_block_count")?.unwrap_or(layers).into());
    put("num_heads", heads.into());
    put("feed_forward_proj", if is_gated(tensors) { "gated-gelu" } else { "relu" }.into());
    put("tie_word_embeddings", is_tied(tensors).into());
    if let Some(buckets) = metadata.whole("t5.attention.relative_buckets_count")? {
        put("relative_attention_num_buckets", buckets.into());
    }
    let epsilon = match metadata.float("t5.attention.layer_norm_rms_epsilon")? {
        None => metadata.float("t5.attention.layer_norm_epsilon")?,
        said => said,
    };
    if let Some(epsilon) = epsilon {
        put("layer_norm_epsilon", epsilon.into());
    }
    for (key, field) in [
        ("tokenizer.ggml.padding_token_id", "pad_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
        ("t5.decoder_start_token_id", "decoder_start_token_id"),
    ] {
        if let Some(id) = metadata.whole(key)? {
            put(field, id.into());
        }
    }
    Ok(map)
}
