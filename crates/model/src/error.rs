//! What can be wrong with a model.

use std::path::PathBuf;

use t5kit_tensor::WeightError;

use crate::problems::Problems;

/// Why a model cannot be loaded, made or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing its files.
    #[error(transparent)]
    Formats(#[from] t5kit_formats::Error),
    /// A folder without a model.
    #[error("{}: holds no model: there is neither config.json nor a best/ or last/ with one", path.display())]
    NoModel {
        /// The folder.
        path: PathBuf,
    },
    /// A `feed_forward_proj` that is not known.
    #[error(
        "config.json: feed_forward_proj names the activation {name:?}; known are gelu, gelu_new, relu and silu, plain or gated-"
    )]
    Activation {
        /// The name.
        name: String,
    },
    /// A parameter is not there.
    #[error("there is no parameter {name}")]
    MissingParameter {
        /// The name.
        name: String,
    },
    /// The checkpoint's tensors are not those of the configuration.
    #[error("{}: does not fit its configuration: {problems}", path.display())]
    Tensors {
        /// The checkpoint.
        path: PathBuf,
        /// Every missing, unexpected, mis-shaped or aliased tensor.
        problems: Problems,
    },
    /// The checkpoint is of a model of another kind.
    #[error("{}: holds no model that is read here: it is {what}", path.display())]
    OtherKind {
        /// The checkpoint.
        path: PathBuf,
        /// What it is, and how to mend it.
        what: &'static str,
    },
    /// A tensor from which no weight can be made.
    #[error("{}: tensor {tensor}: {source}", path.display())]
    Weight {
        /// The file it lies in.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong.
        source: WeightError,
    },
    /// A value that a storage type cannot hold.
    #[error("{}: tensor {tensor}: it holds {value}, which is beyond {dtype}; choose bf16 or f32", path.display())]
    Range {
        /// The checkpoint.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// One of the values.
        value: f32,
        /// The storage type.
        dtype: &'static str,
    },
    /// The weights do not fit into memory.
    #[error(
        "{}: its weights take {:.2} GB of memory and {:.2} GB are to be had; free some, give `dtype` bf16, cut the \
         vocabulary by `keep_tokens`, or take a smaller model",
        path.display(),
        *needed as f64 / 1e9,
        *available as f64 / 1e9
    )]
    Memory {
        /// The checkpoint.
        path: PathBuf,
        /// Bytes of the weights.
        needed: u64,
        /// Bytes that the system could give.
        available: u64,
    },
    /// A checkpoint whose vocabulary cannot be cut.
    #[error("{}: {what}", path.display())]
    Uncuttable {
        /// The checkpoint.
        path: PathBuf,
        /// Which tensor is in the way.
        what: String,
    },
    /// A LoRA target that is no layer of the model.
    #[error("the LoRA target {target} names no layer of this model, whose layers are {known}")]
    LoraTarget {
        /// The name asked for.
        target: String,
        /// The names that there are.
        known: String,
    },
    /// Copying a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
