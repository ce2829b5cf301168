//! What a file is understood as before its rows are read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::columns::{self, names_columns, unlike_the_rest};
use super::csv_rows::{self, Delimiter, look_at_records};
use super::json_records::holds_records;
use super::json_row::{lookup, names, object};
use super::json_rows::{self, JsonObjects, JsonRows};
use super::lines::LineRows;
use super::parse::tsv_cells;
use super::sheet_rows::SheetRows;
use super::text::Replaced;
use super::whole_rows::{Kind, WholeRows};
use super::{ColumnRef, Columns, CsvRows, Error, Format, ParquetRows, ReadRow, Rows, TableOptions, Unpacked};

/// What a file was understood as.
#[derive(Clone, Debug)]
pub struct Head {
    /// How its rows are written down.
    pub format: Format,
    /// Its encoding; none where the format has its own, and of a pipe that has shown nothing but ASCII.
    pub encoding: Option<&'static str>,
    /// Whether the first row is a header; `None` where the format has none.
    pub header: Option<bool>,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// One column of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Its name; empty where there is no header.
    pub name: String,
    /// The first value that is not empty, as far as was looked.
    pub first: String,
}

/// A file of which the beginning was looked at.
pub struct Table {
    path: PathBuf,
    options: TableOptions,
    head: Head,
    body: Body,
    /// The first rows of a file of cells, its header among them.
    sample: Vec<Vec<String>>,
    /// The first records of a file of objects.
    objects: Vec<Map<String, Value>>,
}

enum Body {
    Lines(Unpacked),
    Csv(Unpacked, Delimiter),
    Json(Unpacked),
    Sheet(Box<SheetRows>),
    Parquet,
}

impl Table {
    /// Opens the file at `path` (`-`: standard input) and looks at its beginning: format, encoding, columns.
    ///
    /// # Errors
    /// [`Error::Open`] and [`Error::Read`] for the file itself; [`Error::Parquet`] and [`Error::Workbook`] for files
    /// that are none.
    pub fn open(path: &Path, options: &TableOptions) -> Result<Self, Error> {
        let mut options = options.clone();
        let format = match options.format {
            Some(format) => format,
            None => by_content(path).unwrap_or_else(|| Format::of_path(path)),
        };
        let head = Head { format, encoding: None, header: None, sheet: None, columns: Vec::new() };
        let (sample, objects) = (Vec::new(), Vec::new());
        let path = path.to_path_buf();
        match format {
            Format::Parquet => {
                let reader = ParquetRows::open(&path, &Columns::These(Vec::new()), &options)?;
                let columns: Vec<Column> = reader
                    .readable()
                    .into_iter()
                    .map(|(name, _)| Column { name, first: String::new() })
                    .collect();
                drop(reader);
                let mut table = Self {
                    path,
                    options,
                    head: Head { columns, ..head },
                    body: Body::Parquet,
                    sample,
                    objects,
                };
                table.see_parquet()?;
                Ok(table)
            }
            Format::Sheet => {
                let rows = SheetRows::read(&path, &options)?;
                let sample: Vec<Vec<String>> = rows.sample().into_iter().map(|(_, row)| row).collect();
                let sheet = Some(rows.sheet().to_owned());
                let body = Body::Sheet(Box::new(rows));
                let mut table = Self { path, options, head: Head { sheet, ..head }, body, sample, objects };
                table.find_header();
                Ok(table)
            }
            _ => {
                let mut source = Unpacked::open_as(&path, options.encoding)?;
                let limit = options.max_row_bytes;
                let ended = match format {
                    Format::Csv => look_at_records(&mut source, limit)?,
                    _ => look_at_line(&mut source, limit)?,
                };
                let format = refine(format, &mut source, ended, &options)?;
                options.format = Some(format);
                let head = Head { format, encoding: source.encoding(), ..head };
                let mut table = Self { path, options, head, body: Body::Json(source), sample, objects };
                table.see_text(ended);
                Ok(table)
            }
        }
    }

