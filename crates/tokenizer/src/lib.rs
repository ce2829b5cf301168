//! SentencePiece Unigram, WordPiece and WoBERT words: text to ids and back.
//!
//! ```no_run
//! # fn main() -> Result<(), t5kit_tokenizer::Error> {
//! let tokenizer = t5kit_tokenizer::Tokenizer::load("mt5-small".as_ref())?; // a directory or spiece.model
//! let ids = tokenizer.encode("今天天气不错");
//! assert_eq!(tokenizer.decode(&ids), "今天天气不错");
//! # Ok(()) }
//! ```

mod added;
mod byte_pairs;
mod bytes;
mod error;
mod files;
mod library;
mod load;
mod printer;
mod protected;
mod punctuation;
mod special;
pub mod stream;
mod surface;
mod unigram;
mod wordpiece;

use added::{Added, Part};
use bytes::ByT5;
pub use error::Error;
use library::Library;
use load::Parts;
pub use printer::IdPrinter;
pub use punctuation::{
    Punctuation, PunctuationCount, half_width_punctuation, is_chinese_text, restore_punctuation,
};
use sha2::{Digest, Sha256};
use special::Special;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
pub use surface::{LeadingSpace, Surfaces};
pub use t5kit_formats::added_tokens::AddedToken;
pub use t5kit_formats::spiece::PieceKind;
use t5kit_formats::spiece::is_sentinel;
pub use t5kit_formats::tokenizer_json::Wrap;
use unigram::Unigram;
pub use wordpiece::PreTokenize;
use wordpiece::WordPiece;

/// Turns text into ids and ids into text; shared freely between threads.
pub struct Tokenizer {
    model: Model,
    added: Added,
    special: Special,
    sentinels: OnceLock<Vec<u32>>,
    source_files: Vec<PathBuf>,
    sha256: String,
}

enum Model {
    Unigram(Box<Unigram>),
    WordPiece(WordPiece),
    Bytes(ByT5),
    Library(Box<Library>),
}

/// Choices for `vocab.txt` that override those of `tokenizer_config.json`. Other tokenizers follow their own file: to
/// choose anything for them is an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Make words lower-case.
    pub lower_case: Option<bool>,
    /// Remove accents; by default when words are made lower-case.
    pub strip_accents: Option<bool>,
    /// What cuts a text into words first: jieba for WoBERT and T5-PEGASUS.
    pub pre_tokenize: Option<PreTokenize>,
}

