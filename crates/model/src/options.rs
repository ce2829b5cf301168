//! How a checkpoint is read.

use std::path::PathBuf;

use t5kit_tensor::DType;

/// How a checkpoint is read; by default strictly, as it lies there.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The configuration: a file (JSON in transformers' or bert4keras's names, or gin), or a folder with one. By
    /// default what lies beside the weights.
    pub config: Option<PathBuf>,
    /// Positions that a model with a learnt table of them is to tell apart, more than the table has rows (see
    /// [`crate::bert::positions::composed`]). By default what the configuration says.
    pub max_positions: Option<usize>,
    /// A list of rows (see [`t5kit_formats::keep_tokens`]): the embedding and the softmax are cut to them.
    pub keep_tokens: Option<PathBuf>,
    /// An adapter's folder (see [`crate::open_adapter`]): it becomes part of the weights.
    pub adapter: Option<PathBuf>,
    /// Which disagreements of checkpoint and configuration are let pass.
    pub allow: Allow,
    /// Storage type of the matrices; by default the file's.
    pub dtype: Option<DType>,
    /// Decides the random weights of parameters that begin anew.
    pub seed: u64,
    /// Bytes of memory that the weights may take; by default what the system can give.
    pub memory: Option<u64>,
}

/// Disagreements of checkpoint and configuration that are let pass; each is still noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Missing tensors begin anew, as for training from nothing.
    pub missing: bool,
    /// Unexpected tensors are left out.
    pub unexpected: bool,
    /// Mis-shaped tensors begin anew.
    pub mismatched: bool,
    /// Second names of a tensor that differ from it, or where it is missing from each other, are left out.
    pub aliased: bool,
}
