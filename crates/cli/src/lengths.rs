//! The flags about long texts and large batches.

use std::num::NonZeroUsize;
use t5kit_generate::BatchLimits;
use t5kit_pipeline::Encoder;
use t5kit_tokenizer::Tokenizer;

use t5kit_formats::lang::fill;

use crate::lang::lang;
use crate::say::{Side, count, notice_cut};

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
    let side = if encoder.what() == "target" { Side::Target } else { Side::Source };
    notice_cut(side, encoder.cut(), encoder.seen(), encoder.most(), "");
    notice_missed(side, encoder.missed_sentinels(), encoder.tokenizer());
}

/// Says on standard error how many texts name a sentinel that has not become one, if any, and what helps with this
/// tokenizer.
pub fn notice_missed(what: Side, missed: usize, tokenizer: &Tokenizer) {
    let t = &lang().texts().terminal;
    let text = match (missed, tokenizer.sentinels().is_empty()) {
        (0, _) => return,
        (1, false) => t.one_misses_a_blank,
        (_, false) => t.several_miss_a_blank,
        (1, true) => t.one_has_no_blank,
        (_, true) => t.several_have_no_blank,
    };
    eprintln!("t5kit: {}", fill(text, &[("n", &count(missed)), ("what", &what.called(missed))]));
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
