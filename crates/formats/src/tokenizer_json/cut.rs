//! A `tokenizer.json` with some of its pieces: the file itself, everything else in it unchanged.

use std::path::Path;

use serde_json::Value;

use super::FORMAT;
use crate::error::{Error, Result};
use crate::keep_tokens::Renumbering;

/// The file with the ids that are left, renumbered: `ids` says which, and what they become.
///
/// Pieces of Unigram, WordPiece and word models are cut; added tokens keep their place among the ids, and those without
/// a row go.
///
/// # Errors
/// When the bytes are no `tokenizer.json`, when the model is BPE, whose merges cannot be cut with its pieces, or when the
/// file speaks of an id that is not left.
pub fn cut(bytes: &[u8], ids: &Renumbering, path: &Path) -> Result<Value> {
    let mut file: Value =
        serde_json::from_slice(bytes).map_err(|e| Error::malformed(path, FORMAT, e.to_string()))?;
    let config =
        |field: &str, what: String| Error::Config { path: path.to_owned(), field: field.into(), what };
    let new = |old: &Value| ids.id(old.as_u64()?);
    let lost =
        |field: &str, old: &Value| config(field, format!("id {old} is not among the rows that are kept"));

    let model = file.get_mut("model").and_then(Value::as_object_mut);
    let model = model.ok_or_else(|| config("model", "there is none".into()))?;
    if model.get("type").and_then(Value::as_str) == Some("BPE") {
        let what = "a BPE model cannot be cut: its pieces are made of one another".into();
        return Err(config("model.type", what));
    }
    match model.get_mut("vocab") {
        Some(Value::Array(pieces)) => {
            let mut id = 0u64;
            pieces.retain(|_| {
                id += 1;
                ids.id(id - 1).is_some()
            });
        }
        Some(Value::Object(pieces)) => {
            pieces.retain(|_, id| match new(id) {
                Some(new) => {
                    *id = new.into();
                    true
                }
                None => false,
            });
        }
        _ => return Err(config("model.vocab", "there is none".into())),
    }
    if let Some(id) = model.get_mut("unk_id").filter(|id| !id.is_null()) {
        *id = new(id).ok_or_else(|| lost("model.unk_id", id))?.into();
    }
    if let Some(Value::Array(tokens)) = file.get_mut("added_tokens") {
        tokens.retain_mut(|token| {
            let Some(id) = token.get_mut("id") else { return true };
            match new(id) {
                Some(new) => {
                    *id = new.into();
                    true
                }
                None => false,
            }
        });
    }
    if let Some(processor) = file.get_mut("post_processor").filter(|value| !value.is_null()) {
        renumber(processor, &new).map_err(|id| lost("post_processor", &id))?;
    }
    Ok(file)
}

/// Renumbers the ids of a post-processor and of those within it.
///
/// # Errors
/// An id that is not left.
fn renumber(step: &mut Value, new: &impl Fn(&Value) -> Option<u64>) -> Result<(), Value> {
    let put = |id: &mut Value| -> Result<(), Value> {
        *id = new(id).ok_or_else(|| id.clone())?.into();
        Ok(())
    };
    let Some(step) = step.as_object_mut() else { return Ok(()) };
    for field in ["sep", "cls"] {
        if let Some(id) = step.get_mut(field).and_then(|pair| pair.get_mut(1)) {
            put(id)?;
        }
    }
    let tokens = step.get_mut("special_tokens").and_then(Value::as_object_mut);
    for token in tokens.into_iter().flat_map(|tokens| tokens.values_mut()) {
        for id in token.get_mut("ids").and_then(Value::as_array_mut).into_iter().flatten() {
            put(id)?;
        }
    }
    let steps = step.get_mut("processors").and_then(Value::as_array_mut);
    steps.into_iter().flatten().try_for_each(|step| renumber(step, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer_json::tests::sample;
    use serde_json::json;

    fn cut_to(file: &Value, rows: &[u32]) -> Result<Value, String> {
        let bytes = file.to_string();
        cut(bytes.as_bytes(), &Renumbering::new(rows), Path::new("tokenizer.json")).map_err(|e| e.to_string())
    }

    #[test]
    fn pieces_go_and_ids_follow() {
        let before = sample();
        let after = cut_to(&before, &[1, 2, 3, 8]).unwrap();
        assert_eq!(after["model"]["vocab"], json!([["</s>", 0.0], ["<unk>", 0.0], ["▁好", -3.3]]));
        assert_eq!(after["model"]["unk_id"], 1);
        let tokens: Vec<_> = after["added_tokens"].as_array().unwrap().iter().collect();
        let ids: Vec<_> = tokens.iter().map(|t| (t["content"].as_str().unwrap(), &t["id"])).collect();
        assert_eq!(ids, [("</s>", &json!(0)), ("<unk>", &json!(1)), ("<event>", &json!(3))]);
        assert_eq!(after["post_processor"]["special_tokens"]["</s>"]["ids"], json!([0]));
        assert_eq!(after["normalizer"], before["normalizer"]);
        let all: Vec<u32> = (0..9).collect();
        assert_eq!(cut_to(&before, &all).unwrap(), before);
    }

    #[test]
    fn other_models() {
        let bert = json!({"added_tokens": [], "model": {"type": "WordPiece", "vocab": {"a": 0, "b": 1, "c": 2}},
            "post_processor": {"type": "Sequence", "processors":
                [{"type": "BertProcessing", "sep": ["c", 2], "cls": ["a", 0]}]}});
        let after = cut_to(&bert, &[0, 2]).unwrap();
        assert_eq!(after["model"]["vocab"], json!({"a": 0, "c": 1}));
        assert_eq!(after["post_processor"]["processors"][0]["sep"], json!(["c", 1]));
        assert!(cut_to(&bert, &[0, 1]).unwrap_err().contains("post_processor: id 2 is not among"));
        let bpe = json!({"model": {"type": "BPE", "vocab": {}}});
        assert!(cut_to(&bpe, &[0]).unwrap_err().contains("a BPE model cannot be cut"));
        assert!(cut_to(&json!({}), &[0]).unwrap_err().contains("model: there is none"));
        assert!(cut_to(&sample(), &[0, 1]).unwrap_err().contains("model.unk_id: id 2"));
    }
}
