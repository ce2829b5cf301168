//! The wanted values of one JSON object.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor,
};
use serde_json::{Map, Value};

use super::columns::{Found, place, resolve};
use super::text::{Replaced, without_lone_escapes};
use super::{ColumnRef, Columns, Error};

/// Which values of each object are wanted.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    keys: Vec<String>,
    /// Only strings will do.
    strings_only: bool,
    /// What is not there, or null, is an empty text.
    empty_for_missing: bool,
    /// Some may be paths into nested objects.
    nested: bool,
}

impl Keys {
    /// The keys of these `columns`, after a look at the first object where names alone do not say it.
    pub fn new(
        path: &Path,
        columns: &Columns,
        empty_for_missing: bool,
        first: &[u8],
        bad: impl Fn(String) -> Error,
    ) -> Result<Self, Error> {
        match (object(first, &Replaced::default()), columns) {
            (Ok(first), _) => Self::of_first(path, columns, empty_for_missing, &first),
            // The keys are known; that the first line is bad is said when it is read.
            (Err(what), Columns::These(list)) => match by_name(list) {
                Some(keys) => Ok(Self::of_keys(keys, columns, empty_for_missing)),
                None => Err(bad(what)),
            },
            (Err(what), _) => Err(bad(what)),
        }
    }

    /// [`new`](Self::new) where the first object is parsed already.
    pub fn of_first(
        path: &Path,
        columns: &Columns,
        empty_for_missing: bool,
        first: &Map<String, Value>,
    ) -> Result<Self, Error> {
        let keys = match columns {
            Columns::These(list) => by_name(list),
            _ => None,
        };
        let keys = match keys {
            Some(mut keys) => {
                // Case and spaces are forgiven where the first object has the key but for them.
                let names = names(first);
                let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                for key in &mut keys {
                    if let Ok(at) = place(&ColumnRef::Name(key.clone()), &names) {
                        *key = names[at].to_owned();
                    }
                }
                keys
            }
            None => {
                let found: Vec<Found> = (first.iter())
                    .map(|(k, v)| Found { name: k.clone(), is_string: v.is_string() })
                    .collect();
                let places = resolve(path, columns, &found)?;
                places.into_iter().map(|place| found[place].name.clone()).collect()
            }
        };
        Ok(Self::of_keys(keys, columns, empty_for_missing))
    }

    fn of_keys(keys: Vec<String>, columns: &Columns, empty_for_missing: bool) -> Self {
        let nested = keys.iter().any(|key| key.contains('.'));
        Self { keys, strings_only: *columns == Columns::Text, empty_for_missing, nested }
    }

