//! The texts of a file one by one: the lines of plain text, or a column of a table; and two files side by side.
//!
//! Lines of plain text end as Python's text mode has it (`\n`, `\r\n` or `\r`), because the references of the metrics
//! read their files so. Memory is one text of each file.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::text::{Replaced, text};
use super::{ColumnRef, Error, Format, Roles, Rows, Table, TableOptions, Unpacked};

/// The texts of one file, in order; an iterator.
pub struct Texts {
    path: PathBuf,
    encoding: Option<&'static str>,
    column: Option<String>,
    kind: Kind,
    read: u64,
}

enum Kind {
    Lines(Box<Lines>),
    Column(Rows),
}

impl Texts {
    /// The texts of the file at `path` (`-`: standard input): of a plain text its lines, of a table a column. Which one
    /// may be left open where there is only one, or only one whose name says that it could be meant: one of these
    /// `usual` names, else a source.
    ///
    /// # Errors
    /// Those of the file; [`Error::Column`] for a column that is not there, [`Error::Choose`] where nobody can know
    /// which is meant.
    pub fn open(
        path: &Path,
        column: Option<&ColumnRef>,
        usual: &[&str],
        options: &TableOptions,
    ) -> Result<Self, Error> {
        if options.format_of(path) == Format::Text && !(options.text_as_table && column.is_some()) {
            let source = Unpacked::open_as(path, options.encoding)?;
            let encoding = source.encoding();
            let kind = Kind::Lines(Box::new(Lines::new(source, options.max_row_bytes)));
            return Ok(Self { path: path.to_path_buf(), encoding, column: None, kind, read: 0 });
        }
        let mut table = Table::open(path, options)?;
        let place = match column {
            Some(column) => table.resolve(std::slice::from_ref(column))?[0],
            None => only(&table, usual)?,
        };
        table.allow_missing();
        let encoding = table.head().encoding;
        let column = match table.names().get(place) {
            Some(name) if !name.is_empty() => Some((*name).to_owned()),
            _ => Some((place + 1).to_string()),
        };
        let kind = Kind::Column(table.rows_at(&[place])?);
        Ok(Self { path: path.to_path_buf(), encoding, column, kind, read: 0 })
    }

    /// The encoding that the file is read in, as far as it is known.
    pub fn encoding(&self) -> Option<&'static str> {
        self.encoding
    }

    /// The column's name, or its number from 1; `None` of plain text.
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

impl Iterator for Texts {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.kind {
            Kind::Lines(lines) => lines.next_text(&self.path),
            Kind::Column(rows) => rows.next().map(|row| row.map(|mut row| row.values.swap_remove(0))),
        };
        self.read += u64::from(matches!(next, Some(Ok(_))));
        next
    }
}

/// The place of the only column that can be meant.
fn only(table: &Table, usual: &[&str]) -> Result<usize, Error> {
    let names = table.names();
    let of_name = |wanted: &&str| (0..names.len()).find(|&i| names[i].trim().eq_ignore_ascii_case(wanted));
    if names.len() == 1 {
        return Ok(0);
    }
    let found = usual.iter().find_map(of_name).or_else(|| match usual.is_empty() {
        true => Roles::source_of_names(&names),
        false => None,
    });
    found.ok_or_else(|| Error::Choose { path: table.path().to_path_buf(), have: table.shown_columns() })
}

/// Calls `f(left, right)` for every pair of texts; returns how many there were.
///
/// # Errors
/// Those of reading; [`Error::Unpaired`] for different numbers of texts, [`Error::NoTexts`] where there is none. `f`
/// may have been called for those before the fault.
pub fn for_each_pair(left: Texts, right: Texts, mut f: impl FnMut(&str, &str)) -> Result<u64, Error> {
    let (mut left, mut right) = (left, right);
    loop {
        match (left.next().transpose()?, right.next().transpose()?) {
            (Some(a), Some(b)) => f(&a, &b),
            (None, None) if left.read == 0 => {
                return Err(Error::NoTexts { left: left.path, right: right.path });
            }
            (None, None) => return Ok(left.read),
            (more, _) => {
                let (short, long) = if more.is_some() { (right, left) } else { (left, right) };
                return Err(Error::Unpaired { short: short.path, texts: short.read, long: long.path });
            }
        }
    }
}

/// Lines of any kind.
struct Lines {
    reader: BufReader<Unpacked>,
    limit: usize,
    line: Vec<u8>,
    /// Lines read so far.
    number: u64,
    /// The last line ended in `\r`: a `\n` that comes next belongs to it.
    after_return: bool,
    replaced: Replaced,
}

impl Lines {
    fn new(source: Unpacked, limit: usize) -> Self {
        let reader = BufReader::with_capacity(1 << 16, source);
        let replaced = Replaced::default();
        Lines { reader, limit, line: Vec::new(), number: 0, after_return: false, replaced }
    }

