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
//! | text | one, called `text`: the line; or as TSV ([`TableOptions::text_as_table`]) | none |
//! | TSV | split at every tab; a cell quoted as a whole is unquoted | see below |
//! | CSV | RFC 4180 quoting, line breaks within quotes allowed; commas, or what the file shows (`sep=;`) | see below |
//! | JSON lines | the fields of each object, nested ones by paths (`translation.en`); strings, numbers, booleans | – |
//! | JSON | the same of an array of objects, of SQuAD's files and of conversations ([`Format::Json`]) | – |
//! | Parquet | flat string, number and boolean columns | the schema |
//! | sheet | of a workbook of Excel or OpenDocument, the first or the one named | see below |
//!
//! The first row is a header where a column is wanted by name, where it holds names that columns usually have
//! (`source`, 摘要, …), or where it is unlike all that stands under it; [`TableOptions::has_header`] settles it. A
//! column is found by its name whatever the case and the spaces around it.
//!
//! Text is read in any encoding ([`crate::encoding`]).
//!
//! Memory is bounded: a line or record longer than [`TableOptions::max_row_bytes`] is an error, not an
//! allocation.

mod columns;
mod csv_rows;
mod error;
mod head;
mod json_records;
mod json_row;
mod json_rows;
mod json_values;
mod lines;
mod parquet_rows;
mod parse;

mod results;
mod roles;
mod sheet_rows;
mod text;
mod texts;
mod unpacked;
mod whole_rows;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::encoding::Encoding;

pub use columns::{ColumnRef, Columns};
pub use csv_rows::CsvRows;
pub use error::Error;
pub use head::{Column, Head, Table};
pub use lines::{LineRead, Lines};
pub use parquet_rows::ParquetRows;
pub use parse::RowParser;
pub use results::{FinishError, KeptResults, ResultTable, ResultWriter};
pub use roles::Roles;
pub use sheet_rows::SheetRows;
pub use texts::{Texts, for_each_pair};
pub use unpacked::{Compression, Unpacked};
pub use whole_rows::{WholeRow, WholeRows};
pub use writer::{TableWriter, format_to_write};

/// How the rows of a file are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Every line is one text.
    Text,
    /// Every line is an object.
    JsonLines,
    /// An array of records, objects over several lines, or an object that holds records: SQuAD's questions,
    /// ShareGPT's conversations.
    Json,
    /// Cells separated by tabs, without quoting.
    Tsv,
    /// Cells separated by commas or the like, quoted as in RFC 4180.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// A sheet of a workbook.
    Sheet,
}

impl Format {
    /// The names that [`Format::by_name`] knows, for help texts.
    pub const NAMES: [&'static str; 7] = ["text", "jsonl", "json", "tsv", "csv", "parquet", "xlsx"];

    /// The format of that name (`text`, `jsonl`, `json`, `tsv`, `csv`, `parquet`, `xlsx`).
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "jsonl" => Self::JsonLines,
            "json" => Self::Json,
            "xlsx" => Self::Sheet,
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
            Self::Json => "json",
            Self::Sheet => "xlsx",
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
            Some("jsonl" | "ndjson") => Self::JsonLines,
            Some("json") => Self::Json,
            Some("xlsx" | "xlsm" | "xls" | "xlsb" | "ods" | "et") => Self::Sheet,
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
    /// Whether the first row of a TSV or CSV file or of a sheet names the columns; told from the file if `None`.
    pub has_header: Option<bool>,
    /// The encoding of text.
    pub encoding: Encoding,
    /// The sheet of a workbook, by its name or its place from 1; the first if `None`.
    pub sheet: Option<String>,
    /// A text file whose first line has a tab is a table as TSV is.
    pub text_as_table: bool,
    /// What is not there, or null, in JSON and Parquet is an empty text, not a bad row.
    pub empty_for_missing: bool,
    /// A line or record of more bytes is an error: 64 MiB by default.
    pub max_row_bytes: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            format: None,
            has_header: None,
            encoding: Encoding::Auto,
            sheet: None,
            text_as_table: false,
            empty_for_missing: false,
            max_row_bytes: 64 << 20,
        }
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

    /// How many halves of surrogate pairs stood alone so far, and were replaced by U+FFFD.
    fn replaced(&self) -> u64 {
        0
    }
}

/// The rows of one file, in order; made by [`open`].
///
/// A bad row (too few cells, invalid UTF-8, …) is an `Err` for which [`Error::is_bad_row`] holds, and the
/// iterator goes on behind it; after any other error it ends.
pub struct Rows {
    reader: Option<Box<dyn ReadRow + Send>>,
    replaced: u64,
    raw_read: Arc<AtomicU64>,
    encoding: Option<&'static str>,
}

impl Rows {
    fn new(
        reader: Box<dyn ReadRow + Send>,
        raw_read: Arc<AtomicU64>,
        encoding: Option<&'static str>,
    ) -> Self {
        Self { reader: Some(reader), replaced: 0, raw_read, encoding }
    }

    /// The encoding that the file is read in, as far as it was known when it was opened.
    pub fn encoding(&self) -> Option<&'static str> {
        self.encoding
    }

    /// A counter of the bytes on disk read so far, to be watched from elsewhere; it stands still for what is read as a
    /// whole.
    pub fn raw_read(&self) -> Arc<AtomicU64> {
        self.raw_read.clone()
    }
}

impl ReadRow for Rows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        let read = self.reader.as_mut()?.read_row(row);
        if match &read {
            None => true,
            Some(Err(error)) => !error.is_bad_row(),
            Some(Ok(())) => false,
        } {
            self.replaced = self.replaced();
            self.reader = None;
        }
        read
    }

    fn replaced(&self) -> u64 {
        self.reader.as_ref().map_or(self.replaced, |reader| reader.replaced())
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = Row::default();
        self.read_row(&mut row).map(|read| read.map(|()| row))
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
    Table::open(path, options)?.rows(columns)
}
