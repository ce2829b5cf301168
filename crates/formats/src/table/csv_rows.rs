//! Rows of CSV files.
//!
//! Stands on `csv-core` rather than on `csv`: the latter places every record of a file with Windows line
//! ends one line too early, and lets one record grow to the size of the file.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use csv_core::ReadRecordResult;

use super::columns::{names_columns, resolve_cells};
use super::text::{Replaced, count, text};
use super::{Columns, Error, ReadRow, Row, TableOptions, Unpacked};

/// Rows of a CSV file, quoted as in RFC 4180; blank lines are no rows. Cells are separated by commas, or by what the
/// file says (`sep=;`) or shows: semicolons, tabs, bars.
pub struct CsvRows {
    records: Records<Unpacked>,
    raw_read: Arc<AtomicU64>,
    places: Vec<usize>,
    cells: usize,
    /// The first row was read for the columns' sake and waits in the record.
    pending: bool,
    replaced: Replaced,
}

impl CsvRows {
    /// Opens the file at `path` for its wanted `columns`.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Read`], and those of the wanted columns.
    pub fn open(path: &Path, columns: &Columns, options: &TableOptions) -> Result<Self, Error> {
        Self::of_source(Unpacked::open_as(path, options.encoding)?, None, columns, options)
    }

    /// The rows of a source that was at most looked into; cells end at `delimiter`, or at what the file shows.
    pub(super) fn of_source(
        mut source: Unpacked,
        delimiter: Option<Delimiter>,
        columns: &Columns,
        options: &TableOptions,
    ) -> Result<Self, Error> {
        let path = source.path().to_path_buf();
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => {
                let ended = look_at_records(&mut source, options.max_row_bytes)?;
                Delimiter::of_head(source.seen(), ended)
            }
        };
        let raw_read = source.raw_read();
        let records = Records::new(&path, source, delimiter, options.max_row_bytes);
        let replaced = Replaced::default();
        let mut rows = Self { records, raw_read, places: Vec::new(), cells: 0, pending: false, replaced };
        if rows.records.advance()? {
            let line = rows.records.record_line;
            let bad = |what| Error::Row { path: path.clone(), line, what };
            let cells: Result<Vec<_>, _> =
                rows.records.cells().map(|cell| text(cell, &rows.replaced)).collect();
            let cells = cells.map_err(bad)?;
            let cells: Vec<&str> = cells.iter().map(|cell| &**cell).collect();
            let (places, header) = resolve_cells(&path, columns, options.has_header, &cells)?;
            rows.cells = cells.len();
            rows.places = places;
            rows.pending = !header;
        }
        Ok(rows)
    }

    /// The encoding that the file is read in, as far as it is known.
    pub fn encoding(&self) -> Option<&'static str> {
        self.records.source.encoding()
    }

    /// A counter of the bytes on disk read so far, to be watched from elsewhere.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        self.raw_read.clone()
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
            match text(records.cell(place), &self.replaced) {
                Ok(text) => value.push_str(&text),
                Err(what) => return bad(format!("column {}: {what}", place + 1)),
            }
        }
        Some(Ok(()))
    }

    fn replaced(&self) -> u64 {
        self.replaced.get()
    }
}

/// What separates the cells of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delimiter {
    pub byte: u8,
    /// The first line says so (`sep=;`, as Excel has it) and is no row.
    pub said: bool,
}

impl Delimiter {
    /// By the beginning of a file; `whole`: nothing follows. Of those that part all rows alike the one that gives the
    /// first row names of columns, else the comma before the others.
    pub(super) fn of_head(head: &[u8], whole: bool) -> Self {
        let line = &head[..memchr::memchr(b'\n', head).unwrap_or(head.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
        if let [s, e, p, b'=', byte] = *line
            && [s, e, p].eq_ignore_ascii_case(b"sep")
            && byte.is_ascii()
        {
            return Self { byte, said: true };
        }
        let mut best = None;
        for byte in [b',', b';', b'\t', b'|'] {
            let rows = sample(head, Self { byte, said: false }, whole);
            let Some((_, first)) = rows.first() else { break };
            if first.len() < 2 {
                continue;
            }
            let alike = rows.iter().all(|(_, row)| row.len() == first.len());
            let named = names_columns(&first.iter().map(String::as_str).collect::<Vec<_>>());
            let rank = (named, alike);
            if best.is_none_or(|(other, _)| rank > other) {
                best = Some((rank, byte));
            }
        }
        Self { byte: best.map_or(b',', |(_, byte)| byte), said: false }
    }
}

/// Rows that are looked at before anything is decided.
const SAMPLE_ROWS: usize = 50;

/// The first records of a file that begins with `head`, each with its line; `whole`: nothing follows.
pub(super) fn sample(head: &[u8], delimiter: Delimiter, whole: bool) -> Vec<(u64, Vec<String>)> {
    let mut records = Records::new(Path::new(""), head, delimiter, head.len().max(1 << 16));
    let mut rows = Vec::new();
    while rows.len() <= SAMPLE_ROWS && matches!(records.advance(), Ok(true)) {
        let cells = records.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        rows.push((records.record_line, cells));
    }
    // The last one may go on behind what was looked at.
    if !whole && records.ended && rows.len() > 1 {
        rows.pop();
    }
    rows
}

/// Looks so far into a source that at least one record is seen whole, and some more where they are there at once;
/// true where that is all.
pub(super) fn look_at_records(source: &mut Unpacked, limit: usize) -> Result<bool, Error> {
    let (path, mut quotes, mut from) = (source.path().to_path_buf(), 0, 0);
    loop {
        let seen =
            source.look_further().map_err(|e| Error::Read { path: path.clone(), line: 1, source: e })?;
        let Some(seen) = seen else { return Ok(true) };
        // A line end within quotes ends no record.
        for at in memchr::memchr2_iter(b'"', b'\n', &seen[from..]) {
            match seen[from + at] {
                b'"' => quotes += 1,
                _ if quotes % 2 == 0 => return super::head::nothing_more(source),
                _ => {}
            }
        }
        from = seen.len();
        if from > limit {
            return Ok(false);
        }
    }
}

/// Splits a source into records of bounded size.
struct Records<R> {
    path: PathBuf,
    source: R,
    core: csv_core::Reader,
    /// The first line is no record.
    to_pass: bool,
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

impl<R: Read> Records<R> {
    fn new(path: &Path, source: R, delimiter: Delimiter, limit: usize) -> Self {
        Self {
            path: path.to_path_buf(),
            source,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter.byte).build(),
            to_pass: delimiter.said,
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
        if std::mem::take(&mut self.to_pass) {
            self.pass_line()?;
        }
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

    /// Passes over the first line.
    fn pass_line(&mut self) -> Result<(), Error> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input[self.at..]) {
                self.at += at + 1;
                self.line += 1;
                return Ok(());
            }
            self.refill()?;
            if self.ended {
                return Ok(());
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
