//! Which columns are wanted, and where they are in a file.

use std::fmt;
use std::path::Path;

use super::Error;

/// A column as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnRef {
    /// By the header row, the object's key or the schema.
    Name(String),
    /// By its place, from 1.
    Number(usize),
}

impl ColumnRef {
    /// Reads a command-line value: digits are a number from 1, everything else is a name.
    pub fn parse(text: &str) -> Self {
        match text.parse::<usize>() {
            Ok(number) if number > 0 => Self::Number(number),
            _ => Self::Name(text.to_owned()),
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// Which columns of a file are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// These, in this order.
    These(Vec<ColumnRef>),
    /// All, in the file's order.
    All,
    /// The one that holds the text: the column called `text`, else the only column of strings.
    Text,
}

impl Columns {
    /// Whether a name is asked for, so that a TSV or CSV file must begin with a header.
    fn names_any(&self) -> bool {
        matches!(self, Self::These(list) if list.iter().any(|c| matches!(c, ColumnRef::Name(_))))
    }
}

/// One column of a file as its head shows it.
pub(super) struct Found {
    /// The name in the header, key or schema.
    pub name: String,
    /// Whether it holds strings (as far as the head shows).
    pub is_string: bool,
}

/// The places (from 0) of the wanted columns among `found`.
pub(super) fn resolve(path: &Path, columns: &Columns, found: &[Found]) -> Result<Vec<usize>, Error> {
    let names = || found.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
    match columns {
        Columns::All => Ok((0..found.len()).collect()),
        Columns::Text => {
            if let Some(at) = found.iter().position(|f| f.name == "text" && f.is_string) {
                return Ok(vec![at]);
            }
            let mut strings = (0..found.len()).filter(|&i| found[i].is_string);
            match (strings.next(), strings.next()) {
                (Some(only), None) => Ok(vec![only]),
                _ => Err(Error::Choose { path: path.to_path_buf(), have: names() }),
            }
        }
        Columns::These(list) => list
            .iter()
            .map(|column| {
                let missing =
                    || Error::Column { path: path.to_path_buf(), wanted: column.to_string(), have: names() };
                match column {
                    ColumnRef::Number(n) if (1..=found.len()).contains(n) => Ok(n - 1),
                    ColumnRef::Number(_) => Err(missing()),
                    ColumnRef::Name(name) => {
                        let mut places = (0..found.len()).filter(|&i| found[i].name == *name);
                        match (places.next(), places.next()) {
                            (Some(place), None) => Ok(place),
                            (Some(_), Some(_)) => Err(Error::Column {
                                path: path.to_path_buf(),
                                wanted: format!("{column} that is the only one of that name"),
                                have: names(),
                            }),
                            (None, _) => Err(missing()),
                        }
                    }
                }
            })
            .collect(),
    }
}

/// [`resolve`] for the first row of a TSV or CSV file, which may be a header or already a row.
/// Also returns whether it is a header.
pub(super) fn resolve_cells(
    path: &Path,
    columns: &Columns,
    has_header: Option<bool>,
    cells: &[&str],
) -> Result<(Vec<usize>, bool), Error> {
    let header = has_header.unwrap_or_else(|| match columns {
        Columns::Text => cells.contains(&"text"),
        _ => columns.names_any(),
    });
    if !header
        && let Columns::These(list) = columns
        && let Some(name) = list.iter().find(|c| matches!(c, ColumnRef::Name(_)))
    {
        return Err(Error::NoHeader { path: path.to_path_buf(), wanted: name.to_string() });
    }
    let found: Vec<Found> = cells
        .iter()
        .enumerate()
        .map(|(i, cell)| {
            let name = if header { cell.to_string() } else { format!("{} ({cell:?})", i + 1) };
            Found { name, is_string: true }
        })
        .collect();
    Ok((resolve(path, columns, &found)?, header))
}
