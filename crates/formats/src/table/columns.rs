//! Which columns are wanted, and where they are in a file.

use std::fmt;
use std::path::Path;

use super::Error;
use super::roles::{is_known, same_name};

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
            if let Some(at) = found.iter().position(|f| same_name(&f.name, "text") && f.is_string) {
                return Ok(vec![at]);
            }
            // A column without a name holds the numbers of the rows.
            let mut strings =
                (0..found.len()).filter(|&i| found[i].is_string && !found[i].name.trim().is_empty());
            match (strings.next(), strings.next()) {
                (Some(only), None) => Ok(vec![only]),
                _ => Err(Error::Choose { path: path.to_path_buf(), have: names() }),
            }
        }
        Columns::These(list) => list
            .iter()
            .map(|column| {
                let names: Vec<&str> = found.iter().map(|f| f.name.as_str()).collect();
                place(column, &names).map_err(|wanted| Error::Column {
                    path: path.to_path_buf(),
                    wanted,
                    have: names.iter().map(|name| name.to_string()).collect(),
                })
            })
            .collect(),
    }
}

/// The place (from 0) of a column among those of these names: of the very name, else of the one name that differs in
/// case and spaces around it alone. An error says what was looked for.
pub fn place(column: &ColumnRef, names: &[&str]) -> Result<usize, String> {
    let name = match column {
        ColumnRef::Number(n) if (1..=names.len()).contains(n) => return Ok(n - 1),
        ColumnRef::Number(_) => return Err(column.to_string()),
        ColumnRef::Name(name) => name,
    };
    let exact = |candidate: &str| candidate == name;
    let alike = |candidate: &str| same_name(candidate, name);
    for fits in [&exact as &dyn Fn(&str) -> bool, &alike] {
        let mut places = (0..names.len()).filter(|&i| fits(names[i]));
        match (places.next(), places.next()) {
            (Some(place), None) => return Ok(place),
            (Some(_), Some(_)) => return Err(format!("{column} that is the only one of that name")),
            (None, _) => {}
        }
    }
    Err(column.to_string())
}

/// [`resolve`] for the first row of a TSV or CSV file or of a sheet, which may be a header or already a row.
/// Also returns whether it is a header: where nobody says so, where it has the names that are wanted, or names that
/// columns usually have.
pub(super) fn resolve_cells(
    path: &Path,
    columns: &Columns,
    has_header: Option<bool>,
    cells: &[&str],
) -> Result<(Vec<usize>, bool), Error> {
    let header = has_header.unwrap_or_else(|| columns.names_any() || names_columns(cells));
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

/// A column's name is not longer than this.
const NAME_CHARACTERS: usize = 40;

/// Whether these cells are names of columns by themselves: at least half of those that are not empty are names that
/// columns usually have, and none is a sentence or stands twice.
pub(super) fn names_columns(cells: &[&str]) -> bool {
    let filled: Vec<&str> = cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect();
    let known = filled.iter().filter(|cell| is_known(cell)).count();
    let short = |cell: &&str| {
        cell.chars().count() <= NAME_CHARACTERS && !cell.contains(['。', '，', '！', '？', '、', '\n'])
    };
    let twice = filled.iter().enumerate().any(|(i, cell)| filled[..i].contains(cell));
    known > 0 && 2 * known >= filled.len() && filled.iter().all(short) && !twice
}

/// Whether the first row is a header by what stands under it: identifiers over a column of words or of Chinese, or a
/// few characters over a column of long texts. `rows` are some that follow.
pub(super) fn unlike_the_rest(cells: &[&str], rows: &[Vec<String>]) -> bool {
    let identifier = |text: &str| {
        text.chars().count() <= NAME_CHARACTERS
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
    };
    let filled = |cells: &[&str]| cells.iter().all(|cell| !cell.trim().is_empty());
    let named = cells.strip_prefix(&[""]).unwrap_or(cells);
    if rows.len() < 2 || !filled(named) || named.iter().enumerate().any(|(i, cell)| named[..i].contains(cell))
    {
        return false;
    }
    let every = |at: usize, holds: &dyn Fn(&str) -> bool| {
        rows.iter().all(|row| row.get(at).is_some_and(|cell| holds(cell)))
    };
    let long = |text: &str| text.chars().count() >= 20;
    let identifiers = named.iter().all(|cell| identifier(cell));
    let few = rows.len() > 3 && named.iter().all(|cell| cell.chars().count() <= 8);
    (0..cells.len()).any(|at| {
        identifiers && every(at, &|cell| !cell.is_ascii() || cell.contains(' ')) || few && every(at, &long)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_by_name() {
        for (cells, header) in [
            (&["source", "target"][..], true),
            (&[" Source ", "TARGET"], true),
            (&["", "摘要", "标题"], true),
            (&["id", "标题", "foo"], true),
            (&["id", "foo", "bar"], false),
            (&["foo", "bar"], false),
            (&["今天天气很好，出去走走", "天气"], false),
            (&["内容", "内容"], false),
            (&["这是一篇讲正文的文章", "标签是什么"], false),
            (&["", ""], false),
        ] {
            assert_eq!(names_columns(cells), header, "{cells:?}");
        }
    }

    #[test]
    fn headers_by_what_stands_under_them() {
        let rows = |text: &[&[&str]]| -> Vec<Vec<String>> {
            text.iter().map(|row| row.iter().map(|cell| cell.to_string()).collect()).collect()
        };
        let chinese = rows(&[&["今天天气", "好"], &["水运工程", "航运"]]);
        assert!(unlike_the_rest(&["col_a", "col_b"], &chinese));
        assert!(!unlike_the_rest(&["昨天", "坏"], &chinese));
        assert!(!unlike_the_rest(&["col_a", "col_b"], &chinese[..1]));
        let words = rows(&[&["boy", "garçon"], &["dog", "chien"]]);
        assert!(!unlike_the_rest(&["cat", "chat"], &words));
        let long = "很长的一段文字".repeat(4);
        let long = rows(&[&[&long, "短"], &[&long, "短"], &[&long, "短"], &[&long, "短"]]);
        assert!(unlike_the_rest(&["新闻稿", "新闻题"], &long));
        assert!(!unlike_the_rest(&["并不那么长，但也不算短", "短"], &long));
        assert!(unlike_the_rest(&["", "a", "b"], &rows(&[&["0", "甲", "乙"], &["1", "丙", "丁"]])));
    }

    #[test]
    fn a_name_is_found_by_case_and_spaces_only_where_it_is_alone() {
        let name = |name: &str| ColumnRef::Name(name.into());
        assert_eq!(
            place(&name("Source"), &["source", " Source "]),
            Err("\"Source\" that is the only one of that name".into())
        );
        assert_eq!(place(&name("source"), &["source", " Source "]), Ok(0));
        assert_eq!(place(&name("摘要"), &["id", "\u{3000}摘要 "]), Ok(1));
        assert_eq!(place(&ColumnRef::Number(3), &["a", "b"]), Err("3".into()));
    }
}
