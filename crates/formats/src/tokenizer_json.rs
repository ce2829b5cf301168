//! `tokenizer.json` of the `tokenizers` library: Unigram ones, read into the [`SpieceModel`] that they were made from.
//!
//! The file describes a tokenizer as steps. Of all that can be described this reads what transformers'
//! `convert_slow_tokenizer.py` (`SpmConverter`) makes of a SentencePiece model, in its older and newer forms; any other
//! step is an error that names it, for ids would silently differ. The result has SentencePiece's semantics: control
//! pieces are never found in a text, and scores are added in `f32`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::spiece::{ModelType, NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec, is_sentinel};

const FORMAT: &str = "tokenizer.json";
/// Beyond a vocabulary's end, and far from any real number of added tokens.
const MAX_ADDED: usize = 1 << 20;

/// What has to be known before the rest can be read.
#[derive(Deserialize)]
struct Kind {
    model: ModelKind,
}

#[derive(Deserialize)]
struct ModelKind {
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Unigram,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct Unigram {
    unk_id: Option<usize>,
    vocab: Vec<(String, f64)>,
    #[serde(default)]
    byte_fallback: bool,
}

/// Reads the bytes of a `tokenizer.json`; `path` is only for messages.
///
/// Pieces get their kinds from what the file says of them: the model's `unk_id` is the unknown piece, special tokens are
/// control pieces, `<0x00>` … `<0xFF>` are bytes where `byte_fallback` is on. It is also on where all 256 of them are
/// there, whatever the file says: transformers forgets it when it converts mT5's `spiece.model`. Sentinels, tokens that are not
/// special and tokens beyond the vocabulary are user-defined: one token wherever they stand in a text.
///
/// # Errors
/// When the bytes are no such file, its model is not Unigram, a normaliser or pre-tokenizer is none of SentencePiece's,
/// or the added tokens contradict the vocabulary. Whether the pieces make a usable vocabulary is the tokenizer's
/// business, as with `spiece.model`.
pub fn parse(bytes: &[u8], path: &Path) -> Result<SpieceModel> {
    let malformed = |e: serde_json::Error| Error::malformed(path, FORMAT, e.to_string());
    let config = |field: String, what: String| Error::Config { path: path.to_owned(), field, what };
    let kind: Kind = serde_json::from_slice(bytes).map_err(malformed)?;
    if let Some(kind) = kind.model.r#type.filter(|kind| kind != "Unigram") {
        let advice = if kind == "WordPiece" { "; give its vocab.txt" } else { "" };
        let what = format!("this is a {kind} model; only Unigram ones (T5, mT5) are read{advice}");
        return Err(config("model.type".into(), what));
    }
    let file: File = serde_json::from_slice(bytes).map_err(malformed)?;
    let mut spec = NormalizerSpec {
        name: "tokenizer.json".into(),
        add_dummy_prefix: false,
        remove_extra_whitespaces: false,
        escape_whitespaces: false,
        ..NormalizerSpec::default()
    };
    for (name, steps) in [("normalizer", &file.normalizer), ("pre_tokenizer", &file.pre_tokenizer)] {
        for step in steps.iter().flat_map(flat) {
            apply(step, &mut spec).map_err(|what| config(name.into(), what))?;
        }
    }
    let model = file.model;
    if let Some(id) = model.unk_id.filter(|&id| id >= model.vocab.len()) {
        let what = format!("{id} is outside of the vocabulary of {} pieces", model.vocab.len());
        return Err(config("model.unk_id".into(), what));
    }
    let byte = |text: &str| {
        let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        digits.is_some_and(|d| d.len() == 2 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
    };
    let byte_fallback =
        model.byte_fallback || model.vocab.iter().filter(|(text, _)| byte(text)).count() == 256;
    let mut pieces: Vec<Piece> = model
        .vocab
        .into_iter()
        .enumerate()
        .map(|(id, (text, score))| {
            let kind = match () {
                () if model.unk_id == Some(id) => PieceKind::Unknown,
                () if byte_fallback && byte(&text) => PieceKind::Byte,
                () => PieceKind::Normal,
            };
            Piece { text, score: score as f32, kind, unknown_fields: Vec::new() }
        })
        .collect();
    add_tokens(&mut pieces, file.added_tokens)
        .map_err(|(i, what)| config(format!("added_tokens[{i}]"), what))?;
    let trainer = TrainerSpec {
        model_type: ModelType::Unigram,
        vocab_size: pieces.len() as i64,
        byte_fallback,
        ..TrainerSpec::default()
    };
    Ok(SpieceModel::new(pieces, trainer, spec))
}

/// The steps of a normaliser or pre-tokenizer; a sequence's own ones.
fn flat(step: &Value) -> Vec<&Value> {
    match (kind(step), step.get("normalizers").or_else(|| step.get("pretokenizers"))) {
        ("Sequence", Some(Value::Array(steps))) => steps.iter().flat_map(flat).collect(),
        _ if step.is_null() => Vec::new(),
        _ => vec![step],
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("(no type)")
}

/// Notes in `spec` what a step does.
fn apply(step: &Value, spec: &mut NormalizerSpec) -> Result<(), String> {
    let flag = |name: &str, default| step.get(name).and_then(Value::as_bool).unwrap_or(default);
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    match kind(step) {
        "Precompiled" => {
            let blob = text("precompiled_charsmap").ok_or("Precompiled without a precompiled_charsmap")?;
            if !spec.precompiled_charsmap.is_empty() {
                return Err("two character maps one after the other cannot be read".into());
            }
            spec.precompiled_charsmap =
                STANDARD.decode(blob).map_err(|e| format!("precompiled_charsmap is not base64: {e}"))?;
        }
        // Spaces at an end and runs of them: SentencePiece knows both or neither.
        "Strip" | "WhitespaceSplit" => spec.remove_extra_whitespaces = true,
        "Replace" => {
            let pattern = step.get("pattern").and_then(|p| p.get("Regex").or_else(|| p.get("String")));
            match (pattern.and_then(Value::as_str), text("content")) {
                (Some(" {2,}"), Some(" " | "▁")) => spec.remove_extra_whitespaces = true,
                (Some(" "), Some("▁")) => spec.escape_whitespaces = true,
                (pattern, content) => {
                    return Err(format!(
                        "Replace of {pattern:?} by {content:?} is no step of SentencePiece and cannot be read"
                    ));
                }
            }
        }
        "Prepend" if text("prepend") == Some("▁") => spec.add_dummy_prefix = true,
        "Metaspace" => {
            if text("replacement").is_some_and(|c| c != "▁") {
                return Err(format!(
                    "Metaspace with {:?} instead of \"▁\" cannot be read",
                    text("replacement")
                ));
            }
            spec.escape_whitespaces = true;
            spec.add_dummy_prefix = match text("prepend_scheme") {
                Some(scheme) => scheme != "never",
                None => flag("add_prefix_space", true),
            };
        }
        other => {
            return Err(format!(
                "{other} is no step of SentencePiece and cannot be read; give the model's spiece.model"
            ));
        }
    }
    Ok(())
}

/// Gives pieces the kinds that their entries among the added tokens call for and appends those beyond the end.
///
/// # Errors
/// The entry's index and what is wrong with it.
fn add_tokens(pieces: &mut Vec<Piece>, mut tokens: Vec<AddedToken>) -> Result<(), (usize, String)> {
    if tokens.len() > MAX_ADDED {
        return Err((MAX_ADDED, format!("{} added tokens are too many", tokens.len())));
    }
    tokens.sort_by_key(|token| token.id);
    for (i, AddedToken { id, content, special }) in tokens.into_iter().enumerate() {
        let id = id as usize;
        let Some(piece) = pieces.get_mut(id) else {
            if id > pieces.len() {
                let what = format!("{content:?} has id {id}, but there is nothing at id {}", pieces.len());
                return Err((i, what));
            }
            let kind = PieceKind::UserDefined;
            pieces.push(Piece { text: content, kind, ..Piece::default() });
            continue;
        };
        if piece.text != content {
            return Err((i, format!("{content:?} has id {id}, which is {:?} in the vocabulary", piece.text)));
        }
        if piece.kind == PieceKind::Normal {
            let control = special && !is_sentinel(&content);
            piece.kind = if control { PieceKind::Control } else { PieceKind::UserDefined };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "version": "1.0",
            "added_tokens": [
                {"id": 5, "content": "<extra_id_0>", "special": true},
                {"id": 0, "content": "<pad>", "special": true},
                {"id": 1, "content": "</s>", "special": true},
                {"id": 2, "content": "<unk>", "special": true},
                {"id": 4, "content": "<x>", "special": false},
            ],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": "AQID"},
                {"type": "Strip", "strip_left": false, "strip_right": true},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
            ]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
                "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁好", -3.3], ["<x>", 0.0]]},
        })
    }

    fn read(value: &Value) -> Result<SpieceModel, String> {
        parse(value.to_string().as_bytes(), Path::new("tokenizer.json")).map_err(|e| e.to_string())
    }

    #[test]
    fn becomes_the_model_it_was_made_from() {
        let model = read(&sample()).unwrap();
        let kinds: Vec<_> = model.pieces.iter().map(|p| (p.text.as_str(), p.kind)).collect();
        use PieceKind::*;
        assert_eq!(
            kinds,
            [
                ("<pad>", Control),
                ("</s>", Control),
                ("<unk>", Unknown),
                ("▁好", Normal),
                ("<x>", UserDefined),
                ("<extra_id_0>", UserDefined),
            ]
        );
        assert_eq!(model.pieces[3].score, -3.3);
        let spec = &model.normalizer_spec;
        assert_eq!(spec.precompiled_charsmap, [1, 2, 3]);
        assert!(spec.add_dummy_prefix && spec.remove_extra_whitespaces && spec.escape_whitespaces);
        // What was read can be written as spiece.model.
        assert_eq!(SpieceModel::parse(&model.to_bytes(), Path::new("x")).unwrap(), model);
    }

    #[test]
    fn byte_pieces_are_bytes_when_all_are_there() {
        let mut file = sample();
        let vocab = file["model"]["vocab"].as_array_mut().unwrap();
        vocab.extend((0..255).map(|b| json!([format!("<0x{b:02X}>"), 0.0])));
        file["added_tokens"].as_array_mut().unwrap().remove(0);
        let model = read(&file).unwrap();
        assert!(!model.trainer_spec.byte_fallback && model.pieces[9].kind == PieceKind::Normal);
        file["model"]["vocab"].as_array_mut().unwrap().push(json!(["<0xFF>", 0.0]));
        let model = read(&file).unwrap();
        assert!(model.trainer_spec.byte_fallback && model.pieces[9].kind == PieceKind::Byte);
    }

    #[test]
    fn older_forms() {
        let mut file = sample();
        file["normalizer"] = Value::Null;
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "add_prefix_space": false},
        ]});
        let spec = read(&file).unwrap().normalizer_spec;
        assert!(
            !spec.add_dummy_prefix && spec.remove_extra_whitespaces && spec.precompiled_charsmap.is_empty()
        );
        file["pre_tokenizer"] = Value::Null;
        file["normalizer"] = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]});
        let spec = read(&file).unwrap().normalizer_spec;
        assert!(spec.add_dummy_prefix && !spec.remove_extra_whitespaces && spec.escape_whitespaces);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fails = |change: fn(&mut Value), expected: &str| {
            let mut file = sample();
            change(&mut file);
            let message = read(&file).unwrap_err();
            assert!(message.starts_with("tokenizer.json: ") && message.contains(expected), "{message}");
            assert!(!message.contains('\n'));
        };
        fails(
            |f| f["model"] = json!({"type": "WordPiece", "vocab": {}}),
            "model.type: this is a WordPiece model",
        );
        fails(|f| f["model"]["type"] = json!("BPE"), "this is a BPE model");
        fails(|f| f["model"]["vocab"] = json!(7), "not a sound tokenizer.json");
        fails(|f| f["model"]["unk_id"] = json!(5), "model.unk_id: 5 is outside of the vocabulary of 5");
        fails(|f| f["normalizer"] = json!({"type": "NFC"}), "normalizer: NFC is no step of SentencePiece");
        fails(|f| f["normalizer"]["normalizers"][0]["precompiled_charsmap"] = json!("*"), "not base64");
        fails(|f| f["pre_tokenizer"]["replacement"] = json!("_"), "instead of");
        fails(|f| f["pre_tokenizer"] = json!({"type": "Digits"}), "pre_tokenizer: Digits");
        fails(|f| f["added_tokens"][0]["id"] = json!(7), "added_tokens[4]: \"<extra_id_0>\" has id 7");
        fails(
            |f| f["added_tokens"][1]["content"] = json!("x"),
            "added_tokens[0]: \"x\" has id 0, which is \"<pad>\"",
        );
        assert!(parse(b"{", Path::new("t")).is_err() && parse(b"", Path::new("t")).is_err());
    }
}
