//! SentencePiece Unigram, WordPiece and WoBERT words: text to ids and back.
//!
//! ```no_run
//! # fn main() -> Result<(), t5kit_tokenizer::Error> {
//! let tokenizer = t5kit_tokenizer::Tokenizer::load("mt5-small".as_ref())?; // a directory or spiece.model
//! let ids = tokenizer.encode("今天天气不错");
//! assert_eq!(tokenizer.decode(&ids), "今天天气不错");
//! # Ok(()) }
//! ```

mod bytes;
mod error;
mod files;
mod printer;
mod punctuation;
pub mod stream;
mod unigram;
mod wordpiece;

use bytes::ByT5;
pub use error::Error;
use files::Found;
pub use printer::IdPrinter;
pub use punctuation::restore_punctuation;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
pub use t5kit_formats::spiece::PieceKind;
use t5kit_formats::spiece::is_sentinel;
use unigram::Unigram;
pub use wordpiece::PreTokenize;
use wordpiece::WordPiece;

/// Turns text into ids and ids into text; shared freely between threads.
pub struct Tokenizer {
    model: Model,
    source_files: Vec<PathBuf>,
    sha256: String,
}

enum Model {
    Unigram(Box<Unigram>),
    WordPiece(WordPiece),
    Bytes(ByT5),
}

