//! Sources and the right texts for them, out of a table.

use anyhow::Result;
use std::path::{Path, PathBuf};
use t5kit_formats::table::{ColumnRef, Head, Roles, Table, TableOptions, WholeRow, WholeRows};
use t5kit_pipeline::Form;
use t5kit_train::PairColumns;

use crate::errors::usage;
use crate::form::prompt_column;
use crate::results::Rows;
use crate::table_flags::{TableFlags, column_name, said, source_said, spoken, understood};

/// Which columns hold pairs.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tables")]
pub struct PairFlags {
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so, or without a header
    /// the first of two]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: likewise, the second of two]
    // Several for `evaluate`, which says so; elsewhere the last wins.
    #[arg(long, value_name = "COLUMN", action = clap::ArgAction::Append)]
    target: Vec<String>,
    /// Column of what is to be done, by name or number: the model reads "prompt: source"
    #[arg(long, value_name = "COLUMN")]
    prompt: Option<String>,
    #[command(flatten)]
    pub tables: TableFlags,
}

impl PairFlags {
    /// The columns as they were asked for.
    pub fn columns(&self) -> (Option<&String>, Option<&String>, Option<&String>) {
        (self.source.as_ref(), self.target.last(), self.prompt.as_ref())
    }

    /// A table of pairs whose sources are given to a model in this `form`, the columns found; `None` where the file holds
    /// nothing.
    pub fn open(&self, path: &Path, form: &Form) -> Result<Option<Pairs>> {
        self.open_with(path, form, &self.target[self.target.len().saturating_sub(1)..], false)
    }

    /// The same with all columns of targets that were asked for: [`Pairs::references`].
    pub fn open_all(&self, path: &Path, form: &Form) -> Result<Option<Pairs>> {
        self.open_with(path, form, &self.target, false)
    }

    /// The same of a table that may hold sources alone: a single column, or a source that was named and nothing that says
    /// what its target is.
    pub fn open_with_or_without(&self, path: &Path, form: &Form) -> Result<Option<Pairs>> {
        self.open_with(path, form, &self.target, true)
    }

    fn open_with(
        &self,
        path: &Path,
        form: &Form,
        targets: &[String],
        may_lack_targets: bool,
    ) -> Result<Option<Pairs>> {
        let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
        let targets: Vec<ColumnRef> = targets.iter().map(|name| ColumnRef::parse(name)).collect();
        let columns = PairColumns {
            source: column(&self.source),
            target: targets.first().cloned(),
            prompt: column(&self.prompt),
        };
        let (path, options) = (path.to_owned(), self.tables.options());
        let mut table = Table::open(&path, &options)?;
        if table.head().columns.is_empty() {
            return Ok(None);
        }
        let chosen = columns.choose(&mut table);
        let alone = may_lack_targets
            && targets.is_empty()
            && (table.head().columns.len() == 1 || self.source.is_some() && chosen.is_err());
        let mut roles = if alone { sources_alone(&columns, &mut table)? } else { chosen? };
        let others = table.resolve(targets.get(1..).unwrap_or_default())?;
        if let Some(place) = others
            .iter()
            .enumerate()
            .find(|(i, place)| [roles.source, roles.target].contains(place) || others[..*i].contains(place))
        {
            return Err(usage(format!(
                "--target names the column {} twice; give each column once",
                column_name(table.head(), *place.1)
            )));
        }
        if self.prompt.is_none() {
            roles.prompt = prompt_column(form, &table, roles.prompt);
        }
        let (head, form, has_targets) = (table.head().clone(), form.clone(), !alone);
        Ok(Some(Pairs {
            path,
            options,
            form,
            roles,
            others,
            has_targets,
            head,
            total: None,
            table: Some(table),
        }))
    }
}

/// The source and the prompt, and in the target's place the source again.
fn sources_alone(wanted: &PairColumns, table: &mut Table) -> Result<Roles> {
    let columns: Vec<ColumnRef> = wanted.source.iter().chain(&wanted.prompt).cloned().collect();
    let mut places = table.resolve(&columns)?.into_iter();
    let source = wanted.source.as_ref().and_then(|_| places.next()).unwrap_or(0);
    let prompt = wanted.prompt.as_ref().and_then(|_| places.next());
    Ok(Roles { source, target: source, prompt })
}

/// A table of pairs.
pub struct Pairs {
    path: PathBuf,
    options: TableOptions,
    form: Form,
    /// Which column is what.
    pub roles: Roles,
    /// Columns of further targets of the same sources.
    others: Vec<usize>,
    /// Whether there are targets.
    pub has_targets: bool,
    head: Head,
    total: Option<u64>,
    table: Option<Table>,
}

impl Pairs {
    /// Says on standard error what the table was understood as.
    pub fn say(&self) {
        let columns = match self.has_targets {
            true => said(&self.head, self.roles, &self.others),
            false => source_said(&self.head, self.roles.prompt, self.roles.source),
        };
        eprintln!("t5kit: {}: {columns}{}", spoken(&self.path), understood(&self.head));
    }

    /// Reads the rows once to the end, so that what is wrong with one is said before any work, and counts them; not
    /// where they can be read but once.
    pub fn count(&mut self) -> Result<()> {
        if self.path.is_file() {
            let mut total = 0;
            for row in self.rows()? {
                row?;
                total += 1;
            }
            self.total = Some(total);
        }
        Ok(())
    }

    /// The source and the target of every row.
    pub fn all(mut self) -> Result<Vec<[String; 2]>> {
        self.rows()?.map(|row| Ok(self.item(&row?))).collect()
    }

    /// The source of every row, and its right texts column by column.
    pub fn references(mut self) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        let mut sources = Vec::new();
        let mut references = vec![Vec::new(); 1 + self.others.len()];
        for row in self.rows()? {
            let row = row?;
            let [source, target] = self.item(&row);
            sources.push(source);
            references[0].push(target);
            for (list, &place) in references[1..].iter_mut().zip(&self.others) {
                list.push(row.text(place, &self.head.columns[place].name));
            }
        }
        Ok((sources, references))
    }
}

impl Rows for Pairs {
    type Item = [String; 2];

    fn rows(&mut self) -> Result<WholeRows> {
        let table = match self.table.take() {
            Some(table) => table,
            None => Table::open(&self.path, &self.options)?,
        };
        Ok(table.whole_rows()?)
    }

    fn item(&self, row: &WholeRow) -> [String; 2] {
        let text = |place: usize| row.text(place, &self.head.columns[place].name);
        let prompt = self.roles.prompt.map(text);
        [self.form.source(prompt.as_deref(), &text(self.roles.source)), text(self.roles.target)]
    }

    fn total(&self) -> Option<u64> {
        self.total
    }

    fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }
}
