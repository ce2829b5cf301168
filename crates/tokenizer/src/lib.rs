//! SentencePiece Unigram, WordPiece and WoBERT words: text to ids and back.
//!
//! ```no_run
//! # fn main() -> Result<(), t5kit_tokenizer::Error> {
//! let tokenizer = t5kit_tokenizer::Tokenizer::load("mt5-small".as_ref())?; // a directory or spiece.model
//! let ids = tokenizer.encode("今天天气不错");
//! assert_eq!(tokenizer.decode(&ids), "今天天气不错");
//! # Ok(()) }
//! ```

mod error;
mod printer;
mod punctuation;
pub mod stream;
mod unigram;

pub use error::Error;
pub use printer::IdPrinter;
pub use punctuation::restore_punctuation;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
pub use t5kit_formats::spiece::PieceKind;
use t5kit_formats::spiece::SpieceModel;
use unigram::Unigram;

/// Turns text into ids and ids into text; shared freely between threads.
pub struct Tokenizer {
    model: Unigram,
    source_files: Vec<PathBuf>,
    sha256: String,
}

impl Tokenizer {
    /// Loads a tokenizer from its file, or from a directory that holds `spiece.model`,
    /// `sentencepiece.model` or a single other `*.model` (looked for in this order).
    ///
    /// # Errors
    /// When nothing is found, the file cannot be read, is damaged, or is of a kind that is not supported;
    /// the message names the file and the field.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = find(path)?;
        let bytes = std::fs::read(&file).map_err(|source| Error::Io { path: file.clone(), source })?;
        let model = SpieceModel::parse(&bytes, &file)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { model: Unigram::new(&model, &file)?, source_files: vec![file], sha256 })
    }

    /// The number of pieces; ids are below it.
    pub fn vocab_size(&self) -> usize {
        self.model.vocab.len()
    }

    /// The ids of a text, without `</s>`.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(text.as_bytes(), &mut ids);
        ids
    }

    /// Appends the ids of a text, without `</s>`. A byte that begins no valid UTF-8 sequence counts as
    /// U+FFFD, as in the sentencepiece library.
    pub fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        self.model.encode_into(text, ids);
    }

    /// Appends the ids of a text as [`Tokenizer::encode_into`] does and returns the piece of each of them. The
    /// unknown piece is shown as the (normalised) text that it stands for, as in the sentencepiece library.
    pub fn encode_pieces(&self, text: &[u8], ids: &mut Vec<u32>) -> Vec<String> {
        self.model.encode_pieces(text, ids)
    }

    /// The text of ids: control pieces and ids outside of the vocabulary vanish, byte pieces are joined,
    /// and bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        unigram::decode_text(&self.model, ids)
    }

    /// As [`Tokenizer::decode`], but bytes that are no UTF-8 stay as they are, and a model's denormaliser
    /// (hardly any has one) is not applied.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        unigram::decode_bytes(&self.model, ids)
    }

    /// The piece with an id, with `▁` for a space.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.model.vocab.piece(id)
    }

    /// What the piece with an id is for.
    pub fn piece_kind(&self, id: u32) -> Option<PieceKind> {
        self.model.vocab.kind(id)
    }

    /// The id of a piece, given with `▁` for a space.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.model.id_of(piece)
    }

    /// The id that pads batches and begins decoding: 0 where the model names none, as in T5.
    pub fn pad_id(&self) -> u32 {
        self.model.vocab.pad.unwrap_or(0)
    }

    /// The id of `</s>`: 1 where the model names none, as in T5.
    pub fn eos_id(&self) -> u32 {
        self.model.vocab.eos.unwrap_or(1)
    }

    /// The id of `</s>`, where the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.model.vocab.eos
    }

    /// The id for unknown text: 2 where the model names none, as in T5.
    pub fn unk_id(&self) -> u32 {
        self.model.vocab.unk.unwrap_or(2)
    }

    /// The id of `<s>`, where the model has one (T5 and mT5 do not).
    pub fn bos_id(&self) -> Option<u32> {
        self.model.vocab.bos
    }

    /// Whether an id is a sentinel, `<extra_id_N>` with or without a leading `▁`.
    pub fn is_sentinel(&self, id: u32) -> bool {
        self.model.vocab.is_sentinel(id)
    }

    /// Prints ids of this tokenizer; costs some milliseconds to make.
    pub fn id_printer(&self) -> IdPrinter {
        IdPrinter::new(self.vocab_size())
    }

    /// The files that make this tokenizer, to be copied beside a checkpoint.
    pub fn source_files(&self) -> &[PathBuf] {
        &self.source_files
    }

    /// The SHA-256 of the model file, in hexadecimal: what token counts are recorded with.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// The model file at `path`, or in the directory there.
fn find(path: &Path) -> Result<PathBuf, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(path.into());
    }
    for name in ["spiece.model", "sentencepiece.model"] {
        let file = path.join(name);
        if file.is_file() {
            return Ok(file);
        }
    }
    let mut models = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if file.extension().is_some_and(|e| e == "model") && file.is_file() {
            models.push(file);
        }
    }
    models.sort();
    match models.len() {
        0 => Err(Error::NotFound { path: path.into() }),
        1 => Ok(models.remove(0)),
        _ => {
            let names: Vec<_> = models.iter().filter_map(|m| m.file_name()?.to_str()).collect();
            Err(Error::Ambiguous { path: path.into(), names: names.join(", ") })
        }
    }
}
