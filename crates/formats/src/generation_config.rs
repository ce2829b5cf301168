//! `generation_config.json`: how the author of a model wants it to generate.
//!
//! The values as they stand in the file, under transformers' names, and the meaning of what is absent: that is
//! transformers 4.57's `GenerationConfig`. What this program has no option for is listed, so that it can be said.

use std::path::Path;

use serde_json::{Map, Value};

use crate::config::Fields;
use crate::error::Result;
use crate::json;

/// The file's name in a model's folder.
pub const NAME: &str = "generation_config.json";

/// When the search for a source ends, once it has `num_beams` finished hypotheses (transformers' `early_stopping`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// `true`: at once.
    Yes,
    /// `false`: when the best open hypothesis, ended now, would not be among them. A heuristic where longer
    /// hypotheses are favoured.
    #[default]
    No,
    /// `"never"`: when no open hypothesis can become one of them, whatever its length.
    Never,
    /// Not transformers', but T5's own (mesh-tensorflow's `beam_search`): when no open hypothesis can become better than
    /// the worst finished one, however few have finished. What is cut off by the length is then no hypothesis.
    T5,
}

/// The file's values; `None` is what it does not say.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)] // transformers' names
pub struct GenerationConfig {
    /// Counts the start token and the prefix too; `max_new_tokens` wins.
    pub max_length: Option<usize>,
    pub max_new_tokens: Option<usize>,
    /// Counts the start token and the prefix too; `min_new_tokens` wins.
    pub min_length: Option<usize>,
    pub min_new_tokens: Option<usize>,
    pub num_beams: Option<usize>,
    pub num_beam_groups: Option<usize>,
    pub diversity_penalty: Option<f64>,
    pub length_penalty: Option<f64>,
    pub early_stopping: Option<EarlyStopping>,
    pub num_return_sequences: Option<usize>,
    pub do_sample: Option<bool>,
    pub temperature: Option<f64>,
    pub top_k: Option<usize>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub no_repeat_ngram_size: Option<usize>,
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    pub suppress_tokens: Option<Vec<u32>>,
    pub pad_token_id: Option<u32>,
    /// Those that end a text; the file has one or a list.
    pub eos_token_id: Option<Vec<u32>>,
    pub decoder_start_token_id: Option<u32>,
    /// `name value` of everything else that would change what transformers generates.
    pub ignored: Vec<String>,
}

/// What does not change which tokens come.
const HARMLESS: [&str; 16] = [
    "transformers_version",
    "bos_token_id",
    "use_cache",
    "cache_implementation",
    "cache_config",
    "return_legacy_cache",
    "prefill_chunk_size",
    "compile_config",
    "disable_compile",
    "low_memory",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "is_assistant",
];
/// Values that switch an option off, beside null, false and an empty list.
const OFF: [(&str, f64); 5] = [
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("encoder_no_repeat_ngram_size", 0.0),
];
/// How a second model or the prompt helps to guess ahead; without one of these nothing does.
const ASSISTANT: [&str; 5] = [
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_lookbehind",
    "target_lookbehind",
];

/// How a model that was trained has been validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Beams; `None` where nothing was generated.
    pub num_beams: Option<usize>,
    /// The longest target.
    pub max_new_tokens: usize,
}

