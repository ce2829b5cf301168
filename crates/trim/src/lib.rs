//! Corpus counting, choice of pieces, remapping of tokenizer and weights.
//!
//! The way of the data: [`expand`] finds the corpus files, [`count`] counts a tokenizer's pieces in them and
//! [`Counts`] is the file that keeps the numbers; [`choose`] picks the pieces worth keeping.

mod choice;
mod chunk;
mod count;
mod counts;
mod error;
mod inputs;
mod queue;
mod record;
mod resume;
pub mod rows;
mod split;

pub use choice::{Choice, Kept, Reason, choose, is_indispensable, is_sentinel};
pub use count::{Counted, Observer, OnError, Options as CountOptions, State, Tally, count};
pub use counts::Counts;
pub use error::Error;
pub use inputs::{Input, expand};
pub use record::{Corpus, Record, Settings};
pub use resume::Unfinished;
