//! What loading, converting, inspecting and saving have to know of a kind of model: its configuration, the list of its
//! parameters, and how they are named and tied in checkpoints.

use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::Checkpoint;
use t5kit_tensor::{DType, Params, Weight};

use crate::memory::Widths;
use crate::{Error, init};

/// Which part of a model a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The embeddings.
    Embeddings,
    /// Encoder layers, or all of a BERT.
    Encoder,
    /// Decoder layers; all layers where encoder and decoder share theirs, and where a decoder is all there is.
    Decoder,
    /// What comes between the last layer and the logits: a softmax matrix of its own, the transform and the bias of a
    /// BERT.
    Softmax,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Embeddings, Part::Encoder, Part::Decoder, Part::Softmax];

    /// The name in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Part::Embeddings => "embeddings",
            Part::Encoder => "encoder",
            Part::Decoder => "decoder",
            Part::Softmax => "softmax",
        }
    }
}

/// What a parameter is to the network: it decides how it is stored, and whether it can have an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// The matrix of a linear layer: [out, in].
    Linear,
    /// A table that is looked up by number, of tokens or of relative positions: [rows, width].
    Embedding,
    /// What is added behind a linear layer: [out].
    Bias,
    /// The scale of a norm: [width].
    Norm,
}

impl ParamKind {
    /// Whether it may be stored in half precision. A vector would have to be widened at every use, and saves nothing.
    pub fn is_matrix(self) -> bool {
        matches!(self, ParamKind::Linear | ParamKind::Embedding)
    }
}

/// One parameter that a model of a configuration has.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name in Hugging Face's checkpoints.
    pub name: String,
    /// Its shape: [out, in] for linear layers.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParamKind,
    /// Where it belongs.
    pub part: Part,
    /// Whether it has a row for each entry of the vocabulary.
    pub is_vocabulary: bool,
    /// Standard deviation at initialisation, 0 for biases; `None` for norms, which begin at 1.
    pub std: Option<f64>,
}

impl Slot {
    /// Whether it may be stored in int8: a linear layer's matrix, and what has a row for each entry of the vocabulary. Tables
    /// of positions are small, and every product is moved by their rounding.
    pub fn quantizes(&self) -> bool {
        self.kind == ParamKind::Linear || self.kind == ParamKind::Embedding && self.is_vocabulary
    }

    /// What it is stored in where matrices are to be `dtype`: what int8 is not for is f32, and what 4 bits are not for,
    /// everything with a row for each entry of the vocabulary, is int8: a token's own row has no others to make up for it.
    pub fn stored_in(&self, dtype: DType) -> DType {
        match dtype {
            DType::I8 | DType::I4 if !self.quantizes() => DType::F32,
            DType::I4 if self.is_vocabulary => DType::I8,
            dtype => dtype,
        }
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

/// The matrices that have a row for each entry of the vocabulary, by their names in Hugging Face's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VocabularyNames {
    /// The embedding.
    pub embedding: &'static str,
    /// Other names of the embedding, under which some checkpoints list it again.
    pub aliases: &'static [&'static str],
    /// The softmax, where it has a matrix of its own.
    pub softmax: &'static str,
    /// What is added to the logits, if anything is: a number a row.
    pub bias: Option<&'static str>,
    /// Another name of that, under which some checkpoints list it again.
    pub bias_alias: Option<&'static str>,
}

impl VocabularyNames {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        [self.embedding]
            .into_iter()
            .chain(self.aliases.iter().copied())
            .chain([self.softmax])
            .chain(self.bias)
            .chain(self.bias_alias)
    }

    /// Names of tensors that have another name: of the embedding, of the bias.
    pub fn second_names(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_embedding = self.aliases.iter().map(|&alias| (alias, self.embedding));
        of_embedding.chain(self.bias_alias.zip(self.bias))
    }

    /// Whether a tensor of that name is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.all().any(|known| known == name)
    }
}

/// A configuration as other programs read it.
#[derive(Clone, Debug)]
pub struct Portable<A> {
    /// The configuration.
    pub config: A,
    /// What the softmax's matrix has to be multiplied by.
    pub softmax_factor: f32,
    /// What cannot be said to them, a sentence each.
    pub notes: Vec<String>,
    /// Tensors that they have and t5kit makes as it needs them.
    pub tables: Vec<Table>,
}

