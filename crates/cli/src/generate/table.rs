//! Sources out of a table, results beside its rows.

use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use t5kit_formats::table::{ColumnRef, Roles, Table, TableOptions, WholeRow, WholeRows};
use t5kit_generate::Generated;
use t5kit_pipeline::Form;

use crate::errors::usage;
use crate::form::prompt_column;
use crate::results::{Overwriting, Results, Rows};
use crate::table_flags::{TableFlags, source_said, spoken, understood};

/// Where sources come from and where results go.
#[derive(clap::Args)]
#[command(next_help_heading = "Tables")]
pub struct TableArgs {
    /// Sources: a table with a column of them, or a text a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub input: Option<PathBuf>,
    #[command(flatten)]
    pub sources: SourceFlags,
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
}

/// Which column holds sources.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tables")]
pub struct SourceFlags {
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so]
    #[arg(long, value_name = "COLUMN", requires = "input")]
    source: Option<String>,
    /// Column of what is to be done, by name or number: the model reads "prompt: source"
    #[arg(long, value_name = "COLUMN", requires = "input")]
    prompt: Option<String>,
    #[command(flatten)]
    pub tables: TableFlags,
}

/// A table of sources that was understood.
pub struct Sources {
    path: PathBuf,
    options: TableOptions,
    source: (usize, String),
    prompt: Option<(usize, String)>,
    form: Form,
    /// How many rows there are, where the file can be read twice.
    total: Option<u64>,
    table: Option<Table>,
}

impl TableArgs {
    /// Where results go, `targets` texts a source, each with its score if there are several, or as a label with its
    /// probability; `None` where they are printed.
    pub fn results(&self, targets: usize, labels: bool) -> Result<Option<Results>> {
        let (Some(input), Some(output)) = (&self.input, &self.output) else { return Ok(None) };
        let name = |i: usize| match i {
            0 => self.column.clone(),
            i => format!("{}_{}", self.column, i + 1),
        };
        let added = (0..targets).map(name).flat_map(|name| {
            let score = match labels {
                true => Some(format!("{name}_probability")),
                false => (targets > 1).then(|| format!("{name}_score")),
            };
            std::iter::once(name).chain(score)
        });
        let over = Overwriting { resume: self.resume, force: self.force };
        let (options, output) = (self.sources.tables.options(), output.clone());
        Ok(Some(Results::new(input, options, output, added.collect(), over, "generating")?))
    }
}

impl SourceFlags {
    /// The columns as they were asked for.
    pub fn columns(&self) -> (&Option<String>, &Option<String>) {
        (&self.source, &self.prompt)
    }

    /// Opens the table, finds the column of the sources, and says so; `form` says how they are given. A file is read once to
    /// its end, so that what is wrong with a row is said before anything is generated.
    pub fn open(&self, path: &Path, form: &Form) -> Result<Sources> {
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
        // A task that the names tell of goes with the source that they tell of, unless training knew better.
        let told = told.filter(|_| named.is_none()).and_then(|roles| roles.prompt);
        let prompt = prompt.or_else(|| prompt_column(form, &table, told));
        let head = table.head();
        let said = source_said(head, prompt, source);
        eprintln!("t5kit: {}: {said}{}", spoken(path), understood(head));
        let named = |place: usize| (place, head.columns[place].name.clone());
        let (source, prompt) = (named(source), prompt.map(named));
        let mut sources = Sources {
            path: path.to_path_buf(),
            options,
            source,
            prompt,
            form: form.clone(),
            total: None,
            table: Some(table),
        };
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
    /// The first `most` sources.
    pub fn first(mut self, most: usize) -> Result<Vec<String>> {
        self.rows()?.take(most).map(|row| Ok(self.item(&row?))).collect()
    }

    /// Whether its rows say what is to be done.
    pub fn has_prompts(&self) -> bool {
        self.prompt.is_some()
    }
}

impl Rows for Sources {
    /// What the model reads of a row.
    type Item = String;

    fn rows(&mut self) -> Result<WholeRows> {
        let table = match self.table.take() {
            Some(table) => table,
            None => Table::open(&self.path, &self.options)?,
        };
        Ok(table.whole_rows()?)
    }

    fn item(&self, row: &WholeRow) -> String {
        let source = row.text(self.source.0, &self.source.1);
        let prompt = self.prompt.as_ref().map(|(place, name)| row.text(*place, name));
        self.form.source(prompt.as_deref(), &source)
    }

    fn total(&self) -> Option<u64> {
        self.total
    }

    fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }
}

/// A source's targets as cells, as many as are `asked` for: each text, and its score, a label's probability, where
/// several are written or labels.
pub fn cells(asked: usize, targets: &[Generated], text: impl Fn(&Generated) -> String) -> Vec<Value> {
    let cell = |target: &Generated| {
        let number = target.probability.or(target.score.filter(|_| asked > 1));
        let number = (asked > 1 || number.is_some()).then(|| number.map_or(Value::Null, |x| json!(x)));
        std::iter::once(Value::String(text(target))).chain(number).collect::<Vec<_>>()
    };
    let mut cells: Vec<Value> = targets.iter().flat_map(cell).collect();
    // Fewer come back where no more are permitted.
    let missing = asked.saturating_sub(targets.len()) * if asked > 1 { 2 } else { 1 };
    cells.extend(std::iter::repeat_n(Value::Null, missing));
    cells
}