    /// What the file was understood as.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<&str> {
        self.head.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first values of a Parquet file's columns.
    fn see_parquet(&mut self) -> Result<(), Error> {
        let options = TableOptions { empty_for_missing: true, ..self.options.clone() };
        for column in &mut self.head.columns {
            let wanted = Columns::These(vec![ColumnRef::Name(column.name.clone())]);
            let Ok(mut reader) = ParquetRows::open(&self.path, &wanted, &options) else { continue };
            let mut row = super::Row::default();
            if let Some(Ok(())) = reader.read_row(&mut row) {
                column.first = row.values.swap_remove(0);
            }
        }
        Ok(())
    }

    /// Finds the columns of a text file by what was looked at of it; `ended`: that is all.
    fn see_text(&mut self, ended: bool) {
        let Body::Json(source) = std::mem::replace(&mut self.body, Body::Parquet) else { return };
        let seen = source.seen();
        self.body = match self.head.format {
            Format::Csv => {
                let delimiter = Delimiter::of_head(seen, ended);
                self.sample =
                    csv_rows::sample(seen, delimiter, ended).into_iter().map(|(_, row)| row).collect();
                self.find_header();
                Body::Csv(source, delimiter)
            }
            Format::Tsv => {
                self.sample = lines_of(seen, ended)
                    .map(|line| tsv_cells(&line).into_iter().map(|cell| cell.into_owned()).collect())
                    .collect();
                self.find_header();
                Body::Lines(source)
            }
            Format::Json => {
                self.objects = json_rows::sample(seen, self.options.max_row_bytes);
                self.find_fields();
                Body::Json(source)
            }
            Format::JsonLines => {
                self.objects = lines_of(seen, ended)
                    .filter_map(|line| object(line.as_bytes(), &Replaced::default()).ok())
                    .collect();
                self.find_fields();
                Body::Lines(source)
            }
            _ => {
                let first = lines_of(seen, ended).next().unwrap_or_default();
                self.head.columns = vec![Column { name: "text".into(), first }];
                Body::Lines(source)
            }
        };
    }

    /// Columns of a file of cells, and whether the first row names them.
    fn find_header(&mut self) {
        let Some((first, rest)) = self.sample.split_first() else {
            self.head.header = self.options.has_header;
            return;
        };
        let cells: Vec<&str> = first.iter().map(String::as_str).collect();
        let header =
            self.options.has_header.unwrap_or_else(|| names_columns(&cells) || unlike_the_rest(&cells, rest));
        self.set_header(header);
    }

    fn set_header(&mut self, header: bool) {
        self.head.header = Some(header);
        let Some(first) = self.sample.first() else { return };
        let rows = &self.sample[usize::from(header)..];
        let value =
            |at: usize| rows.iter().filter_map(|row| row.get(at)).find(|cell| !cell.trim().is_empty());
        self.head.columns = (0..first.len())
            .map(|at| Column {
                name: if header { first[at].trim().to_owned() } else { String::new() },
                first: value(at).cloned().unwrap_or_default(),
            })
            .collect();
    }

    /// Columns of a file of objects: the fields of the first ones.
    fn find_fields(&mut self) {
        for object in &self.objects {
            for (name, _) in names(object) {
                if self.head.columns.iter().any(|column| column.name == name) {
                    continue;
                }
                let first = lookup(object, &name).map(shown).unwrap_or_default();
                self.head.columns.push(Column { name, first });
            }
        }
    }

    /// The places (from 0) of these columns in [`Head::columns`]. A name makes the first row a header where nothing
    /// spoke against it; a path into an object's lists (`answers.text.0`) becomes a column.
    ///
    /// # Errors
    /// [`Error::Column`] for a column that is not there, [`Error::NoHeader`] for a name where the file is said to have
    /// no header.
    pub fn resolve(&mut self, wanted: &[ColumnRef]) -> Result<Vec<usize>, Error> {
        if wanted.iter().any(|column| matches!(column, ColumnRef::Name(_)))
            && self.head.header == Some(false)
            && self.options.has_header.is_none()
        {
            self.set_header(true);
        }
        wanted.iter().map(|column| self.place(column)).collect()
    }

