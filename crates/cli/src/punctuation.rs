//! The flag that says what happens to the punctuation of generated Chinese.

use t5kit_tokenizer::Punctuation;

/// What happens to half-width punctuation in Chinese.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PunctuationFlag {
    /// Restored where the texts are Chinese and nothing speaks against it
    Auto,
    /// Left as it is
    Keep,
    /// Made full-width: ，！？：；（）
    Restore,
}

impl From<PunctuationFlag> for Punctuation {
    fn from(flag: PunctuationFlag) -> Self {
        match flag {
            PunctuationFlag::Auto => Punctuation::Auto,
            PunctuationFlag::Keep => Punctuation::Keep,
            PunctuationFlag::Restore => Punctuation::Restore,
        }
    }
}
