//! Sources out of a table, results beside its rows.

use anyhow::Result;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{
    ColumnRef, Error, Format, KeptResults, ResultTable, ResultWriter, Roles, Table, TableOptions, WholeRow,
    WholeRows, format_to_write,
};
use t5kit_generate::Generated;
use t5kit_train::with_prompt;

use crate::errors::usage;
use crate::progress::Monitor;
use crate::table_flags::{TableFlags, column_name, spoken, understood};

/// Where sources come from and where results go.
#[derive(clap::Args)]
#[command(next_help_heading = "Tables")]
pub struct TableArgs {
    /// Sources: a table with a column of them, or a text a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub input: Option<PathBuf>,
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so]
    #[arg(long, value_name = "COLUMN", requires = "input")]
    source: Option<String>,
    /// Column of what is to be done, by name or number: the model reads "prompt: source"
    #[arg(long, value_name = "COLUMN", requires = "input")]
    prompt: Option<String>,
    /// Write the table with the results beside its rows: .tsv, .csv, .jsonl, .parquet, .txt (the results alone), or - for
    /// standard output
    #[arg(long, short, value_name = "FILE", requires = "input", conflicts_with_all = ["json", "stream"])]
    pub output: Option<PathBuf>,
    /// Name of the results' column
    #[arg(long, value_name = "NAME", requires = "output", default_value = "generated")]
    column: String,
    /// Go on with an interrupted run (from the beginning where there is none)
    #[arg(long, requires = "output")]
    resume: bool,
    /// Replace the output if it exists
    #[arg(long, requires = "output")]
    force: bool,
    #[command(flatten)]
    pub tables: TableFlags,
}

/// A table of sources that was understood.
pub struct Sources {
    path: PathBuf,
    options: TableOptions,
    source: (usize, String),
    prompt: Option<(usize, String)>,
    /// How many rows there are, where the file can be read twice.
    pub total: Option<u64>,
    table: Option<Table>,
}

impl TableArgs {
    /// The columns as they were asked for.
    pub fn columns(&self) -> (&Option<String>, &Option<String>) {
        (&self.source, &self.prompt)
    }

    /// Opens the table, finds the column of the sources, and says so. A file is read once to its end, so that what is
    /// wrong with a row is said before anything is generated.
    pub fn open(&self, path: &Path) -> Result<Sources> {
        let options = self.tables.options();
        let mut table = Table::open(path, &options)?;
        let wanted: Vec<ColumnRef> =
            [&self.source, &self.prompt].into_iter().flatten().map(|name| ColumnRef::parse(name)).collect();
        let mut places = table.resolve(&wanted)?.into_iter();
        let named = self.source.as_ref().and_then(|_| places.next());
        let prompt = self.prompt.as_ref().and_then(|_| places.next());
        let told = Roles::of_names(&table.names());
        let source = match named {
            Some(place) => place,
            None => only(&table).ok_or_else(|| {
                let have = table.shown_columns().join(", ");
                usage(format!(
                    "{}: which column holds the sources? Give --source with one of {have}",
                    path.display()
                ))
            })?,
        };
        // A task that the names tell of goes with the source that they tell of.
        let prompt = prompt.or(told.filter(|_| named.is_none()).and_then(|roles| roles.prompt));
        let head = table.head();
        let shown =
            prompt.map(|place| format!("prompt = {}, ", column_name(head, place))).unwrap_or_default();
        let name = column_name(head, source);
        eprintln!("t5kit: {}: {shown}source = {name}{}", spoken(path), understood(head));
        let named = |place: usize| (place, head.columns[place].name.clone());
        let (source, prompt) = (named(source), prompt.map(named));
        let mut sources =
            Sources { path: path.to_path_buf(), options, source, prompt, total: None, table: Some(table) };
        if path.is_file() {
            let mut total = 0;
            for row in sources.rows()? {
                row?;
                total += 1;
            }
            sources.total = Some(total);
        }
        Ok(sources)
    }
}

/// The place of the column that can be meant: the only one, the one whose name says so, without a header the first of
/// two.
fn only(table: &Table) -> Option<usize> {
    let names = table.names();
    match names.len() {
        1 => Some(0),
        2 if table.head().header == Some(false) => Some(0),
        _ => Roles::source_of_names(&names),
    }
}

impl Sources {
    /// The rows; a second time only where the file can be read twice.
    pub fn rows(&mut self) -> Result<WholeRows> {
        let table = match self.table.take() {
            Some(table) => table,
            None => Table::open(&self.path, &self.options)?,
        };
        Ok(table.whole_rows()?)
    }

    /// What the model reads of a row.
    pub fn text(&self, row: &WholeRow) -> String {
        let source = row.text(self.source.0, &self.source.1);
        match &self.prompt {
            Some((place, name)) => with_prompt(&row.text(*place, name), &source),
            None => source,
        }
    }
}

/// Where the results of a table go.
pub struct Results<'a> {
    args: &'a TableArgs,
    sources: Sources,
    output: PathBuf,
    format: Format,
    added: Vec<String>,
    scored: bool,
}

