//! Generating with a sequence-to-sequence model, and scoring given targets.
//!
//! A [`Session`] takes [`Request`]s (a source's ids and [`GenerateOptions`], under transformers' names) as they come:
//! greedy decoding, with lookup or without, sampling, beam search, diverse beam search, all kinds side by side. [`generate`] and
//! [`generate_stream`] are loops over sessions, [`score`] gives the probability of given targets. What a source gets
//! does not depend on its company: every product of a pass takes the same kernel whatever the number of rows, every
//! sequence is attended to on its own, and random numbers go by the request's number.

mod apart;
mod batches;
pub mod constrain;
mod defaults;
mod generate;
mod lookup;
mod memory;
mod options;
pub mod processors;
mod request;
mod score;
mod search;
mod session;
mod text;
pub mod warpers;

pub use batches::BatchLimits;
pub use generate::{Noticed, generate, generate_stream};
pub use memory::{generation_bytes, most_proposed};
pub use options::{GenerateOptions, LengthNormalization};
pub use request::{Event, Generated, Request, RequestId};
pub use score::{Score, score};
pub use session::{Session, SessionLimits, Steps};
pub use t5kit_formats::generation_config::EarlyStopping;
pub use text::{TextStream, word_ids};

use t5kit_model::BatchError;
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
    /// A source that leaves no position for a target.
    #[error(
        "source {index} has {tokens} tokens, and source and target together can have {most}, the positions that this \
         model tells apart: give a smaller `max_source_length`, or more positions by `max_positions`"
    )]
    Positions {
        /// Which one, from 1.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// Tokens of a source and its target.
        most: usize,
    },
    /// A special id that the model has no row for.
    #[error("{field}: {id} is not below the model's {rows} rows; is this its tokenizer?")]
    Id {
        /// The field of `generation_config.json` and `config.json`.
        field: &'static str,
        /// The id.
        id: u32,
        /// Rows of the model.
        rows: usize,
    },
    /// Options that are impossible, alone or together.
    #[error("{0}")]
    Options(String),
    /// Sources and targets that are no pairs.
    #[error(transparent)]
    Pairs(BatchError),
}
