//! Mixtures: supervised tasks beside each other, each with its files, its words and its share of what is trained on
//! (`docs/tasks.md`).
//!
//! ```toml
//! mixing = "temperature"       # or examples, equal, rates
//! temperature = 2.0
//!
//! [task.sentiment]
//! train = "sentiment/train.tsv"
//! valid = "sentiment/valid.tsv"
//! source = "识别该句子的情感倾向：{1}"
//! target = "{2}"
//! labels = { "0" = "负面", "1" = "正面" }
//! metric = "accuracy"
//!
//! [task.title]
//! use = "csl-title"            # words that are there by name
//! train = "csl/title.tsv"
//! valid_split = 0.05
//! ```

mod file;
mod rates;
mod read;

use std::path::PathBuf;

use t5kit_formats::toml::{self, Place};

use crate::suite::{self, Split, SuiteTask};
use crate::template::{self, LabelMap, Template, ready::Ready};
pub use rates::Mixing;
pub use read::{Pair, Seen};

/// What can be wrong with a mixture; each is one line that says where and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in its file.
    #[error(transparent)]
    Mixture(#[from] toml::Error),
    /// A template that does not fit a table, or a label that is not in the map.
    #[error("{place}: {source}")]
    Template {
        /// The task.
        place: Place,
        /// What is wrong.
        source: Box<template::Error>,
    },
    /// A suite's files.
    #[error("{place}: {source}")]
    Suite {
        /// The task.
        place: Place,
        /// What is wrong.
        source: Box<suite::Error>,
    },
    /// A file without an example.
    #[error("{}: holds no example of task {task}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// The task.
        task: String,
    },
    /// A row with a label that the map does not have.
    #[error(transparent)]
    Label(Box<template::Error>),
    /// A file of examples.
    #[error(transparent)]
    Table(#[from] t5kit_formats::table::Error),
    /// Reading the mixture's file.
    #[error(transparent)]
    Formats(#[from] t5kit_formats::Error),
    /// A row whose source or target is empty.
    #[error("{}, line {line}: the {what} of task {task} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// "source" or "target".
        what: &'static str,
        /// The task.
        task: String,
    },
}

impl Error {
    /// Whether one row is concerned, without which reading can go on.
    pub fn is_bad_row(&self) -> bool {
        match self {
            Error::Table(error) => error.is_bad_row(),
            Error::Empty { .. } | Error::Label(_) => true,
            _ => false,
        }
    }

    /// Whether the file asks for what is impossible, whatever the tables hold.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Mixture(_))
    }
}

/// A mixture.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Its tasks, in the order of the file.
    pub tasks: Vec<Task>,
    /// How their shares follow from their sizes.
    pub mixing: Mixing,
}

/// A task of a mixture.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Files to train on.
    pub train: Vec<PathBuf>,
    /// Files to validate on.
    pub valid: Vec<PathBuf>,
    /// The share of the examples that is set aside for validation, where there are no files.
    pub valid_split: Option<f64>,
    /// Its words.
    pub form: Form,
    /// Names of the metrics of its generated targets; the first one decides.
    pub metrics: Vec<String>,
    /// Its rate is multiplied by this; of fixed rates it is the rate.
    pub weight: f64,
    /// Whether the tables have a header, where that is said.
    pub has_header: Option<bool>,
}

/// How a row becomes a source and a target.
#[derive(Clone, Debug)]
pub enum Form {
    /// As templates say.
    Templates {
        /// The source's.
        source: Template,
        /// The target's.
        target: Template,
        /// The column of labels and their names, where there are any.
        labels: Option<(String, LabelMap)>,
    },
    /// In words that are there by name.
    Ready(&'static Ready),
    /// A task of a suite, whose files are in a folder.
    Suite {
        /// The task.
        task: &'static SuiteTask,
        /// The folder.
        folder: PathBuf,
        /// The language of its training examples, where there are several.
        language: Option<String>,
    },
}

impl Task {
    /// Whether it has examples of that part: to train on, or of their own to validate on.
    pub fn has(&self, split: Split) -> bool {
        match (&self.form, split) {
            (Form::Suite { task, .. }, Split::Train) => task.splits().any(|split| split == Split::Train),
            (Form::Suite { .. }, _) => self.valid_split.is_none(),
            (_, Split::Train) => !self.train.is_empty(),
            _ => !self.valid.is_empty(),
        }
    }

    /// Whether a run validates it.
    pub fn is_validated(&self) -> bool {
        self.has(Split::Validation) || self.valid_split.is_some()
    }

    /// The closed set of targets that it has, where it has one.
    pub fn labels(&self) -> Vec<&str> {
        match &self.form {
            Form::Templates { labels: Some((_, map)), .. } => map.labels(),
            Form::Templates { .. } => Vec::new(),
            Form::Suite { task, .. } => task.labels.unwrap_or(&[]).to_vec(),
            Form::Ready(ready) => {
                let mut names: Vec<&str> = Vec::new();
                for (_, name) in ready.labels {
                    if !names.contains(name) {
                        names.push(name);
                    }
                }
                names
            }
        }
    }
}
