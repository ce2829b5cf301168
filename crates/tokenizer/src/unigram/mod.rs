//! SentencePiece Unigram models: text to ids and back.

mod charsmap;
mod decode;
mod normalize;
mod oracle;
mod vocab;

use crate::error::Error;
pub(crate) use decode::{decode_bytes, decode_text};
use normalize::Normalizer;
use std::path::Path;
use t5kit_formats::spiece::SpieceModel;
pub(crate) use vocab::Vocab;

/// A Unigram model, ready to encode and decode.
pub(crate) struct Unigram {
    pub(crate) vocab: Vocab,
    normalizer: Normalizer,
    denormalizer: Option<Normalizer>,
    unk_surface: String,
}

impl Unigram {
    /// # Errors
    /// [`Error::Invalid`] when the pieces or the character map are not usable.
    pub(crate) fn new(model: &SpieceModel, path: &Path) -> Result<Self, Error> {
        let vocab = Vocab::new(model, path)?;
        let charsmap = |spec, name: &str| {
            Normalizer::new(spec).map_err(|what| Error::Invalid {
                path: path.into(),
                field: format!("{name}.precompiled_charsmap"),
                what: what.into(),
            })
        };
        let mut normalizer = charsmap(&model.normalizer_spec, "normalizer_spec")?;
        normalizer.treat_whitespace_as_suffix = model.trainer_spec.treat_whitespace_as_suffix;
        normalizer.protected = vocab.user_defined();
        let denormalizer = match &model.denormalizer_spec {
            Some(spec) if !spec.precompiled_charsmap.is_empty() => Some(charsmap(spec, "denormalizer_spec")?),
            _ => None,
        };
        Ok(Self { vocab, normalizer, denormalizer, unk_surface: model.trainer_spec.unk_surface.clone() })
    }

    /// Appends the ids of a text.
    pub(crate) fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        oracle::encode(&self.vocab, &self.normalizer, text, ids);
    }

    /// Appends the ids of a text and returns the piece of each of them; an unknown piece is the text that it
    /// stands for.
    pub(crate) fn encode_pieces(&self, text: &[u8], ids: &mut Vec<u32>) -> Vec<String> {
        oracle::encode_pieces(&self.vocab, &self.normalizer, text, ids)
    }
}