    fn next_text(&mut self, path: &Path) -> Option<Result<String, Error>> {
        match self.next_line() {
            Ok(true) => {}
            Ok(false) => return None,
            Err(source) => {
                return Some(Err(Error::Read { path: path.to_path_buf(), line: self.number + 1, source }));
            }
        }
        Some(match text(&self.line, &self.replaced) {
            Ok(text) => Ok(text.into_owned()),
            Err(what) => Err(Error::Row { path: path.to_path_buf(), line: self.number, what }),
        })
    }

    /// Reads the next line; false at the end of the file.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut any = false;
        loop {
            let mut chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                self.number += u64::from(any);
                return Ok(any);
            }
            let mut skipped = 0;
            if std::mem::take(&mut self.after_return) && chunk[0] == b'\n' {
                (chunk, skipped) = (&chunk[1..], 1);
            }
            let end = memchr::memchr2(b'\n', b'\r', chunk);
            let content = end.unwrap_or(chunk.len());
            self.line.extend_from_slice(&chunk[..content]);
            any |= content > 0 || end.is_some();
            self.after_return = end.is_some_and(|at| chunk[at] == b'\r');
            self.reader.consume(skipped + content + usize::from(end.is_some()));
            if self.line.len() > self.limit {
                let what = format!("a line of more than {} bytes", self.limit);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if end.is_some() {
                self.number += 1;
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, name: &str, bytes: &[u8], column: Option<&str>) -> Result<Texts, Error> {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        Texts::open(&path, column.map(ColumnRef::parse).as_ref(), &[], &TableOptions::default())
    }

    fn pairs(left: &[u8], right: &[u8]) -> Result<Vec<(String, String)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (open(dir.path(), "a", left, None), open(dir.path(), "b", right, None));
        let mut out = Vec::new();
        match for_each_pair(a.unwrap(), b.unwrap(), |x, y| out.push((x.to_string(), y.to_string()))) {
            Ok(n) => {
                assert_eq!(n as usize, out.len());
                Ok(out)
            }
            Err(e) => Err(e.to_string().replace(&dir.path().display().to_string(), "")),
        }
    }

    #[test]
    fn every_kind_of_line_end() {
        let expected: Vec<(String, String)> =
            [("一", "a"), ("", "b"), ("三", ""), (" 四", "d")].map(|(x, y)| (x.into(), y.into())).into();
        assert_eq!(pairs("一\n\n三\n 四".as_bytes(), b"a\r\nb\r\rd\r").unwrap(), expected);
        // A mark is no text, and neither is the encoding.
        let wide: Vec<u8> = "\u{feff}一\n\n三\n 四".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(pairs(&wide, "\u{feff}a\nb\n\nd\n".as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_line_longer_than_the_buffer_with_its_end_on_the_edge() {
        for extra in 0..3 {
            let mut text = vec![b'x'; (1 << 16) - 1 + extra];
            text.extend(b"\r\ny\n");
            let got = pairs(&text, b"a\nb\n").unwrap();
            assert_eq!(got.len(), 2);
            assert_eq!(got[0].0.len(), (1 << 16) - 1 + extra);
            assert_eq!(got[1].0, "y");
        }
    }

    #[test]
    fn columns() {
        let dir = tempfile::tempdir().unwrap();
        let texts = |name: &str, text: &str, column: Option<&str>| -> Result<Vec<String>, String> {
            open(dir.path(), name, text.as_bytes(), column)
                .and_then(Iterator::collect)
                .map_err(|e| e.to_string())
        };
        assert_eq!(texts("a.csv", "id,摘要\n1,\"甲\n乙\"\n2,丙\n", None).unwrap(), ["甲\n乙", "丙"]);
        assert_eq!(texts("a.tsv", "甲\t乙\n丙\t丁\n", Some("2")).unwrap(), ["乙", "丁"]);
        assert_eq!(texts("a.jsonl", "{\"x\":{\"y\":1}}\n{\"x\":{}}\n", Some("x.y")).unwrap(), ["1", ""]);
        let error = texts("b.csv", "foo,bar\n甲,乙\n丙,丁\n", None).unwrap_err();
        assert!(error.contains("which column") && error.contains("foo"), "{error}");
    }

    #[test]
    fn faults_are_named() {
        let e = pairs(b"a\nb\n", b"a\n").unwrap_err();
        assert!(e.starts_with("/b has 1 text and /a has more"), "{e}");
        let e = pairs(b"a\n", b"a\n\n").unwrap_err();
        assert!(e.starts_with("/a has 1 text and /b has more"), "{e}");
        let e = pairs(b"a\n\xff\n", b"a\nb\n").unwrap_err();
        assert!(e.starts_with("/a, line 2: not UTF-8"), "{e}");
        let e = pairs(b"", b"").unwrap_err();
        assert!(e.contains("no texts"), "{e}");
        let missing = Texts::open(Path::new("/nowhere/x"), None, &[], &TableOptions::default());
        assert!(missing.err().unwrap().to_string().starts_with("/nowhere/x: cannot be opened"));
    }
}