impl Model {
    /// From the bytes of a tokenizer's file and what the configuration beside it says.
    fn new(
        bytes: &[u8],
        file: &Path,
        config: Option<(PathBuf, files::Config)>,
        options: Options,
    ) -> Result<Self, Error> {
        if files::is_vocab(file) {
            let mut settings = match &config {
                Some((file, config)) => wordpiece::Settings::read(config, file)?,
                None => wordpiece::Settings::default(),
            };
            settings.do_lower_case = options.lower_case.unwrap_or(settings.do_lower_case);
            settings.strip_accents = options.strip_accents.or(settings.strip_accents);
            settings.pre_tokenize = options.pre_tokenize.unwrap_or(settings.pre_tokenize);
            return Ok(Self::WordPiece(WordPiece::new(bytes, settings, file)?));
        }
        if files::is_config(file) {
            return Ok(Self::Bytes(ByT5));
        }
        let mut model = files::unigram(bytes, file)?;
        if let Some((_, config)) = &config {
            files::add_sentinels(&mut model, config);
        }
        Ok(Self::Unigram(Box::new(Unigram::new(&model, file)?)))
    }
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
    /// `spiece.model`, `sentencepiece.model`, a single other `*.model`, `vocab.txt`, `tokenizer.json`, and a
    /// `tokenizer_config.json` that says that there is nothing to read (ByT5). A file that ends in `.txt` is a
    /// WordPiece vocabulary, one that ends in `.json` a Unigram `tokenizer.json`, any other a SentencePiece model.
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
        let Found { file, config } = files::find(path)?;
        let words = files::is_vocab(&file);
        if !words && options != Options::default() {
            return Err(Error::Options { path: file });
        }
        let bytes = files::read(&file, if words { wordpiece::MAX_BYTES } else { files::MAX_BYTES })?;
        let config_file = config.as_ref().map(|(file, _)| file.clone());
        let source_files = std::iter::once(file.clone()).chain(config_file.filter(|c| *c != file)).collect();
        // Nothing waits for the digest of a large file.
        let (model, sha256) = std::thread::scope(|scope| {
            let digest = scope.spawn(|| sha256(&bytes));
            (Model::new(&bytes, &file, config, options), digest.join().expect("hashing does not panic"))
        });
        Ok(Self { model: model?, source_files, sha256 })
    }

    /// A tokenizer from the bytes of a SentencePiece model, or of a Unigram `tokenizer.json` where `path` ends in
    /// `.json`; the path is otherwise for messages only.
    ///
    /// # Errors
    /// When the bytes are damaged, or of a kind that is not supported.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let model = files::unigram(bytes, path)?;
        let model = Model::Unigram(Box::new(Unigram::new(&model, path)?));
        Ok(Self { model, source_files: Vec::new(), sha256: sha256(bytes) })
    }

    /// What [`Tokenizer::encode_into`] has to give, by the obvious search: for fuzzing.
    #[cfg(fuzzing)]
    pub fn encode_obviously(&self, text: &[u8]) -> Vec<u32> {
        let mut ids = Vec::new();
        match &self.model {
            Model::Unigram(model) => model.encode_obviously(text, &mut ids),
            _ => self.encode_into(text, &mut ids),
        }
        ids
    }

    /// The number of pieces; ids are below it.
    pub fn vocab_size(&self) -> usize {
        match &self.model {
            Model::Unigram(model) => model.vocab.len(),
            Model::WordPiece(model) => model.len(),
            Model::Bytes(model) => model.len(),
        }
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
            Model::Unigram(model) => model.encode_into(text, ids),
            Model::WordPiece(model) => model.encode_into(text, ids),
            Model::Bytes(model) => model.encode_into(text, ids),
        }
    }

    /// Appends the ids of a text as [`Tokenizer::encode_into`] does and returns the piece of each of them. The
    /// unknown piece of a SentencePiece model is shown as the (normalised) text that it stands for, as in the
    /// sentencepiece library.
    pub fn encode_pieces(&self, text: &[u8], ids: &mut Vec<u32>) -> Vec<String> {
        match &self.model {
            Model::Unigram(model) => model.encode_pieces(text, ids),
            Model::WordPiece(_) | Model::Bytes(_) => {
                let before = ids.len();
                self.encode_into(text, ids);
                ids[before..].iter().map(|&id| self.piece(id).unwrap_or_default().to_owned()).collect()
            }
        }
    }

    /// The text of ids: control pieces and ids outside of the vocabulary vanish, byte pieces are joined,
    /// and bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.model {
            Model::Unigram(model) => unigram::decode_text(model, ids),
            Model::WordPiece(model) => model.decode(ids),
            Model::Bytes(model) => String::from_utf8_lossy(&model.decode(ids)).into_owned(),
        }
    }

    /// As [`Tokenizer::decode`], but bytes that are no UTF-8 stay as they are, and a model's denormaliser
    /// (hardly any has one) is not applied.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        match &self.model {
            Model::Unigram(model) => unigram::decode_bytes(model, ids),
            Model::WordPiece(model) => model.decode(ids).into_bytes(),
            Model::Bytes(model) => model.decode(ids),
        }
    }

    /// The piece with an id: with `▁` for a space in SentencePiece, with `##` inside words in WordPiece.
    pub fn piece(&self, id: u32) -> Option<&str> {
        match &self.model {
            Model::Unigram(model) => model.vocab.piece(id),
            Model::WordPiece(model) => model.piece(id),
            Model::Bytes(model) => model.piece(id),
        }
    }

    /// What the piece with an id is for.
    pub fn piece_kind(&self, id: u32) -> Option<PieceKind> {
        match &self.model {
            Model::Unigram(model) => model.vocab.kind(id),
            Model::WordPiece(model) => model.kind(id),
            Model::Bytes(model) => model.kind(id),
        }
    }

    /// The id of a piece, written as [`Tokenizer::piece`] gives it.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        match &self.model {
            Model::Unigram(model) => model.id_of(piece),
            Model::WordPiece(model) => model.id_of(piece),
            Model::Bytes(model) => model.id_of(piece),
        }
    }

    /// The id that pads batches and begins decoding (`<pad>`, `[PAD]`): 0 where the model names none, as in T5.
    pub fn pad_id(&self) -> u32 {
        match &self.model {
            Model::Unigram(model) => model.vocab.pad,
            Model::WordPiece(model) => model.pad,
            Model::Bytes(_) => Some(bytes::PAD),
        }
        .unwrap_or(0)
    }

    /// The id that ends a text: 1 where the model names none, as in T5.
    pub fn eos_id(&self) -> u32 {
        self.eos().unwrap_or(1)
    }

    /// The id that ends a text (`</s>`, `[SEP]`), where the model has one.
    pub fn eos(&self) -> Option<u32> {
        match &self.model {
            Model::Unigram(model) => model.vocab.eos,
            Model::WordPiece(model) => model.sep,
            Model::Bytes(_) => Some(bytes::EOS),
        }
    }

    /// The id for unknown text: 2 where the model names none, as in T5.
    pub fn unk_id(&self) -> u32 {
        match &self.model {
            Model::Unigram(model) => model.vocab.unk,
            Model::WordPiece(model) => Some(model.unk),
            Model::Bytes(_) => Some(bytes::UNK),
        }
        .unwrap_or(2)
    }

    /// The id that begins a text (`<s>`, `[CLS]`), where the model has one (T5 and mT5 do not).
    pub fn bos_id(&self) -> Option<u32> {
        match &self.model {
            Model::Unigram(model) => model.vocab.bos,
            Model::WordPiece(model) => model.cls,
            Model::Bytes(_) => None,
        }
    }

    /// Whether an id is a sentinel, `<extra_id_N>` with or without a leading `▁`.
    pub fn is_sentinel(&self, id: u32) -> bool {
        self.piece(id).is_some_and(is_sentinel)
    }

    /// Prints ids of this tokenizer; costs some milliseconds to make.
    pub fn id_printer(&self) -> IdPrinter {
        IdPrinter::new(self.vocab_size())
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
