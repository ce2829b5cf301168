//! Fine-tuning: examples, batches, loss, optimizer, trainer, checkpoints and resume.
//!
//! The same model code that generates also trains: a [`Graph`](t5kit_tensor::Graph) with a tape. Batches are packed,
//! never padded. Whatever a step needs of randomness is computed from the seed and the step's number, so a resumed
//! run continues bit for bit.

mod batches;
mod checkpoint;
mod columns;
mod data;
mod examples;
mod feed;
mod log;
mod lora;
mod memory;
mod optimizer;
mod options;
mod order;
mod pass;
mod report;
mod schedule;
mod setup;
mod split;
mod stream;
mod tasks;
mod trainer;
mod validation;
mod worker;

pub use checkpoint::{BEST, LAST, check_resume, holds_checkpoint, remove_leavings};
pub use columns::{PairColumns, Understood};
pub use data::{DataOptions, Lengths, ReadWatch, each_pair};
pub use examples::{Examples, Facts, LengthCounts, Placement, Prompts};
pub use feed::{Data, Stream};
pub use log::{EVENTS, EvalRecord, LOG, StepRecord, TrainLog};
pub use memory::{Extent, Memory, predict};
pub use optimizer::{Optimizer, OptimizerKind, Stepped};
pub use options::{Difference, PRECISIONS, TrainOptions};
pub use pass::{PassOptions, accumulate, gradients};
pub use report::{Curves, REPORT, RunReport, RunState, TASK_LOSS, compare, thin, write_report};
pub use schedule::Schedule;
pub use setup::{Forecast, Outcome, Setup, TrainWatch, check_devices};
pub use stream::{
    DocumentSource, Documents, Drawn, StreamFacts, StreamOptions, WINDOW_BYTES, held_out_examples,
};
pub use tasks::Task;
pub use trainer::train;
pub use validation::{Decoding, MEAN, Sample, ValidationOptions, samples};

use std::path::PathBuf;

use t5kit_formats::progress::Stopped;

use options::listed;

/// Why training cannot begin or go on. What the caller sets is called by its field, between backticks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A task of a mixture.
    #[error(transparent)]
    Mixture(#[from] t5kit_tasks::mixture::Error),
    /// What an objective makes of a text.
    #[error(transparent)]
    Objective(#[from] t5kit_tasks::objective::Error),
    /// A training state whose place in its data means nothing.
    #[error("the training state's place in the data {what}; remove the folder to start again")]
    Place {
        /// What is wrong.
        what: String,
    },
    /// Reading examples.
    #[error(transparent)]
    Table(#[from] t5kit_formats::table::Error),
    /// Reading or writing files.
    #[error(transparent)]
    Formats(#[from] t5kit_formats::Error),
    /// The model.
    #[error(transparent)]
    Model(#[from] t5kit_model::Error),
    /// Generating targets.
    #[error(transparent)]
    Generate(#[from] t5kit_generate::Error),
    /// The work was asked to stop, and nothing of it is worth anything.
    #[error("stopped before its end")]
    Stopped(#[from] Stopped),
    /// Two runs in one folder.
    #[error("{}: another run is writing there; end it first or choose another folder", path.display())]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// A folder that was to be a run's.
    #[error("{}: holds no run: there is no train_log.jsonl", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A file with nothing to learn from.
    #[error("{}: holds no example", path.display())]
    NoExamples {
        /// The file.
        path: PathBuf,
    },
    /// A row whose source or target is empty.
    #[error("{}, line {line}: the {what} is empty", path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// "source" or "target".
        what: &'static str,
    },
    /// A file whose columns do not say which is the source and which the target.
    #[error(
        "{}: which column is the source and which the target? It has {columns}: say so with `source` and `target`, by \
         name or number",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// Its columns and their first values.
        columns: String,
    },
    /// Examples of which no share can be set aside.
    #[error(
        "`valid_split` {share}: of {examples} examples of different sources nothing would be left on one side"
    )]
    Split {
        /// How many there are.
        examples: usize,
        /// The share.
        share: f64,
    },
    /// A piece that the model has no row for.
    #[error("the tokenizer has {pieces} pieces, but the model has {rows} rows: they do not belong together")]
    Vocabulary {
        /// Pieces of the tokenizer.
        pieces: usize,
        /// Rows of the embedding.
        rows: usize,
    },
    /// The loss or a gradient became infinite or not a number, several times in a row.
    #[error("step {step}: {what} is not finite, {times} steps in a row; lower `learning_rate`")]
    NonFinite {
        /// The step, from 1.
        step: u64,
        /// Which value.
        what: String,
        /// How often.
        times: u32,
    },
    /// A setting that this model or this machine cannot have.
    #[error("`{field}`{}: {why}", value.as_ref().map_or(String::new(), |value| format!(" {value}")))]
    Setting {
        /// The field of [`TrainOptions`].
        field: &'static str,
        /// Its value, where that matters.
        value: Option<String>,
        /// What is wrong and how to mend it.
        why: &'static str,
    },
    /// A device that cannot train this model, or something that went wrong on it.
    #[error(transparent)]
    Device(#[from] t5kit_tensor::DeviceError),
    /// A run that would not fit into memory.
    #[error(
        "training needs about {needed} of memory, {available} are free: lower `{field}` ({} would fit; `gradient_accumulation` keeps the step as it is) or `lengths.source`, or try `recompute` or `optimizer` adafactor",
        match fits { 0 => "not even 1".to_owned(), fits => fits.to_string() }
    )]
    Memory {
        /// Predicted, readable.
        needed: String,
        /// Free, readable.
        available: String,
        /// What the size of a batch is set by.
        field: &'static str,
        /// The largest that would fit; 0: none.
        fits: usize,
    },
    /// A run with other settings is to be resumed.
    #[error("{}: was trained with {}; `resume` continues the same run", path.display(), listed(differences))]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// All settings that differ; at least one.
        differences: Vec<Difference>,
    },
    /// A checkpoint whose training state does not fit its model.
    #[error("{}: {what}; remove the folder to start again", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Reading or writing a file of the run.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Error {
    /// Whether one row of the examples is concerned, without which reading can go on.
    pub fn is_bad_row(&self) -> bool {
        match self {
            Error::Table(error) => error.is_bad_row(),
            Error::Mixture(error) => error.is_bad_row(),
            Error::EmptyText { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }
}
