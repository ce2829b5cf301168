//! Taking typed fields out of a JSON object, with errors that name them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The fields of a configuration file that have not been taken yet.
pub(crate) struct Fields<'a> {
    pub path: &'a Path,
    pub map: Map<String, Value>,
}

impl Fields<'_> {
    /// An error about a field.
    pub fn error(&self, field: &str, what: impl Into<String>) -> Error {
        Error::Config { path: self.path.to_owned(), field: field.to_owned(), what: what.into() }
    }

    /// Whether the field is there with a value other than null.
    pub fn has(&self, field: &str) -> bool {
        self.map.get(field).is_some_and(|v| !v.is_null())
    }

    /// Takes a field; null counts as absent, as in transformers.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.map.shift_remove(field).filter(|v| !v.is_null())
    }

    /// Takes a whole number of at most 32 bits, which no size of these models exceeds.
    pub fn take_size(&mut self, field: &str) -> Result<Option<usize>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_u64().and_then(|n| u32::try_from(n).ok()) {
            Some(n) => Ok(Some(n as usize)),
            None => Err(self.error(field, format!("{value} is not a size; give a whole number"))),
        }
    }

    /// The same where the field must be there.
    pub fn need_size(&mut self, field: &str) -> Result<usize> {
        self.take_size(field)?.ok_or_else(|| self.error(field, "missing; give a whole number"))
    }

    /// Takes a token id.
    pub fn take_id(&mut self, field: &str) -> Result<Option<u32>> {
        Ok(self.take_size(field)?.map(|n| n as u32))
    }

    /// Takes token ids: one, or a list, as transformers has them; `None` where the list is empty too.
    pub fn take_ids(&mut self, field: &str) -> Result<Option<(u32, Vec<u32>)>> {
        if !self.map.get(field).is_some_and(Value::is_array) {
            return Ok(self.take_id(field)?.map(|id| (id, Vec::new())));
        }
        let value = self.take(field).unwrap_or_default();
        let ids: Vec<u32> = serde_json::from_value(value.clone())
            .map_err(|_| self.error(field, format!("{value} is neither an id nor a list of ids")))?;
        let mut distinct: Vec<u32> = Vec::new();
        ids.into_iter().for_each(|id| {
            if !distinct.contains(&id) {
                distinct.push(id)
            }
        });
        let rest = distinct.split_off(distinct.len().min(1));
        Ok(distinct.first().map(|&first| (first, rest)))
    }

    /// Takes a token id that may stand in a list by itself.
    pub fn take_only_id(&mut self, field: &str) -> Result<Option<u32>> {
        match self.take_ids(field)? {
            Some((first, rest)) if rest.is_empty() => Ok(Some(first)),
            Some((first, rest)) => {
                let ids = [vec![first], rest].concat();
                Err(self.error(field, format!("{ids:?} are several ids; give one")))
            }
            None => Ok(None),
        }
    }

    /// Takes a number.
    pub fn take_number(&mut self, field: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_f64() {
            Some(x) => Ok(Some(x)),
            None => Err(self.error(field, format!("{value} is not a number"))),
        }
    }

    /// Takes true or false.
    pub fn take_bool(&mut self, field: &str) -> Result<Option<bool>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_bool() {
            Some(x) => Ok(Some(x)),
            None => Err(self.error(field, format!("{value} is neither true nor false"))),
        }
    }

    /// Takes a string.
    pub fn take_text(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(value) => Err(self.error(field, format!("{value} is not a string"))),
        }
    }
}
