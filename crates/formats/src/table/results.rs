//! A table with results beside its rows, written so that an interrupted run can go on.
//!
//! Results are kept a line each in `OUTPUT.unfinished` as they come, behind a line that says what they are results of.
//! When the last is there, the table is read once more and written with them, beside its place and renamed: an
//! uninterrupted run and one that went on give the same bytes, whatever the format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Format, Head, Table, TableOptions, TableWriter, WholeRow};
use crate::error::{Error, Result};
use crate::output::AtomicFile;

/// Results that are kept until all are there.
pub struct KeptResults {
    path: PathBuf,
    file: BufWriter<File>,
    done: u64,
}

impl KeptResults {
    /// Where the results for a table to `output` are kept.
    pub fn path_of(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".unfinished");
        name.into()
    }

    /// Begins the results for a table to `output`, or goes on with those that an interrupted run left, if `resume` is
    /// given and they are of the same `work`: what is read and what is done with it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where results of other work, or, without `resume` and `force`, any are kept there;
    /// [`Error::Io`].
    pub fn begin(output: &Path, work: &Map<String, Value>, resume: bool, force: bool) -> Result<Self> {
        let path = Self::path_of(output);
        let there = path.exists();
        if there && !resume && !force {
            let what = "holds the results of an interrupted run; go on by `resume`, or begin anew by `force`";
            return Err(Error::unsupported(&path, what));
        }
        if there && resume {
            return Self::go_on(path, work);
        }
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let mut begun = Self { path, file: BufWriter::new(file), done: 0 };
        begun.line(&Value::Object(work.clone()))?;
        Ok(begun)
    }

    fn go_on(path: PathBuf, work: &Map<String, Value>) -> Result<Self> {
        let file = File::options().read(true).write(true).open(&path).map_err(Error::io(&path, "open"))?;
        let mut lines = BufReader::new(&file);
        let (mut line, mut end, mut done) = (String::new(), 0u64, None);
        loop {
            line.clear();
            // A line that is torn, as a sudden end leaves it, is done once more.
            let read = match lines.read_line(&mut line) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => 0,
                Err(error) => return Err(Error::io(&path, "read")(error)),
            };
            let Some(value) = line.strip_suffix('\n').and_then(|line| serde_json::from_str(line).ok()) else {
                break;
            };
            match (&mut done, value) {
                (None, Value::Object(before)) => {
                    if let Some(what) = difference(&before, work) {
                        let what = format!(
                            "was begun with another {what}; ask for the same again, or begin anew by `force`"
                        );
                        return Err(Error::unsupported(&path, what));
                    }
                    done = Some(0);
                }
                (Some(done), Value::Array(_)) => *done += 1,
                _ => break,
            }
            end += read as u64;
        }
        let Some(done) = done else {
            return Err(Error::unsupported(&path, "is damaged; begin anew by `force`"));
        };
        file.set_len(end).map_err(Error::io(&path, "cut the torn end of"))?;
        let mut file = file;
        file.seek(SeekFrom::Start(end)).map_err(Error::io(&path, "read"))?;
        Ok(Self { path, file: BufWriter::new(file), done })
    }

    /// How many rows have their results.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Keeps the results of the next row.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn push(&mut self, results: Vec<Value>) -> Result<()> {
        self.line(&Value::Array(results))?;
        self.done += 1;
        Ok(())
    }

    fn line(&mut self, value: &Value) -> Result<()> {
        let written = serde_json::to_writer(&mut self.file, value).map_err(io::Error::from);
        written.and_then(|()| self.file.write_all(b"\n")).map_err(Error::io(&self.path, "write"))
    }

    /// Hands what was kept to the system, so that a sudden end of the program loses nothing of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path, "write"))
    }

    /// Writes the table at `input` with its results in columns of these names to `output`, and removes what was kept.
    ///
    /// # Errors
    /// Those of reading and writing; [`Error::Exists`] without `force`.
    pub fn finish(mut self, to: &ResultTable<'_>) -> std::result::Result<(), FinishError> {
        self.flush()?;
        let table = Table::open(to.input, to.options)?;
        let file = AtomicFile::create(to.output, to.force)?;
        let kept = File::open(&self.path).map_err(Error::io(&self.path, "open"))?;
        let mut kept = BufReader::new(kept).lines().skip(1);
        let mut writer = ResultWriter::new(file, to.format, table.head(), to.added)
            .map_err(Error::io(to.output, "write"))?;
        for record in table.whole_rows()? {
            let record = record?;
            let line = kept.next().transpose().map_err(Error::io(&self.path, "read"))?;
            let results = line.and_then(|line| serde_json::from_str(&line).ok());
            let Some(results) = results else {
                let what =
                    format!("has more rows than there are results: it has changed in line {}", record.line);
                return Err(Error::unsupported(to.input, what).into());
            };
            writer.row(&record, results).map_err(Error::io(to.output, "write"))?;
        }
        writer.finish().map_err(Error::io(to.output, "write"))?.commit()?;
        std::fs::remove_file(&self.path).map_err(Error::io(&self.path, "remove"))?;
        Ok(())
    }
}

