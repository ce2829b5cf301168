//! What can go wrong when a tokenizer is loaded.

use std::path::PathBuf;
use t5kit_formats::spiece::SpieceError;

/// Why a tokenizer could not be loaded. Encoding and decoding cannot fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A SentencePiece file that cannot be decoded.
    #[error(transparent)]
    Spiece(#[from] SpieceError),
    /// A `tokenizer.json` or a GGUF file that cannot be read.
    #[error(transparent)]
    Formats(#[from] t5kit_formats::Error),
    /// A directory without any tokenizer file.
    #[error(
        "{}: no tokenizer here: looked for spiece.model, sentencepiece.model, *.model, vocab.txt, tokenizer.json and a GGUF file",
        path.display()
    )]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// A directory with several candidates.
    #[error("{}: several tokenizers ({names}); name one of the files instead of the directory", path.display())]
    Ambiguous {
        /// The directory.
        path: PathBuf,
        /// The candidates.
        names: String,
    },
    /// [`Options`](crate::Options) for a tokenizer that has none.
    #[error(
        "{}: `lower_case`, `strip_accents` and `pre_tokenize` are for a vocab.txt; this tokenizer says itself what it does",
        path.display()
    )]
    Options {
        /// The file.
        path: PathBuf,
    },
    /// A file that is readable but makes no usable tokenizer.
    #[error("{}: {field}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The field, such as `pieces[17].score`.
        field: String,
        /// What is wrong and what to do.
        what: String,
    },
}