impl Tokenizer {
    /// Loads a tokenizer from its file, or from a directory that holds one. In a directory the first of these counts:
    /// `spiece.model`, `sentencepiece.model`, a single other `*.model`, `vocab.txt`, `tokenizer.json`, `vocab.json` with
    /// `merges.txt`, a single GGUF file that brings a tokenizer, and a `tokenizer_config.json` that says that there is
    /// nothing to read (ByT5). A file that ends in `.txt` is a WordPiece vocabulary, one that ends in `.json` a
    /// `tokenizer.json`, a GGUF file has a SentencePiece model in its metadata, any other is one.
    ///
    /// In a directory the files beside say which tokens are added and special: `tokenizer_config.json`,
    /// `special_tokens_map.json`, `added_tokens.json`. A `tokenizer.json` with steps that SentencePiece does not have is
    /// run by Hugging Face's `tokenizers`.
    ///
    /// # Errors
    /// When nothing is found, the file cannot be read, is damaged, or is of a kind that is not supported;
    /// the message names the file and the field.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::load_with(path, Options::default())
    }

    /// [`Tokenizer::load`] with choices of one's own.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn load_with(path: &Path, options: Options) -> Result<Self, Error> {
        let found = files::find(path)?;
        let file = &found.file;
        let words = files::is_vocab(file);
        if !words && options != Options::default() {
            return Err(Error::Options { path: file.clone() });
        }
        let bytes = match &found.spiece {
            Some(model) => model.to_bytes(),
            None => files::read(file, if words { wordpiece::MAX_BYTES } else { files::MAX_BYTES })?,
        };
        let beside = found.config.iter().map(|(file, _)| file).chain(&found.others);
        let mut source_files: Vec<PathBuf> =
            std::iter::once(file).chain(beside.filter(|other| *other != file)).cloned().collect();
        // Nothing waits for the digest of a large file.
        let (parts, sha256) = std::thread::scope(|scope| {
            let digest = scope.spawn(|| sha256(&bytes));
            (load::load(&bytes, &found, options), digest.join().expect("hashing does not panic"))
        });
        let parts = parts?;
        if matches!(parts.model, Model::Library(_)) && !files::is_json(file) {
            // A SentencePiece BPE is run by the file beside it.
            source_files[0] = file.with_file_name("tokenizer.json");
        }
        Ok(Self::new(parts, source_files, sha256))
    }

    /// A tokenizer from the bytes of a SentencePiece model, or of a `tokenizer.json` where `path` ends in `.json`; the
    /// path is otherwise for messages only.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a kind that is not supported.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        Ok(Self::new(load::alone(bytes, path)?, Vec::new(), sha256(bytes)))
    }

    fn new(Parts { model, added, special }: Parts, source_files: Vec<PathBuf>, sha256: String) -> Self {
        Self { model, added, special, sentinels: OnceLock::new(), source_files, sha256 }
    }

    /// What [`Tokenizer::encode_into`] has to give, by the obvious search: for fuzzing.
    #[cfg(fuzzing)]
    pub fn encode_obviously(&self, text: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        match &self.model {
            Model::Unigram(model) => model.encode_obviously(text, &self.added, &mut ids),
            _ => self.encode_into(text, &mut ids),
        }
        ids
    }

    /// The number of ids: pieces, sentinels, added tokens and the holes among them. Ids are below it.
    pub fn vocab_size(&self) -> usize {
        let added = self.added.tokens().last().map_or(0, |token| token.id as usize + 1);
        added.max(match &self.model {
            Model::Unigram(model) => model.vocab.len(),
            Model::WordPiece(model) => model.len(),
            Model::Bytes(model) => model.len(),
            Model::Library(model) => model.len(),
        })
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
        match &self.model {
            Model::Unigram(model) => model.encode_into(text, &self.added, ids),
            Model::WordPiece(model) => self.each_part(text, ids, |text, ids| model.encode_into(text, ids)),
            Model::Bytes(model) => self.each_part(text, ids, |text, ids| model.encode_into(text, ids)),
            Model::Library(model) => model.encode_into(text, ids),
        }
    }

    /// Appends the ids of added tokens, and has what stands between them encoded.
    fn each_part(&self, text: &[u8], ids: &mut Vec<u32>, encode: impl Fn(&[u8], &mut Vec<u32>)) {
        if self.added.is_empty() {
            return encode(text, ids);
        }
        for part in self.added.split(text) {
            match part {
                Part::Token(token) => ids.push(token.id),
                Part::Text { text, .. } => encode(text, ids),
            }
        }
    }

    /// Appends the ids of a text as [`Tokenizer::encode_into`] does and returns the piece of each of them. The
    /// unknown piece of a SentencePiece model is shown as the (normalised) text that it stands for, as in the
    /// sentencepiece library.
    pub fn encode_pieces(&self, text: &[u8], ids: &mut Vec<u32>) -> Vec<String> {
        match &self.model {
            Model::Unigram(model) => model.encode_pieces(text, &self.added, ids),
            Model::WordPiece(_) | Model::Bytes(_) | Model::Library(_) => {
                let before = ids.len();
                self.encode_into(text, ids);
                ids[before..].iter().map(|&id| self.piece(id).unwrap_or_default().to_owned()).collect()
            }
        }
    }

    /// The text of ids: control pieces and ids outside of the vocabulary vanish, byte pieces are joined,
    /// and bytes that are no UTF-8 become U+FFFD. Added tokens are written as they are.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.model {
            Model::Unigram(model) => unigram::decode_text(model, &self.said(ids), &self.added),
            Model::WordPiece(model) => model.decode(&self.said(ids), &self.added),
            Model::Bytes(model) => {
                String::from_utf8_lossy(&model.decode(&self.said(ids), &self.added)).into_owned()
            }
            Model::Library(model) => model.decode(ids),
        }
    }

    /// As [`Tokenizer::decode`], but bytes that are no UTF-8 stay as they are, and a model's denormaliser
    /// (hardly any has one) is not applied.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        match &self.model {
            Model::Unigram(model) => unigram::decode_bytes(model, &self.said(ids), &self.added),
            Model::WordPiece(model) => model.decode(&self.said(ids), &self.added).into_bytes(),
            Model::Bytes(model) => model.decode(&self.said(ids), &self.added),
            Model::Library(model) => model.decode(ids).into_bytes(),
        }
    }

    /// The ids without added tokens that only begin, end or pad.
    fn said<'a>(&self, ids: &'a [u32]) -> std::borrow::Cow<'a, [u32]> {
        let silent = |id: &u32| self.special.is(*id) && self.added.get(*id).is_some();
        if self.added.is_empty() || !ids.iter().any(silent) {
            return ids.into();
        }
        ids.iter().copied().filter(|id| !silent(id)).collect::<Vec<_>>().into()
    }

    /// The piece with an id: with `▁` for a space in SentencePiece, with `##` inside words in WordPiece.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.added.text(id).or_else(|| match &self.model {
            Model::Unigram(model) => model.vocab.piece(id),
            Model::WordPiece(model) => model.piece(id),
            Model::Bytes(model) => model.piece(id),
            Model::Library(model) => model.piece(id),
        })
    }

    /// What the piece with an id is for. Added tokens count as user-defined, unless they begin, end or pad.
    pub fn piece_kind(&self, id: u32) -> Option<PieceKind> {
        if self.added.get(id).is_some() {
            let control = self.special.is(id);
            return Some(if control { PieceKind::Control } else { PieceKind::UserDefined });
        }
        match &self.model {
            Model::Unigram(model) => model.vocab.kind(id),
            Model::WordPiece(model) => model.kind(id),
            Model::Bytes(model) => model.kind(id),
            Model::Library(model) => model.kind(id),
        }
    }

    /// The id of a piece, written as [`Tokenizer::piece`] gives it.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.added.id_of(piece).or_else(|| match &self.model {
            Model::Unigram(model) => model.id_of(piece),
            Model::WordPiece(model) => model.id_of(piece),
            Model::Bytes(model) => model.id_of(piece),
            Model::Library(model) => model.id_of(piece),
        })
    }

    /// Prints ids of this tokenizer; costs some milliseconds to make.
    pub fn id_printer(&self) -> IdPrinter {
        IdPrinter::new(self.vocab_size())
    }

    /// What cuts a text into words before WordPiece; `None` where the tokenizer is of another kind.
    pub fn pre_tokenize(&self) -> Option<PreTokenize> {
        match &self.model {
            Model::WordPiece(model) => Some(model.pre_tokenize),
            _ => None,
        }
    }

    /// By which pieces of single characters WordPiece tells the text of piece `id` where that is no piece; `None` in the
    /// list where there is none for a character, and altogether for tokenizers of another kind.
    pub fn characters(&self, id: u32) -> Option<Vec<Option<u32>>> {
        match &self.model {
            Model::WordPiece(model) => Some(model.characters(id)),
            _ => None,
        }
    }

    /// The files that make this tokenizer, to be copied beside a checkpoint.
    pub fn source_files(&self) -> &[PathBuf] {
        &self.source_files
    }

    /// The SHA-256 of the vocabulary's file, in hexadecimal: what token counts are recorded with.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}
