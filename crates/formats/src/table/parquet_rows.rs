//! Rows of Parquet files, read page by page without Arrow.
//!
//! The parquet crate checks much of a file but not everything, and stops with a panic on some damaged
//! ones; such a panic is turned into an [`Error::Parquet`] here.

use std::cell::Cell;
use std::fs::File;
use std::io::Seek;
use std::panic::{self, AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use parquet::basic::{Compression as Codec, ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::columns::{Found, resolve};
use super::unpacked::{Compression, Unpacked};
use super::{Columns, Error, ReadRow, Row, TableOptions};

/// Rows decoded at a time: pages of a few of them are held, never a row group.
const BATCH: usize = 256;

/// Rows of a Parquet file.
pub struct ParquetRows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// Places of the wanted columns among the file's leaf columns, and their highest definition levels.
    places: Vec<usize>,
    levels: Vec<i16>,
    limit: usize,
    /// Nulls are empty texts.
    empty_for_missing: bool,
    row_group: usize,
    /// Readers of the current row group, one for each wanted column; none before the first.
    columns: Vec<ColumnReader>,
    /// Decoded cells of the current batch, one list for each wanted column, the last row first.
    batch: Vec<Vec<Option<Value>>>,
    /// Number of the row last given out, from 1.
    row: u64,
}

/// One decoded cell.
enum Value {
    Bytes(parquet::data_type::ByteArray),
    Scalar(String),
}

impl ParquetRows {
    /// Opens the file at `path` for its wanted `columns`. Such a file is read from its end: one that is packed as a
    /// whole, and standard input, go to an unnamed temporary file first.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Parquet`] for a file that is none, or that packs its columns in a way that is not
    /// read; and those of the wanted columns.
    pub fn open(path: &Path, columns: &Columns, options: &TableOptions) -> Result<Self, Error> {
        let bad = |what: String| Error::Parquet { path: path.to_path_buf(), what };
        let file = seekable(path)?;
        let reader = guarded(|| SerializedFileReader::new(file)).map_err(bad)?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let leaves = schema.columns();
        let found: Vec<Found> = leaves
            .iter()
            .map(|c| Found { name: c.path().string(), is_string: c.max_rep_level() == 0 && is_string(c) })
            .collect();
        let places = resolve(path, columns, &found)?;
        for &place in &places {
            let column = &leaves[place];
            if column.max_rep_level() > 0 {
                return Err(bad(format!("column {:?} holds lists", found[place].name)));
            }
            let binary = column.physical_type() == Physical::BYTE_ARRAY && !is_string(column);
            if binary || matches!(column.physical_type(), Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY) {
                return Err(bad(format!("column {:?} holds neither text nor numbers", found[place].name)));
            }
        }
        for group in reader.metadata().row_groups() {
            for &place in &places {
                let codec = group.column(place).compression();
                if matches!(codec, Codec::BROTLI(_) | Codec::LZO) {
                    let name = &found[place].name;
                    let codec = if codec == Codec::LZO { "LZO" } else { "brotli" };
                    return Err(bad(format!(
                        "column {name:?} is packed by {codec}, which is not read; write it with snappy, gzip, zstd or lz4"
                    )));
                }
            }
        }
        let batch = places.iter().map(|_| Vec::new()).collect();
        let levels = places.iter().map(|&place| leaves[place].max_def_level()).collect();
        let path = path.to_path_buf();
        let (limit, empty_for_missing) = (options.max_row_bytes, options.empty_for_missing);
        let columns = Vec::new();
        Ok(Self {
            path,
            reader,
            places,
            levels,
            limit,
            empty_for_missing,
            row_group: 0,
            columns,
            batch,
            row: 0,
        })
    }

    /// The names of the columns that can be read as texts, numbers or booleans, and whether each holds text.
    pub(super) fn readable(&self) -> Vec<(String, bool)> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let wanted = schema.columns().iter().filter(|c| {
            let text = c.physical_type() != Physical::BYTE_ARRAY || is_string(c);
            c.max_rep_level() == 0
                && text
                && !matches!(c.physical_type(), Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY)
        });
        wanted.map(|c| (c.path().string(), is_string(c))).collect()
    }

    /// Number of rows in the file, as its footer says.
    pub fn row_count(&self) -> u64 {
        self.reader.metadata().file_metadata().num_rows().max(0) as u64
    }

    /// Passes over the next `rows` rows without decoding more of them than their pages' heads.
    ///
    /// # Errors
    /// [`Error::Parquet`] where the file has fewer.
    pub fn skip(&mut self, rows: u64) -> Result<(), Error> {
        let end = self.row + rows;
        while self.row < end {
            let decoded = self.batch.first().map_or(0, Vec::len) as u64;
            if decoded > 0 {
                let n = decoded.min(end - self.row);
                for cells in &mut self.batch {
                    cells.truncate((decoded - n) as usize);
                }
                self.row += n;
            } else if self.columns.is_empty() && !self.next_row_group()? {
                return Err(self.bad(format!("shorter than {end} rows")));
            } else {
                let left = end - self.row;
                let columns = &mut self.columns;
                let skipped = guarded(|| {
                    columns.iter_mut().map(|c| skip_in(c, left as usize)).collect::<Result<Vec<_>, _>>()
                })
                .map_err(|what| self.bad(what))?;
                let n = skipped.first().copied().unwrap_or(0);
                if skipped.iter().any(|&other| other != n) {
                    return Err(self.bad("its columns have different lengths".into()));
                }
                self.row += n as u64;
                if n == 0 {
                    self.columns.clear();
                }
            }
        }
        Ok(())
    }

    fn bad(&self, what: String) -> Error {
        Error::Parquet { path: self.path.clone(), what }
    }

    /// Opens the columns of the next row group; false where there is none.
    fn next_row_group(&mut self) -> Result<bool, Error> {
        if self.row_group == self.reader.num_row_groups() || self.places.is_empty() {
            return Ok(false);
        }
        let (reader, places, at) = (&self.reader, &self.places, self.row_group);
        let columns = guarded(|| {
            let group = reader.get_row_group(at)?;
            places.iter().map(|&place| group.get_column_reader(place)).collect::<Result<Vec<_>, _>>()
        });
        self.columns = columns.map_err(|what| self.bad(what))?;
        self.row_group += 1;
        Ok(true)
    }

    /// Decodes the next rows into the batch; false at the end of the file.
    fn next_batch(&mut self) -> Result<bool, Error> {
        loop {
            if self.columns.is_empty() && !self.next_row_group()? {
                return Ok(false);
            }
            let (columns, batch, levels, limit) =
                (&mut self.columns, &mut self.batch, &self.levels, self.limit);
            let read = guarded(|| {
                for ((column, cells), &level) in columns.iter_mut().zip(batch.iter_mut()).zip(levels) {
                    decode(column, level, cells, limit)?;
                    cells.reverse();
                }
                Ok(())
            });
            read.map_err(|what| self.bad(what))?;
            let n = self.batch[0].len();
            if self.batch.iter().any(|cells| cells.len() != n) {
                return Err(self.bad("its columns have different lengths".into()));
            }
            if n > 0 {
                return Ok(true);
            }
            self.columns.clear();
        }
    }
}

