//! `config.json` of a model of the T5 family.
//!
//! [`T5Config`] has the fields of transformers' `T5Config`, `MT5Config` and `UMT5Config`; what else stands
//! in a file is kept and written back. Every value is checked before a size is believed.

mod architecture;
mod bert;
mod families;
mod fields;
mod find;
mod gin;
mod read;
mod validate;
mod write;

use serde_json::{Map, Value};

pub use self::architecture::T5Architecture;
pub use self::bert::{BertConfig, Positions, is_bert};
pub(crate) use self::fields::Fields;

/// A model of the T5 family: its sizes and what sets it apart from its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct T5Config {
    /// `t5`, `mt5` or `umt5`.
    pub model_type: String,
    /// Rows of the embedding matrix; may be more than the tokenizer has pieces.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub d_model: usize,
    /// Width of one attention head; `num_heads * d_kv` need not be `d_model`.
    pub d_kv: usize,
    /// Inner width of the feed-forward layers.
    pub d_ff: usize,
    /// Which stacks it has, and what its tokens see. No field of transformers'.
    pub architecture: T5Architecture,
    /// Layers of the encoder; 0 where there is none.
    pub num_layers: usize,
    /// Layers of the decoder.
    pub num_decoder_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Buckets of relative positions.
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all positions share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Probability of dropping an activation in training.
    pub dropout_rate: f64,
    /// Epsilon of the RMS norm.
    pub layer_norm_epsilon: f64,
    /// Scale of random initial weights.
    pub initializer_factor: f64,
    /// The feed-forward layer as the file has it: `relu`, `gated-gelu`, …; see [`Self::feed_forward`].
    pub feed_forward_proj: String,
    /// Overrides the activation in `feed_forward_proj` where the file has it, as in transformers.
    pub dense_act_fn: Option<String>,
    /// Whether the softmax's matrix is that of the embeddings.
    pub tie_word_embeddings: bool,
    /// Whether hidden states are scaled by `d_model^-0.5` before the softmax. `None`: where the matrix is
    /// shared, which is right for all but some checkpoints trained in bert4keras.
    pub scale_decoder_outputs: Option<bool>,
    /// Whether cross-attention has a relative bias too: some checkpoints trained in bert4keras.
    pub cross_attention_relative_bias: bool,
    /// Id of padding.
    pub pad_token_id: u32,
    /// Id of the end of a sequence.
    pub eos_token_id: u32,
    /// Further ids that end what is generated, where the file lists several.
    pub more_eos_token_ids: Vec<u32>,
    /// Id from which decoding starts.
    pub decoder_start_token_id: u32,
    /// Which of these three a file says.
    pub said: SaidIds,
    /// All other fields of the file, in their order.
    pub other: Map<String, Value>,
}

/// The activation of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// GELU by the error function (`gelu` where it is not gated).
    Gelu,
    /// GELU in the tanh approximation (`gelu_new`, `gelu_pytorch_tanh`, and `gated-gelu`).
    GeluNew,
    /// x · sigmoid(x).
    Silu,
}

/// The kind of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedForward {
    /// Applied to `wi`, or to `wi_0` where it is gated.
    pub activation: Activation,
    /// Whether there is a linear `wi_1` that the activated `wi_0` is multiplied with.
    pub gated: bool,
}

impl T5Config {
    /// The inner width of attention: `num_heads * d_kv`.
    pub fn inner_dim(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// Whether every layer has its own relative bias (umT5) and not only the first.
    pub fn bias_in_every_layer(&self) -> bool {
        self.model_type == "umt5"
    }

    /// Whether hidden states are scaled by `d_model^-0.5` before the softmax.
    pub fn scales_decoder_outputs(&self) -> bool {
        self.scale_decoder_outputs.unwrap_or(self.tie_word_embeddings)
    }

    /// The feed-forward layer's kind; `None` where it is none that transformers knows for this family.
    pub fn feed_forward(&self) -> Option<FeedForward> {
        let (gated, name) = match self.feed_forward_proj.strip_prefix("gated-") {
            Some(name) => (true, name),
            None => (false, &*self.feed_forward_proj),
        };
        let activation = match self.dense_act_fn.as_deref().unwrap_or(name) {
            "relu" => Activation::Relu,
            // transformers reads gated-gelu alone as the approximation.
            "gelu" if gated && self.dense_act_fn.is_none() && name == "gelu" => Activation::GeluNew,
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluNew,
            "silu" | "swish" => Activation::Silu,
            _ => return None,
        };
        Some(FeedForward { activation, gated })
    }
}

/// The sizes of mT5-small, with its whole vocabulary; a beginning for a new model's configuration.
impl Default for T5Config {
    fn default() -> Self {
        Self {
            model_type: "mt5".to_owned(),
            vocab_size: 250_112,
            d_model: 512,
            d_kv: 64,
            d_ff: 1024,
            architecture: T5Architecture::EncoderDecoder,
            num_layers: 8,
            num_decoder_layers: 8,
            num_heads: 6,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            dropout_rate: 0.1,
            layer_norm_epsilon: 1e-6,
            initializer_factor: 1.0,
            feed_forward_proj: "gated-gelu".to_owned(),
            dense_act_fn: None,
            tie_word_embeddings: false,
            scale_decoder_outputs: None,
            cross_attention_relative_bias: false,
            pad_token_id: 0,
            eos_token_id: 1,
            more_eos_token_ids: Vec::new(),
            decoder_start_token_id: 0,
            said: SaidIds::default(),
            other: Map::new(),
        }
    }
}

/// Which special ids a file says. One that it does not say is T5's until a tokenizer knows better, as one with BERT's
/// vocabulary does. No part of what a configuration is: all values are equal.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)] // T5Config's fields
pub struct SaidIds {
    pub pad_token_id: bool,
    pub eos_token_id: bool,
    pub decoder_start_token_id: bool,
}

impl PartialEq for SaidIds {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Rows of what has the network of mT5 and is none: T5 1.1 (with and without its padding rows) and ByT5.
const ROWS_OF_T5: [usize; 3] = [32_128, 32_100, 384];

/// The model type of a checkpoint whose configuration does not name it (gin, bert4keras).
///
/// A feed-forward layer without gate, or a softmax that is the embedding, is T5 1.0. T5 1.1, ByT5 and mT5 are one
/// network, and mesh-tensorflow's names (`rms_norm`) are the same; what sets them apart is the vocabulary. That of T5
/// 1.1 and ByT5 has one size; any other is mT5's, whole or cut, or a model made from it such as T5-PEGASUS.
pub(crate) fn family_of(vocab_size: usize, gated: bool, tied: bool) -> &'static str {
    if gated && !tied && !ROWS_OF_T5.contains(&vocab_size) { "mt5" } else { "t5" }
}

#[cfg(test)]
mod tests;
