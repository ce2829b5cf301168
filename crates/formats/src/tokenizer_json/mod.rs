//! `tokenizer.json` of the `tokenizers` library: Unigram ones, read into the [`SpieceModel`] that they were made from.
//!
//! The file describes a tokenizer as steps. Of all that can be described this reads what transformers'
//! `convert_slow_tokenizer.py` (`SpmConverter`) makes of a SentencePiece model, in its older and newer forms, and says of
//! anything else that it is not ours ([`Model::Other`]): then the library itself has to run it, for ids would
//! silently differ. The result has SentencePiece's semantics: control pieces are never found in a text, and scores are
//! added in `f32`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::added_tokens::{AddedToken, MAX_ADDED};
use crate::error::{Error, Result};
use crate::spiece::{ModelType, Piece, PieceKind, SpieceModel, TrainerSpec, is_sentinel};

mod cut;
mod steps;
mod wrap;

pub use cut::cut;
pub use steps::Steps;
pub use wrap::Wrap;

const FORMAT: &str = "tokenizer.json";

/// What has to be known before the rest can be read.
#[derive(Deserialize)]
struct Outline {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
    post_processor: Option<Value>,
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
    model: Unigram,
}

#[derive(Deserialize)]
struct Unigram {
    unk_id: Option<usize>,
    vocab: Vec<(String, f64)>,
    #[serde(default)]
    byte_fallback: bool,
}

/// What a `tokenizer.json` says.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerJson {
    /// The model and its steps.
    pub model: Model,
    /// What its post-processor puts around a text; nothing where there is none.
    pub wrap: Option<Wrap>,
}

/// The model of a `tokenizer.json`, with its steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// A Unigram model with SentencePiece's steps.
    Unigram(Box<UnigramJson>),
    /// Something that only the library knows how to run: what in it is not SentencePiece's.
    Other(String),
}

/// A Unigram model and what the file says besides.
#[derive(Debug, Clone, PartialEq)]
pub struct UnigramJson {
    /// Pieces and normaliser.
    pub model: SpieceModel,
    /// Tokens that are no pieces: see [`crate::added_tokens`].
    pub added: Vec<AddedToken>,
    /// How text is cut before the pieces are looked up.
    pub steps: Steps,
}

/// Reads the bytes of a `tokenizer.json`; `path` is only for messages.
///
/// Pieces get their kinds from what the file says of them: the model's `unk_id` is the unknown piece, special tokens are
/// control pieces, `<0x00>` … `<0xFF>` are bytes where `byte_fallback` is on. It is also on where all 256 of them are
/// there, whatever the file says: transformers forgets it when it converts mT5's `spiece.model`. Sentinels are
/// user-defined, one token wherever they stand in a text, and so are tokens of the vocabulary that are not special and
/// have no score. Pieces that the steps cut apart wherever they could stand are unused.
///
/// # Errors
/// When the bytes are no such file, its post-processor is none that is known, or the added tokens contradict the
/// vocabulary. Whether the pieces make a usable vocabulary is the tokenizer's business, as with `spiece.model`.
pub fn read(bytes: &[u8], path: &Path) -> Result<TokenizerJson> {
    let malformed = |e: serde_json::Error| Error::malformed(path, FORMAT, e.to_string());
    let config = |field: String, what: String| Error::Config { path: path.to_owned(), field, what };
    let outline: Outline = serde_json::from_slice(bytes).map_err(malformed)?;
    let wrap = wrap::of(outline.post_processor.as_ref());
    let wrap = wrap.map_err(|what| config("post_processor".into(), what))?;
    if let Some(kind) = outline.model.r#type.as_ref().filter(|kind| *kind != "Unigram") {
        return Ok(TokenizerJson { model: Model::Other(format!("model.type is {kind}")), wrap });
    }
    let (spec, steps, whole_words) = match steps::sentencepiece(&outline) {
        Ok(known) => known,
        Err(other) => return Ok(TokenizerJson { model: Model::Other(other), wrap }),
    };
    let file: File = serde_json::from_slice(bytes).map_err(malformed)?;
    let unigram = file.model;
    if let Some(id) = unigram.unk_id.filter(|&id| id >= unigram.vocab.len()) {
        let what = format!("{id} is outside of the vocabulary of {} pieces", unigram.vocab.len());
        return Err(config("model.unk_id".into(), what));
    }
    let byte = |text: &str| {
        let digits = text.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
        digits.is_some_and(|d| d.len() == 2 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
    };
    let byte_fallback =
        unigram.byte_fallback || unigram.vocab.iter().filter(|(text, _)| byte(text)).count() == 256;
    let kind_of = |id: usize, text: &str| match () {
        () if unigram.unk_id == Some(id) => PieceKind::Unknown,
        () if byte_fallback && byte(text) => PieceKind::Byte,
        () if whole_words && text.chars().skip(1).any(|c| c == '\u{2581}') => PieceKind::Unused,
        () => PieceKind::Normal,
    };
    let mut pieces: Vec<Piece> = Vec::with_capacity(unigram.vocab.len());
    for (id, (text, score)) in unigram.vocab.into_iter().enumerate() {
        let kind = kind_of(id, &text);
        pieces.push(Piece { text, score: score as f32, kind, unknown_fields: Vec::new() });
    }
    let added = add_tokens(&mut pieces, file.added_tokens)
        .map_err(|(i, what)| config(format!("added_tokens[{i}]"), what))?;
    let trainer = TrainerSpec {
        model_type: ModelType::Unigram,
        vocab_size: pieces.len() as i64,
        byte_fallback,
        ..TrainerSpec::default()
    };
    let model = SpieceModel::new(pieces, trainer, spec);
    let model = Model::Unigram(Box::new(UnigramJson { model, added, steps }));
    Ok(TokenizerJson { model, wrap })
}

