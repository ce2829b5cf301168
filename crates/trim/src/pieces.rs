//! What is cut of a tokenizer: the pieces of its main file.

use std::path::{Path, PathBuf};

use t5kit_formats::gguf::spiece_bytes;
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_tokenizer::Tokenizer;

use crate::Error;

/// The pieces that are chosen from.
pub(crate) struct Pieces {
    /// The tokenizer's main file.
    pub(crate) file: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// The tokenizer with these pieces and nothing else.
    pub(crate) tokenizer: Tokenizer,
    /// The pieces; of a `vocab.txt` or a `tokenizer.json` in the form of a SentencePiece model, added tokens among them.
    pub(crate) model: SpieceModel,
}

impl Pieces {
    /// Those of `whole`, which was loaded from `path`.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn of(whole: &Tokenizer, path: &Path) -> Result<Self, Error> {
        let file = whole.source_files().first().cloned().unwrap_or_else(|| path.to_owned());
        let bytes = spiece_bytes(&file)?;
        let (tokenizer, model) = if is_spiece(&file) {
            // The file's pieces alone: what a configuration puts behind them are rows, and kept in any case.
            (Tokenizer::from_bytes(&bytes, &file)?, SpieceModel::parse(&bytes, &file)?)
        } else {
            let pieces = (0..whole.vocab_size() as u32).map(|id| piece(whole, id)).collect();
            let model = SpieceModel::new(pieces, TrainerSpec::default(), NormalizerSpec::default());
            (Tokenizer::load(path)?, model)
        };
        Ok(Self { file, bytes, tokenizer, model })
    }
}

/// Whether a tokenizer's main file is a SentencePiece model.
pub(crate) fn is_spiece(file: &Path) -> bool {
    !file.extension().is_some_and(|extension| extension == "txt" || extension == "json")
}

/// A piece of any tokenizer; a hole among the ids is an unused piece without a name.
fn piece(tokenizer: &Tokenizer, id: u32) -> Piece {
    let special = tokenizer.is_special(id) || tokenizer.is_added(id);
    let kind = match tokenizer.piece_kind(id).unwrap_or(PieceKind::Unused) {
        PieceKind::Normal if special => PieceKind::UserDefined,
        kind => kind,
    };
    Piece { text: tokenizer.piece(id).unwrap_or_default().to_owned(), kind, ..Piece::default() }
}
