//! The values of a JSON document one after another: the elements of its array, or objects that simply follow each
//! other, whatever lines they are on.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::Error;

/// Splits a document into its values without parsing them; memory is the longest of them.
pub(super) struct JsonValues<R> {
    path: PathBuf,
    reader: BufReader<R>,
    limit: usize,
    /// Line (from 1) of the next byte.
    line: u64,
    /// Within the array that the document is.
    within: bool,
}

impl<R: Read> JsonValues<R> {
    /// The values in `reader`, of at most `limit` bytes each; `path` is for messages.
    pub fn new(path: &Path, reader: R, limit: usize) -> Self {
        let reader = BufReader::with_capacity(256 << 10, reader);
        Self { path: path.to_path_buf(), reader, limit, line: 1, within: false }
    }

    /// Reads the next value into `buf` (cleared before); the line that it begins on, `None` at the end.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, ends within a value, or has one longer than the limit.
    pub fn next_value(&mut self, buf: &mut Vec<u8>) -> Result<Option<u64>, Error> {
        buf.clear();
        if !self.pass_separators()? {
            return Ok(None);
        }
        let line = self.line;
        let (mut depth, mut text, mut escaped) = (0usize, false, false);
        loop {
            let chunk = fill(&mut self.reader).map_err(|e| read_error(&self.path, line, e))?;
            if chunk.is_empty() {
                // A number or a word ends with the file; anything else is torn.
                if depth == 0 && !text {
                    return Ok(Some(line));
                }
                let what = format!("the file ends within the JSON value that begins on line {line}");
                return Err(read_error(&self.path, line, io::Error::new(io::ErrorKind::UnexpectedEof, what)));
            }
            let (mut used, mut done) = (0, false);
            for &byte in chunk {
                if text {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => {
                            text = false;
                            done = depth == 0;
                        }
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => text = true,
                        b'{' | b'[' => depth += 1,
                        // It belongs to what is around a bare number or word.
                        b'}' | b']' if depth == 0 => break,
                        b'}' | b']' => {
                            depth -= 1;
                            done = depth == 0;
                        }
                        b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
                        _ => {}
                    }
                }
                used += 1;
                self.line += u64::from(byte == b'\n');
                if done {
                    break;
                }
            }
            let ends = done || used < chunk.len();
            // A closing bracket that opens nothing is a value of its own, to be found wrong.
            let used = if used == 0 && buf.is_empty() { 1 } else { used };
            if buf.len() + used > self.limit {
                let what = format!("a JSON value of more than {} bytes; write one object a line", self.limit);
                return Err(read_error(&self.path, line, io::Error::new(io::ErrorKind::InvalidData, what)));
            }
            buf.extend_from_slice(&chunk[..used]);
            self.reader.consume(used);
            if ends {
                return Ok(Some(line));
            }
        }
    }

    /// Passes over spaces, commas and the array's own brackets; false at the end.
    fn pass_separators(&mut self) -> Result<bool, Error> {
        loop {
            let line = self.line;
            let chunk = fill(&mut self.reader).map_err(|e| read_error(&self.path, line, e))?;
            let Some(&byte) = chunk.first() else { return Ok(false) };
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' | b',' => {}
                b'[' if !self.within => self.within = true,
                b']' if self.within => self.within = false,
                _ => return Ok(true),
            }
            self.reader.consume(1);
        }
    }
}

fn fill<R: Read>(reader: &mut BufReader<R>) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            // The borrow checker does not see that the buffer may be returned here.
            Ok(_) => break,
        }
    }
    Ok(reader.buffer())
}

fn read_error(path: &Path, line: u64, source: io::Error) -> Error {
    Error::Read { path: path.to_path_buf(), line, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &[u8], limit: usize) -> Result<Vec<(u64, String)>, String> {
        let mut values = JsonValues::new(Path::new("a.json"), text, limit);
        let (mut out, mut buf) = (Vec::new(), Vec::new());
        while let Some(line) = values.next_value(&mut buf).map_err(|e| e.to_string())? {
            out.push((line, String::from_utf8_lossy(&buf).into_owned()));
        }
        Ok(out)
    }

    #[test]
    fn arrays_and_rows_of_objects() {
        let shown = |text: &str| -> Vec<String> {
            values(text.as_bytes(), 99)
                .unwrap()
                .into_iter()
                .map(|(line, text)| format!("{line} {text}"))
                .collect()
        };
        assert_eq!(shown(""), [""; 0]);
        assert_eq!(shown(" [ ]\n"), [""; 0]);
        assert_eq!(
            shown("[\n {\"a\": \"}]\\\"\"},\n\n [1, [2]] , \"x,y\", 3,null]"),
            ["2 {\"a\": \"}]\\\"\"}", "4 [1, [2]]", "4 \"x,y\"", "4 3", "4 null"]
        );
        assert_eq!(shown("{\"a\":\n1}\n{\"a\":2}{}"), ["1 {\"a\":\n1}", "3 {\"a\":2}", "3 {}"]);
        assert_eq!(shown("}"), ["1 }"]);
    }

    #[test]
    fn torn_and_too_long() {
        assert!(
            values(b"[{\"a\": 1},\n{\"a\":", 99)
                .unwrap_err()
                .contains("ends within the JSON value that begins on line 2")
        );
        assert!(values(b"[\"aaaaaaaaaaaaaaaaaaaa\"]", 10).unwrap_err().contains("more than 10 bytes"));
    }

    proptest! {
        #[test]
        fn anything_ends(bytes: Vec<u8>, json in "[\\[\\]{},:\" \\\\1a\n]{0,60}") {
            let _ = values(&bytes, 20);
            let _ = values(json.as_bytes(), 1 << 10);
        }

        #[test]
        fn what_is_written_is_read(texts in prop::collection::vec(any::<String>(), 0..6), pretty: bool) {
            let rows: Vec<_> = texts.iter().map(|text| serde_json::json!({"a": text, "b": [1, {"c": text}]})).collect();
            let text = if pretty { serde_json::to_vec_pretty(&rows) } else { serde_json::to_vec(&rows) }.unwrap();
            let back = values(&text, 1 << 20).unwrap();
            let back: Vec<serde_json::Value> = back.iter().map(|(_, v)| serde_json::from_str(v).unwrap()).collect();
            prop_assert_eq!(back, rows);
        }
    }
}
