//! Files of a suite, a line or a document at a time, and where their examples go.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use t5kit_formats::table::{LineRead, Lines, Unpacked};

use super::{Error, Facts, Split, SuiteExample};

/// A line of more bytes is an error, not an allocation.
const MAX_LINE: usize = 64 << 20;
/// What T5 has for a target that is not known.
pub(super) const UNKNOWN: &str = "<unk>";

/// What is read.
pub(super) struct Input<'i> {
    pub files: &'i [PathBuf],
    pub split: Split,
    pub language: &'i str,
}

/// Where examples go.
pub(super) struct Out<'o> {
    pub each: &'o mut dyn FnMut(SuiteExample) -> Result<(), Error>,
    pub facts: &'o mut Facts,
}

impl Out<'_> {
    pub fn push(&mut self, example: SuiteExample) -> Result<(), Error> {
        self.facts.examples += 1;
        (self.each)(example)
    }

    /// Counts a row that is passed over.
    pub fn skip(&mut self) {
        self.facts.skipped += 1;
    }
}

impl SuiteExample {
    /// An example with one right target, or with none that is known.
    pub(super) fn new(source: String, target: Option<String>, id: impl ToString) -> Self {
        let references = target.iter().cloned().collect();
        let target = target.unwrap_or_else(|| UNKNOWN.to_owned());
        Self { source, target, references, id: Some(id.to_string()), ..Self::default() }
    }
}

/// An [`Error::Row`].
pub(super) fn bad_row(path: &Path, line: u64, what: impl Into<String>) -> Error {
    Error::Row { path: path.to_owned(), line, what: what.into() }
}

/// An [`Error::Document`].
pub(super) fn bad_document(path: &Path, what: impl Into<String>) -> Error {
    Error::Document { path: path.to_owned(), what: what.into() }
}

/// Calls `each` with the number (from 1) and the text of every line, in any encoding.
pub(super) fn each_line(
    path: &Path,
    mut each: impl FnMut(u64, &str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut lines = Lines::new(Unpacked::open(path)?, MAX_LINE);
    let mut buffer = Vec::new();
    loop {
        let read = lines.next_line(&mut buffer);
        let line = lines.line();
        match read {
            Ok(LineRead::End) => return Ok(()),
            Ok(LineRead::Line) => {}
            Ok(LineRead::TooLong) => {
                return Err(bad_row(path, line, format!("longer than {} MiB", MAX_LINE >> 20)));
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(t5kit_formats::table::Error::Read { path, line, source }.into());
            }
        }
        let text = std::str::from_utf8(&buffer).map_err(|e| {
            bad_row(path, line, format!("no text in its encoding from byte {} on", e.valid_up_to() + 1))
        })?;
        each(line, text)?;
    }
}

/// Calls `each` with every line that is not blank, as JSON.
pub(super) fn each_json_line<T: DeserializeOwned>(
    path: &Path,
    mut each: impl FnMut(u64, T) -> Result<(), Error>,
) -> Result<(), Error> {
    each_line(path, |line, text| {
        if text.trim().is_empty() {
            return Ok(());
        }
        let value = serde_json::from_str(text).map_err(|e| bad_row(path, line, json_fault(&e)))?;
        each(line, value)
    })
}

/// What is wrong with a line of JSON; where the parser would say line 1, only the column counts.
fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&end) {
        Some(what) => format!("not as expected at byte {}: {what}", error.column()),
        None => format!("not as expected: {text}"),
    }
}