impl ReadRow for ParquetRows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        if self.batch.first().is_none_or(Vec::is_empty) {
            match self.next_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        self.row += 1;
        row.line = self.row;
        row.values.resize_with(self.places.len(), String::new);
        let mut bad = None;
        for (i, (value, cells)) in row.values.iter_mut().zip(&mut self.batch).enumerate() {
            value.clear();
            let what = match cells.pop().flatten() {
                Some(Value::Scalar(text)) => {
                    value.push_str(&text);
                    continue;
                }
                None if self.empty_for_missing => continue,
                Some(Value::Bytes(bytes)) => match std::str::from_utf8(bytes.data()) {
                    Ok(text) => {
                        value.push_str(text);
                        continue;
                    }
                    Err(_) => "is not UTF-8",
                },
                None => "is null",
            };
            bad.get_or_insert((i, what));
        }
        match bad {
            None => Some(Ok(())),
            Some((i, what)) => {
                let schema = self.reader.metadata().file_metadata().schema_descr();
                let name = schema.column(self.places[i]).path().string();
                let what = format!("column {name:?} {what}");
                Some(Err(Error::Row { path: self.path.clone(), line: self.row, what }))
            }
        }
    }
}

/// The file at `path`; of a packed one, of standard input and of pipes the unpacked content, in a temporary file that
/// goes with its handle.
pub(super) fn seekable(path: &Path) -> Result<File, Error> {
    let open = |source| Error::Open { path: path.to_path_buf(), source };
    let mut source = Unpacked::open_bytes(path)?;
    if source.compression() == Compression::None && source.raw_len().is_some() {
        return File::open(path).map_err(open);
    }
    let mut unpacked = || {
        let mut file = tempfile::tempfile()?;
        std::io::copy(&mut source, &mut file)?;
        file.rewind()?;
        Ok(file)
    };
    let place = std::env::temp_dir();
    unpacked().map_err(|e: std::io::Error| Error::Unpack {
        path: path.to_path_buf(),
        what: format!("cannot be unpacked into {} (set TMPDIR for another place): {e}", place.display()),
    })
}

