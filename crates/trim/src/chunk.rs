//! One corpus file in pieces of bounded size, each to be worked on by whichever thread is free.
//!
//! Lines are only found here, with the speed of memory; taking JSON apart, checking UTF-8 and tokenizing is the
//! workers' business, so that one big file keeps all cores busy. TSV, CSV and Parquet, whose rows are not lines, are
//! parsed here.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use t5kit_formats::table::{
    self, Columns, CsvRows, Error, Format, ParquetRows, ReadRow, Row, RowParser, Table, TableOptions,
    Unpacked,
};

use crate::split::Splitter;

/// Some rows of a file.
pub(crate) struct Chunk {
    /// The file they come from, and its place among the inputs.
    pub path: Arc<PathBuf>,
    pub file: usize,
    /// The rows.
    pub body: Body,
    /// Rows that were found to be bad on the way.
    pub bad: Vec<Error>,
}

/// The rows of a [`Chunk`].
pub(crate) enum Body {
    /// Lines, still to be parsed.
    Lines {
        parser: Arc<RowParser>,
        /// The lines, each with its line feed, except perhaps the last.
        bytes: Vec<u8>,
        /// Number of the first one, from 1.
        first_line: u64,
        /// Longer lines are bad rows.
        limit: usize,
        /// The last line goes on in the next chunk; it was cut by [`Splitter::cut`].
        unfinished: bool,
        /// That cut was not exact.
        forced_cut: bool,
    },
    /// Rows of texts, one behind the other; `ends[i]` is where text `i` ends.
    Texts { text: String, ends: Vec<usize>, rows: u64 },
}

impl Chunk {
    /// Bytes of memory it takes, nearly.
    pub fn size(&self) -> usize {
        match &self.body {
            Body::Lines { bytes, .. } => bytes.len(),
            Body::Texts { text, .. } => text.len(),
        }
    }
}

/// A place in a file from which reading can go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    /// Decompressed bytes before it in text and JSON lines; rows in everything else.
    pub offset: u64,
    /// Line feeds (rows) before it.
    pub lines: u64,
}

/// Reads one file chunk by chunk.
pub(crate) struct ChunkReader {
    path: Arc<PathBuf>,
    file: usize,
    kind: Kind,
    position: Position,
    chunk_bytes: usize,
    /// An error that waits until the rows before it are given out.
    fatal: Option<Error>,
    encoding: Option<&'static str>,
}

enum Kind {
    Lines(Box<LineChunks>),
    Rows { reader: Box<dyn ReadRow + Send>, progress: RowProgress },
}

struct LineChunks {
    source: Unpacked,
    format: Format,
    parser: Arc<RowParser>,
    splitter: Splitter,
    max_row_bytes: usize,
    /// Bytes read but not given out.
    carry: Vec<u8>,
    ended: bool,
}

/// How far a file of rows is read, in bytes on disk.
enum RowProgress {
    Csv(Arc<AtomicU64>),
    Parquet { rows: u64, bytes: u64 },
}

impl ChunkReader {
    /// Opens the `file`th input and finds its columns; reading begins at `from`.
    pub fn open(
        file: usize,
        path: &Path,
        columns: &Columns,
        options: &TableOptions,
        splitter: &Splitter,
        chunk_bytes: usize,
        from: Position,
    ) -> Result<Self, Error> {
        let (mut position, mut encoding) = (Position::default(), None);
        let kind = match options.format_of(path) {
            Format::Csv => {
                let mut reader = CsvRows::open(path, columns, options)?;
                let progress = RowProgress::Csv(reader.raw_read());
                encoding = reader.encoding();
                pass_over(&mut reader, from.offset)?;
                position = from;
                Kind::Rows { reader: Box::new(reader), progress }
            }
            Format::Parquet => {
                let mut reader = ParquetRows::open(path, columns, options)?;
                let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
                let progress = RowProgress::Parquet { rows: reader.row_count(), bytes };
                reader.skip(from.offset)?;
                position = from;
                Kind::Rows { reader: Box::new(reader), progress }
            }
            // Rows that are not lines, each a small part of a file that is read by itself.
            // A cell of TSV may go on over several lines.
            Format::Tsv | Format::Json | Format::Sheet | Format::JsonLines if !is_lines(path, options)? => {
                let mut reader = table::open_columns(path, columns, options)?;
                let progress = RowProgress::Csv(reader.raw_read());
                encoding = reader.encoding();
                pass_over(&mut reader, from.offset)?;
                position = from;
                Kind::Rows { reader: Box::new(reader), progress }
            }
            format => {
                // JSON that is kept a record a line.
                let format = if format == Format::Json { Format::JsonLines } else { format };
                let mut chunks = match LineChunks::open(path, format, columns, options, splitter)? {
                    Some((chunks, header)) => {
                        position = header;
                        chunks
                    }
                    None => LineChunks::empty(path, format, splitter, options)?,
                };
                encoding = chunks.source.encoding();
                if from.offset > position.offset {
                    chunks.source = Unpacked::open_as(path, options.encoding)?;
                    chunks.source.skip(from.offset)?;
                    (chunks.carry, chunks.ended) = (Vec::new(), false);
                    position = from;
                }
                Kind::Lines(Box::new(chunks))
            }
        };
        let path = Arc::new(path.to_path_buf());
        Ok(Self { path, file, kind, position, chunk_bytes, fatal: None, encoding })
    }

