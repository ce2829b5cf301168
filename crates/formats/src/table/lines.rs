//! Lines of bounded length, and the rows of formats that keep one row a line.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{Columns, Error, Format, ReadRow, Row, RowParser, TableOptions, Unpacked};

/// What [`Lines::next_line`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineRead {
    /// A line; it is in the buffer.
    Line,
    /// A line longer than the limit; it was passed over and the buffer holds its beginning.
    TooLong,
    /// The end of the file.
    End,
}

/// Splits bytes into lines without ever holding more than the longest allowed one.
pub struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    line: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of `reader`, of at most `limit` bytes each.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(256 << 10, reader), limit, line: 0 }
    }

    /// Number of the line last read, from 1; 0 before the first.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line into `buf` (cleared before), without its line feed and carriage return.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn next_line(&mut self, buf: &mut Vec<u8>) -> io::Result<LineRead> {
        buf.clear();
        let (mut any, mut too_long) = (false, false);
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let (part, used, ended) = match memchr::memchr(b'\n', available) {
                Some(at) => (&available[..at], at + 1, true),
                None => (available, available.len(), false),
            };
            let room = self.limit - buf.len();
            too_long |= part.len() > room;
            buf.extend_from_slice(&part[..part.len().min(room)]);
            self.reader.consume(used);
            if ended {
                break;
            }
        }
        if !any {
            return Ok(LineRead::End);
        }
        self.line += 1;
        if too_long {
            return Ok(LineRead::TooLong);
        }
        if buf.last() == Some(&b'\r') {
            buf.pop();
        }
        Ok(LineRead::Line)
    }
}

/// Rows of text, TSV and JSON-lines files.
pub(super) struct LineRows {
    path: PathBuf,
    lines: Lines<Unpacked>,
    buffer: Vec<u8>,
    parser: Option<RowParser>,
    /// The first row was read for the columns' sake and waits in the buffer.
    pending: bool,
    /// Bad rows before the first good one, to be given out first.
    bad: VecDeque<Error>,
}

/// A JSON-lines file that begins with more bad lines than this is none.
const MAX_BAD_HEAD: usize = 1000;

impl LineRows {
    pub(super) fn open(
        path: &Path,
        format: Format,
        columns: &Columns,
        options: &TableOptions,
    ) -> Result<Self, Error> {
        let lines = Lines::new(Unpacked::open(path)?, options.max_row_bytes);
        let (path, buffer) = (path.to_path_buf(), Vec::new());
        let mut rows = Self { path, lines, buffer, parser: None, pending: false, bad: VecDeque::new() };
        while rows.next_line()? {
            if format == Format::JsonLines && rows.buffer.trim_ascii().is_empty() {
                continue;
            }
            let line = rows.lines.line();
            match RowParser::new(&rows.path, format, columns, options.has_header, &rows.buffer, line) {
                Ok((parser, header)) => {
                    rows.parser = Some(parser);
                    rows.pending = !header;
                    break;
                }
                // Which columns there are is for the first good object to say.
                Err(error) if format == Format::JsonLines && error.is_bad_row() => {
                    if rows.bad.len() == MAX_BAD_HEAD {
                        return Err(error);
                    }
                    rows.bad.push_back(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    /// The next line into the buffer; false at the end.
    fn next_line(&mut self) -> Result<bool, Error> {
        match self.lines.next_line(&mut self.buffer) {
            Ok(LineRead::Line) => Ok(true),
            Ok(LineRead::End) => Ok(false),
            Ok(LineRead::TooLong) => Err(Error::Row {
                path: self.path.clone(),
                line: self.lines.line(),
                what: format!("longer than {} bytes", self.lines.limit),
            }),
            Err(source) => Err(Error::Read { path: self.path.clone(), line: self.lines.line() + 1, source }),
        }
    }
}

impl ReadRow for LineRows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        if let Some(error) = self.bad.pop_front() {
            return Some(Err(error));
        }
        loop {
            if !std::mem::take(&mut self.pending) {
                match self.next_line() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
            row.line = self.lines.line();
            let mut values: Vec<Cow<'_, str>> = Vec::with_capacity(row.values.len());
            match self.parser.as_ref()?.parse(&self.buffer, &mut values) {
                Ok(false) => continue,
                Ok(true) => {
                    row.values.resize_with(values.len(), String::new);
                    for (value, parsed) in row.values.iter_mut().zip(values) {
                        value.clear();
                        value.push_str(&parsed);
                    }
                    return Some(Ok(()));
                }
                Err(what) => {
                    return Some(Err(Error::Row { path: self.path.clone(), line: row.line, what }));
                }
            }
        }
    }
}