/// What became of the reading or the writing of a finished table.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Reading.
    #[error(transparent)]
    Table(#[from] super::Error),
    /// Writing.
    #[error(transparent)]
    Files(#[from] Error),
}

/// Where a table with results comes from and goes to.
pub struct ResultTable<'a> {
    /// The table.
    pub input: &'a Path,
    /// How it is read.
    pub options: &'a TableOptions,
    /// The table with the results.
    pub output: &'a Path,
    /// Its format.
    pub format: Format,
    /// Names of the results' columns.
    pub added: &'a [String],
    /// Replace what stands there.
    pub force: bool,
}

/// The first field of `work` that differs from that of the work begun.
fn difference(begun: &Map<String, Value>, work: &Map<String, Value>) -> Option<String> {
    let keys = work.keys().chain(begun.keys());
    let differs = |key: &&String| work.get(*key) != begun.get(*key);
    let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    keys.into_iter()
        .find(differs)
        .map(|key| format!("{key} ({}, now {})", shown(begun.get(key)), shown(work.get(key))))
}

/// Writes rows with their results.
pub struct ResultWriter<W: Write + Send> {
    writer: TableWriter<W>,
    names: Vec<String>,
    added: Vec<String>,
    /// Objects stay objects.
    objects: bool,
    text: bool,
}

impl<W: Write + Send> ResultWriter<W> {
    /// Rows of a table of this `head`, and columns of the names `added` behind its own; one that is there already is
    /// replaced.
    ///
    /// # Errors
    /// Those of writing.
    pub fn new(out: W, format: Format, head: &Head, added: &[String]) -> io::Result<Self> {
        let objects = matches!(head.format, Format::Json | Format::JsonLines);
        let header = head.header != Some(false) && head.format != Format::Text;
        let name = |(i, column): (usize, &super::Column)| match column.name.is_empty() {
            // In objects every value has a name.
            true if matches!(format, Format::JsonLines | Format::Parquet) => format!("column{}", i + 1),
            _ => column.name.clone(),
        };
        let names: Vec<String> = head.columns.iter().enumerate().map(name).collect();
        let mut all = names.clone();
        all.extend(added.iter().filter(|name| !names.contains(name)).cloned());
        let mark = head.format == Format::Sheet;
        let writer = TableWriter::new(format, out, &all, header, mark)?;
        Ok(Self { writer, names, added: added.to_vec(), objects, text: format == Format::Text })
    }

    /// Writes a row with its results, in the order of the names.
    ///
    /// # Errors
    /// Those of writing.
    pub fn row(&mut self, record: &WholeRow, results: Vec<Value>) -> io::Result<()> {
        if self.text {
            return self.writer.row(&results[..results.len().min(1)]);
        }
        let added: Vec<(String, Value)> = self.added.iter().cloned().zip(results).collect();
        if self.objects {
            return self.writer.object(&record.with(&self.names, &added));
        }
        let mut cells = record.cells(&self.names);
        for (name, value) in added {
            match self.names.iter().position(|other| *other == name) {
                Some(at) => cells[at] = value,
                None => cells.push(value),
            }
        }
        self.writer.row(&cells)
    }

    /// Hands on what was written so far, as far as the format allows.
    ///
    /// # Errors
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Ends the table and gives back where it was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(self) -> io::Result<W> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn work(beams: u32) -> Map<String, Value> {
        json!({"input": "a.csv", "num_beams": beams}).as_object().unwrap().clone()
    }

