//! `tokenizer.json`, transformers' own form of a tokenizer, made from a SentencePiece model.
//!
//! transformers' fast tokenizer, converted from `spiece.model` by itself, loses byte fallback; a
//! `tokenizer.json` that says it makes `AutoTokenizer` give the ids of the sentencepiece library.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use t5kit_formats::spiece::{ModelType, PieceKind, SpieceModel};
use t5kit_tokenizer::AddedToken;

/// The class to call a tokenizer of this model by, for transformers. T5's of transformers 5 does not read `tokenizer.json`
/// as it stands: it knows no byte fallback and cuts at all white space. The name of mT5's class is T5's tokenizer in
/// transformers 4, slow and fast; transformers 5 does not know it, and runs `tokenizer.json` itself.
pub(super) fn class(model: &SpieceModel) -> &'static str {
    let t5_will_do =
        !model.trainer_spec.byte_fallback && !model.normalizer_spec.precompiled_charsmap.is_empty();
    if t5_will_do { "T5Tokenizer" } else { "MT5Tokenizer" }
}

/// Whether T5's class of transformers 5 gives the ids of a `tokenizer.json`: it makes its own steps.
pub(super) fn is_t5_of_5(json: &Value) -> bool {
    let steps = json.pointer("/pre_tokenizer/pretokenizers").and_then(Value::as_array);
    let [words, metaspace] = steps.map_or(&[][..], Vec::as_slice) else { return false };
    json.pointer("/model/type") == Some(&"Unigram".into())
        && json.pointer("/model/byte_fallback") != Some(&Value::Bool(true))
        && words.get("type") == Some(&"WhitespaceSplit".into())
        && metaspace.get("type") == Some(&"Metaspace".into())
        && metaspace.get("prepend_scheme") == Some(&"always".into())
}

/// The file's content for the shape that all of T5's relatives have; none for other shapes. `sentinels` and `added` tokens
/// are behind the pieces. `first_only`: of the parts between added tokens only the first gets a space before it.
pub(super) fn tokenizer_json(
    model: &SpieceModel,
    sentinels: usize,
    more: &[AddedToken],
    first_only: bool,
) -> Option<Value> {
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
    added.extend(more.iter().map(|token| json!(token)));
    let mut normalizers = Vec::new();
    if normalizer.precompiled_charsmap.is_empty() {
        // Strip would take other white space too, which no map has made spaces of.
        normalizers.push(json!({"type": "Replace", "pattern": {"Regex": r" +\z"}, "content": ""}));
    } else {
        let map = STANDARD.encode(&normalizer.precompiled_charsmap);
        normalizers.push(json!({"type": "Precompiled", "precompiled_charsmap": map}));
        normalizers.push(json!({"type": "Strip", "strip_left": false, "strip_right": true}));
    }
    normalizers.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u{2581}"}));
    let scheme = if first_only { "first" } else { "always" };
    let end = json!({"SpecialToken": {"id": trainer.eos_piece, "type_id": 0}});
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    Some(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer":
            {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true},
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