    /// The encoding that the file is read in, as far as it is known.
    pub fn encoding(&self) -> Option<&'static str> {
        self.encoding
    }

    /// Where the next chunk begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Bytes on disk read so far.
    pub fn disk_bytes(&self) -> u64 {
        match &self.kind {
            Kind::Lines(chunks) => chunks.source.raw_read().load(Ordering::Relaxed),
            Kind::Rows { progress: RowProgress::Csv(read), .. } => read.load(Ordering::Relaxed),
            Kind::Rows { progress: RowProgress::Parquet { rows, bytes }, .. } => {
                (*bytes as f64 * self.position.offset as f64 / (*rows).max(1) as f64) as u64
            }
        }
    }

    /// The next rows; `None` at the end. After an error the file is of no more use.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        if let Some(error) = self.fatal.take() {
            return Err(error);
        }
        let mut bad = Vec::new();
        let body = match &mut self.kind {
            Kind::Lines(chunks) => {
                match chunks.next(&self.path, &mut self.position, self.chunk_bytes, &mut bad)? {
                    Some(body) => body,
                    None => return Ok(None),
                }
            }
            Kind::Rows { reader, .. } => {
                let (mut text, mut ends, mut rows) = (String::new(), Vec::new(), 0);
                let mut row = Row::default();
                while text.len() < self.chunk_bytes && rows + (bad.len() as u64) < 1 << 16 {
                    match reader.read_row(&mut row) {
                        None => break,
                        Some(Ok(())) => {
                            rows += 1;
                            for value in &row.values {
                                text.push_str(value);
                                ends.push(text.len());
                            }
                        }
                        Some(Err(error)) if error.is_bad_row() => bad.push(error),
                        Some(Err(error)) => {
                            self.fatal = Some(error);
                            break;
                        }
                    }
                }
                let passed = rows + bad.len() as u64;
                if passed == 0 {
                    return self.fatal.take().map_or(Ok(None), Err);
                }
                self.position.offset += passed;
                self.position.lines += passed;
                Body::Texts { text, ends, rows }
            }
        };
        Ok(Some(Chunk { path: self.path.clone(), file: self.file, body, bad }))
    }
}

/// Whether a file's records are kept a line each. Of what can be read only once, its format decides.
fn is_lines(path: &Path, options: &TableOptions) -> Result<bool, Error> {
    match options.format_of(path) {
        format if path.is_file() && !matches!(format, Format::Sheet | Format::Tsv) => {
            Ok(Table::open(path, options)?.head().format == Format::JsonLines)
        }
        format => Ok(format == Format::JsonLines),
    }
}

/// Reads `rows` rows to no purpose but to be behind them.
fn pass_over(reader: &mut dyn ReadRow, rows: u64) -> Result<(), Error> {
    let mut row = Row::default();
    for _ in 0..rows {
        match reader.read_row(&mut row) {
            None => break,
            Some(Err(error)) if !error.is_bad_row() => return Err(error),
            Some(_) => {}
        }
    }
    Ok(())
}

impl LineChunks {
    /// Opens the file and looks at its first line; also returns where the rows begin. `None` where the
    /// file has no rows.
    fn open(
        path: &Path,
        format: Format,
        columns: &Columns,
        options: &TableOptions,
        splitter: &Splitter,
    ) -> Result<Option<(Self, Position)>, Error> {
        let mut source = Unpacked::open_as(path, options.encoding)?;
        let mut carry = Vec::new();
        let mut ended = false;
        // The columns are decided by the first line that is neither blank nor bad; those lines stay in
        // `carry`, to be passed over or reported with the rows.
        let (mut from, mut line, mut first_error) = (0, 1, None);
        let (parser, header, behind) =
            loop {
                let end =
                    match memchr::memchr(b'\n', &carry[from..]) {
                        Some(length) => from + length,
                        None if ended => carry.len(),
                        // The beginning of a long line is enough where there is but one column.
                        None if format == Format::Text && !carry.is_empty() => carry.len(),
                        None if carry.len() - from > options.max_row_bytes => {
                            return Err(too_long(path, line, options.max_row_bytes));
                        }
                        None => {
                            let wanted = (carry.len() * 2).max(64 << 10);
                            ended = read_more(&mut source, &mut carry, wanted)
                                .map_err(|source| Error::Read { path: path.to_path_buf(), line, source })?;
                            continue;
                        }
                    };
                if from == carry.len() {
                    return first_error.map_or(Ok(None), Err);
                }
                let first = carry[from..end].strip_suffix(b"\r").unwrap_or(&carry[from..end]);
                let behind = (end + 1).min(carry.len());
                if format == Format::Text || !first.trim_ascii().is_empty() {
                    match RowParser::new(path, format, columns, options, first, line) {
                        Ok((parser, header)) => break (parser, header, behind),
                        Err(error) if format == Format::JsonLines && error.is_bad_row() => {
                            first_error.get_or_insert(error);
                        }
                        Err(error) => return Err(error),
                    }
                }
                (from, line) = (behind, line + 1);
            };
        let mut start = Position::default();
        if header {
            start = Position { offset: behind as u64, lines: line };
            carry.drain(..behind);
        }
        let chunks = Self {
            source,
            format,
            parser: Arc::new(parser),
            splitter: splitter.clone(),
            max_row_bytes: options.max_row_bytes,
            carry,
            ended,
        };
        Ok(Some((chunks, start)))
    }

