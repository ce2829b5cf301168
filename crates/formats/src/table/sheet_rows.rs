//! Rows of a spread sheet: Excel's .xlsx, .xlsm, .xlsb and .xls, and OpenDocument's .ods.
//!
//! Such a file is read as a whole (`calamine`). Cells are texts as they would be written down: numbers without a
//! superfluous `.0`, dates as `2024-05-01`, `TRUE` and `FALSE` as `true` and `false`, formulas by their last value.
//! Rows without a filled cell are no rows.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use calamine::{Data, DataRef, ExcelDateTime, Ods, Reader, Xls, Xlsb, Xlsx};

use super::columns::{resolve_cells, unlike_the_rest};
use super::parquet_rows::{seekable, without_panics};
use super::{Columns, Error, ReadRow, Row, TableOptions};

/// A workbook that unpacks to more than this is refused.
const MAX_UNPACKED: u64 = 2 << 30;

/// What a cell says, or what is wrong with it.
type Cell = Result<String, String>;
/// The filled cells of each row that has some, by their columns; rows count from 1.
type Cells = BTreeMap<u64, Vec<(usize, Cell)>>;

/// A sheet's rows.
pub struct SheetRows {
    path: PathBuf,
    /// The sheet's name.
    sheet: String,
    rows: Cells,
    width: usize,
    places: Vec<usize>,
}

impl SheetRows {
    /// Reads the wanted sheet of the workbook at `path`, the first where none is named.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Workbook`] for a file that is none, is protected by a password, or has no such
    /// sheet.
    pub fn read(path: &Path, options: &TableOptions) -> Result<Self, Error> {
        let bad = |what: String| Error::Workbook { path: path.to_path_buf(), what };
        let mut file = seekable(path)?;
        let (sheet, rows) = without_panics(AssertUnwindSafe(|| -> Result<_, String> {
            let mut magic = [0; 4];
            let n = file.read(&mut magic).map_err(|e| e.to_string())?;
            file.rewind().map_err(|e| e.to_string())?;
            match &magic[..n] {
                b"\xd0\xcf\x11\xe0" => {
                    let mut book = Xls::new(BufReader::new(file)).map_err(|e| e.to_string())?;
                    let sheet = choose(book.sheet_names(), options.sheet.as_deref())?;
                    let range = book.worksheet_range(&sheet).map_err(|e| e.to_string())?;
                    Ok((sheet, of_range(&range)))
                }
                b"PK\x03\x04" => of_zip(file, options),
                _ => Err("not a workbook of Excel or OpenDocument".into()),
            }
        }))
        .map_err(bad)?;
        let width = rows.values().flatten().map(|(column, _)| column + 1).max().unwrap_or(0);
        Ok(Self { path: path.to_path_buf(), sheet, rows, width, places: Vec::new() })
    }

    /// The sheet's name.
    pub fn sheet(&self) -> &str {
        &self.sheet
    }

    /// The first rows, each with its line.
    pub(super) fn sample(&self) -> Vec<(u64, Vec<String>)> {
        let whole = |cells: &Vec<(usize, Cell)>| {
            let mut row = vec![String::new(); self.width];
            for (column, cell) in cells {
                row[*column] = cell.clone().unwrap_or_default();
            }
            row
        };
        self.rows.iter().take(50).map(|(line, cells)| (*line, whole(cells))).collect()
    }