/// The steps of a normaliser, pre-tokenizer or the like; a sequence's own ones.
fn flat(step: &Value) -> Vec<&Value> {
    const LISTS: [&str; 4] = ["normalizers", "pretokenizers", "decoders", "processors"];
    match (kind(step), LISTS.iter().find_map(|list| step.get(list))) {
        ("Sequence", Some(Value::Array(steps))) => steps.iter().flat_map(flat).collect(),
        _ if step.is_null() => Vec::new(),
        _ => vec![step],
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("(no type)")
}

/// Gives pieces the kinds that their entries among the added tokens call for, appends sentinels behind the end, and
/// returns the tokens that are no pieces.
///
/// # Errors
/// The entry's index and what is wrong with it.
fn add_tokens(
    pieces: &mut Vec<Piece>,
    mut tokens: Vec<AddedToken>,
) -> Result<Vec<AddedToken>, (usize, String)> {
    if tokens.len() > MAX_ADDED {
        return Err((MAX_ADDED, format!("{} added tokens are too many", tokens.len())));
    }
    tokens.sort_by_key(|token| token.id);
    let mut added = Vec::new();
    for (i, token) in tokens.into_iter().enumerate() {
        let id = token.id as usize;
        if id > pieces.len() + MAX_ADDED {
            return Err((
                i,
                format!("{:?} has id {id}, far beyond the {} pieces", token.content, pieces.len()),
            ));
        }
        let sentinel = is_sentinel(&token.content);
        let Some(piece) = pieces.get_mut(id) else {
            if sentinel && id == pieces.len() {
                let kind = PieceKind::UserDefined;
                pieces.push(Piece { text: token.content, kind, ..Piece::default() });
            } else {
                added.push(token);
            }
            continue;
        };
        if piece.text != token.content {
            let what =
                format!("{:?} has id {id}, which is {:?} in the vocabulary", token.content, piece.text);
            return Err((i, what));
        }
        let plain = !(token.single_word || token.lstrip || token.rstrip || token.normalized);
        match piece.kind {
            PieceKind::Normal if token.special && !sentinel => piece.kind = PieceKind::Control,
            // As SentencePiece's own ones are written: with a score of 0.
            PieceKind::Normal if sentinel || (plain && piece.score == 0.0) => {
                piece.kind = PieceKind::UserDefined
            }
            // A piece like others that was made a token as well.
            PieceKind::Normal => added.push(token),
            _ => {}
        }
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn sample() -> Value {
        json!({
            "version": "1.0",
            "added_tokens": [
                {"id": 5, "content": "<extra_id_0>", "special": true},
                {"id": 0, "content": "<pad>", "special": true},
                {"id": 1, "content": "</s>", "special": true},
                {"id": 2, "content": "<unk>", "special": true},
                {"id": 4, "content": "<x>", "special": false},
                {"id": 8, "content": "<event>", "special": false, "normalized": true},
            ],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": "AQID"},
                {"type": "Strip", "strip_left": false, "strip_right": true},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"},
            ]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
                "special_tokens": {"</s>": {"id": "</s>", "ids": [1]}}},
            "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": false,
                "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁好", -3.3], ["<x>", 0.0]]},
        })
    }

    pub(super) fn read_value(value: &Value) -> Result<TokenizerJson, String> {
        read(value.to_string().as_bytes(), Path::new("tokenizer.json")).map_err(|e| e.to_string())
    }

    pub(super) fn unigram(value: &Value) -> UnigramJson {
        match read_value(value).unwrap().model {
            Model::Unigram(read) => *read,
            Model::Other(why) => panic!("{why}"),
        }
    }

    #[test]
    fn becomes_the_model_it_was_made_from() {
        let UnigramJson { model, added, steps } = unigram(&sample());
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
        assert_eq!(added.len(), 1);
        assert!(added[0].id == 8 && added[0].content == "<event>" && added[0].normalized);
        assert_eq!(steps, Steps { trim_end: true, ..Steps::default() });
        // What was read can be written as spiece.model.
        assert_eq!(SpieceModel::parse(&model.to_bytes(), Path::new("x")).unwrap(), model);
    }

    #[test]
    fn byte_pieces_are_bytes_when_all_are_there() {
        let mut file = sample();
        let vocab = file["model"]["vocab"].as_array_mut().unwrap();
        vocab.extend((0..255).map(|b| json!([format!("<0x{b:02X}>"), 0.0])));
        file["added_tokens"] = json!([]);
        let model = unigram(&file).model;
        assert!(!model.trainer_spec.byte_fallback && model.pieces[9].kind == PieceKind::Normal);
        file["model"]["vocab"].as_array_mut().unwrap().push(json!(["<0xFF>", 0.0]));
        let model = unigram(&file).model;
        assert!(model.trainer_spec.byte_fallback && model.pieces[9].kind == PieceKind::Byte);
    }

    #[test]
    fn pieces_that_are_always_cut_apart_are_unused() {
        let mut file = sample();
        file["model"]["vocab"].as_array_mut().unwrap().insert(3, json!(["▁a▁b", -1.0]));
        file["added_tokens"] = json!([]);
        assert_eq!(unigram(&file).model.pieces[3].kind, PieceKind::Unused);
        file["pre_tokenizer"]["split"] = json!(false);
        assert_eq!(unigram(&file).model.pieces[3].kind, PieceKind::Normal);
    }

    #[test]
    fn what_is_not_ours_is_left_to_the_library() {
        let other = |change: fn(&mut Value)| {
            let mut file = sample();
            change(&mut file);
            match read_value(&file).unwrap().model {
                Model::Other(why) => why,
                Model::Unigram(_) => panic!("was read"),
            }
        };
        assert_eq!(
            other(|f| f["model"] = json!({"type": "WordPiece", "vocab": {}})),
            "model.type is WordPiece"
        );
        assert_eq!(other(|f| f["model"]["type"] = json!("BPE")), "model.type is BPE");
        assert_eq!(other(|f| f["decoder"] = json!({"type": "ByteLevel"})), "decoder: ByteLevel");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fails = |change: fn(&mut Value), expected: &str| {
            let mut file = sample();
            change(&mut file);
            let message = read_value(&file).unwrap_err();
            assert!(message.starts_with("tokenizer.json: ") && message.contains(expected), "{message}");
            assert!(!message.contains('\n'));
        };
        fails(|f| f["model"]["vocab"] = json!(7), "not a sound tokenizer.json");
        fails(|f| f["model"]["unk_id"] = json!(5), "model.unk_id: 5 is outside of the vocabulary of 5");
        fails(
            |f| f["added_tokens"][0]["id"] = json!(2_000_000),
            "added_tokens[5]: \"<extra_id_0>\" has id 2000000",
        );
        fails(
            |f| f["added_tokens"][1]["content"] = json!("x"),
            "added_tokens[0]: \"x\" has id 0, which is \"<pad>\"",
        );
        fails(|f| f["post_processor"] = json!({"type": "Odd"}), "post_processor: Odd is not known");
        assert!(read(b"{", Path::new("t")).is_err() && read(b"", Path::new("t")).is_err());
    }
}
