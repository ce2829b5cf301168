//! Generating text with a T5 model, and scoring given targets.
//!
//! [`generate`] takes sources (ids) and [`GenerateOptions`] (transformers' names): greedy decoding, beam search, diverse
//! beam search, sampling. Sources are sorted by length and batched by tokens behind the scenes; what comes out does not
//! depend on the batch: every product of a pass takes the same kernel whatever the number of rows, every sequence is
//! attended to on its own, and random numbers go by the source's number.

mod batches;
mod beam;
mod defaults;
mod nbest;
mod options;
pub mod processors;
mod run;
mod score;
mod single;
mod stepper;
mod text;
pub mod warpers;

pub use batches::BatchLimits;
pub use defaults::apply_ids;
pub use options::{GenerateOptions, LengthNormalization};
pub use run::{Generated, Summary, generate, generate_stream};
pub use score::{Score, score};
pub use t5kit_formats::generation_config::EarlyStopping;
pub use text::{TextStream, word_ids};

use t5kit_tensor::PackedError;

/// Why nothing could be generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source or target that the model cannot be given.
    #[error("{what} {index}: {source}")]
    Sequence {
        /// "source" or "target".
        what: &'static str,
        /// Which one, from 1.
        index: usize,
        /// What is wrong with it.
        source: PackedError,
    },
    /// Options that are impossible, alone or together.
    #[error("{0}")]
    Options(String),
}