impl Decoded {
    /// The file of the trained model, from what the file of the model was before (empty where there was none) and the
    /// special ids. Where targets were generated nothing of how they were before is left but ids: validation knew
    /// nothing of it. Otherwise it stays, but for lengths.
    pub fn over(self, before: Map<String, Value>, pad: u32, end: &[u32], start: u32) -> Map<String, Value> {
        const LENGTHS: [&str; 2] = ["max_length", "max_new_tokens"];
        const LEAST: [&str; 2] = ["min_length", "min_new_tokens"];
        let ids = ["pad_token_id", "eos_token_id", "decoder_start_token_id"];
        let too_long = |value: &Value| value.as_u64().is_some_and(|least| least > self.max_new_tokens as u64);
        let stays = |name: &str, value: &Value| match self.num_beams {
            Some(_) => HARMLESS.contains(&name) || ids.contains(&name),
            None => !(LENGTHS.contains(&name) || LEAST.contains(&name) && too_long(value)),
        };
        let mut map: Map<String, Value> =
            before.into_iter().filter(|(name, value)| stays(name, value)).collect();
        let end = match end {
            [one] => Value::from(*one),
            several => Value::from(several.to_vec()),
        };
        for (name, id) in ids.into_iter().zip([pad.into(), end, start.into()]) {
            map.entry(name).or_insert(id);
        }
        if let Some(beams) = self.num_beams {
            map.insert("num_beams".into(), beams.into());
        }
        map.insert("max_new_tokens".into(), self.max_new_tokens.into());
        map
    }
}

impl GenerationConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), [`Error::Malformed`](crate::Error::Malformed) where it is not a JSON object,
    /// [`Error::Config`](crate::Error::Config) naming the value that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let mut fields = Fields { path, map: json::read(path, "generation configuration")? };
        let mut config = Self::take(&mut fields)?;
        for (name, value) in fields.map {
            let off = match &value {
                Value::Null | Value::Bool(false) => true,
                Value::Array(list) => list.is_empty(),
                Value::Number(x) => OFF.iter().any(|&(n, off)| n == name && x.as_f64() == Some(off)),
                _ => false,
            };
            let harmless = [&HARMLESS[..], &ASSISTANT].concat().contains(&&*name) || name.starts_with('_');
            if !off && !harmless {
                config.ignored.push(format!("{name} {value}"));
            }
        }
        Ok(config)
    }

    /// What a `config.json` of before 2023 says of generation, among the fields that are not the model's
    /// ([`T5Config::other`](crate::T5Config::other)); transformers reads it where there is no `generation_config.json`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) naming the value that is none.
    pub fn of_model(path: &Path, other: &Map<String, Value>) -> Result<Self> {
        Self::take(&mut Fields { path, map: other.clone() })
    }

    fn take(f: &mut Fields<'_>) -> Result<Self> {
        let early_stopping = match f.take("early_stopping") {
            None => None,
            Some(Value::Bool(true)) => Some(EarlyStopping::Yes),
            Some(Value::Bool(false)) => Some(EarlyStopping::No),
            Some(Value::String(s)) if s == "never" => Some(EarlyStopping::Never),
            Some(other) => {
                return Err(f.error("early_stopping", format!("{other} is none of true, false, \"never\"")));
            }
        };
        let mut config = GenerationConfig {
            max_length: f.take_size("max_length")?,
            max_new_tokens: f.take_size("max_new_tokens")?,
            min_length: f.take_size("min_length")?,
            min_new_tokens: f.take_size("min_new_tokens")?,
            num_beams: f.take_size("num_beams")?,
            num_beam_groups: f.take_size("num_beam_groups")?,
            diversity_penalty: f.take_number("diversity_penalty")?,
            length_penalty: f.take_number("length_penalty")?,
            early_stopping,
            num_return_sequences: f.take_size("num_return_sequences")?,
            do_sample: f.take_bool("do_sample")?,
            temperature: f.take_number("temperature")?,
            top_k: f.take_size("top_k")?,
            top_p: f.take_number("top_p")?,
            min_p: f.take_number("min_p")?,
            repetition_penalty: f.take_number("repetition_penalty")?,
            no_repeat_ngram_size: f.take_size("no_repeat_ngram_size")?,
            bad_words_ids: ids(f, "bad_words_ids")?,
            suppress_tokens: ids(f, "suppress_tokens")?,
            pad_token_id: f.take_only_id("pad_token_id")?,
            decoder_start_token_id: f.take_only_id("decoder_start_token_id")?,
            ..Self::default()
        };
        if f.map.get("eos_token_id").is_some_and(Value::is_array) {
            config.eos_token_id = ids(f, "eos_token_id")?.filter(|all: &Vec<u32>| !all.is_empty());
        } else {
            config.eos_token_id = f.take_id("eos_token_id")?.map(|id| vec![id]);
        }
        Ok(config)
    }
}

