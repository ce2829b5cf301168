//! BERT and its family (Devlin et al. 2019; NEZHA, RoFormer) as a sequence-to-sequence model: UniLM (Dong et al. 2019),
//! one stack over `[CLS] source [SEP] target [SEP]` whose mask lets the source see itself and the target the source
//! and its own past.

mod architecture;
mod grow;
mod layout;
mod network;
pub mod positions;
mod seq2seq;

pub use layout::layout;
pub use seq2seq::widths;

use std::path::Path;

use t5kit_formats::config::{self, BertConfig, Positions};
use t5kit_tensor::ops::{Activation, LayerNorm, Linear, RelativePositions};
use t5kit_tensor::{ParamId, Params};

use positions::Turns;

use crate::{Architecture, Error, LoadOptions, Plan};

/// A model of BERT's family: its configuration, its parameters, and which parameter goes where.
pub struct Bert {
    /// The configuration.
    pub config: BertConfig,
    /// The parameters, under the names of Hugging Face's checkpoints.
    pub params: Params,
    network: Network,
}

/// One layer: self-attention and a feed-forward layer, each followed by its residual connection and norm.
struct Layer {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    attended: LayerNorm,
    inner: Linear,
    out: Linear,
    norm: LayerNorm,
}

impl Layer {
    /// All its parameters.
    fn params(&self) -> impl Iterator<Item = ParamId> {
        let linear = |l: Linear| std::iter::once(l.weight).chain(l.bias);
        let layers = [self.q, self.k, self.v, self.o, self.inner, self.out];
        layers
            .into_iter()
            .flat_map(linear)
            .chain([self.attended, self.norm].into_iter().flat_map(norm_params))
    }
}

fn norm_params(norm: LayerNorm) -> [ParamId; 2] {
    [norm.weight, norm.bias]
}

/// How the network knows where a token stands.
enum Place {
    /// A row of a table of so many.
    Learnt { table: ParamId, rows: usize },
    /// Vectors by distance beside keys and values.
    Relative(RelativePositions),
    /// Queries and keys are turned.
    Rotary(Turns),
}

struct Network {
    words: ParamId,
    segments: ParamId,
    place: Place,
    embedded: LayerNorm,
    /// From the embeddings' width to the layers', where they differ.
    project: Option<Linear>,
    layers: Vec<Layer>,
    /// What comes before the softmax: a dense layer and a norm.
    transform: Linear,
    transformed: LayerNorm,
    softmax: Linear,
    activation: Activation,
}

impl Bert {
    /// Puts a model together from parameters under Hugging Face's names, which must be complete and of the shapes
    /// that the configuration says (see [`layout`]; loading checks and reports both).
    pub fn new(config: BertConfig, params: Params) -> Result<Self, Error> {
        let activation = match config.activation() {
            Some(config::Activation::Relu) => Activation::Relu,
            Some(config::Activation::Gelu) => Activation::GeluErf,
            Some(config::Activation::GeluNew) => Activation::GeluTanh,
            Some(config::Activation::Silu) => Activation::Silu,
            None => return Err(config.validate().map_or_else(Error::from, |()| unknown(&config.hidden_act))),
        };
        let prefix = &config.model_type;
        let id = |name: String| params.id(&name).ok_or(Error::MissingParameter { name });
        let table = |name: &str| id(format!("{prefix}.embeddings.{name}_embeddings.weight"));
        let linear = |name: String| -> Result<Linear, Error> {
            let bias = Some(id(format!("{name}.bias"))?);
            Ok(Linear { weight: id(format!("{name}.weight"))?, bias })
        };
        let norm = |name: String| -> Result<LayerNorm, Error> {
            let eps = config.layer_norm_eps as f32;
            Ok(LayerNorm { weight: id(format!("{name}.weight"))?, bias: id(format!("{name}.bias"))?, eps })
        };
        let mut layers = Vec::new();
        for i in 0..config.num_hidden_layers {
            let layer = format!("{prefix}.encoder.layer.{i}");
            layers.push(Layer {
                q: linear(format!("{layer}.attention.self.query"))?,
                k: linear(format!("{layer}.attention.self.key"))?,
                v: linear(format!("{layer}.attention.self.value"))?,
                o: linear(format!("{layer}.attention.output.dense"))?,
                attended: norm(format!("{layer}.attention.output.LayerNorm"))?,
                inner: linear(format!("{layer}.intermediate.dense"))?,
                out: linear(format!("{layer}.output.dense"))?,
                norm: norm(format!("{layer}.output.LayerNorm"))?,
            });
        }
        let d_kv = config.hidden_size / config.num_attention_heads;
        let place = match config.positions() {
            Positions::Learnt => {
                let table = table("position")?;
                Place::Learnt { table, rows: params.get(table).rows() }
            }
            Positions::Relative => {
                Place::Relative(RelativePositions::sinusoidal(config.max_relative_position, d_kv))
            }
            Positions::Rotary => Place::Rotary(Turns::new(config.max_position_embeddings, d_kv)),
        };
        let words = table("word")?;
        let softmax = match config.tie_word_embeddings {
            true => words,
            false => id("cls.predictions.decoder.weight".into())?,
        };
        let projected = config.embedding_size != config.hidden_size;
        let network = Network {
            words,
            segments: table("token_type")?,
            place,
            embedded: norm(format!("{prefix}.embeddings.LayerNorm"))?,
            project: projected.then(|| linear(format!("{prefix}.embeddings_project"))).transpose()?,
            layers,
            transform: linear("cls.predictions.transform.dense".into())?,
            transformed: norm("cls.predictions.transform.LayerNorm".into())?,
            softmax: Linear { weight: softmax, bias: Some(id("cls.predictions.bias".into())?) },
            activation,
        };
        Ok(Bert { config, params, network })
    }

    /// Random weights for training from nothing: the same seed gives the same weights.
    ///
    /// # Errors
    /// A configuration that no model can be made of.
    pub fn random(config: BertConfig, seed: u64) -> Result<Self, Error> {
        Architecture::random(config, seed)
    }

    /// Loads a checkpoint of BERT's family as it lies there.
    ///
    /// # Errors
    /// As [`crate::load`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        Plan::<BertConfig>::of(path, &LoadOptions::default())?.load()
    }
}

fn unknown(name: &str) -> Error {
    Error::Activation { name: name.to_owned() }
}
