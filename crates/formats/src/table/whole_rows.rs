//! Whole rows of a table: what a program hands on beside what it adds.

use serde_json::{Map, Value};

use super::json_row::lookup;
use super::json_rows::JsonObjects;
use super::{Error, ReadRow, Rows};

/// A whole row.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeRow {
    /// The line on which it begins, from 1; in Parquet the row's number.
    pub line: u64,
    fields: Fields,
}

#[derive(Clone, Debug, PartialEq)]
enum Fields {
    /// The cells of the columns, in their order.
    Cells(Vec<String>),
    /// An object as it is.
    Object(Map<String, Value>),
}

impl WholeRow {
    /// The text of a column, by its place (from 0) and name; what is not there or null is empty, what is no text is as
    /// JSON has it.
    pub fn text(&self, place: usize, name: &str) -> String {
        match &self.fields {
            Fields::Cells(cells) => cells.get(place).cloned().unwrap_or_default(),
            Fields::Object(object) => match lookup(object, name) {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            },
        }
    }

    /// The row with some more columns: its own cells in the order of `names`, or the object as it is, and `added`.
    pub fn with(&self, names: &[String], added: &[(String, Value)]) -> Map<String, Value> {
        let mut object = match &self.fields {
            Fields::Object(object) => object.clone(),
            Fields::Cells(cells) => {
                names.iter().cloned().zip(cells.iter().map(|cell| Value::String(cell.clone()))).collect()
            }
        };
        object.extend(added.iter().cloned());
        object
    }

    /// The row's cells in the order of `names`.
    pub fn cells(&self, names: &[String]) -> Vec<Value> {
        match &self.fields {
            Fields::Cells(cells) => cells.iter().map(|cell| Value::String(cell.clone())).collect(),
            Fields::Object(object) => {
                names.iter().map(|name| lookup(object, name).cloned().unwrap_or_default()).collect()
            }
        }
    }

    /// The object that the row is, where it is one.
    pub fn object(&self) -> Option<&Map<String, Value>> {
        match &self.fields {
            Fields::Object(object) => Some(object),
            Fields::Cells(_) => None,
        }
    }
}

/// The whole rows of one file, in order; made by [`super::Table::whole_rows`].
pub struct WholeRows(pub(super) Kind);

pub(super) enum Kind {
    Rows(Rows),
    Objects(Box<JsonObjects>),
}

impl WholeRows {
    /// How many halves of surrogate pairs stood alone so far, and were replaced by U+FFFD.
    pub fn replaced(&self) -> u64 {
        match &self.0 {
            Kind::Rows(rows) => rows.replaced(),
            Kind::Objects(objects) => objects.replaced(),
        }
    }
}

impl Iterator for WholeRows {
    type Item = Result<WholeRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(match &mut self.0 {
            Kind::Rows(rows) => {
                rows.next()?.map(|row| WholeRow { line: row.line, fields: Fields::Cells(row.values) })
            }
            Kind::Objects(objects) => {
                objects.next_object()?.map(|(line, object)| WholeRow { line, fields: Fields::Object(object) })
            }
        })
    }
}
