//! A table written row by row: TSV, CSV, JSON lines, Parquet, or text of one column.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::parse::unquoted;
use super::{Error, Format};

/// Rows of a Parquet file that are held until they are written together.
const GROUP_ROWS: usize = 8192;

/// Writes a table of texts. What is written lies in the order of the calls; [`finish`](Self::finish) ends it.
pub struct TableWriter<W: Write + Send> {
    kind: Kind<W>,
    names: Vec<String>,
}

enum Kind<W: Write + Send> {
    Text(W),
    Tsv(W),
    Csv(W),
    JsonLines(W),
    Parquet { writer: Box<SerializedFileWriter<W>>, rows: Vec<Vec<Value>> },
}

/// The format that a table written to `path` has by its name; `-` is TSV, as a pipe wants it.
///
/// # Errors
/// [`Error::Write`] for a name that promises what cannot be written.
pub fn format_to_write(path: &Path) -> Result<Format, Error> {
    let bad = |what: &str| Err(Error::Write { path: path.to_path_buf(), what: what.to_owned() });
    let name = path.to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".gz") || name.ends_with(".zst") {
        return bad("packed tables are not written; leave the ending away and pack it afterwards");
    }
    match Format::of_path(path) {
        Format::Sheet => bad("workbooks are not written; name a .csv, which Excel opens"),
        Format::Json => bad("JSON is written a row a line; name a .jsonl"),
        Format::Text if name == "-" => Ok(Format::Tsv),
        format => Ok(format),
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// Begins a table of these columns. With a `header` TSV and CSV name them first; `mark` puts a byte order mark
    /// before a CSV, by which Excel knows UTF-8.
    ///
    /// # Errors
    /// Those of writing; a Parquet file whose columns have no or equal names.
    ///
    /// # Panics
    /// On [`Format::Json`] and [`Format::Sheet`], which [`format_to_write`] does not give.
    pub fn new(format: Format, mut out: W, names: &[String], header: bool, mark: bool) -> io::Result<Self> {
        let names = names.to_vec();
        let kind = match format {
            Format::Text => Kind::Text(out),
            Format::Tsv => {
                if header {
                    write_tsv(&mut out, names.iter().map(String::as_str))?;
                }
                Kind::Tsv(out)
            }
            Format::Csv => {
                if mark {
                    out.write_all("\u{feff}".as_bytes())?;
                }
                if header {
                    write_csv(&mut out, names.iter().map(String::as_str))?;
                }
                Kind::Csv(out)
            }
            Format::JsonLines => Kind::JsonLines(out),
            Format::Parquet => {
                if let Some(name) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("two columns are called {:?}, which Parquet cannot have", name.1),
                    ));
                }
                let mut fields = Vec::new();
                for name in &names {
                    let field = Type::primitive_type_builder(name, parquet::basic::Type::BYTE_ARRAY)
                        .with_logical_type(Some(parquet::basic::LogicalType::String))
                        .with_repetition(parquet::basic::Repetition::OPTIONAL)
                        .build();
                    fields.push(Arc::new(field.map_err(io::Error::other)?));
                }
                let schema = Type::group_type_builder("rows").with_fields(fields).build();
                let schema = Arc::new(schema.map_err(io::Error::other)?);
                let packing = parquet::basic::Compression::SNAPPY;
                let properties = WriterProperties::builder().set_compression(packing).build();
                let writer = SerializedFileWriter::new(out, schema, Arc::new(properties));
                Kind::Parquet { writer: Box::new(writer.map_err(io::Error::other)?), rows: Vec::new() }
            }
            Format::Json | Format::Sheet => panic!("{format:?} is not written"),
        };
        Ok(Self { kind, names })
    }

    /// Writes a row of as many cells as there are columns: texts as they are, null as nothing, anything else as JSON
    /// has it. In TSV and text, which keep a row on a line, line ends and tabs become spaces.
    ///
    /// # Errors
    /// Those of writing.
    pub fn row(&mut self, cells: &[Value]) -> io::Result<()> {
        let text = |cell: &Value| match cell {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        match &mut self.kind {
            Kind::Text(out) => write_tsv(out, cells.last().map(text).as_deref().into_iter()),
            Kind::Tsv(out) => write_tsv(out, cells.iter().map(text).collect::<Vec<_>>().iter().map(|c| &**c)),
            Kind::Csv(out) => write_csv(out, cells.iter().map(text).collect::<Vec<_>>().iter().map(|c| &**c)),
            Kind::JsonLines(_) => {
                let object = self.names.iter().cloned().zip(cells.iter().cloned()).collect();
                self.object(&object)
            }
            Kind::Parquet { writer, rows } => {
                rows.push(cells.to_vec());
                if rows.len() == GROUP_ROWS { write_group(writer, rows) } else { Ok(()) }
            }
        }
    }

    /// Writes an object: as it is in JSON lines, elsewhere the values of the columns.
    ///
    /// # Errors
    /// Those of writing.
    pub fn object(&mut self, object: &Map<String, Value>) -> io::Result<()> {
        if let Kind::JsonLines(out) = &mut self.kind {
            serde_json::to_writer(&mut *out, object)?;
            return out.write_all(b"\n");
        }
        let cells: Vec<Value> = (self.names.iter())
            .map(|name| super::json_row::lookup(object, name).cloned().unwrap_or_default())
            .collect();
        self.row(&cells)
    }

    /// Hands on what was written so far, as far as the format allows.
    ///
    /// # Errors
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Kind::Text(out) | Kind::Tsv(out) | Kind::Csv(out) | Kind::JsonLines(out) => out.flush(),
            Kind::Parquet { .. } => Ok(()),
        }
    }

    /// Ends the table and gives back where it was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> io::Result<W> {
        match self.kind {
            Kind::Text(mut out) | Kind::Tsv(mut out) | Kind::Csv(mut out) | Kind::JsonLines(mut out) => {
                out.flush()?;
                Ok(out)
            }
            Kind::Parquet { mut writer, mut rows } => {
                if !rows.is_empty() {
                    write_group(&mut writer, &mut rows)?;
                }
                writer.into_inner().map_err(io::Error::other)
            }
        }
    }
}

