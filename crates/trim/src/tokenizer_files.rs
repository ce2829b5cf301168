//! The small files of a Hugging Face directory that speak of ids: configurations and the tokenizer's.
//!
//! transformers' fast tokenizer, converted from `spiece.model` by itself, loses byte fallback; a
//! `tokenizer.json` that says it makes `AutoTokenizer` give the ids of the sentencepiece library.

use std::path::Path;

use serde_json::{Map, Value, json};
use t5kit_formats::keep_tokens::Renumbering;
use t5kit_formats::spiece::{ModelType, PieceKind, SpieceModel};

use crate::Error;

/// Reads a JSON object, if the file is there.
pub(crate) fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(_) => Err(Error::List { path: path.to_path_buf(), what: "not a JSON object".into() }),
        Err(e) => Err(Error::List { path: path.to_path_buf(), what: format!("not JSON: {e}") }),
    }
}

/// `tokenizer_config.json` for the cut tokenizer: that of the uncut one, if there is one, with ids
/// renumbered, else what transformers needs to know.
pub(crate) fn tokenizer_config(
    before: Option<Map<String, Value>>,
    renumbering: &Renumbering,
    sentinels: usize,
) -> Map<String, Value> {
    let mut config = before.unwrap_or_default();
    for (key, value) in [
        ("eos_token", "</s>"),
        ("unk_token", "<unk>"),
        ("pad_token", "<pad>"),
        ("tokenizer_class", "T5Tokenizer"),
    ] {
        config.entry(key).or_insert_with(|| value.into());
    }
    config.insert("extra_ids".into(), sentinels.into());
    if let Some(Value::Object(added)) = config.get("added_tokens_decoder") {
        let kept: Map<String, Value> = added
            .iter()
            .filter_map(|(id, token)| Some((renumbering.id(id.parse().ok()?)?.to_string(), token.clone())))
            .collect();
        config.insert("added_tokens_decoder".into(), kept.into());
    }
    config
}

/// `tokenizer.json`, transformers' own form of the tokenizer, for the shape that all of T5's relatives have;
/// none for other shapes. `sentinels` are behind the pieces.
pub(crate) fn tokenizer_json(model: &SpieceModel, sentinels: usize) -> Option<Value> {
    let (trainer, normalizer) = (&model.trainer_spec, &model.normalizer_spec);
    let usual = trainer.model_type == ModelType::Unigram
        && !trainer.treat_whitespace_as_suffix
        && normalizer.add_dummy_prefix
        && normalizer.remove_extra_whitespaces
        && normalizer.escape_whitespaces
        && model.denormalizer_spec.is_none();
    let unk = model.pieces.iter().position(|p| p.kind == PieceKind::Unknown)?;
    let eos = model.pieces.iter().position(|p| p.text == trainer.eos_piece)?;
    if !usual {
        return None;
    }
    let token = |id: usize, content: &str, special: bool| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": special})
    };
    let mut added = Vec::new();
    for (id, piece) in model.pieces.iter().enumerate() {
        match piece.kind {
            PieceKind::Control | PieceKind::Unknown => added.push(token(id, &piece.text, true)),
            PieceKind::UserDefined => added.push(token(id, &piece.text, false)),
            PieceKind::Normal | PieceKind::Unused | PieceKind::Byte => {}
        }
    }
    let mut vocabulary: Vec<Value> =
        model.pieces.iter().map(|p| json!([p.text, f64::from(p.score)])).collect();
    for i in 0..sentinels {
        let content = format!("<extra_id_{}>", sentinels - 1 - i);
        added.push(token(model.pieces.len() + i, &content, true));
        vocabulary.push(json!([content, 0.0]));
    }
    let mut normalizers = Vec::new();
    if !normalizer.precompiled_charsmap.is_empty() {
        let map = base64(&normalizer.precompiled_charsmap);
        normalizers.push(json!({"type": "Precompiled", "precompiled_charsmap": map}));
    }
    normalizers.push(json!({"type": "Strip", "strip_left": false, "strip_right": true}));
    normalizers.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u{2581}"}));
    let end = json!({"SpecialToken": {"id": trainer.eos_piece, "type_id": 0}});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    Some(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer":
            {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [sequence("A"), end],
            "pair": [sequence("A"), end, sequence("B"), end],
            "special_tokens": {
                trainer.eos_piece.as_str():
                    {"id": trainer.eos_piece, "ids": [eos], "tokens": [trainer.eos_piece]}
            },
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "Unigram",
            "unk_id": unk,
            "vocab": vocabulary,
            "byte_fallback": trainer.byte_fallback,
        },
    }))
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn ids_get_new_numbers() {
        let renumbering = Renumbering::new(&[0, 1, 5, 9]);
        let before = json!({"added_tokens_decoder": {"0": {"content": "<pad>"}, "7": {}, "9": {"content": "x"}},
                            "legacy": false, "extra_ids": 100, "eos_token": "<end>"});
        let after = tokenizer_config(before.as_object().cloned(), &renumbering, 0);
        assert_eq!(after["added_tokens_decoder"], json!({"0": {"content": "<pad>"}, "3": {"content": "x"}}));
        assert_eq!((&after["extra_ids"], &after["eos_token"]), (&json!(0), &json!("<end>")));
        assert_eq!((&after["unk_token"], &after["legacy"]), (&json!("<unk>"), &json!(false)));
    }
}
