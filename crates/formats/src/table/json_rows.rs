//! Rows of a JSON document: an array of records, or of what holds them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json_records::{Record, records};
use super::json_row::{Keys, parse};
use super::json_values::JsonValues;
use super::text::Replaced;
use super::{Columns, Error, ReadRow, Row, TableOptions, Unpacked};

/// The records of a JSON document, one after another.
pub(super) struct JsonObjects {
    path: PathBuf,
    values: JsonValues<Unpacked>,
    buffer: Vec<u8>,
    /// Records of the value last read.
    waiting: VecDeque<Record>,
    line: u64,
    replaced: Replaced,
}

impl JsonObjects {
    pub fn new(source: Unpacked, limit: usize) -> Self {
        let path = source.path().to_path_buf();
        Self {
            values: JsonValues::new(&path, source, limit),
            path,
            buffer: Vec::new(),
            waiting: VecDeque::new(),
            line: 0,
            replaced: Replaced::default(),
        }
    }

    /// The next record, and the line that the value begins on which it is of.
    pub fn next_object(&mut self) -> Option<Result<(u64, Record), Error>> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(Ok((self.line, record)));
            }
            match self.values.next_value(&mut self.buffer) {
                Ok(Some(line)) => self.line = line,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
            match parse::<Value>(&self.buffer, &self.replaced).and_then(records) {
                Ok(records) => self.waiting = records.into(),
                Err(what) => return Some(Err(Error::Row { path: self.path.clone(), line: self.line, what })),
            }
        }
    }

    /// Lone halves of surrogate pairs that were replaced.
    pub fn replaced(&self) -> u64 {
        self.replaced.get()
    }
}

/// The first records of a document that begins with `head`; the last value may be torn.
pub(super) fn sample(head: &[u8], limit: usize) -> Vec<Record> {
    let mut values = JsonValues::new(Path::new(""), head, limit);
    let (mut out, mut buffer) = (Vec::new(), Vec::new());
    while out.len() < 50 && matches!(values.next_value(&mut buffer), Ok(Some(_))) {
        match parse::<Value>(&buffer, &Replaced::default()).and_then(records) {
            Ok(records) => out.extend(records),
            Err(_) => continue,
        }
    }
    out
}

/// Rows of the wanted values.
pub(super) struct JsonRows {
    objects: JsonObjects,
    keys: Option<Keys>,
    columns: Columns,
    empty_for_missing: bool,
}

impl JsonRows {
    pub fn new(source: Unpacked, columns: &Columns, options: &TableOptions) -> Self {
        Self {
            objects: JsonObjects::new(source, options.max_row_bytes),
            keys: None,
            columns: columns.clone(),
            empty_for_missing: options.empty_for_missing,
        }
    }
}

impl ReadRow for JsonRows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        let (line, object) = match self.objects.next_object()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        row.line = line;
        let keys = match &self.keys {
            Some(keys) => keys,
            None => {
                match Keys::of_first(&self.objects.path, &self.columns, self.empty_for_missing, &object) {
                    Ok(keys) => self.keys.insert(keys),
                    Err(error) => return Some(Err(error)),
                }
            }
        };
        row.values.clear();
        match keys.of_object(&object, &mut row.values) {
            Ok(()) => Some(Ok(())),
            Err(what) => Some(Err(Error::Row { path: self.objects.path.clone(), line, what })),
        }
    }

    fn replaced(&self) -> u64 {
        self.objects.replaced()
    }
}
