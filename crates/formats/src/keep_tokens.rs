//! Lists of embedding rows to keep, and what becomes of ids when the others go.
//!
//! The list is a JSON array of row numbers, ascending, in the form in which the Chinese cut of mT5
//! (`sentencepiece_cn_keep_tokens.json`) was published: the row at place `i` becomes row `i`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::config::{BertConfig, T5Config};
use crate::error::{Error, Result};
use crate::json;

/// Reads a list of rows to keep of a matrix that has `rows` rows; ascending, each once.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unsupported`] where it is no such list, is empty, unsorted, repeats a row or goes
/// beyond the rows.
pub fn read(path: &Path, rows: usize) -> Result<Vec<u32>> {
    let bad = |what: String| Error::unsupported(path, what);
    let list: Vec<u32> = match json::read(path, "list of rows to keep") {
        Err(Error::Malformed { what, .. }) => {
            return Err(bad(format!("not a JSON list of row numbers, such as [0, 1, 2]: {what}")));
        }
        read => read?,
    };
    if list.is_empty() {
        return Err(bad("the list of rows to keep is empty".to_owned()));
    }
    for pair in list.windows(2) {
        if pair[0] == pair[1] {
            return Err(bad(format!("row {} is listed twice; list each row once", pair[0])));
        }
        if pair[0] > pair[1] {
            return Err(bad(format!("row {} follows row {}; sort the list ascending", pair[1], pair[0])));
        }
    }
    match list.iter().find(|&&row| row as usize >= rows) {
        Some(row) => Err(bad(format!(
            "row {row} is out of range: there are {rows} rows; is the list of another model?"
        ))),
        None => Ok(list),
    }
}

/// New numbers of kept rows.
#[derive(Clone, Debug)]
pub struct Renumbering {
    new: HashMap<u64, u64>,
}

impl Renumbering {
    /// From the kept rows, ascending.
    pub fn new(keep: &[u32]) -> Self {
        Self { new: keep.iter().zip(0..).map(|(&old, new)| (u64::from(old), new)).collect() }
    }

    /// The new number of an id, if it is kept.
    pub fn id(&self, old: u64) -> Option<u64> {
        self.new.get(&old).copied()
    }

    /// A value that consists of ids: a number, or lists of them; dropped ids vanish from lists.
    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Number(n) => match n.as_u64() {
                Some(id) => self.id(id).map_or(Value::Null, Value::from),
                // -1 and the like stand for no id.
                None => value.clone(),
            },
            Value::Array(list) => {
                list.iter().map(|v| self.value(v)).filter(|v| !v.is_null()).collect::<Vec<_>>().into()
            }
            other => other.clone(),
        }
    }

    /// Renumbers the fields of a configuration that hold ids, at every depth.
    pub fn config(&self, map: &Map<String, Value>) -> Map<String, Value> {
        const LISTS: [&str; 4] =
            ["suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "force_words_ids"];
        let renumbered = map.iter().map(|(key, value)| {
            let ids = key.ends_with("_token_id") || key.ends_with("_token_ids");
            let value = match value {
                value if ids || LISTS.contains(&key.as_str()) => self.value(value),
                Value::Object(inner) => self.config(inner).into(),
                other => other.clone(),
            };
            (key.clone(), value)
        });
        renumbered.collect()
    }
}

impl T5Config {
    /// The configuration of the model whose vocabulary's matrices have only the rows `keep` (ascending) left.
    ///
    /// # Errors
    /// [`Error::Config`] where the padding, the end or the start of sequences would go.
    pub fn with_rows(&self, keep: &[u32]) -> Result<Self> {
        let renumbering = Renumbering::new(keep);
        let new = |old: u32| renumbering.id(u64::from(old)).and_then(|id| u32::try_from(id).ok());
        let id = |field: &str, old: u32, said: bool| {
            // What nobody has said the tokenizer will.
            new(old).or((!said).then_some(0)).ok_or_else(|| Error::Config {
                path: Path::new("config.json").to_owned(),
                field: field.to_owned(),
                what: format!("it is {old}, a row that would be dropped; keep it"),
            })
        };
        Ok(Self {
            vocab_size: keep.len(),
            pad_token_id: id("pad_token_id", self.pad_token_id, self.said.pad_token_id)?,
            eos_token_id: id("eos_token_id", self.eos_token_id, self.said.eos_token_id)?,
            more_eos_token_ids: self.more_eos_token_ids.iter().filter_map(|&old| new(old)).collect(),
            decoder_start_token_id: id(
                "decoder_start_token_id",
                self.decoder_start_token_id,
                self.said.decoder_start_token_id,
            )?,
            other: renumbering.config(&self.other),
            ..self.clone()
        })
    }
}

