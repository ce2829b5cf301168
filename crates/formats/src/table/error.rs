//! What can go wrong with a table of text.

use std::io;
use std::path::PathBuf;

/// An error of this module; each is one line that says where and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be opened.
    #[error("{}: cannot be opened: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading or decompressing failed part of the way.
    #[error("{}: cannot be read near line {line}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The line, from 1, after the last good one.
        line: u64,
        /// The system's or the decompressor's reason.
        source: io::Error,
    },
    /// A wanted column is not there.
    #[error("{}: no column {wanted}; it has {}", path.display(), list(have))]
    Column {
        /// The file.
        path: PathBuf,
        /// The column as it was asked for.
        wanted: String,
        /// The columns there are.
        have: Vec<String>,
    },
    /// No column was named and there is not exactly one that could be meant.
    #[error("{}: which column holds the text? Give `columns` with one of {}", path.display(), list(have))]
    Choose {
        /// The file.
        path: PathBuf,
        /// The columns there are.
        have: Vec<String>,
    },
    /// A column is given by name, but the file is said to have no header.
    #[error("{}: column {wanted} is given by name, but the file is read without a header; give its number", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
        /// The column as it was asked for.
        wanted: String,
    },
    /// One row is no good; those after it may be.
    #[error("{}, line {line}: {what}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A workbook that cannot be read.
    #[error("{}: workbook: {what}", path.display())]
    Workbook {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A packed file that has to be unpacked as a whole cannot be.
    #[error("{}: {what}", path.display())]
    Unpack {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Of two files that are read side by side one ends before the other.
    #[error(
        "{} has {texts} text{} and {} has more; prediction and reference of an example must stand on the same line",
        short.display(), if *texts == 1 { "" } else { "s" }, long.display()
    )]
    Unpaired {
        /// The file that ended.
        short: PathBuf,
        /// Its texts.
        texts: u64,
        /// The file that goes on.
        long: PathBuf,
    },
    /// Two files that are read side by side are both empty.
    #[error("{} and {} have no texts, so there is nothing to compare", left.display(), right.display())]
    NoTexts {
        /// The first file.
        left: PathBuf,
        /// The second file.
        right: PathBuf,
    },
    /// A table that cannot be written so.
    #[error("{}: {what}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        what: String,
    },
    /// The structure of a Parquet file is broken or not supported.
    #[error("{}: Parquet: {what}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// Whether only one row is concerned, so that reading can go on behind it.
    pub fn is_bad_row(&self) -> bool {
        matches!(self, Self::Row { .. })
    }
}

/// Column names for a message: quoted, and not more of them than a line holds.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    if names.is_empty() {
        return "no columns".into();
    }
    let mut text = names.iter().take(SHOWN).map(|n| shorten(n)).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// `name`, cut after 40 characters: a file without a header has whole texts where names are looked for.
fn shorten(name: &str) -> String {
    match name.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
