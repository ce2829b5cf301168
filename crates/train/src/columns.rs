//! Which columns of a file hold the examples: as they were asked for, else as their names say. Nobody guesses a
//! direction.

use std::path::PathBuf;

use t5kit_formats::table::{ColumnRef, Head, Roles, Table};

use crate::Error;

/// Which columns hold the texts; what is not said is told from the names, where they allow one reading only. A file
/// without a header that has two columns has the source first.
#[derive(Clone, Debug, Default)]
pub struct PairColumns {
    /// The source's column.
    pub source: Option<ColumnRef>,
    /// The target's column.
    pub target: Option<ColumnRef>,
    /// The column of what the model is asked to do, put before the source: see [`with_prompt`](t5kit_formats::trained::with_prompt).
    pub prompt: Option<ColumnRef>,
}

/// What a file of examples was understood as.
#[derive(Clone, Debug)]
pub struct Understood {
    /// The file.
    pub path: PathBuf,
    /// Its format, encoding and columns.
    pub head: Head,
    /// Places (from 0) of the columns among [`Head::columns`].
    pub roles: Roles,
}

impl PairColumns {
    /// The places of the columns in a file that was opened.
    ///
    /// # Errors
    /// [`Error::Columns`] where nobody can know which is which; those of columns that are not there.
    pub fn choose(&self, table: &mut Table) -> Result<Roles, Error> {
        let wanted = [&self.source, &self.target, &self.prompt].map(|column| column.iter());
        let places = table.resolve(&wanted.into_iter().flatten().cloned().collect::<Vec<_>>())?;
        let mut places = places.into_iter();
        let [source, target, prompt] = [&self.source, &self.target, &self.prompt]
            .map(|column| column.as_ref().and_then(|_| places.next()));
        let told = by_names(table);
        let other = |given: usize| match count(table) {
            2 => 1usize.checked_sub(given),
            _ => None,
        };
        let (source, target) = match (source, target, told) {
            (Some(source), Some(target), _) => (Some(source), Some(target)),
            (None, None, Some(roles)) => (Some(roles.source), Some(roles.target)),
            (Some(source), None, Some(roles)) if roles.target != source => (Some(source), Some(roles.target)),
            (None, Some(target), Some(roles)) if roles.source != target => (Some(roles.source), Some(target)),
            (Some(source), None, _) => (Some(source), other(source)),
            (None, Some(target), _) => (other(target), Some(target)),
            (None, None, None) => (None, None),
        };
        let (Some(source), Some(target)) = (source, target) else {
            return Err(Error::Columns { path: table.path().to_path_buf(), columns: shown(table) });
        };
        // A task that the names tell of is part of the reading only where nothing was said.
        let nothing_said = self.source.is_none() && self.target.is_none();
        let prompt = prompt.or(told.filter(|_| nothing_said).and_then(|roles| roles.prompt));
        Ok(Roles { source, target, prompt })
    }
}

/// How many columns there are.
fn count(table: &Table) -> usize {
    table.head().columns.len()
}

/// What the names say; without a header the source comes first.
fn by_names(table: &Table) -> Option<Roles> {
    let names = table.names();
    let unnamed = table.head().header == Some(false) || names == ["1", "2"];
    if unnamed && names.len() == 2 {
        return Some(Roles { source: 0, target: 1, prompt: None });
    }
    Roles::of_names(&names)
}

/// The columns with their first values, for a question.
fn shown(table: &Table) -> String {
    const SHOWN: usize = 12;
    let short = |text: &str| {
        let mut cut: String =
            text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(16).collect();
        if cut.chars().count() < text.chars().count() {
            cut.push('…');
        }
        cut
    };
    let columns = &table.head().columns;
    let mut parts: Vec<String> = (columns.iter().take(SHOWN).enumerate())
        .map(|(i, column)| match column.name.as_str() {
            "" => format!("{} ({})", i + 1, short(&column.first)),
            name => format!("{} {:?} ({})", i + 1, short(name), short(&column.first)),
        })
        .collect();
    if columns.len() > SHOWN {
        parts.push(format!("and {} more", columns.len() - SHOWN));
    }
    parts.join(", ")
}