fn write_tsv<'a>(out: &mut impl Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    // What would be read as a quoted cell is quoted once more.
    let quoted = |cell: String| match unquoted(&cell) {
        Some(_) => format!("\"{}\"", cell.replace('"', "\"\"")),
        None => cell,
    };
    let line: Vec<String> = cells.map(|cell| quoted(cell.replace(['\t', '\n', '\r'], " "))).collect();
    writeln!(out, "{}", line.join("\t"))
}

fn write_csv<'a>(out: &mut impl Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let quoted = |cell: &str| match cell.contains([',', '"', '\n', '\r']) || cell.trim() != cell {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    };
    let line: Vec<String> = cells.map(quoted).collect();
    // An empty line would be no row.
    let line = if line == [""] { "\"\"".to_owned() } else { line.join(",") };
    writeln!(out, "{line}")
}

/// Writes the rows that were held as a row group.
fn write_group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    rows: &mut Vec<Vec<Value>>,
) -> io::Result<()> {
    let rows = std::mem::take(rows);
    let mut group = writer.next_row_group().map_err(io::Error::other)?;
    let mut at = 0;
    while let Some(mut column) = group.next_column().map_err(io::Error::other)? {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        for row in &rows {
            let text = match row.get(at) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            };
            levels.push(i16::from(text.is_some()));
            values.extend(text.map(|text| ByteArray::from(text.into_bytes())));
        }
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&values, Some(&levels), None).map_err(io::Error::other)?;
        column.close().map_err(io::Error::other)?;
        at += 1;
    }
    group.close().map_err(io::Error::other)?;
    Ok(())
}
