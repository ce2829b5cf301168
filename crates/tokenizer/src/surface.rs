//! What each piece adds to a text: for whoever decides by the text so far which piece may come next.

use std::borrow::Cow;

use crate::{Model, PieceKind, Tokenizer};

/// How the pieces of a tokenizer make a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surfaces {
    /// One [`Tokenizer::surface`] after the other, the space before the first one as it says.
    Joined(LeadingSpace),
    /// The same but for spaces, which no piece has and decoding puts between them (WordPiece).
    Spaceless,
    /// By rules that look at several pieces at once.
    Unknown,
}

/// What becomes of the space that the first piece of a text begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadingSpace {
    /// It stays.
    Stays,
    /// It goes.
    Goes,
    /// It goes, and where nothing is left of the piece that of the next one does too.
    AllGo,
}

impl Tokenizer {
    /// How pieces make a text.
    pub fn surfaces(&self) -> Surfaces {
        match &self.model {
            Model::Unigram(model) if model.denormalizer.is_some() => Surfaces::Unknown,
            Model::Unigram(model) => {
                let normalizer = &model.normalizer;
                Surfaces::Joined(match (normalizer.remove_extra_whitespaces, normalizer.add_dummy_prefix) {
                    (true, _) => LeadingSpace::AllGo,
                    (false, true) => LeadingSpace::Goes,
                    (false, false) => LeadingSpace::Stays,
                })
            }
            Model::WordPiece(_) => Surfaces::Spaceless,
            Model::Bytes(_) => Surfaces::Joined(LeadingSpace::Stays),
            Model::Library(_) => Surfaces::Unknown,
        }
    }

    /// The bytes that a piece adds to a text; a single byte where it is a byte's. `None` for what is no part of a text:
    /// special ids, holes, the unknown piece; and where [`Self::surfaces`] are unknown.
    pub fn surface(&self, id: u32) -> Option<Cow<'_, [u8]>> {
        if self.surfaces() == Surfaces::Unknown || self.is_special(id) {
            return None;
        }
        if let Some(text) = self.added.text(id) {
            return Some(text.as_bytes().into());
        }
        let (piece, kind) = (self.piece(id)?, self.piece_kind(id)?);
        match (&self.model, kind) {
            (_, PieceKind::Control | PieceKind::Unknown) => None,
            (Model::Unigram(model), PieceKind::Byte) => Some(vec![model.vocab.byte(id)?].into()),
            (Model::Unigram(_), _) => Some(piece.replace('\u{2581}', " ").into_bytes().into()),
            (Model::WordPiece(_), _) if piece.starts_with('[') && piece.ends_with(']') => None,
            (Model::WordPiece(_), _) => Some(piece.strip_prefix("##").unwrap_or(piece).as_bytes().into()),
            (Model::Bytes(model), _) => Some(model.decode(&[id], &self.added).into()),
            (Model::Library(_), _) => None,
        }
    }
}
