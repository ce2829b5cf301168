//! Why a model cannot be opened, or not be run as asked.
//!
//! Whatever a caller sets is called by its field's name, between backticks.

use std::path::PathBuf;

/// An error of this crate; each is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model cannot be read, or one for it not be written.
    #[error(transparent)]
    Files(#[from] t5kit_formats::Error),
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(#[from] t5kit_model::Error),
    /// The tokenizer cannot be loaded.
    #[error(transparent)]
    Tokenizer(#[from] t5kit_tokenizer::Error),
    /// The SentencePiece model cannot be read.
    #[error(transparent)]
    Spiece(#[from] t5kit_formats::spiece::SpieceError),
    /// The tokenizer that was named cannot be loaded.
    #[error("`tokenizer`: {0}")]
    NamedTokenizer(#[source] t5kit_tokenizer::Error),
    /// None was named, and none lies with the model.
    #[error("no tokenizer with {model}; give `tokenizer`: {source}")]
    NoTokenizer {
        /// The model as it was named.
        model: String,
        /// What was looked for.
        source: t5kit_tokenizer::Error,
    },
    /// Rows are to be cut, and the tokenizer cannot follow.
    #[error("{}: this tokenizer cannot be cut with the rows: {what}; give a cut one by `tokenizer`", path.display())]
    Uncuttable {
        /// The tokenizer.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// Model and tokenizer are not of one kind.
    #[error(
        "the tokenizer has {pieces} pieces, but the model has {rows} rows: they do not belong together; give the model's \
         own tokenizer, or trim both together"
    )]
    Vocabulary {
        /// The tokenizer's pieces.
        pieces: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// A text that cannot become a token.
    #[error("`add_tokens`: {text:?} {what}")]
    NewToken {
        /// The text.
        text: String,
        /// Why not.
        what: &'static str,
    },
    /// The model has far more rows than its tokenizer can have pieces.
    #[error(
        "the model has {rows} rows and the tokenizer only {pieces} pieces: it is that of another model, or was cut and \
         the rows were not, so that most would stand for other pieces; give the list of the rows that it keeps by \
         `keep_tokens`, or the model's own tokenizer by `tokenizer`; `allow_spare_rows` lets it pass"
    )]
    SpareRows {
        /// The tokenizer's pieces.
        pieces: usize,
        /// Rows of the model's embedding.
        rows: usize,
    },
    /// The base that an adapter names cannot be had.
    #[error(
        "{}: the adapter's base, {base}, cannot be had; give it by `model` and this folder by `adapter`: {source}",
        folder.display()
    )]
    Base {
        /// The adapter's folder.
        folder: PathBuf,
        /// What it names.
        base: String,
        /// Why not.
        source: Box<t5kit_formats::Error>,
    },
    /// The base that an adapter names is an adapter itself.
    #[error(
        "{}: the adapter's base, {base}, is an adapter itself; make that a model first, by converting it",
        folder.display()
    )]
    Stacked {
        /// The adapter's folder.
        folder: PathBuf,
        /// What it names.
        base: String,
    },
    /// A source, a target or an option that cannot be.
    #[error(transparent)]
    Generate(#[from] t5kit_generate::Error),
    /// A default that the model's own files give is impossible.
    #[error("{file}: {what}")]
    Default {
        /// The file.
        file: String,
        /// Which value, and why.
        what: String,
    },
    /// Two wishes that exclude each other.
    #[error("{0} and {1}: use one or the other")]
    Exclusive(&'static str, &'static str),
    /// A wish that only models of another kind can follow.
    #[error("`{field}`: {family} {why}; leave it out")]
    OtherKind {
        /// The field.
        field: &'static str,
        /// The model's family.
        family: &'static str,
        /// Why it means nothing there.
        why: &'static str,
    },
    /// A tokenizer without what a model's texts are wrapped in.
    #[error(
        "the tokenizer has no {piece}, which a source and a target of {family} end in or begin with: is it the model's \
         own? Give that by `tokenizer`"
    )]
    NoWrap {
        /// The piece.
        piece: &'static str,
        /// The model's family.
        family: &'static str,
    },
    /// A wish that changes nothing.
    #[error("`{field}` has no effect without {without}: add {remedy}")]
    NoEffect {
        /// The field.
        field: &'static str,
        /// What it needs.
        without: &'static str,
        /// How to get that.
        remedy: &'static str,
    },
    /// A word that cannot be forbidden.
    #[error("`bad_words`: {word:?} {what}")]
    BadWord {
        /// The word.
        word: String,
        /// Why not.
        what: &'static str,
    },
    /// Texts or a pattern that nothing can be constrained to.
    #[error("`constrain`: {what}")]
    Constrain {
        /// What is wrong with it.
        what: String,
    },
    /// A text that is longer than allowed, and not to be cut.
    #[error(
        "{what} {number} has {tokens} tokens, more than {most}: shorten it, raise `max_{what}_length`, or let it be cut \
         by `on_long` cut"
    )]
    TooLong {
        /// "source" or "target".
        what: &'static str,
        /// Which one, from 1.
        number: usize,
        /// Its tokens, the end included.
        tokens: usize,
        /// How many it may have.
        most: usize,
    },
}

impl Error {
    /// Whether what was asked for is impossible, whatever the files hold: wrong usage.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::Exclusive(..)
                | Error::NoEffect { .. }
                | Error::OtherKind { .. }
                | Error::BadWord { .. }
                | Error::Constrain { .. }
                | Error::Generate(t5kit_generate::Error::Options(_))
        )
    }
}
