//! One line to its wanted cells, for the formats that keep one row a line.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::columns::{Found, resolve, resolve_cells};
use super::{ColumnRef, Columns, Error, Format};

/// Takes the wanted cells out of single lines. It holds no state between lines, so several threads can
/// share one.
#[derive(Debug, Clone)]
pub struct RowParser {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    /// Places of the wanted cells, and the number of cells that every row must have.
    Tsv {
        places: Vec<usize>,
        cells: usize,
    },
    /// Keys of the wanted values, and whether only strings will do.
    Json {
        keys: Vec<String>,
        strings_only: bool,
    },
}

impl RowParser {
    /// A parser for a file whose first line (first line that is not blank, for JSON lines) is
    /// `first_line`, at number `line`. Also returns whether that line is a header.
    ///
    /// # Errors
    /// [`Error::Column`], [`Error::Choose`], [`Error::NoHeader`] where the wanted columns are not there;
    /// [`Error::Row`] where the first line cannot be parsed.
    ///
    /// # Panics
    /// On [`Format::Csv`] and [`Format::Parquet`], whose rows are not lines.
    pub fn new(
        path: &Path,
        format: Format,
        columns: &Columns,
        has_header: Option<bool>,
        first_line: &[u8],
        line: u64,
    ) -> Result<(Self, bool), Error> {
        let bad = |what: String| Error::Row { path: path.to_path_buf(), line, what };
        match format {
            Format::Text => {
                resolve(path, columns, &[Found { name: "text".into(), is_string: true }])?;
                Ok((Self { kind: Kind::Text }, false))
            }
            Format::Tsv => {
                let cells: Vec<&str> = utf8(first_line).map_err(bad)?.split('\t').collect();
                let (places, header) = resolve_cells(path, columns, has_header, &cells)?;
                Ok((Self { kind: Kind::Tsv { places, cells: cells.len() } }, header))
            }
            Format::JsonLines => {
                let keys = json_keys(path, columns, first_line, bad)?;
                let strings_only = *columns == Columns::Text;
                Ok((Self { kind: Kind::Json { keys, strings_only } }, false))
            }
            Format::Csv | Format::Parquet => panic!("rows of {format:?} are not lines"),
        }
    }

    /// Puts the wanted cells of `line` (without its line feed) into `values`, cleared before. False
    /// where the line holds no row: blank lines between JSON objects.
    ///
    /// # Errors
    /// What is wrong with the line, to be completed by its place.
    pub fn parse<'a>(&self, line: &'a [u8], values: &mut Vec<Cow<'a, str>>) -> Result<bool, String> {
        values.clear();
        match &self.kind {
            Kind::Text => values.push(Cow::Borrowed(utf8(line)?)),
            Kind::Tsv { places, cells } => {
                let text = utf8(line)?;
                let have = memchr::memchr_iter(b'\t', line).count() + 1;
                if have != *cells {
                    return Err(format!("{}, where the first line has {cells}", count(have, "column")));
                }
                values.resize(places.len(), Cow::Borrowed(""));
                for (i, cell) in text.split('\t').enumerate() {
                    for (value, _) in values.iter_mut().zip(places).filter(|(_, place)| **place == i) {
                        *value = Cow::Borrowed(cell);
                    }
                }
            }
            Kind::Json { keys, strings_only } => {
                if line.trim_ascii().is_empty() {
                    return Ok(false);
                }
                parse_json(line, keys, *strings_only, values)?;
            }
        }
        Ok(true)
    }
}

/// `bytes` as text.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {} of the line", e.valid_up_to() + 1))
}

/// `3 columns`, `1 column`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The wanted keys, after a look at the first object where they are not all given by name.
fn json_keys(
    path: &Path,
    columns: &Columns,
    first_line: &[u8],
    bad: impl Fn(String) -> Error,
) -> Result<Vec<String>, Error> {
    if let Columns::These(list) = columns {
        let names: Option<Vec<String>> = list
            .iter()
            .map(|column| match column {
                ColumnRef::Name(name) => Some(name.clone()),
                ColumnRef::Number(_) => None,
            })
            .collect();
        if let Some(names) = names {
            return Ok(names);
        }
    }
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(first_line).map_err(|e| bad(json_error(first_line, &e)))?;
    let found: Vec<Found> =
        object.iter().map(|(k, v)| Found { name: k.clone(), is_string: v.is_string() }).collect();
    let places = resolve(path, columns, &found)?;
    Ok(places.into_iter().map(|place| found[place].name.clone()).collect())
}

/// The values of `keys` in one JSON object; of a key that occurs twice, the last.
fn parse_json<'a>(
    line: &'a [u8],
    keys: &[String],
    strings_only: bool,
    values: &mut Vec<Cow<'a, str>>,
) -> Result<(), String> {
    let mut cells: Vec<Cell<'a>> = vec![Cell::Missing; keys.len()];
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    Pick { keys, cells: &mut cells }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|e| json_error(line, &e))?;
    for (key, cell) in keys.iter().zip(cells) {
        let what = match cell {
            Cell::Text(text) => {
                values.push(text);
                continue;
            }
            Cell::Scalar(text) if !strings_only => {
                values.push(Cow::Owned(text));
                continue;
            }
            Cell::Scalar(_) => "is not a string",
            Cell::Null => "is null",
            Cell::Other => "is neither a string nor a number",
            Cell::Missing => {
                let have = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
                    .map(|object| object.keys().take(20).cloned().collect::<Vec<_>>().join(", "))
                    .unwrap_or_default();
                return Err(format!("no field {key:?}; the fields are {have}"));
            }
        };
        return Err(format!("field {key:?} {what}"));
    }
    Ok(())
}

/// The parser's message without its own idea of the line, which is always 1 here.
fn json_error(line: &[u8], error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    if line.first() == Some(&b'[') {
        return format!("a JSON array where one object a line is expected ({text})");
    }
    format!("not a JSON object: {text} (column {})", error.column())
}

/// One value of an object.
#[derive(Clone)]
enum Cell<'a> {
    Missing,
    Null,
    Text(Cow<'a, str>),
    /// A number or boolean, as it is written.
    Scalar(String),
    Other,
}

/// Reads one object and keeps the values of `keys`, without building anything of the others.
struct Pick<'k, 'c, 'a> {
    keys: &'k [String],
    cells: &'c mut [Cell<'a>],
}

impl<'a> DeserializeSeed<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(TextKey(key)) = map.next_key()? {
            if self.keys.iter().any(|k| *k == key) {
                let cell: Cell<'a> = map.next_value()?;
                for (slot, _) in self.cells.iter_mut().zip(self.keys).filter(|(_, k)| **k == key) {
                    *slot = cell.clone();
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes (serde's own `Cow` is always owned).
struct TextKey<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for TextKey<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        match Cell::deserialize(deserializer)? {
            Cell::Text(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom("key is not a string")),
        }
    }
}

impl<'a> Deserialize<'a> for Cell<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'a> Visitor<'a> for CellVisitor {
    type Value = Cell<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cell<'a>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'a>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell<'a>, E> {
        Ok(Cell::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell<'a>, E> {
        Ok(Cell::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell<'a>, E> {
        Ok(Cell::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell<'a>, E> {
        Ok(Cell::Scalar(serde_json::Number::from_f64(value).map_or_else(String::new, |n| n.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Cell<'a>, E> {
        Ok(Cell::Null)
    }

    fn visit_seq<A: serde::de::SeqAccess<'a>>(self, mut seq: A) -> Result<Cell<'a>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Cell<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }
}