impl BertConfig {
    /// The configuration of the model whose embedding has only the rows `keep` (ascending) left; ids follow their rows.
    /// What the tokenizer says, `[CLS]` and `[SEP]`, it says again.
    ///
    /// # Errors
    /// [`Error::Config`] where the row of `pad_token_id` is dropped.
    pub fn with_rows(&self, keep: &[u32]) -> Result<Self> {
        let renumbering = Renumbering::new(keep);
        let new = |old: u32| renumbering.id(u64::from(old)).and_then(|id| u32::try_from(id).ok());
        let pad_token_id = new(self.pad_token_id).ok_or_else(|| Error::Config {
            path: Path::new("config.json").to_owned(),
            field: "pad_token_id".to_owned(),
            what: format!("it is {}, a row that would be dropped; keep it", self.pad_token_id),
        })?;
        Ok(Self {
            vocab_size: keep.len(),
            pad_token_id,
            cls_token_id: new(self.cls_token_id).unwrap_or(0),
            sep_token_id: new(self.sep_token_id).unwrap_or(0),
            other: renumbering.config(&self.other),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SaidIds;
    use serde_json::json;

    #[test]
    fn lists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keep.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            super::read(&path, 128).map_err(|e| e.to_string())
        };
        assert_eq!(read("[0, 1, 99, 127]").unwrap(), [0, 1, 99, 127]);
        for (text, part) in [
            ("[]", "empty"),
            ("[0, 1, 1]", "row 1 is listed twice"),
            ("[0, 2, 1]", "row 1 follows row 2"),
            ("[0, 128]", "row 128 is out of range: there are 128 rows"),
            ("[0, -1]", "not a JSON list"),
            ("[0, 1.5]", "not a JSON list"),
            ("[0, 4294967296]", "not a JSON list"),
            ("{}", "not a JSON list"),
            ("[0, 1", "not a JSON list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("keep.json: ") && error.contains(part), "{text}: {error}");
        }
        assert!(super::read(&folder.path().join("none"), 9).is_err());
    }

    #[test]
    fn ids_get_new_numbers() {
        let renumbering = Renumbering::new(&[0, 1, 5, 9]);
        let config = json!({
            "pad_token_id": 0, "eos_token_id": [1, 9], "bos_token_id": 7, "forced_bos_token_id": null,
            "sep_token_id": -1, "bad_words_ids": [[5, 6], [9]], "vocab_size": 9, "num_heads": 5,
            "task_specific_params": {"x": {"decoder_start_token_id": 5, "num_beams": 9}},
        });
        let expected = json!({
            "pad_token_id": 0, "eos_token_id": [1, 3], "bos_token_id": null, "forced_bos_token_id": null,
            "sep_token_id": -1, "bad_words_ids": [[2], [3]], "vocab_size": 9, "num_heads": 5,
            "task_specific_params": {"x": {"decoder_start_token_id": 2, "num_beams": 9}},
        });
        assert_eq!(Value::from(renumbering.config(config.as_object().unwrap())), expected);
    }

    #[test]
    fn a_configuration_follows_its_rows() {
        let said = SaidIds { eos_token_id: true, ..SaidIds::default() };
        let config =
            T5Config { eos_token_id: 5, more_eos_token_ids: vec![6, 7], said, ..T5Config::default() };
        let cut = config.with_rows(&[0, 5, 7]).unwrap();
        assert_eq!((cut.vocab_size, cut.pad_token_id, cut.eos_token_id), (3, 0, 1));
        assert_eq!(cut.more_eos_token_ids, [2]);
        let error = config.with_rows(&[0, 1]).unwrap_err().to_string();
        assert!(error.contains("eos_token_id: it is 5, a row that would be dropped"), "{error}");
        // What nobody has said is for the tokenizer to say.
        let unsaid = T5Config { said: SaidIds::default(), ..config };
        assert_eq!(unsaid.with_rows(&[0, 1]).unwrap().eos_token_id, 0);
    }
}
