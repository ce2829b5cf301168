//! One line to its wanted cells, for the formats that keep one row a line.

use std::borrow::Cow;
use std::path::Path;

use super::columns::{Found, resolve, resolve_cells};
use super::json_row::Keys;
use super::text::{Replaced, count, text};
use super::{Columns, Error, Format, TableOptions};

/// Takes the wanted cells out of single lines. It holds no state between lines, so several threads can
/// share one.
#[derive(Debug, Clone)]
pub struct RowParser {
    kind: Kind,
    replaced: Replaced,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    /// Places of the wanted cells, and the number of cells that every row must have.
    Tsv {
        places: Vec<usize>,
        cells: usize,
    },
    Json(Keys),
}

impl RowParser {
    /// A parser for a file whose first line (first line that is not blank, for JSON lines) is
    /// `first_line`, at number `line`. Also returns whether that line is a header.
    ///
    /// # Errors
    /// [`Error::Column`], [`Error::Choose`], [`Error::NoHeader`] where the wanted columns are not there;
    /// [`Error::Row`] where the first line cannot be parsed.
    ///
    /// # Panics
    /// On formats whose rows are not lines.
    pub fn new(
        path: &Path,
        format: Format,
        columns: &Columns,
        options: &TableOptions,
        first_line: &[u8],
        line: u64,
    ) -> Result<(Self, bool), Error> {
        let bad = |what: String| Error::Row { path: path.to_path_buf(), line, what };
        let replaced = Replaced::default();
        match format {
            Format::Text => {
                resolve(path, columns, &[Found { name: "text".into(), is_string: true }])?;
                Ok((Self { kind: Kind::Text, replaced }, false))
            }
            Format::Tsv => {
                let first = text(first_line, &replaced).map_err(bad)?;
                let cells = tsv_cells(&first);
                let cells: Vec<&str> = cells.iter().map(|cell| &**cell).collect();
                let (places, header) = resolve_cells(path, columns, options.has_header, &cells)?;
                Ok((Self { kind: Kind::Tsv { places, cells: cells.len() }, replaced }, header))
            }
            Format::JsonLines => {
                let keys = Keys::new(path, columns, options.empty_for_missing, first_line, bad)?;
                Ok((Self { kind: Kind::Json(keys), replaced }, false))
            }
            Format::Csv | Format::Json | Format::Parquet | Format::Sheet => {
                panic!("rows of {format:?} are not lines")
            }
        }
    }

    /// Puts the wanted cells of `line` (without its line feed) into `values`, cleared before. False
    /// where the line holds no row: blank lines between JSON objects and in tables of several columns.
    ///
    /// # Errors
    /// What is wrong with the line, to be completed by its place.
    pub fn parse<'a>(&self, line: &'a [u8], values: &mut Vec<Cow<'a, str>>) -> Result<bool, String> {
        values.clear();
        match &self.kind {
            Kind::Text => values.push(text(line, &self.replaced)?),
            Kind::Tsv { cells, .. }
                if *cells > 1 && line.trim_ascii().is_empty() && !line.contains(&b'\t') =>
            {
                return Ok(false);
            }
            Kind::Tsv { places, cells } => {
                let row = match text(line, &self.replaced)? {
                    Cow::Borrowed(text) => tsv_cells(text),
                    Cow::Owned(text) => {
                        tsv_cells(&text).into_iter().map(|cell| Cow::Owned(cell.into_owned())).collect()
                    }
                };
                if row.len() != *cells {
                    return Err(format!("{}, where the first line has {cells}", count(row.len(), "column")));
                }
                values.extend(places.iter().map(|&place| row[place].clone()));
            }
            Kind::Json(keys) => {
                if line.trim_ascii().is_empty() {
                    return Ok(false);
                }
                keys.parse(line, &self.replaced, values)?;
            }
        }
        Ok(true)
    }

    /// Whether the cells of a TSV file's row may go on in the next line: it has no more cells than it should, and the
    /// last of them begins with a quote that is still open.
    pub(super) fn goes_on(&self, line: &[u8]) -> bool {
        let Kind::Tsv { cells, .. } = &self.kind else { return false };
        let last = &line[memchr::memrchr(b'\t', line).map_or(0, |at| at + 1)..];
        *cells > 1
            && last.first() == Some(&b'"')
            && memchr::memchr_iter(b'"', last).count() % 2 == 1
            && memchr::memchr_iter(b'\t', line).count() < *cells
    }

    /// Lone halves of surrogate pairs replaced so far, by all that share this parser.
    pub fn replaced(&self) -> u64 {
        self.replaced.get()
    }
}

/// The cells of a line of a TSV file. Quotes are part of the text, except where a cell is quoted as a whole as spread
/// sheets and pandas do it, which they do only where something in it needs it: a quote (doubled there), a line end.
pub(super) fn tsv_cells(line: &str) -> Vec<Cow<'_, str>> {
    if line.contains('\n')
        && let Some(cells) = quoted_cells(line)
    {
        return cells;
    }
    line.split('\t').map(|cell| unquoted(cell).map_or(Cow::Borrowed(cell), Cow::Owned)).collect()
}

/// What a cell says that is quoted as a whole and has quotes in it, all doubled.
pub(super) fn unquoted(cell: &str) -> Option<String> {
    let inner = cell.strip_prefix('"')?.strip_suffix('"')?;
    let plain = inner.replace("\"\"", "");
    (plain.len() < inner.len() && !plain.contains('"')).then(|| inner.replace("\"\"", "\""))
}

/// The cells of a row of several lines: line ends and tabs within quotes are text. `None` where a quote is wrong.
pub(super) fn quoted_cells(row: &str) -> Option<Vec<Cow<'_, str>>> {
    let (mut cells, mut rest) = (Vec::new(), row);
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut from = 0;
            let end = loop {
                let at = from + quoted[from..].find('"')?;
                match quoted.as_bytes().get(at + 1) {
                    Some(b'"') => from = at + 2,
                    None | Some(b'\t') => break at,
                    Some(_) => return None,
                }
            };
            cells.push(Cow::Owned(quoted[..end].replace("\"\"", "\"")));
            match quoted.get(end + 2..) {
                Some(more) => rest = more,
                None => return Some(cells),
            }
        } else {
            let end = rest.find('\t');
            let cell = &rest[..end.unwrap_or(rest.len())];
            if cell.contains('\n') {
                return None;
            }
            cells.push(Cow::Borrowed(cell));
            match end {
                Some(end) => rest = &rest[end + 1..],
                None => return Some(cells),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_tsv() {
        for (line, cells) in [
            ("a\tb", &["a", "b"][..]),
            ("\"文\"二\t\"引文\"", &["\"文\"二", "\"引文\""]),
            ("\"用户,要求\"\"退款\"\"\"\t退款", &["用户,要求\"退款\"", "退款"]),
            ("\"a\"\"\tb\"", &["\"a\"\"", "b\""]),
            ("\"一\n二\t三\"\t\"\"\tx", &["一\n二\t三", "", "x"]),
            ("x\t\"一\n\"\"二\"", &["x", "一\n\"二"]),
            ("\"\t", &["\"", ""]),
            ("", &[""]),
        ] {
            assert_eq!(tsv_cells(line), cells, "{line:?}");
        }
        for wrong in ["\"a\nb", "\"a\n\"b\"\t", "a\nb\tc"] {
            assert_eq!(quoted_cells(wrong), None, "{wrong:?}");
        }
    }
}
