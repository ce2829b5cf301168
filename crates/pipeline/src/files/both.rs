//! A `tokenizer_config.json` that transformers 4 and 5 read alike.

use std::path::Path;

use serde_json::{Map, Value};

use super::tokenizer_json::is_t5_of_5;
use super::{TOKENIZER_CONFIG, TOKENIZER_JSON, read_object, write_json};
use crate::Error;

/// Mends the file in a folder, where there is one. Where the tokenizer is a `tokenizer.json` `alone`, transformers 5 is made
/// to run that: by the class that the file names, T5's would make steps of its own.
pub(super) fn for_both(out: &Path, alone: bool) -> Result<(), Error> {
    let path = out.join(TOKENIZER_CONFIG);
    let Some(mut config) = read_object(&path)? else { return Ok(()) };
    let mut changed = one_list(&mut config);
    let said = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or("T5Tokenizer");
    let is_t5 = ["T5Tokenizer", "MT5Tokenizer"].contains(&said.trim_end_matches("Fast"));
    if alone && is_t5 {
        let json = read_object(&out.join(TOKENIZER_JSON))?.map(Value::Object);
        if json.is_some_and(|json| !is_t5_of_5(&json)) {
            config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
            changed = true;
        }
    }
    if changed { write_json(&path, &config.into()) } else { Ok(()) }
}

/// Gives the list that transformers 5 calls `extra_special_tokens`, which has to be an object in transformers 4, the name
/// that both know; returns whether there was one.
pub(super) fn one_list(config: &mut Map<String, Value>) -> bool {
    const BOTH: &str = "additional_special_tokens";
    let Some(Value::Array(extra)) = config.get("extra_special_tokens").cloned() else { return false };
    config.shift_remove("extra_special_tokens");
    let mut all = config.get(BOTH).and_then(Value::as_array).cloned().unwrap_or_default();
    for token in extra {
        if !all.contains(&token) {
            all.push(token);
        }
    }
    config.insert(BOTH.into(), all.into());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn extra_special_tokens_have_the_name_that_both_versions_know() {
        let after = |before: Value| {
            let mut map = before.as_object().unwrap().clone();
            (one_list(&mut map), Value::from(map))
        };
        assert_eq!(
            after(json!({"extra_special_tokens": ["a", "b"], "additional_special_tokens": ["b"]})),
            (true, json!({"additional_special_tokens": ["b", "a"]}))
        );
        // The object of transformers 4 names tokens by roles.
        let of_4 = json!({"extra_special_tokens": {"image_token": "<i>"}, "eos_token": "</s>"});
        assert_eq!(after(of_4.clone()), (false, of_4));
    }

    #[test]
    fn a_tokenizer_json_alone_is_run_as_it_stands() {
        let folder = tempfile::tempdir().unwrap();
        let class = |pre_tokenizer: Value, alone| {
            let json = json!({"model": {"type": "Unigram"}, "pre_tokenizer": pre_tokenizer});
            std::fs::write(folder.path().join(TOKENIZER_JSON), json.to_string()).unwrap();
            let config = r#"{"tokenizer_class": "T5TokenizerFast"}"#;
            std::fs::write(folder.path().join(TOKENIZER_CONFIG), config).unwrap();
            for_both(folder.path(), alone).unwrap();
            read_object(&folder.path().join(TOKENIZER_CONFIG)).unwrap().unwrap()["tokenizer_class"].clone()
        };
        let metaspace = |scheme: &str| json!({"type": "Metaspace", "prepend_scheme": scheme});
        let of_5 =
            json!({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace("always")]});
        assert_eq!(class(of_5, true), "T5TokenizerFast");
        assert_eq!(class(metaspace("never"), true), "PreTrainedTokenizerFast");
        assert_eq!(class(metaspace("never"), false), "T5TokenizerFast");
    }
}