/// Takes a list of ids, or of lists of them.
fn ids<T: serde::de::DeserializeOwned>(f: &mut Fields<'_>, field: &str) -> Result<Option<T>> {
    let Some(value) = f.take(field) else { return Ok(None) };
    serde_json::from_value(value).map(Some).map_err(|e| f.error(field, format!("not a list of ids: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GenerationConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, text).unwrap();
        GenerationConfig::read(&path)
    }

    #[test]
    fn values_are_taken_and_the_rest_is_listed_unless_it_is_off() {
        let config = read(
            r#"{"num_beams": 4, "early_stopping": "never", "top_p": 1, "eos_token_id": [1, 5], "bos_token_id": 7,
                "min_length": null, "typical_p": 1.0, "eta_cutoff": 0.1, "forced_eos_token_id": 1, "_from": "x",
                "use_cache": true, "constraints": [], "new_idea": {"a": 1}, "bad_words_ids": [[3, 4], [5]]}"#,
        )
        .unwrap();
        let want = GenerationConfig {
            num_beams: Some(4),
            early_stopping: Some(EarlyStopping::Never),
            top_p: Some(1.0),
            eos_token_id: Some(vec![1, 5]),
            bad_words_ids: Some(vec![vec![3, 4], vec![5]]),
            ignored: ["eta_cutoff 0.1", "forced_eos_token_id 1", r#"new_idea {"a":1}"#]
                .map(String::from)
                .to_vec(),
            ..GenerationConfig::default()
        };
        assert_eq!(config, want);
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (text, part) in [
            (r#"{"num_beams": -1}"#, "num_beams: -1 is not a size"),
            (r#"{"do_sample": "yes"}"#, "do_sample: \"yes\" is neither"),
            (r#"{"early_stopping": 3}"#, "early_stopping: 3 is none of"),
            (r#"{"suppress_tokens": [1, "a"]}"#, "suppress_tokens: not a list of ids"),
            (r#"{"bad_words_ids": [1]}"#, "bad_words_ids: not a list of ids"),
            ("[1]", "generation configuration"),
            ("{", "generation configuration"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(NAME) && error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_trained_model_generates_as_it_was_validated() {
        let before = serde_json::json!({
            "num_beams": 4, "do_sample": true, "max_length": 200, "min_length": 56, "eos_token_id": [1, 7],
            "transformers_version": "4.57.1"
        });
        let over = |num_beams| {
            let decoded = Decoded { num_beams, max_new_tokens: 32 };
            Value::from(decoded.over(before.as_object().unwrap().clone(), 0, &[1], 0))
        };
        let ids = serde_json::json!({
            "eos_token_id": [1, 7], "transformers_version": "4.57.1", "pad_token_id": 0, "decoder_start_token_id": 0,
            "max_new_tokens": 32
        });
        let with = |more: Value| {
            let mut map = ids.as_object().unwrap().clone();
            map.extend(more.as_object().unwrap().clone());
            Value::from(map)
        };
        assert_eq!(over(Some(2)), with(serde_json::json!({"num_beams": 2})));
        assert_eq!(over(None), with(serde_json::json!({"num_beams": 4, "do_sample": true})));
    }

    #[test]
    fn an_old_configuration_says_it_among_other_things() {
        let old = serde_json::json!({"n_positions": 512, "num_beams": 3, "task_specific_params": {"a": {}}});
        let config = GenerationConfig::of_model(Path::new("config.json"), old.as_object().unwrap()).unwrap();
        assert_eq!(config, GenerationConfig { num_beams: Some(3), ..GenerationConfig::default() });
    }
}