    fn place(&mut self, wanted: &ColumnRef) -> Result<usize, Error> {
        if let (ColumnRef::Name(_), Some(false)) = (wanted, self.head.header) {
            return Err(Error::NoHeader { path: self.path.clone(), wanted: wanted.to_string() });
        }
        let what = match columns::place(wanted, &self.names()) {
            Ok(place) => return Ok(place),
            Err(what) => what,
        };
        if let ColumnRef::Name(name) = wanted
            && let Some(value) = self.objects.iter().find_map(|object| lookup(object, name))
        {
            let first = shown(value);
            self.head.columns.push(Column { name: name.clone(), first });
            return Ok(self.head.columns.len() - 1);
        }
        Err(Error::Column { path: self.path.clone(), wanted: what, have: self.shown_columns() })
    }

    /// The columns for a message: their names, or their numbers and first values where they have none.
    pub fn shown_columns(&self) -> Vec<String> {
        let columns = self.head.columns.iter().enumerate();
        columns
            .map(|(i, column)| match column.name.is_empty() {
                true => format!("{} ({:?})", i + 1, column.first),
                false => column.name.clone(),
            })
            .collect()
    }

    /// The rows, of the columns at these places (from 0) in [`Head::columns`].
    ///
    /// # Errors
    /// Those of reading the file on.
    pub fn rows_at(self, places: &[usize]) -> Result<Rows, Error> {
        let by_name = matches!(self.head.format, Format::Json | Format::JsonLines | Format::Parquet);
        let column = |&place: &usize| match self.head.columns.get(place) {
            Some(column) if by_name => ColumnRef::Name(column.name.clone()),
            _ => ColumnRef::Number(place + 1),
        };
        let columns = Columns::These(places.iter().map(column).collect());
        let options = TableOptions { has_header: self.head.header, ..self.options.clone() };
        self.into_rows(&columns, &options)
    }

    /// The whole rows. Columns of a Parquet file that hold lists or bytes are left out, as they are from
    /// [`Head::columns`].
    ///
    /// # Errors
    /// Those of reading the file on.
    pub fn whole_rows(mut self) -> Result<WholeRows, Error> {
        Ok(WholeRows(match self.body {
            Body::Json(source) => {
                Kind::Objects(Box::new(JsonObjects::new(source, self.options.max_row_bytes)))
            }
            Body::Lines(source) if self.head.format == Format::JsonLines => {
                Kind::Objects(Box::new(JsonObjects::new(source, self.options.max_row_bytes)))
            }
            _ => {
                self.options.empty_for_missing = true;
                let places: Vec<usize> = (0..self.head.columns.len()).collect();
                Kind::Rows(self.rows_at(&places)?)
            }
        }))
    }

    /// From now on what is not there, or null, is an empty text: [`TableOptions::empty_for_missing`].
    pub fn allow_missing(&mut self) {
        self.options.empty_for_missing = true;
    }

    /// The rows, of columns chosen in any way.
    pub(super) fn rows(self, columns: &Columns) -> Result<Rows, Error> {
        // A header that was found by what stands under it; anything else the reader finds by itself.
        let header = self.options.has_header.or(self.head.header.filter(|&header| header));
        let options = TableOptions { has_header: header, ..self.options.clone() };
        self.into_rows(columns, &options)
    }

    fn into_rows(self, columns: &Columns, options: &TableOptions) -> Result<Rows, Error> {
        let raw_read = match &self.body {
            Body::Lines(source) | Body::Csv(source, _) | Body::Json(source) => source.raw_read(),
            Body::Sheet(_) | Body::Parquet => Arc::default(),
        };
        let reader: Box<dyn ReadRow + Send> = match self.body {
            Body::Lines(source) => Box::new(LineRows::of_source(source, self.head.format, columns, options)?),
            Body::Csv(source, delimiter) => {
                Box::new(CsvRows::of_source(source, Some(delimiter), columns, options)?)
            }
            Body::Json(source) => Box::new(JsonRows::new(source, columns, options)),
            Body::Sheet(rows) => Box::new(rows.select(columns, options)?),
            Body::Parquet => Box::new(ParquetRows::open(&self.path, columns, options)?),
        };
        Ok(Rows::new(reader, raw_read, self.head.encoding))
    }
}

