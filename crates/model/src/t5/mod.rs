//! T5 and its family (Raffel et al. 2020; Xue et al. 2021): one definition for training, scoring and generation, in each
//! of the architectures that Raffel et al. compare ([`T5Architecture`]).

mod architecture;
mod grow;
mod layout;
mod network;
mod one_stack;
mod seq2seq;

pub use layout::layout;
pub use seq2seq::widths;

use std::path::Path;

use t5kit_formats::config::{self, T5Architecture, T5Config};
use t5kit_tensor::ops::{Activation, RelativeBias};
use t5kit_tensor::{ParamId, Params};

use crate::{Architecture, Error, LoadOptions, Plan};

/// A T5 model: its configuration, its parameters, and which parameter goes where.
pub struct T5 {
    /// The configuration.
    pub config: T5Config,
    /// The parameters, under the names of Hugging Face's checkpoints.
    pub params: Params,
    network: Network,
}

/// One attention layer: norm, projections, output.
struct AttentionLayer {
    norm: ParamId,
    q: ParamId,
    k: ParamId,
    v: ParamId,
    o: ParamId,
    bias: Option<RelativeBias>,
}

/// One feed-forward layer; `wi` is one matrix, or two when gated.
struct FeedForward {
    norm: ParamId,
    wi: Vec<ParamId>,
    wo: ParamId,
}

struct Block {
    attention: AttentionLayer,
    cross: Option<AttentionLayer>,
    feed_forward: FeedForward,
}

impl Block {
    /// All its parameters.
    fn params(&self) -> impl Iterator<Item = ParamId> {
        let attentions = std::iter::once(&self.attention).chain(&self.cross);
        let of = |a: &AttentionLayer| {
            [Some(a.norm), Some(a.q), Some(a.k), Some(a.v), Some(a.o), a.bias.map(|b| b.weight)]
        };
        let f = &self.feed_forward;
        attentions.flat_map(of).flatten().chain(f.wi.iter().copied()).chain([f.norm, f.wo])
    }
}

struct Stack {
    blocks: Vec<Block>,
    final_norm: ParamId,
}

struct Network {
    shared: ParamId,
    softmax: ParamId,
    /// None where source and target are one sequence, in the decoder.
    encoder: Option<Stack>,
    decoder: Stack,
    activation: Activation,
}

impl T5 {
    /// Puts a model together from parameters under Hugging Face's names, which must be complete and of the shapes
    /// that the configuration says (see [`layout`]; loading checks and reports both).
    pub fn new(config: T5Config, params: Params) -> Result<Self, Error> {
        let feed_forward = config
            .feed_forward()
            .ok_or_else(|| Error::Activation { name: config.feed_forward_proj.clone() })?;
        let activation = match feed_forward.activation {
            config::Activation::Relu => Activation::Relu,
            config::Activation::Gelu => Activation::GeluErf,
            config::Activation::GeluNew => Activation::GeluTanh,
            config::Activation::Silu => Activation::Silu,
        };
        let id = |name: String| params.id(&name).ok_or(Error::MissingParameter { name });
        let architecture = config.architecture;
        // `of`: whose parameters they are.
        let stack = |side: Side, of: Side| -> Result<Stack, Error> {
            let prefix = of.name();
            let mut blocks = Vec::new();
            // Only the first layer has a relative bias of its own, but for umT5; the others use the first's.
            let mut bias = None;
            for i in 0..side.layers(&config) {
                let block = format!("{prefix}.block.{i}.layer");
                let attention = |at: usize, name: &str, bias| -> Result<AttentionLayer, Error> {
                    let p = |m: &str| id(format!("{block}.{at}.{name}.{m}.weight"));
                    let norm = id(format!("{block}.{at}.layer_norm.weight"))?;
                    Ok(AttentionLayer { norm, q: p("q")?, k: p("k")?, v: p("v")?, o: p("o")?, bias })
                };
                if let Some(weight) =
                    params.id(&format!("{block}.0.SelfAttention.relative_attention_bias.weight"))
                {
                    // Cross-attention, where bert4keras gives it one, shares the decoder's.
                    bias = Some(RelativeBias {
                        weight,
                        num_buckets: config.relative_attention_num_buckets,
                        max_distance: config.relative_attention_max_distance,
                        // As mesh-tensorflow: unless all that is seen is the past (`fully_autoregressive`).
                        bidirectional: side == Side::Encoder || architecture == T5Architecture::PrefixLm,
                    });
                }
                let last = if of.crosses(&config) { 2 } else { 1 };
                let wi = |name: &str| id(format!("{block}.{last}.DenseReluDense.{name}.weight"));
                blocks.push(Block {
                    attention: attention(0, "SelfAttention", bias)?,
                    cross: match side.crosses(&config) {
                        false => None,
                        true => {
                            let bias = bias.filter(|_| config.cross_attention_relative_bias);
                            Some(attention(1, "EncDecAttention", bias)?)
                        }
                    },
                    feed_forward: FeedForward {
                        norm: id(format!("{block}.{last}.layer_norm.weight"))?,
                        wi: if feed_forward.gated { vec![wi("wi_0")?, wi("wi_1")?] } else { vec![wi("wi")?] },
                        wo: wi("wo")?,
                    },
                });
            }
            Ok(Stack { blocks, final_norm: id(format!("{prefix}.final_layer_norm.weight"))? })
        };
        let shared = id("shared.weight".into())?;
        let softmax = if config.tie_word_embeddings { shared } else { id("lm_head.weight".into())? };
        let encoder = match architecture {
            T5Architecture::EncoderDecoder => Some(stack(Side::Encoder, Side::Encoder)?),
            T5Architecture::Shared => Some(stack(Side::Encoder, Side::Decoder)?),
            T5Architecture::LanguageModel | T5Architecture::PrefixLm => None,
        };
        let network =
            Network { shared, softmax, encoder, decoder: stack(Side::Decoder, Side::Decoder)?, activation };
        Ok(T5 { config, params, network })
    }

    /// Random weights for training from nothing: the same seed gives the same weights.
    pub fn random(config: T5Config, seed: u64) -> Result<Self, Error> {
        Architecture::random(config, seed)
    }

    /// Loads a checkpoint of a T5 as it lies there.
    ///
    /// # Errors
    /// As [`crate::load`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        Plan::<T5Config>::of(path, &LoadOptions::default())?.load()
    }

    /// The embedding matrix: [vocab_size, d_model].
    pub fn shared(&self) -> ParamId {
        self.network.shared
    }
}

/// Encoder or decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Encoder,
    Decoder,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Encoder => "encoder",
            Side::Decoder => "decoder",
        }
    }

    /// Whether its blocks look at a source besides.
    fn crosses(self, config: &T5Config) -> bool {
        self == Side::Decoder && !config.architecture.one_stack()
    }

    fn layers(self, config: &T5Config) -> usize {
        match self {
            Side::Encoder => config.num_layers,
            Side::Decoder => config.num_decoder_layers,
        }
    }
}
