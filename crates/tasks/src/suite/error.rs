//! What can go wrong with a suite's files; each is one line that says what, where and how to mend it.

use std::path::PathBuf;

use super::Split;
use crate::template;

/// An error of reading or scoring a suite's task.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of a task is not in the suite's folder.
    #[error(
        "{}: {task}: the file for {split} is not there; it was looked for as {}",
        folder.display(), looked.join(", ")
    )]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The task.
        task: &'static str,
        /// What its file would be for.
        split: Split,
        /// Where in the folder it was looked for.
        looked: Vec<String>,
    },
    /// A task has no such split.
    #[error(
        "{task} has no {split} split; it has {}",
        there.iter().map(|split| split.name()).collect::<Vec<_>>().join(", ")
    )]
    Split {
        /// The task.
        task: &'static str,
        /// What was asked for.
        split: Split,
        /// The splits there are.
        there: Vec<Split>,
    },
    /// A task is not there in that language, or none was named of several.
    #[error(
        "{task}: {} for {split}; there {} {}",
        language.as_ref().map_or_else(|| "no language is named".to_owned(), |l| format!("there is no language {l}")),
        if there.len() == 1 { "is" } else { "are" },
        there.join(", ")
    )]
    Language {
        /// The task.
        task: &'static str,
        /// What it was asked for.
        split: Split,
        /// The language.
        language: Option<String>,
        /// The languages there are.
        there: &'static [&'static str],
    },
    /// A line of a file is no good.
    #[error("{}, line {line}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Something within a file that is read as a whole is no good.
    #[error("{}: {what}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A task's files hold no example.
    #[error("{task}: there is no example in {}", files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "))]
    Empty {
        /// The task.
        task: &'static str,
        /// The files.
        files: Vec<PathBuf>,
    },
    /// A template does not suit a file's columns.
    #[error("{}: {source}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: template::Error,
    },
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] t5kit_formats::table::Error),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] t5kit_formats::Error),
    /// Predictions and examples do not belong together.
    #[error("{task}: there are {predictions} predictions and {examples} examples")]
    Unpaired {
        /// The task.
        task: &'static str,
        /// How many predictions.
        predictions: usize,
        /// How many examples.
        examples: usize,
    },
    /// There is nothing to score an example by.
    #[error("{task}: example {} has no right answer to compare with", id.as_deref().unwrap_or("without a number"))]
    NoAnswer {
        /// The task.
        task: &'static str,
        /// The example.
        id: Option<String>,
    },
    /// A metric has no figure of these texts.
    #[error("{task}: {source}")]
    Metric {
        /// The task.
        task: &'static str,
        /// Why.
        source: t5kit_eval::Error,
    },
    /// Whoever took the examples would not go on.
    #[error(transparent)]
    Taker(Box<dyn std::error::Error + Send + Sync>),
}