/// A value as it is shown.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The lines that were seen, without the blank ones and without the last one if it may go on.
fn lines_of(seen: &[u8], ended: bool) -> impl Iterator<Item = String> {
    let whole = match memchr::memrchr(b'\n', seen) {
        Some(end) if !ended => &seen[..end],
        _ => seen,
    };
    let lines = whole.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter(|line| !line.trim_ascii().is_empty() || line.contains(&b'\t'))
        .take(50)
        .map(|line| String::from_utf8_lossy(line).into_owned())
}

/// Looks so far into a source that a line with something on it is seen whole; true where that is all there is.
fn look_at_line(source: &mut Unpacked, limit: usize) -> Result<bool, Error> {
    let path = source.path().to_path_buf();
    loop {
        let seen =
            source.look_further().map_err(|e| Error::Read { path: path.clone(), line: 1, source: e })?;
        let Some(seen) = seen else { return Ok(true) };
        let blank = seen.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if seen[blank..].contains(&b'\n') || seen.len() > limit {
            return nothing_more(source);
        }
    }
}

/// Whether a source has been seen to its end. Standard input is not waited for.
pub(super) fn nothing_more(source: &mut Unpacked) -> Result<bool, Error> {
    let path = source.path().to_path_buf();
    if path.as_os_str() == "-" {
        return Ok(false);
    }
    let more = source.look_further().map_err(|e| Error::Read { path, line: 1, source: e })?;
    Ok(more.is_none())
}

/// What kind of file the first bytes of a plain file make it, where that is none of text.
fn by_content(path: &Path) -> Option<Format> {
    let file = File::open(path).ok()?;
    if path.as_os_str() == "-" || !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut magic = Vec::new();
    file.take(4).read_to_end(&mut magic).ok()?;
    match &magic[..] {
        b"PK\x03\x04" | b"\xd0\xcf\x11\xe0" => Some(Format::Sheet),
        b"PAR1" => Some(Format::Parquet),
        _ => None,
    }
}

/// The format of a text file by its beginning, which its name does not always say.
fn refine(
    format: Format,
    source: &mut Unpacked,
    ended: bool,
    options: &TableOptions,
) -> Result<Format, Error> {
    let first = |source: &Unpacked| lines_of(source.seen(), ended).next().unwrap_or_default();
    Ok(match format {
        Format::Text if options.text_as_table && first(source).contains('\t') => Format::Tsv,
        Format::Tsv if options.format.is_none() => {
            let line = first(source);
            let delimiter = Delimiter::of_head(source.seen(), ended);
            let cells = csv_rows::sample(line.as_bytes(), delimiter, true);
            let named = cells.first().is_some_and(|(_, row)| {
                row.len() > 1 && names_columns(&row.iter().map(String::as_str).collect::<Vec<_>>())
            });
            if !line.contains('\t') && named { Format::Csv } else { Format::Tsv }
        }
        Format::Json | Format::JsonLines => {
            let head = source.seen().trim_ascii_start();
            let line = first(source);
            let whole = object(line.as_bytes(), &Replaced::default()).is_ok();
            match head.first() {
                Some(b'{') if whole && !holds_records(line.as_bytes()) => Format::JsonLines,
                Some(b'{') if whole => Format::Json,
                Some(&first @ (b'[' | b'{')) => {
                    // The end of the first record may lie behind what was seen.
                    let limit = options.max_row_bytes;
                    let mut all = ended;
                    while !all
                        && json_rows::sample(source.seen(), limit).is_empty()
                        && source.seen().len() < limit
                    {
                        let path = source.path().to_path_buf();
                        let more = source.look_further();
                        all = more.map_err(|e| Error::Read { path, line: 1, source: e })?.is_none();
                    }
                    match first == b'{' && json_rows::sample(source.seen(), limit).is_empty() {
                        true => Format::JsonLines,
                        false => Format::Json,
                    }
                }
                _ => Format::JsonLines,
            }
        }
        other => other,
    })
}
