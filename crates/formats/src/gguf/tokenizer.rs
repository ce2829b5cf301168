//! The tokenizer of a T5 in a GGUF file's metadata, as the SentencePiece model that it was made from.
//!
//! llama.cpp's converter writes a piece for every row of the model: those of the SentencePiece model, then added tokens
//! (user-defined, score -1000), and `[PAD123]` (unused) for every row that has none. It writes the pieces that a
//! SentencePiece model defines by itself as normal ones; their score of 0 tells them, since no log-probability is 0.

use std::path::Path;

use super::config::model_type;
use super::header::Header;
use super::is_gguf;
use crate::added_tokens::AddedToken;
use crate::error::{Error, Result};
use crate::safetensors::map;
use crate::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};

/// The score of tokens that are added to a SentencePiece model.
const ADDED_SCORE: f32 = -1000.0;

/// A tokenizer of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct GgufTokenizer {
    /// The SentencePiece model.
    pub model: SpieceModel,
    /// Tokens behind its pieces.
    pub added: Vec<AddedToken>,
    /// Rows of the model that it is for.
    pub rows: usize,
    /// What that model is: `t5`, `mt5` or `umt5`.
    pub model_type: &'static str,
}

impl GgufTokenizer {
    /// The tokenizer in the file at `path`; `None` where the file has none.
    ///
    /// # Errors
    /// Those of reading the file; [`Error::Config`] naming the key that is missing or wrong; [`Error::Unsupported`] for a
    /// tokenizer of another kind.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let map = map(path)?;
        Self::of(&map, &Header::read(path, &map)?)
    }

    /// The tokenizer in a file, where it is one of GGUF and has one.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if is_gguf(path) { Self::read(path) } else { Ok(None) }
    }

    pub(super) fn of(file: &[u8], header: &Header) -> Result<Option<Self>> {
        let metadata = &header.metadata;
        match metadata.text("tokenizer.ggml.model")? {
            Some("t5") => {}
            None => return Ok(None),
            Some(other) => {
                let what = format!(
                    "{other:?} is no tokenizer of T5's (Unigram), which alone is read; give `tokenizer`"
                );
                return Err(metadata.error("tokenizer.ggml.model", what));
            }
        }
        let missing = |key: &str| metadata.error(key, "missing from the file's metadata; give `tokenizer`");
        let [tokens, scores, types] =
            ["tokens", "scores", "token_type"].map(|name| format!("tokenizer.ggml.{name}"));
        let texts = metadata.texts(file, &tokens)?.ok_or_else(|| missing(&tokens))?;
        let all_scores = metadata.floats(file, &scores)?.ok_or_else(|| missing(&scores))?;
        let kinds = metadata.wholes(file, &types)?.ok_or_else(|| missing(&types))?;
        for (key, len) in [(&scores, all_scores.len()), (&types, kinds.len())] {
            if len != texts.len() {
                return Err(metadata.error(key, format!("{len} for {} tokens", texts.len())));
            }
        }
        let mut pieces = Vec::with_capacity(texts.len());
        for (i, ((&text, score), kind)) in texts.iter().zip(all_scores).zip(kinds).enumerate() {
            let unknown =
                || metadata.error(&types, format!("token {i} has the type {kind}, which is unknown"));
            let kind = match PieceKind::from_number(kind.into()).ok_or_else(unknown)? {
                PieceKind::Normal if score == 0.0 => PieceKind::UserDefined,
                kind => kind,
            };
            pieces.push(Piece { text: text.to_owned(), score, kind, ..Piece::default() });
        }
        let rows = pieces.len();
        let end =
            pieces.iter().rposition(|piece| !is_padding(piece) && !is_added(piece)).map_or(0, |i| i + 1);
        let behind = pieces.split_off(end);
        let added =
            behind.iter().enumerate().filter(|(_, piece)| is_added(piece)).map(|(i, piece)| AddedToken {
                id: (end + i) as u32,
                content: piece.text.clone(),
                normalized: true,
                ..AddedToken::default()
            });
        let added = added.collect();
        let name = |key: &str, kind: PieceKind| -> Result<Option<String>> {
            let id = metadata.whole(&format!("tokenizer.ggml.{key}_token_id"))?;
            let piece = id.and_then(|id| pieces.get(id as usize));
            Ok(piece.filter(|piece| piece.kind == kind).map(|piece| piece.text.clone()))
        };
        let usual = TrainerSpec::default();
        let trainer = TrainerSpec {
            vocab_size: end as i64,
            byte_fallback: pieces.iter().any(|piece| piece.kind == PieceKind::Byte),
            unk_piece: name("unknown", PieceKind::Unknown)?.unwrap_or(usual.unk_piece),
            bos_piece: name("bos", PieceKind::Control)?.unwrap_or(usual.bos_piece),
            eos_piece: name("eos", PieceKind::Control)?.unwrap_or(usual.eos_piece),
            pad_piece: name("padding", PieceKind::Control)?.unwrap_or(usual.pad_piece),
            ..TrainerSpec::default()
        };
        let map = metadata.bytes(file, "tokenizer.ggml.precompiled_charsmap")?;
        let truth = |key: &str| metadata.truth(&format!("tokenizer.ggml.{key}"));
        let normalizer = NormalizerSpec {
            precompiled_charsmap: map.unwrap_or_default().to_vec(),
            add_dummy_prefix: truth("add_space_prefix")?.unwrap_or(true),
            remove_extra_whitespaces: truth("remove_extra_whitespaces")?.unwrap_or(true),
            ..NormalizerSpec::default()
        };
        let model = SpieceModel::new(pieces, trainer, normalizer);
        Ok(Some(Self { model, added, rows, model_type: model_type(&header.tensors, rows) }))
    }
}

/// A row that has no piece.
fn is_padding(piece: &Piece) -> bool {
    let number = piece.text.strip_prefix("[PAD").and_then(|rest| rest.strip_suffix(']'));
    piece.kind == PieceKind::Unused
        && number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A token that is no piece of the SentencePiece model.
fn is_added(piece: &Piece) -> bool {
    piece.kind == PieceKind::UserDefined && piece.score == ADDED_SCORE
}

/// The bytes of a `spiece.model`: of the file at `path` itself, or made of what a GGUF file says.
///
/// # Errors
/// Those of reading.
pub fn spiece_bytes(path: &Path) -> Result<Vec<u8>> {
    match GgufTokenizer::find(path)? {
        Some(tokenizer) => Ok(tokenizer.model.to_bytes()),
        None => std::fs::read(path).map_err(Error::io(path, "read")),
    }
}
