//! Patterns of layers' names in an adapter's settings (`rank_pattern`, `alpha_pattern`), matched as peft does.

use regex_lite::Regex;
use serde_json::Value;

use crate::config::Fields;
use crate::error::Result;

/// Values by the layers that patterns name.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<(Regex, f64)>);

/// The same patterns with the same values.
impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        let texts = |p: &Self| p.0.iter().map(|(r, v)| (r.as_str().to_owned(), *v)).collect::<Vec<_>>();
        texts(self) == texts(other)
    }
}

impl Patterns {
    /// Takes the field, an object of positive numbers by regular expressions.
    pub(super) fn take(f: &mut Fields, field: &str) -> Result<Self> {
        let map = match f.take(field) {
            None => return Ok(Self::default()),
            Some(Value::Object(map)) => map,
            Some(other) => {
                return Err(f.error(field, format!("{other} is not an object of numbers by names")));
            }
        };
        let mut patterns = Vec::with_capacity(map.len());
        for (pattern, value) in map {
            let value = value.as_f64().filter(|x| x.is_finite());
            let value = value.ok_or_else(|| f.error(field, format!("{pattern:?} has no number")))?;
            // peft's own: the end of a name, from a dot on.
            let regex = Regex::new(&format!(r"^(?:(?:.*\.)?(?:{pattern}))$")).map_err(|e| {
                f.error(field, format!("{pattern:?} is no regular expression that is read: {e}"))
            })?;
            patterns.push((regex, value));
        }
        Ok(Self(patterns))
    }

    /// The value of the first pattern that names a layer.
    pub fn of(&self, module: &str) -> Option<f64> {
        self.0.iter().find(|(regex, _)| regex.is_match(module)).map(|(_, value)| *value)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
