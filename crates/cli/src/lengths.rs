//! The flags about long texts and large batches.

use std::num::NonZeroUsize;
use t5kit_generate::BatchLimits;
use t5kit_pipeline::Encoder;

use crate::say::notice_cut;

/// What happens to a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnLong {
    /// It is cut, with a notice
    Cut,
    /// Nothing more is done: an error
    Fail,
}

impl From<OnLong> for t5kit_pipeline::OnLong {
    fn from(on_long: OnLong) -> Self {
        match on_long {
            OnLong::Cut => Self::Cut,
            OnLong::Fail => Self::Fail,
        }
    }
}

/// Says on standard error how many texts an encoder cut, if any.
pub fn finish(encoder: Encoder<'_>) {
    notice_cut(encoder.what(), encoder.cut(), encoder.seen(), encoder.most(), "");
    notice_missed(encoder.what(), encoder.missed_sentinels());
}

/// Says on standard error how many texts name a sentinel that has not become one, if any.
pub fn notice_missed(what: &str, missed: usize) {
    if missed > 0 {
        let (texts, name) = if missed == 1 { ("", "names") } else { ("s", "name") };
        eprintln!(
            "t5kit: {missed} {what}{texts} {name} a blank such as <extra_id_0> that this tokenizer takes for ordinary \
             text; write a space before it, and give it a number that the tokenizer has"
        );
    }
}

/// Limits of batches from the flags `--batch-size` and `--batch-tokens`, `usual` where one is missing.
pub fn limits(size: Option<NonZeroUsize>, tokens: Option<NonZeroUsize>, usual: BatchLimits) -> BatchLimits {
    match (size, tokens) {
        (None, None) => usual,
        (size, tokens) => BatchLimits {
            sequences: size.map_or(usize::MAX, NonZeroUsize::get),
            tokens: tokens.map_or(usize::MAX, NonZeroUsize::get),
        },
    }
}