thread_local! {
    /// Set while this thread is within [`without_panics`], where a panic is an answer and not news.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and turns both errors and panics of the parquet crate into a message.
fn guarded<T>(work: impl FnOnce() -> Result<T, parquet::errors::ParquetError>) -> Result<T, String> {
    without_panics(AssertUnwindSafe(|| work().map_err(|error| error.to_string())))
}

/// Runs `work`, and turns a panic of the crate that reads a damaged file into a message, without the panic's own lines
/// on standard error.
pub(super) fn without_panics<T>(work: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    GUARDED.set(true);
    let done = catch_unwind(work);
    GUARDED.set(false);
    done.unwrap_or_else(|_| Err("the file is damaged".into()))
}

/// Whether a column's bytes are text; bytes without any annotation are taken for it.
fn is_string(column: &ColumnDescriptor) -> bool {
    column.physical_type() == Physical::BYTE_ARRAY
        && match column.logical_type_ref() {
            Some(logical) => matches!(logical, LogicalType::String | LogicalType::Json | LogicalType::Enum),
            None => matches!(
                column.converted_type(),
                ConvertedType::NONE | ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM
            ),
        }
}

/// Passes over up to `rows` rows of a column; returns how many there were.
fn skip_in(column: &mut ColumnReader, rows: usize) -> Result<usize, parquet::errors::ParquetError> {
    match column {
        ColumnReader::BoolColumnReader(c) => c.skip_records(rows),
        ColumnReader::Int32ColumnReader(c) => c.skip_records(rows),
        ColumnReader::Int64ColumnReader(c) => c.skip_records(rows),
        ColumnReader::Int96ColumnReader(c) => c.skip_records(rows),
        ColumnReader::FloatColumnReader(c) => c.skip_records(rows),
        ColumnReader::DoubleColumnReader(c) => c.skip_records(rows),
        ColumnReader::ByteArrayColumnReader(c) => c.skip_records(rows),
        ColumnReader::FixedLenByteArrayColumnReader(c) => c.skip_records(rows),
    }
}

/// Decodes the next batch of a column into `cells`; `present` is the definition level of a value that is
/// there, 0 in a column without nulls.
fn decode(
    column: &mut ColumnReader,
    present: i16,
    cells: &mut Vec<Option<Value>>,
    limit: usize,
) -> Result<(), parquet::errors::ParquetError> {
    match column {
        ColumnReader::BoolColumnReader(c) => typed(c, present, cells, scalar),
        ColumnReader::Int32ColumnReader(c) => typed(c, present, cells, scalar),
        ColumnReader::Int64ColumnReader(c) => typed(c, present, cells, scalar),
        ColumnReader::FloatColumnReader(c) => typed(c, present, cells, scalar),
        ColumnReader::DoubleColumnReader(c) => typed(c, present, cells, scalar),
        ColumnReader::ByteArrayColumnReader(c) => typed::<ByteArrayType>(c, present, cells, |bytes| {
            if bytes.len() > limit {
                return Err(parquet::errors::ParquetError::General(format!(
                    "a value of {} bytes, where at most {limit} are taken",
                    bytes.len()
                )));
            }
            Ok(Value::Bytes(bytes))
        }),
        // Refused when the file was opened.
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err(parquet::errors::ParquetError::General("the schema disagrees with the data".into()))
        }
    }
}

fn scalar<T: ToString>(value: T) -> Result<Value, parquet::errors::ParquetError> {
    Ok(Value::Scalar(value.to_string()))
}

/// The next batch of a column whose values are of type `T`, nulls put where they belong.
fn typed<T: DataType>(
    column: &mut ColumnReaderImpl<T>,
    present: i16,
    cells: &mut Vec<Option<Value>>,
    make: impl Fn(T::T) -> Result<Value, parquet::errors::ParquetError>,
) -> Result<(), parquet::errors::ParquetError> {
    cells.clear();
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let (records, _, _) = column.read_records(BATCH, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter();
    for i in 0..records {
        let here = present == 0 || levels.get(i) == Some(&present);
        cells.push(if here { values.next().map(&make).transpose()? } else { None });
    }
    Ok(())
}