    /// The values of one object, in the order of the keys; of a key that occurs twice, the last.
    pub fn parse<'a>(
        &self,
        json: &'a [u8],
        replaced: &Replaced,
        values: &mut Vec<Cow<'a, str>>,
    ) -> Result<(), String> {
        if self.nested {
            let object = object(json, replaced)?;
            let mut owned = Vec::new();
            self.of_object(&object, &mut owned)?;
            values.extend(owned.into_iter().map(Cow::Owned));
            return Ok(());
        }
        let mut cells: Vec<Cell<'a>> = vec![Cell::Missing; self.keys.len()];
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let parsed = Pick { keys: &self.keys, cells: &mut cells }
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        if let Err(error) = parsed {
            let Some((mended, n)) = without_lone_escapes(json) else { return Err(json_error(json, &error)) };
            let mut owned = Vec::new();
            self.parse(&mended, replaced, &mut owned)?;
            replaced.add(n);
            values.extend(owned.into_iter().map(|value| Cow::Owned(value.into_owned())));
            return Ok(());
        }
        for (key, cell) in self.keys.iter().zip(cells) {
            let have = || object(json, replaced).map(|object| names(&object)).unwrap_or_default();
            values.push(self.value(key, cell, have)?);
        }
        Ok(())
    }

    /// The values of one object that is parsed already.
    pub fn of_object(&self, object: &Map<String, Value>, values: &mut Vec<String>) -> Result<(), String> {
        for key in &self.keys {
            let cell = match lookup(object, key) {
                None => Cell::Missing,
                Some(Value::Null) => Cell::Null,
                Some(Value::String(text)) => Cell::Text(Cow::Borrowed(text)),
                Some(Value::Bool(value)) => Cell::Scalar(value.to_string()),
                Some(Value::Number(value)) => Cell::Scalar(value.to_string()),
                Some(Value::Array(_) | Value::Object(_)) => Cell::Other,
            };
            values.push(self.value(key, cell, || names(object))?.into_owned());
        }
        Ok(())
    }

    fn value<'a>(
        &self,
        key: &str,
        cell: Cell<'a>,
        have: impl Fn() -> Vec<(String, bool)>,
    ) -> Result<Cow<'a, str>, String> {
        let what = match cell {
            Cell::Text(text) => return Ok(text),
            Cell::Scalar(text) if !self.strings_only => return Ok(Cow::Owned(text)),
            Cell::Null | Cell::Missing if self.empty_for_missing => return Ok(Cow::Borrowed("")),
            Cell::Scalar(_) => "is not a string",
            Cell::Null => "is null",
            Cell::Other => "is neither a string nor a number",
            Cell::Missing => {
                let have: Vec<String> = have().into_iter().take(20).map(|(name, _)| name).collect();
                return Err(format!("no field {key:?}; the fields are {}", have.join(", ")));
            }
        };
        Err(format!("field {key:?} {what}"))
    }
}

/// The keys where all columns are given by name.
fn by_name(columns: &[ColumnRef]) -> Option<Vec<String>> {
    let name = |column: &ColumnRef| match column {
        ColumnRef::Name(name) => Some(name.clone()),
        ColumnRef::Number(_) => None,
    };
    columns.iter().map(name).collect()
}

/// One object, lone surrogates replaced.
pub(super) fn object(json: &[u8], replaced: &Replaced) -> Result<Map<String, Value>, String> {
    parse(json, replaced)
}

/// One value, lone surrogates replaced.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8], replaced: &Replaced) -> Result<T, String> {
    let error = match serde_json::from_slice(json) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Some((mended, n)) = without_lone_escapes(json)
        && let Ok(value) = serde_json::from_slice(&mended)
    {
        replaced.add(n);
        return Ok(value);
    }
    Err(json_error(json, &error))
}

/// Objects within objects are looked into so deep.
const DEPTH: usize = 4;

/// The names of an object's values, those of nested objects by their paths (`translation.en`), and whether each is a
/// text; lists and what lies deeper are left out.
pub(super) fn names(object: &Map<String, Value>) -> Vec<(String, bool)> {
    fn walk(object: &Map<String, Value>, prefix: &str, depth: usize, out: &mut Vec<(String, bool)>) {
        for (key, value) in object {
            let name = format!("{prefix}{key}");
            match value {
                Value::Object(inner) if depth > 0 => walk(inner, &format!("{name}."), depth - 1, out),
                Value::Array(_) | Value::Object(_) => {}
                other => out.push((name, other.is_string())),
            }
        }
    }
    let mut out = Vec::new();
    walk(object, "", DEPTH, &mut out);
    out
}

/// The value of a key, or at the end of a path: `translation.en`, `answers.text.0` (places in lists count from 0).
pub(super) fn lookup<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o Value> {
    if let Some(value) = object.get(key) {
        return Some(value);
    }
    let mut parts = key.split('.');
    let mut value = object.get(parts.next()?)?;
    for part in parts {
        value = match value {
            Value::Object(inner) => inner.get(part)?,
            Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// The parser's message without its own idea of the line, which is always 1 here.
fn json_error(line: &[u8], error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    if line.first() == Some(&b'[') {
        return format!("a JSON array where an object is expected ({text})");
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