impl<'a> Results<'a> {
    /// For `targets` texts a source, each with its score if there are several.
    pub fn new(args: &'a TableArgs, sources: Sources, output: PathBuf, targets: usize) -> Result<Self> {
        let format = format_to_write(&output)?;
        if output.as_os_str() == "-" && format == Format::Parquet {
            return Err(usage("Parquet is written to a file only"));
        }
        let same = |path: &Path| std::fs::canonicalize(path).ok();
        if same(&output).is_some_and(|path| Some(path) == same(&sources.path)) {
            return Err(usage(format!("--output {}: is the input", output.display())));
        }
        let scored = targets > 1;
        let name = |i: usize| match i {
            0 => args.column.clone(),
            i => format!("{}_{}", args.column, i + 1),
        };
        let added = (0..targets).map(name).flat_map(|name| {
            let score = scored.then(|| format!("{name}_score"));
            std::iter::once(name).chain(score)
        });
        let added = added.collect();
        Ok(Self { args, sources, output, format, added, scored })
    }

    /// Works the table off, a window at a time: `work` gets texts, the number of the first, and gives each one's targets
    /// to what it is handed, in order. `settings` are what a run that goes on must have in common with its beginning.
    pub fn write(
        mut self,
        window: usize,
        settings: Map<String, Value>,
        mut work: impl FnMut(&[String], u64, &mut dyn FnMut(Vec<Value>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        if self.output.as_os_str() == "-" {
            return self.stream(window, work);
        }
        let exists = self.output.exists();
        if exists && self.args.resume && !KeptResults::path_of(&self.output).exists() && !self.args.force {
            eprintln!("t5kit: {} is complete: nothing to resume", self.output.display());
            return Ok(());
        }
        if exists && !self.args.force {
            return Err(t5kit_formats::Error::Exists { path: self.output }.into());
        }
        if self.sources.total.is_none() {
            return Err(usage("a pipe can be read once: give --output - or a file as --input"));
        }
        let mut kept = KeptResults::begin(&self.output, &settings, self.args.resume, self.args.force)?;
        let before = kept.done();
        if before > 0 {
            eprintln!("t5kit: going on after {before} rows");
        }
        let mut monitor = Monitor::default();
        let mut rows = self.sources.rows()?.skip(usize::try_from(before)?);
        loop {
            let texts = self.window(&mut rows, window)?;
            if texts.is_empty() {
                break;
            }
            let first = kept.done();
            work(&texts, first, &mut |results| {
                kept.push(results)?;
                // What is done is done, however the program ends.
                kept.flush()?;
                let at = Progress::items(
                    "generating",
                    "rows",
                    usize::try_from(kept.done())?,
                    self.sources.total.and_then(|n| usize::try_from(n).ok()),
                );
                monitor.go_on(Progress { before, ..at })?;
                Ok(())
            })?;
        }
        monitor.clear();
        kept.finish(&ResultTable {
            input: &self.sources.path,
            options: &self.sources.options,
            output: &self.output,
            format: self.format,
            added: &self.added,
            force: self.args.force,
        })?;
        eprintln!("t5kit: {}: written", self.output.display());
        Ok(())
    }

    /// The same onto standard output, row by row.
    fn stream(
        mut self,
        window: usize,
        mut work: impl FnMut(&[String], u64, &mut dyn FnMut(Vec<Value>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let head = match &self.sources.table {
            Some(table) => table.head().clone(),
            None => Table::open(&self.sources.path, &self.sources.options)?.head().clone(),
        };
        let mut rows = self.sources.rows()?;
        let mut writer = ResultWriter::new(std::io::stdout(), self.format, &head, &self.added)?;
        let mut first = 0;
        loop {
            let window: Vec<WholeRow> = rows.by_ref().take(window).collect::<Result<_, _>>()?;
            if window.is_empty() {
                writer.finish()?.flush()?;
                return Ok(());
            }
            let texts: Vec<String> = window.iter().map(|row| self.sources.text(row)).collect();
            let mut waiting = window.iter();
            work(&texts, first, &mut |results| {
                if let Some(row) = waiting.next() {
                    writer.row(row, results)?;
                    writer.flush()?;
                }
                Ok(())
            })?;
            first += window.len() as u64;
        }
    }

    fn window(
        &self,
        rows: &mut impl Iterator<Item = Result<WholeRow, Error>>,
        most: usize,
    ) -> Result<Vec<String>> {
        rows.take(most).map(|row| Ok(self.sources.text(&row?))).collect()
    }

    /// Whether scores are written.
    pub fn scored(&self) -> bool {
        self.scored
    }
}

/// A source's targets as cells: each text, and its score where they are written.
pub fn cells(scored: bool, targets: &[Generated], text: impl Fn(&Generated) -> String) -> Vec<Value> {
    let cell = |target: &Generated| {
        let score = scored.then(|| target.score.map_or(Value::Null, |score| json!(score)));
        std::iter::once(Value::String(text(target))).chain(score).collect::<Vec<_>>()
    };
    targets.iter().flat_map(cell).collect()
}