    /// The rows with the wanted `columns` only.
    pub(super) fn select(mut self, columns: &Columns, options: &TableOptions) -> Result<Self, Error> {
        let sample = self.sample();
        let Some((_, first)) = sample.first() else { return Ok(self) };
        let cells: Vec<&str> = first.iter().map(String::as_str).collect();
        let rest: Vec<Vec<String>> = sample[1..].iter().map(|(_, row)| row.clone()).collect();
        let has_header = options.has_header.or_else(|| unlike_the_rest(&cells, &rest).then_some(true));
        let (places, header) = resolve_cells(&self.path, columns, has_header, &cells)?;
        self.places = places;
        if header {
            self.rows.pop_first();
        }
        Ok(self)
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl ReadRow for SheetRows {
    fn read_row(&mut self, row: &mut Row) -> Option<Result<(), Error>> {
        let (line, cells) = self.rows.pop_first()?;
        row.line = line;
        row.values.clear();
        for &place in &self.places {
            match cells.iter().find(|(column, _)| *column == place).map(|(_, cell)| cell) {
                None => row.values.push(String::new()),
                // A column may be wanted twice.
                Some(Ok(text)) => row.values.push(text.clone()),
                Some(Err(what)) => {
                    let what = format!("column {}: {what}", place + 1);
                    return Some(Err(Error::Row { path: self.path.clone(), line, what }));
                }
            }
        }
        Some(Ok(()))
    }
}

/// Excel's last column.
const MAX_COLUMNS: u32 = 1 << 14;

/// The wanted sheet of a zipped workbook.
fn of_zip(file: std::fs::File, options: &TableOptions) -> Result<(String, Cells), String> {
    let again = || file.try_clone().map_err(|e| e.to_string()).map(BufReader::new);
    let mut archive = zip::ZipArchive::new(again()?).map_err(|e| e.to_string())?;
    let mut unpacked = 0u64;
    let mut names = Vec::new();
    for i in 0..archive.len() {
        let entry = archive.by_index_raw(i).map_err(|e| e.to_string())?;
        unpacked = unpacked.saturating_add(entry.size());
        names.push(entry.name().map(|name| name.into_owned()).unwrap_or_default());
    }
    if unpacked > MAX_UNPACKED {
        return Err(format!("unpacks to {} MB, which no table needs; save it as CSV", unpacked >> 20));
    }
    let has = |name: &str| names.iter().any(|n| n == name);
    let sheet = options.sheet.as_deref();
    if has("xl/workbook.xml") {
        let mut book = Xlsx::new(again()?).map_err(|e| e.to_string())?;
        let sheet = choose(book.sheet_names(), sheet)?;
        let mut cells = book.worksheet_cells_reader(&sheet).map_err(|e| e.to_string())?;
        // Cell by cell: what a sheet says of its size may be anything.
        let mut rows = Cells::new();
        while let Some(cell) = cells.next_cell().map_err(|e| e.to_string())? {
            let (row, column) = cell.get_position();
            if column >= MAX_COLUMNS {
                continue;
            }
            let text = match cell.get_value() {
                DataRef::Empty => continue,
                DataRef::SharedString(text) => Ok((*text).to_owned()),
                DataRef::String(text) => Ok(text.clone()),
                DataRef::Int(n) => Ok(n.to_string()),
                DataRef::Float(x) => Ok(x.to_string()),
                DataRef::Bool(b) => Ok(b.to_string()),
                DataRef::DateTime(time) => Ok(date(time)),
                DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => Ok(text.clone()),
                DataRef::Error(error) => Err(format!("the cell holds the error {error}")),
            };
            put(&mut rows, row, column as usize, text);
        }
        rows.retain(|_, cells| filled(cells));
        Ok((sheet, rows))
    } else if has("xl/workbook.bin") {
        let mut book = Xlsb::new(again()?).map_err(|e| e.to_string())?;
        let sheet = choose(book.sheet_names(), sheet)?;
        Ok((sheet.clone(), of_range(&book.worksheet_range(&sheet).map_err(|e| e.to_string())?)))
    } else if has("content.xml") {
        let mut book = Ods::new(again()?).map_err(|e| e.to_string())?;
        let sheet = choose(book.sheet_names(), sheet)?;
        Ok((sheet.clone(), of_range(&book.worksheet_range(&sheet).map_err(|e| e.to_string())?)))
    } else {
        Err("a zip file, but no workbook of Excel or OpenDocument".into())
    }
}

fn put(rows: &mut Cells, row: u32, column: usize, cell: Cell) {
    rows.entry(u64::from(row) + 1).or_default().push((column, cell));
}

fn filled(cells: &[(usize, Cell)]) -> bool {
    cells.iter().any(|(_, cell)| cell.as_ref().map_or(true, |text| !text.trim().is_empty()))
}

fn of_range(range: &calamine::Range<Data>) -> Cells {
    let (first, left) = range.start().unwrap_or((0, 0));
    let mut rows = Cells::new();
    for (row, column, data) in range.used_cells() {
        put(&mut rows, first + row as u32, left as usize + column, cell(data));
    }
    rows.retain(|_, cells| filled(cells));
    rows
}

fn cell(data: &Data) -> Result<String, String> {
    Ok(match data {
        Data::Empty => String::new(),
        Data::DateTime(time) => date(time),
        Data::Error(error) => return Err(format!("the cell holds the error {error}")),
        other => other.to_string(),
    })
}

/// `2024-05-01`, `2024-05-01 12:30:00`, `12:30:00`.
fn date(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let seconds = (time.as_f64() * 86400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    let day = format!("{year:04}-{month:02}-{day:02}");
    match time.as_f64() {
        x if x.fract() == 0.0 => day,
        x if x < 1.0 => clock,
        _ => format!("{day} {clock}"),
    }
}

/// The sheet that is wanted: by its name, by its place from 1, or the first.
fn choose(names: Vec<String>, wanted: Option<&str>) -> Result<String, String> {
    let found = match wanted {
        None => names.first(),
        Some(wanted) => names.iter().find(|name| name.trim() == wanted.trim()).or_else(|| {
            let place = wanted.parse::<usize>().ok()?;
            names.get(place.checked_sub(1)?)
        }),
    };
    found.cloned().ok_or_else(|| match wanted {
        Some(wanted) => format!("no sheet {wanted:?}; it has {}", names.join(", ")),
        None => "it has no sheet".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use calamine::ExcelDateTimeType;

    #[test]
    fn cells_as_they_are_written_down() {
        let time = |x| Data::DateTime(ExcelDateTime::new(x, ExcelDateTimeType::DateTime, false));
        let span = Data::DateTime(ExcelDateTime::new(1.5, ExcelDateTimeType::TimeDelta, false));
        for (data, text) in [
            (Data::Int(3), "3"),
            (Data::Float(3.0), "3"),
            (Data::Float(0.1), "0.1"),
            (Data::Bool(true), "true"),
            (time(45943.0), "2025-10-13"),
            (time(45943.5), "2025-10-13 12:00:00"),
            (time(0.25), "06:00:00"),
            (span, "36:00:00"),
        ] {
            assert_eq!(cell(&data).as_deref(), Ok(text));
        }
        assert!(cell(&Data::Error(calamine::CellErrorType::NA)).is_err());
    }

    #[test]
    fn sheets_by_name_place_or_the_first() {
        let names = || vec!["甲".to_owned(), "2".to_owned(), "丙".to_owned()];
        assert_eq!(choose(names(), None).as_deref(), Ok("甲"));
        assert_eq!(choose(names(), Some("丙")).as_deref(), Ok("丙"));
        assert_eq!(choose(names(), Some("2")).as_deref(), Ok("2"));
        assert_eq!(choose(names(), Some("3")).as_deref(), Ok("丙"));
        assert!(choose(names(), Some("0")).unwrap_err().contains("甲, 2, 丙"));
        assert!(choose(Vec::new(), None).is_err());
    }
}
