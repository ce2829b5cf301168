//! Texts that are too long for what the user allows.

use anyhow::Result;
use std::num::NonZeroUsize;

use crate::errors::usage;
use crate::loaded::{Loaded, notice_cut};

/// What happens to a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnLong {
    /// It is cut, with a notice
    Cut,
    /// Nothing more is done: an error
    Fail,
}

/// Encodes the texts of one kind, and counts those it cut.
pub struct Encoder<'l> {
    loaded: &'l Loaded,
    /// "source" or "target".
    what: &'static str,
    most: usize,
    on_long: OnLong,
    seen: usize,
    cut: usize,
}

impl<'l> Encoder<'l> {
    /// For texts of at most `most` tokens with `</s>`; the limit's flag is `--max-WHAT-length`.
    pub fn new(loaded: &'l Loaded, what: &'static str, most: NonZeroUsize, on_long: OnLong) -> Self {
        Encoder { loaded, what, most: most.get(), on_long, seen: 0, cut: 0 }
    }

    /// The ids of the next text with `</s>`. An error where it is too long and long ones are refused.
    pub fn encode(&mut self, text: &str) -> Result<Vec<u32>> {
        self.seen += 1;
        let (ids, was_cut) = self.loaded.encode(text, self.most);
        if was_cut && self.on_long == OnLong::Fail {
            let (what, number, most) = (self.what, self.seen, self.most);
            let (all, _) = self.loaded.encode(text, usize::MAX);
            anyhow::bail!(
                "{what} {number} has {} tokens, more than {most}: shorten it, raise --max-{what}-length, or let it be \
                 cut by --on-long cut",
                all.len()
            );
        }
        self.cut += usize::from(was_cut);
        Ok(ids)
    }

    /// Says on standard error how many were cut, if any.
    pub fn finish(self) {
        notice_cut(self.what, self.cut, self.most);
    }
}

/// Limits of batches from the flags `--batch-size` and `--batch-tokens`, `usual` where one is missing.
pub fn limits(
    size: Option<NonZeroUsize>,
    tokens: Option<NonZeroUsize>,
    usual: t5kit_generate::BatchLimits,
) -> t5kit_generate::BatchLimits {
    match (size, tokens) {
        (None, None) => usual,
        (size, tokens) => t5kit_generate::BatchLimits {
            sequences: size.map_or(usize::MAX, NonZeroUsize::get),
            tokens: tokens.map_or(usize::MAX, NonZeroUsize::get),
        },
    }
}

/// Impossible options are wrong usage, in the flags' spelling; other errors stay what they are.
pub fn as_usage(error: t5kit_generate::Error) -> anyhow::Error {
    match error {
        t5kit_generate::Error::Options(message) => usage(message.replace('_', "-")),
        other => other.into(),
    }
}
