//! Rows of CSV files.
//!
//! Stands on `csv-core` rather than on `csv`: the latter places every record of a file with Windows line
//! ends one line too early, and lets one record grow to the size of the file.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use csv_core::ReadRecordResult;

use super::columns::resolve_cells;
use super::parse::{count, utf8};
use super::{Columns, Error, ReadRow, Row, TableOptions, Unpacked};

/// Rows of a CSV file, quoted as in RFC 4180; blank lines are no rows.
pub struct CsvRows {
    records: Records,
    places: Vec<usize>,
    cells: usize,
    /// The first row was read for the columns' sake and waits in the record.
    pending: bool,
}

impl CsvRows {
    /// Opens the file at `path` for its wanted `columns`.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Read`], and those of the wanted columns.
    pub fn open(path: &Path, columns: &Columns, options: &TableOptions) -> Result<Self, Error> {
        let records = Records::new(Unpacked::open(path)?, options.max_row_bytes);
        let mut rows = Self { records, places: Vec::new(), cells: 0, pending: false };
        if rows.records.advance()? {
            let line = rows.records.record_line;
            let bad = |what| Error::Row { path: path.to_path_buf(), line, what };
            let cells: Vec<&str> = rows.records.cells().map(utf8).collect::<Result<_, _>>().map_err(bad)?;
            let (places, header) = resolve_cells(path, columns, options.has_header, &cells)?;
            rows.cells = cells.len();
            rows.places = places;
            rows.pending = !header;
        }
        Ok(rows)
    }

    /// A counter of the bytes on disk read so far, to be watched from elsewhere.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        self.records.source.raw_read()
    }
}

impl ReadRow for CsvRows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        if !std::mem::take(&mut self.pending) {
            match self.records.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let records = &self.records;
        row.line = records.record_line;
        let bad = |what| Some(Err(Error::Row { path: records.path.clone(), line: row.line, what }));
        let have = records.cell_count;
        if have != self.cells {
            return bad(format!("{}, where the first row has {}", count(have, "column"), self.cells));
        }
        row.values.resize_with(self.places.len(), String::new);
        for (value, &place) in row.values.iter_mut().zip(&self.places) {
            value.clear();
            match utf8(records.cell(place)) {
                Ok(text) => value.push_str(text),
                Err(what) => return bad(format!("column {}: {what}", place + 1)),
            }
        }
        Some(Ok(()))
    }
}

/// Splits a source into records of bounded size.
struct Records {
    path: PathBuf,
    source: Unpacked,
    core: csv_core::Reader,
    /// Bytes read from the source, of which `input[at..]` are not yet used.
    input: Vec<u8>,
    at: usize,
    ended: bool,
    /// Line (from 1) of the byte at `at`.
    line: u64,
    /// The record last read: its cells one behind the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    cell_count: usize,
    record_line: u64,
    limit: usize,
}

const INPUT_BYTES: usize = 256 << 10;

impl Records {
    fn new(source: Unpacked, limit: usize) -> Self {
        Self {
            path: source.path().to_path_buf(),
            source,
            core: csv_core::Reader::new(),
            input: Vec::new(),
            at: 0,
            ended: false,
            line: 1,
            bytes: vec![0; 64 << 10],
            ends: vec![0; 32],
            cell_count: 0,
            record_line: 0,
            limit,
        }
    }

    /// The bytes of cell `i` of the record last read.
    fn cell(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start..self.ends[i]]
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.cell_count).map(|i| self.cell(i))
    }

    /// Reads the next record; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        if !self.skip_line_ends()? {
            return Ok(false);
        }
        self.record_line = self.line;
        self.core.set_line(self.line);
        let (mut filled, mut cells) = (0, 0);
        loop {
            if self.at == self.input.len() {
                self.refill()?;
            }
            // An empty input tells the parser that the file ends here.
            let (result, used, written, ended_cells) = self.core.read_record(
                &self.input[self.at..],
                &mut self.bytes[filled..],
                &mut self.ends[cells..],
            );
            self.at += used;
            filled += written;
            cells += ended_cells;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.bytes.len() < self.limit => {
                    self.bytes.resize((self.bytes.len() * 2).min(self.limit), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < self.limit => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    let what = format!("a record of more than {} bytes; is a quote left open?", self.limit);
                    return Err(self.read_error(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                ReadRecordResult::Record => {
                    self.line = self.core.line();
                    self.cell_count = cells;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Passes over line ends (of the record before and of blank lines); false at the end of the file.
    fn skip_line_ends(&mut self) -> Result<bool, Error> {
        loop {
            while let Some(&byte) = self.input.get(self.at) {
                match byte {
                    b'\n' => self.line += 1,
                    b'\r' => {}
                    _ => return Ok(true),
                }
                self.at += 1;
            }
            if self.ended {
                return Ok(false);
            }
            self.refill()?;
        }
    }

    /// Replaces the used input by the next bytes of the source.
    fn refill(&mut self) -> Result<(), Error> {
        self.at = 0;
        self.input.resize(INPUT_BYTES, 0);
        let n = loop {
            match self.source.read(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        let n = n.map_err(|error| {
            self.input.clear();
            self.read_error(error)
        })?;
        self.input.truncate(n);
        self.ended = n == 0;
        Ok(())
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::Read { path: self.path.clone(), line: self.line, source }
    }
}
