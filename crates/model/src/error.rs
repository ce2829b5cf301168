//! What can be wrong with a model.

use std::path::PathBuf;

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
    /// bert4keras's cross-attention with a relative bias.
    #[error(
        "config.json: cross_attention_relative_bias: checkpoints with a bias in cross-attention cannot be run yet"
    )]
    CrossAttentionBias,
    /// A parameter is not there.
    #[error("there is no parameter {name}")]
    MissingParameter {
        /// The name.
        name: String,
    },
    /// The checkpoint's tensors are not those of the configuration.
    #[error("{}: does not fit its config.json: {}", path.display(), problems.join("; "))]
    Tensors {
        /// The checkpoint.
        path: PathBuf,
        /// Every missing, unexpected or mis-shaped tensor.
        problems: Vec<String>,
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