/// A tensor for other programs that is made of a parameter, or of nothing.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether it stands in the place of the parameter of that name, which it is made of.
    pub replaces: bool,
    /// Makes it, of the parameter where it replaces one, in the shape.
    pub make: fn(Option<&Weight>, &[usize]) -> Weight,
}

/// A kind of model, by its configuration. [`crate::Plan`] lays the parameters that it asks for beside a checkpoint.
pub trait Architecture: Clone {
    /// What its parameters make.
    type Model;

    /// The matrices of its vocabulary.
    fn vocabulary(&self) -> VocabularyNames;

    /// The configuration that belongs to a checkpoint: the file (or folder) `given`, else what lies beside the weights.
    ///
    /// # Errors
    /// Where there is none, or one that is none.
    fn read(checkpoint: &Checkpoint, given: Option<&Path>) -> t5kit_formats::Result<Self>;

    /// Gives a checkpoint's tensors the names that [`Self::layout`] has, where programs differ in them.
    ///
    /// # Errors
    /// Where two tensors would have one name.
    fn settle_names(&self, checkpoint: &mut Checkpoint) -> t5kit_formats::Result<()> {
        _ = checkpoint;
        Ok(())
    }

    /// Lets the model tell so many positions apart, where they have a table that is too short for them.
    ///
    /// # Errors
    /// A model without such a table; more than its rows can make.
    fn raise_positions(&mut self, positions: usize) -> t5kit_formats::Result<()>;

    /// How many tokens a source and its target together may have; `None` where positions have no table.
    fn most_tokens(&self) -> Option<usize> {
        None
    }

    /// Whether a parameter belongs to a head that may be missing as a whole, and then begins anew.
    fn in_head(&self, slot: &Slot) -> bool {
        _ = slot;
        false
    }

    /// The family by its usual name.
    fn family(&self) -> &'static str;

    /// Sizes and what sets the model apart, by name, for people.
    fn facts(&self) -> Vec<(&'static str, String)>;

    /// All parameters, in the order that checkpoints list them.
    fn layout(&self) -> Vec<Slot>;

    /// Rows of the vocabulary's matrices.
    fn rows(&self) -> usize;

    /// The configuration of the model whose vocabulary's matrices have only the rows `keep` (ascending) left.
    ///
    /// # Errors
    /// Where an id that the model needs would go.
    fn with_rows(&self, keep: &[u32]) -> t5kit_formats::Result<Self>;

    /// Whether the softmax's matrix is the embedding, by the configuration's word.
    fn is_tied(&self) -> bool;

    /// Says whether it is, where the checkpoint shows it.
    fn tie(&mut self, tied: bool);

    /// Whether a model of these sizes without a softmax of its own uses the embedding, whatever the configuration says.
    fn is_always_tied(&self) -> bool;

    /// Whether checkpoints hold a tensor of that name although no network ever read it.
    fn ignores(&self, tensor: &str) -> bool;

    /// The configuration for other programs, weights stored in `dtype`.
    fn portable(&self, dtype: DType) -> Portable<Self>;

    /// Writes the configuration to `path`, complete or not at all; over what is there with `force`.
    ///
    /// # Errors
    /// Those of writing.
    fn write(&self, path: &Path, force: bool) -> t5kit_formats::Result<()>;

    /// An error where no model can be made of it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn validate(&self) -> t5kit_formats::Result<()>;

    /// What memory is predicted from.
    fn widths(&self) -> Widths;

    /// The part whose layers source tokens pass through.
    fn source_part(&self) -> Part {
        Part::Encoder
    }

    /// The layers that get adapters where nobody names any: peft's `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`.
    fn lora_targets(&self) -> &'static [&'static str];

    /// What peft calls its kind, in the settings of adapters: by it peft hands a decoder's inputs on.
    fn task_type(&self) -> Option<&'static str>;

    /// Fields of its file that no network reads: old files say there how to generate.
    fn other(&self) -> &Map<String, Value>;

    /// The model of these parameters, which are those of [`Self::layout`].
    ///
    /// # Errors
    /// What makes a network impossible.
    fn build(self, params: Params) -> Result<Self::Model, Error>;

    /// The model with random weights, for training from nothing: the same seed gives the same weights.
    ///
    /// # Errors
    /// A configuration that no model can be made of.
    fn random(self, seed: u64) -> Result<Self::Model, Error> {
        self.validate()?;
        let params = init::random(self.layout(), seed);
        self.build(params)
    }
}
