//! A table worked off a window at a time, results beside its rows, resumably; to a file or to standard output.

use anyhow::Result;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::{Path, PathBuf};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{
    Error, Format, KeptResults, ResultTable, ResultWriter, Table, TableOptions, WholeRow, WholeRows,
    format_to_write,
};

use crate::errors::usage;
use crate::progress::Monitor;

/// The flags about a file of results.
#[derive(Clone, Copy, Debug)]
pub struct Overwriting {
    /// Go on with an interrupted run.
    pub resume: bool,
    /// Replace what is there.
    pub force: bool,
}

/// Where the results of a table go.
pub struct Results {
    input: PathBuf,
    options: TableOptions,
    output: PathBuf,
    format: Format,
    added: Vec<String>,
    over: Overwriting,
    /// What is done, for the progress bar.
    stage: &'static str,
}

/// A table that is read for its rows, once or twice.
pub trait Rows {
    /// What is worked on, of a row.
    type Item;

    /// The rows; a second time only where the file can be read twice.
    fn rows(&mut self) -> Result<WholeRows>;
    /// What is worked on.
    fn item(&self, row: &WholeRow) -> Self::Item;
    /// How many rows there are, where the file can be read twice.
    fn total(&self) -> Option<u64>;
    /// The table itself, where it is still to be read.
    fn table(&self) -> Option<&Table>;
}

impl Results {
    /// For results in columns of the names `added` beside the rows of the table `input`.
    ///
    /// # Errors
    /// An output of a kind that is not written, or that is the input.
    pub fn new(
        input: &Path,
        options: TableOptions,
        output: PathBuf,
        added: Vec<String>,
        over: Overwriting,
        stage: &'static str,
    ) -> Result<Self> {
        let format = format_to_write(&output)?;
        if output.as_os_str() == "-" && format == Format::Parquet {
            return Err(usage("Parquet is written to a file only"));
        }
        let same = |path: &Path| std::fs::canonicalize(path).ok();
        if same(&output).is_some_and(|path| Some(path) == same(input)) {
            return Err(usage(format!("--output {}: is the input", output.display())));
        }
        Ok(Self { input: input.to_path_buf(), options, output, format, added, over, stage })
    }

    /// Whether there is nothing left to do, and says so; an error where something is in the way. Asked before a model is
    /// read.
    pub fn complete(&self) -> Result<bool> {
        if self.output.as_os_str() == "-" || !self.output.exists() || self.over.force {
            return Ok(false);
        }
        if self.over.resume && !KeptResults::path_of(&self.output).exists() {
            told!(nothing_to_resume, place = self.output.display());
            return Ok(true);
        }
        Err(t5kit_formats::Error::Exists { path: self.output.clone() }.into())
    }

    /// Works the table off, a window at a time: `work` gets items, the number of the first, and gives each one's results
    /// to what it is handed, in order. `settings` are what a run that goes on must have in common with its beginning.
    pub fn write<R: Rows>(
        self,
        mut table: R,
        window: usize,
        settings: Map<String, Value>,
        mut work: impl FnMut(&[R::Item], u64, &mut dyn FnMut(Vec<Value>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        if self.output.as_os_str() == "-" {
            return self.stream(table, window, work);
        }
        if self.complete()? {
            return Ok(());
        }
        if table.total().is_none() {
            return Err(usage("a pipe can be read once: give --output - or a file as --input"));
        }
        let Overwriting { resume, force } = self.over;
        let mut kept = KeptResults::begin(&self.output, &settings, resume, force)?;
        let before = kept.done();
        if before > 0 {
            told!(going_on_after_rows, n = before);
        }
        let mut monitor = Monitor::default();
        let total = table.total().and_then(|n| usize::try_from(n).ok());
        let mut rows = table.rows()?.skip(usize::try_from(before)?);
        loop {
            let items = items(&table, &mut rows, window)?;
            if items.is_empty() {
                break;
            }
            let first = kept.done();
            work(&items, first, &mut |results| {
                kept.push(results)?;
                // What is done is done, however the program ends.
                kept.flush()?;
                let at = Progress::items(self.stage, "rows", usize::try_from(kept.done())?, total);
                monitor.go_on(Progress { before, ..at })?;
                Ok(())
            })?;
        }
        monitor.clear();
        kept.finish(&ResultTable {
            input: &self.input,
            options: &self.options,
            output: &self.output,
            format: self.format,
            added: &self.added,
            force,
        })?;
        told!(written, place = self.output.display());
        Ok(())
    }

    /// The same onto standard output, row by row.
    fn stream<R: Rows>(
        self,
        mut table: R,
        window: usize,
        mut work: impl FnMut(&[R::Item], u64, &mut dyn FnMut(Vec<Value>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let head = match table.table() {
            Some(table) => table.head().clone(),
            None => Table::open(&self.input, &self.options)?.head().clone(),
        };
        let mut rows = table.rows()?;
        let mut writer = ResultWriter::new(std::io::stdout(), self.format, &head, &self.added)?;
        let mut first = 0;
        loop {
            let window: Vec<WholeRow> = rows.by_ref().take(window).collect::<Result<_, _>>()?;
            if window.is_empty() {
                writer.finish()?.flush()?;
                return Ok(());
            }
            let items: Vec<R::Item> = window.iter().map(|row| table.item(row)).collect();
            let mut waiting = window.iter();
            work(&items, first, &mut |results| {
                if let Some(row) = waiting.next() {
                    writer.row(row, results)?;
                    writer.flush()?;
                }
                Ok(())
            })?;
            first += window.len() as u64;
        }
    }
}

fn items<R: Rows>(
    table: &R,
    rows: &mut impl Iterator<Item = Result<WholeRow, Error>>,
    most: usize,
) -> Result<Vec<R::Item>> {
    rows.take(most).map(|row| Ok(table.item(&row?))).collect()
}
