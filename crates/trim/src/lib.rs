//! Corpus counting, choice of pieces, remapping of tokenizer and weights.
//!
//! The way of the data: [`expand`] finds the corpus files, [`count`] counts a tokenizer's pieces in them and
//! [`Counts`] is the file that keeps the numbers; [`trim`] picks the pieces worth keeping ([`Choice`]), cuts
//! tokenizer and weights, and reports.

mod builtin;
mod choice;
mod chunk;
mod count;
mod counting;
mod counts;
mod curve;
mod error;
mod html;
mod pieces;
mod queue;
mod record;
mod report;
mod required;
mod resume;
pub mod rows;
mod sample;
mod split;
mod trim;

pub use builtin::{BUILTIN, Builtin};
pub use choice::Choice;
pub use count::{CountOptions, CountWatch, Counted, OnError, State, Tally, count};
pub use counts::Counts;
pub use error::Error;

pub use record::{Corpus, Record, Settings};
pub use report::{ChoiceRecord, CountsFile, Coverage, File, ModelSizes, Report, Vocabulary};
pub use required::Required;
pub use resume::Unfinished;
pub use sample::{BeforeAfter, Change, SampleReport};
pub use trim::{Chooser, LEAST_COVERAGE, TrimOptions, trim};