    #[test]
    fn an_interrupted_run_goes_on_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.csv"), "id,摘要\n1,甲\n2,\"乙,\"\n3,\n").unwrap();
        let options = TableOptions::default();
        let added = ["generated".to_owned()];
        let (input, whole, output) = (path("a.csv"), path("whole.csv"), path("b.csv"));
        let to = |output, force| ResultTable {
            input: &input,
            options: &options,
            output,
            format: Format::Csv,
            added: &added,
            force,
        };
        let results = |i: usize| vec![json!(format!("t{i}"))];
        let mut kept = KeptResults::begin(&whole, &work(1), false, false).unwrap();
        (0..3).for_each(|i| kept.push(results(i)).unwrap());
        kept.finish(&to(&whole, false)).unwrap();
        let wanted = std::fs::read_to_string(&whole).unwrap();
        assert_eq!(wanted, "id,摘要,generated\n1,甲,t0\n2,\"乙,\",t1\n3,,t2\n");

        let mut kept = KeptResults::begin(&output, &work(1), true, false).unwrap();
        kept.push(results(0)).unwrap();
        kept.flush().unwrap();
        drop(kept);
        let left = KeptResults::path_of(&output);
        // As if the program had ended while it wrote.
        std::fs::OpenOptions::new().append(true).open(&left).unwrap().write_all(b"[\"t1").unwrap();
        let error = |resume, beams| {
            KeptResults::begin(&output, &work(beams), resume, false).err().unwrap().to_string()
        };
        assert!(error(false, 1).contains("go on by `resume`"));
        assert!(error(true, 4).contains("another num_beams (1, now 4)"));
        let mut kept = KeptResults::begin(&output, &work(1), true, false).unwrap();
        assert_eq!(kept.done(), 1);
        (1..3).for_each(|i| kept.push(results(i)).unwrap());
        kept.finish(&to(&output, false)).unwrap();
        assert_eq!(std::fs::read_to_string(&output).unwrap(), wanted);
        assert!(!left.exists());

        // Nothing is overwritten, and a table that has grown is not half written.
        let mut kept = KeptResults::begin(&output, &work(1), false, false).unwrap();
        (0..2).for_each(|i| kept.push(results(i)).unwrap());
        let error = kept.finish(&to(&output, false)).unwrap_err().to_string();
        assert!(error.contains("already exists"), "{error}");
        let kept = KeptResults::begin(&output, &work(1), true, false).unwrap();
        let error = kept.finish(&to(&output, true)).unwrap_err().to_string();
        assert!(error.contains("changed in line 4"), "{error}");
        assert_eq!(std::fs::read_to_string(&output).unwrap(), wanted);
        std::fs::write(&left, "torn").unwrap();
        let error = KeptResults::begin(&output, &work(1), true, false).err().unwrap().to_string();
        assert!(error.contains("damaged"), "{error}");
    }

    #[test]
    fn columns_are_kept_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tsv");
        let write = |text: &str, format, added: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let table = Table::open(&path, &TableOptions::default()).unwrap();
            let added: Vec<String> = added.iter().map(|name| name.to_string()).collect();
            let mut writer = ResultWriter::new(Vec::new(), format, table.head(), &added).unwrap();
            for record in table.whole_rows().unwrap() {
                let results = added.iter().map(|name| json!(format!("<{name}>"))).collect();
                writer.row(&record.unwrap(), results).unwrap();
            }
            String::from_utf8(writer.finish().unwrap()).unwrap()
        };
        assert_eq!(write("source\tx\n甲\t1\n", Format::Tsv, &["out"]), "source\tx\tout\n甲\t1\t<out>\n");
        assert_eq!(write("甲\t1\n", Format::Csv, &["out", "n"]), "甲,1,<out>,<n>\n");
        assert_eq!(write("source\tx\n甲\t1\n", Format::Tsv, &["x"]), "source\tx\n甲\t<x>\n");
        assert_eq!(
            write("甲\t1\n", Format::JsonLines, &["out"]),
            "{\"column1\":\"甲\",\"column2\":\"1\",\"out\":\"<out>\"}\n"
        );
        assert_eq!(write("source\tx\n甲\t1\n", Format::Text, &["out", "n"]), "<out>\n");
    }
}
