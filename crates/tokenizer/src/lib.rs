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
mod wordpiece;

pub use error::Error;
pub use printer::IdPrinter;
pub use punctuation::restore_punctuation;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
pub use t5kit_formats::spiece::PieceKind;
use t5kit_formats::spiece::SpieceModel;
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
    /// Loads a tokenizer from its file, or from a directory that holds `spiece.model`, `sentencepiece.model`, a
    /// single other `*.model`, or `vocab.txt` (looked for in this order). A file that ends in `.txt` is a
    /// WordPiece vocabulary, any other a SentencePiece model.
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
        let file = find(path)?;
        let words = file.extension().is_some_and(|extension| extension == "txt");
        if words {
            let size =
                std::fs::metadata(&file).map_err(|source| Error::Io { path: file.clone(), source })?.len();
            if size > wordpiece::MAX_BYTES {
                return Err(wordpiece::too_large(&file, size));
            }
        } else if options != Options::default() {
            let what =
                "lower_case, strip_accents and pre_tokenize are for a vocab.txt; this tokenizer says itself";
            return Err(Error::Invalid { path: file, field: "options".into(), what: what.into() });
        }
        let bytes = read(&file)?;
        let sha256 = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if !words {
            let model = SpieceModel::parse(&bytes, &file)?;
            let model = Model::Unigram(Box::new(Unigram::new(&model, &file)?));
            return Ok(Self { model, source_files: vec![file], sha256 });
        }
        let mut settings = wordpiece::Settings::default();
        let mut source_files = vec![file.clone()];
        let config = file.with_file_name("tokenizer_config.json");
        if config.is_file() {
            settings = wordpiece::Settings::parse(&read(&config)?, &config)?;
            source_files.push(config);
        }
        settings.do_lower_case = options.lower_case.unwrap_or(settings.do_lower_case);
        settings.strip_accents = options.strip_accents.or(settings.strip_accents);
        settings.pre_tokenize = options.pre_tokenize.unwrap_or(settings.pre_tokenize);
        let model = Model::WordPiece(WordPiece::new(&bytes, settings, &file)?);
        Ok(Self { model, source_files, sha256 })
    }

    /// The number of pieces; ids are below it.
    pub fn vocab_size(&self) -> usize {
        match &self.model {
            Model::Unigram(model) => model.vocab.len(),
            Model::WordPiece(model) => model.len(),
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
        }
    }

    /// Appends the ids of a text as [`Tokenizer::encode_into`] does and returns the piece of each of them. The
    /// unknown piece of a SentencePiece model is shown as the (normalised) text that it stands for, as in the
    /// sentencepiece library.
    pub fn encode_pieces(&self, text: &[u8], ids: &mut Vec<u32>) -> Vec<String> {
        match &self.model {
            Model::Unigram(model) => model.encode_pieces(text, ids),
            Model::WordPiece(model) => {
                let before = ids.len();
                model.encode_into(text, ids);
                ids[before..].iter().map(|&id| model.piece(id).unwrap_or_default().to_owned()).collect()
            }
        }
    }

    /// The text of ids: control pieces and ids outside of the vocabulary vanish, byte pieces are joined,
    /// and bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.model {
            Model::Unigram(model) => unigram::decode_text(model, ids),
            Model::WordPiece(model) => model.decode(ids),
        }
    }

    /// As [`Tokenizer::decode`], but bytes that are no UTF-8 stay as they are, and a model's denormaliser
    /// (hardly any has one) is not applied.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        match &self.model {
            Model::Unigram(model) => unigram::decode_bytes(model, ids),
            Model::WordPiece(model) => model.decode(ids).into_bytes(),
        }
    }

    /// The piece with an id: with `▁` for a space in SentencePiece, with `##` inside words in WordPiece.
    pub fn piece(&self, id: u32) -> Option<&str> {
        match &self.model {
            Model::Unigram(model) => model.vocab.piece(id),
            Model::WordPiece(model) => model.piece(id),
        }
    }

    /// What the piece with an id is for.
    pub fn piece_kind(&self, id: u32) -> Option<PieceKind> {
        match &self.model {
            Model::Unigram(model) => model.vocab.kind(id),
            Model::WordPiece(model) => model.kind(id),
        }
    }

    /// The id of a piece, written as [`Tokenizer::piece`] gives it.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        match &self.model {
            Model::Unigram(model) => model.id_of(piece),
            Model::WordPiece(model) => model.id_of(piece),
        }
    }

    /// The id that pads batches and begins decoding (`<pad>`, `[PAD]`): 0 where the model names none, as in T5.
    pub fn pad_id(&self) -> u32 {
        match &self.model {
            Model::Unigram(model) => model.vocab.pad,
            Model::WordPiece(model) => model.pad,
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
        }
    }

    /// The id for unknown text: 2 where the model names none, as in T5.
    pub fn unk_id(&self) -> u32 {
        match &self.model {
            Model::Unigram(model) => model.vocab.unk,
            Model::WordPiece(model) => Some(model.unk),
        }
        .unwrap_or(2)
    }

    /// The id that begins a text (`<s>`, `[CLS]`), where the model has one (T5 and mT5 do not).
    pub fn bos_id(&self) -> Option<u32> {
        match &self.model {
            Model::Unigram(model) => model.vocab.bos,
            Model::WordPiece(model) => model.cls,
        }
    }

    /// Whether an id is a sentinel, `<extra_id_N>` with or without a leading `▁`.
    pub fn is_sentinel(&self, id: u32) -> bool {
        self.piece(id).is_some_and(unigram::is_sentinel)
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

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|source| Error::Io { path: file.into(), source })
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
    let vocab = path.join("vocab.txt");
    match models.len() {
        0 if vocab.is_file() => Ok(vocab),
        0 => Err(Error::NotFound { path: path.into() }),
        1 => Ok(models.remove(0)),
        _ => {
            let names: Vec<_> = models.iter().filter_map(|m| m.file_name()?.to_str()).collect();
            Err(Error::Ambiguous { path: path.into(), names: names.join(", ") })
        }
    }
}
