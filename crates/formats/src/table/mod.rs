//! Rows of text out of the files people keep text in: plain text, TSV, CSV, JSON lines and Parquet,
//! each plain, gzipped or Zstandard-compressed.
//!
//! Two readers stand on this: the corpus counter, which wants one text column at full speed, and the
//! trainer, which wants a source and a target column. [`open`] serves both with an iterator of [`Row`]s;
//! whoever wants to parse lines on several threads takes [`Unpacked`] and [`RowParser`] instead, which
//! [`open`] itself is made of.
//!
//! | format | columns | header |
//! |---|---|---|
//! | text | one, called `text`: the line | none |
//! | TSV | split at every tab, no quoting | read when a column is given by name |
//! | CSV | RFC 4180 quoting, line breaks within quotes allowed | read when a column is given by name |
//! | JSON lines | the keys of each object; strings, and numbers and booleans as they are written | – |
//! | Parquet | flat string, number and boolean columns | the schema |
//!
//! Memory is bounded: a line or record longer than [`TableOptions::max_row_bytes`] is an error, not an
//! allocation.

mod columns;
mod csv_rows;
mod error;
mod lines;
mod parquet_rows;
mod parse;
mod unpacked;

use std::path::Path;

pub use columns::{ColumnRef, Columns};
pub use csv_rows::CsvRows;
pub use error::Error;
pub use lines::{LineRead, Lines};
pub use parquet_rows::ParquetRows;
pub use parse::RowParser;
pub use unpacked::{Compression, Unpacked};

/// How the rows of a file are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Every line is one text.
    Text,
    /// Every line is an object.
    JsonLines,
    /// Cells separated by tabs, without quoting.
    Tsv,
    /// Cells separated by commas, quoted as in RFC 4180.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The names that [`Format::by_name`] knows, for help texts.
    pub const NAMES: [&'static str; 5] = ["text", "jsonl", "tsv", "csv", "parquet"];

    /// The format of that name (`text`, `jsonl`, `tsv`, `csv`, `parquet`).
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "jsonl" => Self::JsonLines,
            "tsv" => Self::Tsv,
            "csv" => Self::Csv,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// The name as [`Format::by_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::JsonLines => "jsonl",
            Self::Tsv => "tsv",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file's name promises, `.gz` and `.zst` aside; whatever is unknown is text.
    pub fn of_path(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match stem.rsplit_once('.').map(|(_, extension)| extension) {
            Some("jsonl" | "ndjson" | "json") => Self::JsonLines,
            Some("tsv" | "tab") => Self::Tsv,
            Some("csv") => Self::Csv,
            Some("parquet") => Self::Parquet,
            _ => Self::Text,
        }
    }
}

/// How to read a file; the default decides everything from the file itself.
#[derive(Debug, Clone)]
pub struct TableOptions {
    /// The format; by the file's name if `None`.
    pub format: Option<Format>,
    /// Whether the first row of a TSV or CSV file names the columns; if `None`, it does when a wanted
    /// column is given by name.
    pub has_header: Option<bool>,
    /// A line or record of more bytes is an error: 64 MiB by default.
    pub max_row_bytes: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { format: None, has_header: None, max_row_bytes: 64 << 20 }
    }
}

impl TableOptions {
    /// The format of the file at `path` under these options.
    pub fn format_of(&self, path: &Path) -> Format {
        self.format.unwrap_or_else(|| Format::of_path(path))
    }
}

/// The wanted cells of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The line in the file, from 1, on which the row begins; in Parquet the row's number, from 1.
    pub line: u64,
    /// One value for each wanted column, in the order in which they were wanted.
    pub values: Vec<String>,
}

/// A reader that fills the same [`Row`] again and again.
pub trait ReadRow {
    /// Reads the next row into `row`; `None` at the end. After an error for which
    /// [`Error::is_bad_row`] holds, reading may go on behind the bad row; after any other, the end follows.
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>>;
}

/// The rows of one file, in order; made by [`open`].
///
/// A bad row (too few cells, invalid UTF-8, …) is an `Err` for which [`Error::is_bad_row`] holds, and the
/// iterator goes on behind it; after any other error it ends.
pub struct Rows {
    reader: Option<Box<dyn ReadRow + Send>>,
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = Row::default();
        match self.reader.as_mut()?.read_row(&mut row) {
            Some(Ok(())) => Some(Ok(row)),
            Some(Err(error)) => {
                if !error.is_bad_row() {
                    self.reader = None;
                }
                Some(Err(error))
            }
            None => {
                self.reader = None;
                None
            }
        }
    }
}

/// Opens the file at `path` (`-`: standard input) for its wanted `columns`; none given means all columns,
/// in the file's order.
///
/// # Errors
/// [`Error::Open`] and [`Error::Read`] for the file itself, [`Error::Column`] for a wanted column that is
/// not there. An empty file has no rows and gives no error.
///
/// ```no_run
/// use t5kit_formats::table::{open, ColumnRef, TableOptions};
/// # fn main() -> Result<(), t5kit_formats::table::Error> {
/// let columns = [ColumnRef::Number(2), ColumnRef::Number(3)];
/// for row in open("title.tsv".as_ref(), &columns, &TableOptions::default())? {
///     let row = row?;
///     println!("{}: {} -> {}", row.line, row.values[0], row.values[1]);
/// }
/// # Ok(())
/// # }
/// ```
pub fn open(path: &Path, columns: &[ColumnRef], options: &TableOptions) -> Result<Rows, Error> {
    let columns = if columns.is_empty() { Columns::All } else { Columns::These(columns.to_vec()) };
    open_columns(path, &columns, options)
}

/// [`open`] with every way of choosing columns.
///
/// # Errors
/// As [`open`]; [`Error::Choose`] where [`Columns::Text`] finds no single text column.
pub fn open_columns(path: &Path, columns: &Columns, options: &TableOptions) -> Result<Rows, Error> {
    let format = options.format_of(path);
    let reader: Box<dyn ReadRow + Send> = match format {
        Format::Csv => Box::new(CsvRows::open(path, columns, options)?),
        Format::Parquet => Box::new(ParquetRows::open(path, columns, options)?),
        Format::Text | Format::JsonLines | Format::Tsv => {
            Box::new(lines::LineRows::open(path, format, columns, options)?)
        }
    };
    Ok(Rows { reader: Some(reader) })
}
