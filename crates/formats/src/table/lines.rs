//! Lines of bounded length, and the rows of formats that keep one row a line.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use super::parse::quoted_cells;
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
    /// Lines read ahead, with their numbers, that are rows of their own after all.
    ahead: VecDeque<(u64, Vec<u8>)>,
    /// The number of the line in the buffer.
    line: u64,
}

/// A quoted cell goes on over so many lines, at most.
const MAX_QUOTED_LINES: usize = 1000;

/// A JSON-lines file that begins with more bad lines than this is none.
const MAX_BAD_HEAD: usize = 1000;

impl LineRows {
    /// The rows of a source that was at most looked into.
    pub(super) fn of_source(
        source: Unpacked,
        format: Format,
        columns: &Columns,
        options: &TableOptions,
    ) -> Result<Self, Error> {
        let path = source.path().to_path_buf();
        let lines = Lines::new(source, options.max_row_bytes);
        let mut rows = Self {
            path,
            lines,
            buffer: Vec::new(),
            parser: None,
            pending: false,
            bad: VecDeque::new(),
            ahead: VecDeque::new(),
            line: 0,
        };
        while rows.next_line()? {
            if format != Format::Text && rows.buffer.trim_ascii().is_empty() && !rows.buffer.contains(&b'\t')
            {
                continue;
            }
            match RowParser::new(&rows.path, format, columns, options, &rows.buffer, rows.line) {
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
        if let Some((line, bytes)) = self.ahead.pop_front() {
            (self.line, self.buffer) = (line, bytes);
            return Ok(true);
        }
        let read = self.lines.next_line(&mut self.buffer);
        self.line = self.lines.line();
        match read {
            Ok(LineRead::Line) => Ok(true),
            Ok(LineRead::End) => Ok(false),
            Ok(LineRead::TooLong) => Err(self.too_long(self.line)),
            Err(source) => Err(Error::Read { path: self.path.clone(), line: self.line + 1, source }),
        }
    }

    fn too_long(&self, line: u64) -> Error {
        let what = format!("longer than {} bytes", self.lines.limit);
        Error::Row { path: self.path.clone(), line, what }
    }

    /// Puts the lines that a quoted cell goes on over behind the one in the buffer, if the quote closes as it should;
    /// otherwise they stay rows of their own.
    fn join_quoted(&mut self) -> Result<(), Error> {
        let (mut whole, mut taken) = (self.buffer.clone(), VecDeque::new());
        loop {
            let line = match self.ahead.pop_front() {
                Some(line) => line,
                None => {
                    let mut bytes = Vec::new();
                    match self.lines.next_line(&mut bytes) {
                        Ok(LineRead::Line) => (self.lines.line(), bytes),
                        Ok(LineRead::End) => break,
                        Ok(LineRead::TooLong) => {
                            self.bad.push_back(self.too_long(self.lines.line()));
                            break;
                        }
                        Err(source) => {
                            let line = self.lines.line() + 1;
                            return Err(Error::Read { path: self.path.clone(), line, source });
                        }
                    }
                }
            };
            whole.push(b'\n');
            whole.extend_from_slice(&line.1);
            let quotes = memchr::memchr_iter(b'"', &line.1).count();
            let (quoted, odd) = (quotes > 0, quotes % 2 == 1);
            taken.push_back(line);
            if quoted && let Ok(text) = std::str::from_utf8(&whole) {
                if quoted_cells(text).is_some() {
                    self.buffer = whole;
                    return Ok(());
                }
                // An odd quote that closes nothing: more lines do not make this a quoted cell.
                if odd {
                    break;
                }
            }
            if taken.len() == MAX_QUOTED_LINES || whole.len() > self.lines.limit {
                break;
            }
        }
        taken.append(&mut self.ahead);
        self.ahead = taken;
        Ok(())
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
            row.line = self.line;
            if self.parser.as_ref()?.goes_on(&self.buffer)
                && let Err(error) = self.join_quoted()
            {
                return Some(Err(error));
            }
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

    fn replaced(&self) -> u64 {
        self.parser.as_ref().map_or(0, RowParser::replaced)
    }
}
