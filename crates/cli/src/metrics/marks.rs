//! What `t5kit metrics` does to the punctuation of generated Chinese before it compares.

use std::borrow::Cow;

use t5kit_tokenizer::{PunctuationCount, half_width_punctuation, restore_punctuation};

use super::texts::Compared;
use crate::punctuation::PunctuationFlag;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Kept,
    Restored,
    HalfWidth,
}

impl Done {
    pub fn name(self) -> &'static str {
        match self {
            Done::Kept => "kept",
            Done::Restored => "restored",
            Done::HalfWidth => "half-width",
        }
    }

    /// What a figure's signature says of it: nothing where the texts are as they were, so that it is the package's.
    pub fn signature(self) -> &'static str {
        match self {
            Done::Kept => "",
            Done::Restored => "|punctuation:restored",
            Done::HalfWidth => "|punctuation:half-width",
        }
    }
}

/// Changes the texts as is wanted. Where they are kept though the references are written otherwise, that is said.
pub fn settle(texts: &mut Compared, wanted: PunctuationFlag) -> Done {
    let mut marks = PunctuationCount::default();
    texts.references.iter().flatten().for_each(|reference| marks.add(reference));
    let as_references = if marks.is_full_width() {
        Done::Restored
    } else if marks.is_half_width() {
        Done::HalfWidth
    } else {
        Done::Kept
    };
    let done = match wanted {
        PunctuationFlag::Keep => Done::Kept,
        PunctuationFlag::Restore => Done::Restored,
        PunctuationFlag::Auto => as_references,
    };
    if wanted == PunctuationFlag::Keep && as_references == Done::Restored {
        let other =
            texts.predictions.iter().filter(|text| restore_punctuation(text) != text.as_str()).count();
        if other > 0 {
            told!(half_width_predictions, n = other, all = texts.predictions.len());
        }
    }
    let change: fn(&str) -> Cow<'_, str> = match done {
        Done::Kept => return Done::Kept,
        Done::Restored => restore_punctuation,
        Done::HalfWidth => half_width_punctuation,
    };
    for text in texts.predictions.iter_mut().chain(texts.against.iter_mut().flatten()) {
        if let Cow::Owned(changed) = change(text) {
            *text = changed;
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_goes_by_the_references() {
        let full = [("好,走", "好，走"), ("甲", "甲"), ("a, b", "a, b")];
        let half = [("好,走", "好,走"), ("甲:乙", "甲:乙")];
        for (wanted, pairs, right, done) in [
            (PunctuationFlag::Auto, &full[..], 3, Done::Restored),
            (PunctuationFlag::Restore, &full, 3, Done::Restored),
            (PunctuationFlag::Keep, &full, 2, Done::Kept),
            (PunctuationFlag::Auto, &half, 2, Done::HalfWidth),
            (PunctuationFlag::Auto, &[("甲, 乙", "甲, 乙"), ("a", "a")], 2, Done::HalfWidth),
            (PunctuationFlag::Auto, &[("a, b", "a, b")], 1, Done::Kept),
            (PunctuationFlag::Auto, &[("好，走", "好,走"), ("甲", "甲")], 2, Done::HalfWidth),
            (PunctuationFlag::Keep, &[("好，走", "好,走"), ("甲", "甲")], 1, Done::Kept),
            (PunctuationFlag::Restore, &half, 0, Done::Restored),
        ] {
            let all = |of: fn(&(&str, &str)) -> String| pairs.iter().map(of).collect::<Vec<_>>();
            let references = all(|pair| pair.1.to_owned());
            let mut texts = Compared {
                predictions: all(|pair| pair.0.to_owned()),
                references: vec![references.clone()],
                sources: None,
                against: None,
            };
            assert_eq!(settle(&mut texts, wanted), done, "{wanted:?} {pairs:?}");
            let found = texts.predictions.iter().zip(&references).filter(|(p, r)| p == r).count();
            assert_eq!(found, right, "{wanted:?} {pairs:?}");
        }
    }
}
