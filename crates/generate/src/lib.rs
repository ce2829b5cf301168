//! Generating text with a T5 model, and scoring given targets.
//!
//! Sources are sorted by length and batched by tokens behind the scenes; what comes out does not depend on the
//! batch: every product of a pass takes the same kernel whatever the number of rows, and every sequence is
//! attended to on its own.

mod batches;
mod greedy;
mod score;

pub use batches::BatchLimits;
pub use greedy::{GenerateOptions, Generated, generate};
pub use score::{Score, score};

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
}
