//! What can go wrong while counting and trimming.

use std::path::PathBuf;

use t5kit_formats::table;

/// An error of this crate; each is one line that says where and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A corpus file or one of its rows cannot be read.
    #[error(transparent)]
    Table(#[from] table::Error),
    /// Counts of pieces cannot be read or do not fit.
    #[error("{}{}: {what}", path.display(), line.map_or(String::new(), |n| format!(", line {n}")))]
    Counts {
        /// The file of counts.
        path: PathBuf,
        /// The line, from 1, where there is one.
        line: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// The saved state of an interrupted count does not fit what is asked for now.
    #[error("{}: {what}", path.display())]
    Resume {
        /// The file of saved state.
        path: PathBuf,
        /// What is wrong and how to go on.
        what: String,
    },
    /// A list of pieces or rows to keep, or a list of required pieces, is no good.
    #[error("{}: {what}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The pieces that would be left make up too little of the counted text.
    #[error(
        "the {kept} of {of} pieces that would be left make up {share:.4} of the {tokens} counted tokens; the rest of \
         the text would fall to bytes, to smaller pieces, or to the unknown one. `min_count` {min_count} keeps {pieces} pieces and at least 0.99"
    )]
    LowCoverage {
        /// Their share of the tokens.
        share: f64,
        /// Counted tokens.
        tokens: u64,
        /// Pieces that would be left.
        kept: usize,
        /// Pieces that there are.
        of: usize,
        /// The largest least count by which enough is covered.
        min_count: u64,
        /// The pieces that it keeps.
        pieces: usize,
    },
    /// Tokenizer, counts, options and checkpoint do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// A file of a model, of counts or of a report cannot be read or written.
    #[error(transparent)]
    Files(#[from] t5kit_formats::Error),
    /// The model cannot be cut.
    #[error(transparent)]
    Model(#[from] t5kit_model::Error),
    /// The small files of the model's folder cannot be read or written.
    #[error(transparent)]
    Folder(#[from] t5kit_pipeline::Error),
    /// The tokenizer cannot be loaded.
    #[error(transparent)]
    Tokenizer(#[from] t5kit_tokenizer::Error),
    /// The SentencePiece model cannot be read.
    #[error(transparent)]
    Spiece(#[from] t5kit_formats::spiece::SpieceError),
}