    /// A reader of nothing, for a file without rows.
    fn empty(
        path: &Path,
        format: Format,
        splitter: &Splitter,
        options: &TableOptions,
    ) -> Result<Self, Error> {
        let (parser, _) = RowParser::new(path, Format::Text, &Columns::All, options, b"", 1)?;
        Ok(Self {
            source: Unpacked::open(path)?,
            format,
            parser: Arc::new(parser),
            splitter: splitter.clone(),
            max_row_bytes: 0,
            carry: Vec::new(),
            ended: true,
        })
    }

    fn next(
        &mut self,
        path: &Path,
        position: &mut Position,
        chunk_bytes: usize,
        bad: &mut Vec<Error>,
    ) -> Result<Option<Body>, Error> {
        let mut wanted = chunk_bytes;
        loop {
            if !self.ended && self.carry.len() < wanted {
                self.ended = read_more(&mut self.source, &mut self.carry, wanted).map_err(|source| {
                    Error::Read { path: path.to_path_buf(), line: position.lines + 1, source }
                })?;
            }
            if self.carry.is_empty() {
                return Ok(None);
            }
            let (mut unfinished, mut forced_cut) = (false, false);
            let head = chunk_bytes.min(self.carry.len());
            let line_feed = memchr::memrchr(b'\n', &self.carry[..head])
                .or_else(|| memchr::memchr(b'\n', &self.carry[head..]).map(|at| head + at));
            let end = match line_feed {
                _ if self.ended && self.carry.len() <= chunk_bytes => self.carry.len(),
                Some(at) if at < chunk_bytes || self.format != Format::Text => at + 1,
                _ if self.format == Format::Text => {
                    // The last bytes stay behind, so that a character's end can be told.
                    let cut = self.splitter.cut(&self.carry, head.min(self.carry.len() - 4));
                    (unfinished, forced_cut) = (true, !cut.exact);
                    cut.end
                }
                _ if self.ended => self.carry.len(),
                _ if self.carry.len() <= self.max_row_bytes => {
                    wanted = self.carry.len() * 2;
                    continue;
                }
                _ => {
                    bad.push(too_long(path, position.lines + 1, self.max_row_bytes));
                    self.skip_line(path, position)?;
                    continue;
                }
            };
            let rest = self.carry.split_off(end);
            let bytes = std::mem::replace(&mut self.carry, rest);
            let first_line = position.lines + 1;
            position.offset += end as u64;
            position.lines += memchr::memchr_iter(b'\n', &bytes).count() as u64;
            let parser = self.parser.clone();
            let limit = if self.format == Format::Text { usize::MAX } else { self.max_row_bytes };
            return Ok(Some(Body::Lines { parser, bytes, first_line, limit, unfinished, forced_cut }));
        }
    }

    /// Drops the rest of a line that is too long; `carry` holds its beginning and no line feed.
    fn skip_line(&mut self, path: &Path, position: &mut Position) -> Result<(), Error> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.carry) {
                self.carry.drain(..=at);
                position.offset += at as u64 + 1;
                position.lines += 1;
                return Ok(());
            }
            position.offset += self.carry.len() as u64;
            self.carry.clear();
            if self.ended {
                return Ok(());
            }
            self.ended = read_more(&mut self.source, &mut self.carry, 1 << 20).map_err(|source| {
                Error::Read { path: path.to_path_buf(), line: position.lines + 1, source }
            })?;
        }
    }
}

pub(crate) fn too_long(path: &Path, line: u64, limit: usize) -> Error {
    Error::Row { path: path.to_path_buf(), line, what: format!("longer than {limit} bytes") }
}

/// Appends bytes to `buffer` until it holds `wanted`, or one read more than it held; true at the end.
fn read_more(source: &mut Unpacked, buffer: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
    let missing = wanted.saturating_sub(buffer.len()).max(4096) as u64;
    Ok((source.take(missing).read_to_end(buffer)? as u64) < missing)
}
