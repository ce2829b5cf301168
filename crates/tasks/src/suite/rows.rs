//! Tasks of which a row is an example: columns by a template, a label by a table.

use std::path::Path;

use serde_json::{Map, Value};

use super::input::{Input, Out, bad_row, each_json_line, each_line};
use super::{Error, Split, SuiteExample};
use crate::template::Template;

/// How a task's files are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// Cells between tabs, quotes being ordinary characters, the first row naming the columns.
    Tsv(RowForm),
    /// An object a line.
    Json(RowForm),
    /// A shape of its own.
    Own(fn(&Input<'_>, &mut Out<'_>) -> Result<(), Error>),
}

/// How a row becomes an example.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowForm {
    /// The source, a template over the file's columns.
    pub source: &'static str,
    /// The columns that the label may stand in, the first that there is; files for tests have none.
    pub label: &'static [&'static str],
    pub labels: Labels,
    /// Of rows in several languages the column that says which.
    pub language: Option<&'static str>,
    /// The columns of TSV files without a header: all but those for tests.
    pub headless: Option<&'static [&'static str]>,
    /// Whether rows that lack cells are passed over rather than wrong.
    pub torn: bool,
}

/// What the text of a label is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels {
    /// Its name in this table.
    Named(&'static [(&'static str, &'static str)]),
    /// The number to the nearest fifth, as T5's `stsb` has it.
    Fifths,
    /// Itself.
    Text,
}

impl RowForm {
    /// Rows with a source, a label column and its names, and nothing out of the ordinary.
    pub const fn new(
        source: &'static str,
        label: &'static [&'static str],
        labels: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { source, label, labels: Labels::Named(labels), language: None, headless: None, torn: false }
    }
}

/// A label that annotators did not agree on.
const NO_AGREEMENT: &str = "-";

impl Form {
    /// Whether targets are labels that no table here names.
    pub fn has_labels_of_its_own(&self) -> bool {
        matches!(self, Form::Tsv(form) | Form::Json(form) if matches!(form.labels, Labels::Text))
    }

    pub fn read(&self, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        match self {
            Form::Tsv(form) => input.files.iter().try_for_each(|path| form.read_tsv(path, input, out)),
            Form::Json(form) => input.files.iter().try_for_each(|path| form.read_json(path, input, out)),
            Form::Own(read) => read(input, out),
        }
    }
}

impl RowForm {
    fn template(&self, path: &Path) -> Result<Template, Error> {
        Template::parse(self.source).map_err(|source| Error::Template { path: path.to_owned(), source })
    }

    fn read_tsv(&self, path: &Path, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let template = self.template(path)?;
        let headless = self.headless.filter(|_| input.split != Split::Test);
        let mut header: Option<Vec<String>> =
            headless.map(|names| names.iter().map(|&n| n.to_owned()).collect());
        let mut number = 0u64;
        each_line(path, |line, text| {
            if text.is_empty() {
                return Ok(());
            }
            let cells: Vec<&str> = text.split('\t').collect();
            let Some(names) = &header else {
                let names: Vec<&str> = cells.iter().map(|cell| cell.trim()).collect();
                template.check(&names).map_err(|source| Error::Template { path: path.to_owned(), source })?;
                if input.split != Split::Test && !self.label.iter().any(|label| names.contains(label)) {
                    return Err(bad_row(
                        path,
                        line,
                        format!("no column `{}` for the label", self.label.join("` or `")),
                    ));
                }
                header = Some(names.iter().map(|&name| name.to_owned()).collect());
                return Ok(());
            };
            let place = |name: &str| names.iter().position(|column| column == name);
            let cell = |name: &str| cells.get(place(name)?).copied();
            let at = number;
            number += 1;
            if let Some(lacking) = template.columns().find(|column| cell(column).is_none()) {
                if self.torn {
                    out.skip();
                    return Ok(());
                }
                let what = format!("{} cells, and `{lacking}` is not among them", cells.len());
                return Err(bad_row(path, line, what));
            }
            if self.language.and_then(cell).is_some_and(|language| language != input.language) {
                return Ok(());
            }
            let label = self.label.iter().find_map(|label| cell(label));
            let source = || template.fill(|name| cell(name).unwrap_or_default());
            self.example(path, line, at, label, source, input.split, out)
        })
    }

    fn read_json(&self, path: &Path, input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
        let template = self.template(path)?;
        let mut number = 0u64;
        each_json_line(path, |line, row: Map<String, Value>| {
            let mut cells: Vec<(&str, String)> = Vec::new();
            for column in template.columns() {
                let Some(text) = text(&row, column) else {
                    return Err(bad_row(path, line, format!("`{column}` is not there, or no text")));
                };
                cells.push((column, text));
            }
            let at = number;
            number += 1;
            let label = self.label.iter().find_map(|label| text(&row, label));
            let cell =
                |name: &str| cells.iter().find(|(column, _)| *column == name).map_or("", |(_, text)| text);
            self.example(path, line, at, label.as_deref(), || template.fill(cell), input.split, out)
        })
    }

    /// The example of a row, whose place (from 0) is its number, as in TFDS.
    #[allow(clippy::too_many_arguments)]
    fn example(
        &self,
        path: &Path,
        line: u64,
        number: u64,
        label: Option<&str>,
        source: impl FnOnce() -> String,
        split: Split,
        out: &mut Out<'_>,
    ) -> Result<(), Error> {
        let target =
            match (label, self.labels) {
                (Some(NO_AGREEMENT), _) => {
                    out.skip();
                    return Ok(());
                }
                (None, _) if split == Split::Test => None,
                (None, _) => {
                    if self.torn {
                        out.skip();
                        return Ok(());
                    }
                    return Err(bad_row(
                        path,
                        line,
                        format!("no label: `{}` is not there", self.label.join("` or `")),
                    ));
                }
                (Some(""), _) if self.torn && split != Split::Test => {
                    out.skip();
                    return Ok(());
                }
                // Tests whose labels are kept back have an empty one, or one that says nothing.
                (Some("" | "-1"), _) if split == Split::Test => None,
                (Some(label), Labels::Text) => Some(label.to_owned()),
                (Some(label), Labels::Fifths) => {
                    let number: f32 =
                        label.trim().parse().ok().filter(|n: &f32| n.is_finite()).ok_or_else(|| {
                            bad_row(path, line, format!("the label {label:?} is no number"))
                        })?;
                    Some(format!("{:.1}", (number * 5.0).round_ties_even() / 5.0))
                }
                (Some(label), Labels::Named(names)) => {
                    let found = names.iter().find(|(name, _)| *name == label.trim());
                    let there = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                    let named = found.ok_or_else(|| {
                        bad_row(path, line, format!("the label {label:?} is not among {}", there()))
                    })?;
                    Some(named.1.to_owned())
                }
            };
        out.push(SuiteExample::new(source(), target, number))
    }
}

/// The text of what an object holds at a path; numbers and truth values as JSON writes them, lists of texts with 、
/// between them.
pub(super) fn text(row: &Map<String, Value>, path: &str) -> Option<String> {
    let mut value = row.get(path);
    if value.is_none()
        && let Some((first, rest)) = path.split_once('.')
    {
        return text(row.get(first)?.as_object()?, rest);
    }
    match value.take()? {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            list.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|list| list.join("、"))
        }
        Value::Null | Value::Object(_) => None,
        other => Some(other.to_string()),
    }
}
