//! Two text files read side by side, line by line.
//!
//! Lines end as Python's text mode has it (`\n`, `\r\n` or `\r`), because the reference reads its files so. Files
//! must be UTF-8 and have the same number of lines; memory is one line of each.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What can be wrong with a pair of files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be opened or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not UTF-8.
    #[error("{path}, line {line}: not valid UTF-8; convert the file to UTF-8 first")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// One file ends before the other.
    #[error(
        "{short} has {lines} lines and {long} has more; prediction and reference of an example must stand on the \
         same line"
    )]
    LineCounts {
        /// The file that ended.
        short: PathBuf,
        /// Its lines.
        lines: u64,
        /// The file that goes on.
        long: PathBuf,
    },
    /// There is no line at all.
    #[error("{left} and {right} have no lines, so there is nothing to compare")]
    Empty {
        /// The first file.
        left: PathBuf,
        /// The second file.
        right: PathBuf,
    },
}

/// Calls `f(left, right)` for every pair of lines, without their ends; returns how many there were.
///
/// Errors: a file that cannot be read or is not UTF-8, different numbers of lines, no line at all. `f` may have
/// been called for the lines before the fault.
pub fn for_each_pair(left: &Path, right: &Path, mut f: impl FnMut(&str, &str)) -> Result<u64, Error> {
    let (mut a, mut b) = (Lines::open(left)?, Lines::open(right)?);
    loop {
        match (a.next()?, b.next()?) {
            (true, true) => f(a.text()?, b.text()?),
            (false, false) if a.number == 0 => {
                return Err(Error::Empty { left: left.into(), right: right.into() });
            }
            (false, false) => return Ok(a.number),
            (more, _) => {
                let (short, long) = if more { (&b, left) } else { (&a, right) };
                return Err(Error::LineCounts {
                    short: short.path.clone(),
                    lines: short.number,
                    long: long.into(),
                });
            }
        }
    }
}

struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Lines read so far.
    number: u64,
    /// The last line ended in `\r`: a `\n` that comes next belongs to it.
    after_return: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Ok(Lines {
            path: path.into(),
            reader: BufReader::with_capacity(1 << 16, file),
            line: Vec::new(),
            number: 0,
            after_return: false,
        })
    }

    /// Reads the next line; false at the end of the file.
    fn next(&mut self) -> Result<bool, Error> {
        self.line.clear();
        let mut any = false;
        loop {
            let chunk = self.reader.fill_buf();
            let mut chunk = chunk.map_err(|source| Error::Io { path: self.path.clone(), source })?;
            if chunk.is_empty() {
                self.number += u64::from(any);
                return Ok(any);
            }
            let mut skipped = 0;
            if std::mem::take(&mut self.after_return) && chunk[0] == b'\n' {
                (chunk, skipped) = (&chunk[1..], 1);
            }
            let end = chunk.iter().position(|b| matches!(b, b'\n' | b'\r'));
            let content = end.unwrap_or(chunk.len());
            self.line.extend_from_slice(&chunk[..content]);
            any |= content > 0 || end.is_some();
            self.after_return = end.is_some_and(|at| chunk[at] == b'\r');
            self.reader.consume(skipped + content + usize::from(end.is_some()));
            if end.is_some() {
                self.number += 1;
                return Ok(true);
            }
        }
    }

    fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.line)
            .map_err(|_| Error::NotUtf8 { path: self.path.clone(), line: self.number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(left: &[u8], right: &[u8]) -> Result<Vec<(String, String)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, left).unwrap();
        std::fs::write(&b, right).unwrap();
        let mut out = Vec::new();
        match for_each_pair(&a, &b, |x, y| out.push((x.to_string(), y.to_string()))) {
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
    fn faults_are_named() {
        let e = pairs(b"a\nb\n", b"a\n").unwrap_err();
        assert!(e.starts_with("/b has 1 lines and /a has more"), "{e}");
        let e = pairs(b"a\n", b"a\n\n").unwrap_err();
        assert!(e.starts_with("/a has 1 lines and /b has more"), "{e}");
        let e = pairs(b"a\n\xff\n", b"a\nb\n").unwrap_err();
        assert!(e.starts_with("/a, line 2: not valid UTF-8"), "{e}");
        let e = pairs(b"", b"").unwrap_err();
        assert!(e.contains("no lines"), "{e}");
        let missing = for_each_pair(Path::new("/nowhere/x"), Path::new("/nowhere/y"), |_, _| {});
        assert!(missing.unwrap_err().to_string().starts_with("cannot read /nowhere/x"));
    }
}
