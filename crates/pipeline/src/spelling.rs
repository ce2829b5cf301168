//! How ids become the text that people read.

use std::sync::Arc;

use t5kit_generate::constrain::Constraint;
use t5kit_generate::{GenerateOptions, Generated};
use t5kit_tokenizer::{Punctuation, Tokenizer, is_chinese_text, restore_punctuation};

/// How ids become the text that is shown: decoded, and where it is wished and makes sense with the full-width
/// punctuation of Chinese.
pub struct Spelling<'t> {
    tokenizer: &'t Tokenizer,
    punctuation: Punctuation,
    /// The tokenizer makes full-width marks half-width, so that no text has any.
    folds: bool,
    /// Texts that are known, which are shown as they were given.
    known: Option<Arc<Constraint>>,
}

impl<'t> Spelling<'t> {
    /// With what is wished for the punctuation of Chinese.
    pub fn new(tokenizer: &'t Tokenizer, punctuation: Punctuation) -> Self {
        let folds = !tokenizer.decode(&tokenizer.encode("甲，乙")).contains('，');
        Spelling { tokenizer, punctuation, folds, known: None }
    }

    /// The same for what these options let come: a text of a list is shown as it was given, and one that matches a pattern
    /// as it matches, unless `punctuation` was asked for.
    pub fn constrained(mut self, options: &GenerateOptions, asked: bool) -> Self {
        match options.constraint.as_deref() {
            Some(Constraint::Pattern(_)) if !asked => self.punctuation = Punctuation::Keep,
            // Behind a prefix a text is a part.
            _ if options.prefix.is_empty() => self.known = options.constraint.clone(),
            _ => {}
        }
        self
    }

    /// The text of a target.
    pub fn text(&self, target: &Generated) -> String {
        if let Some(text) = self.known.as_ref().and_then(|known| known.text(&target.ids)) {
            return text.to_owned();
        }
        self.spell(self.tokenizer.decode(&target.ids))
    }

    /// Whether a target's text is not spelt as it was decoded.
    pub fn changes(&self, target: &Generated) -> bool {
        let text = self.tokenizer.decode(&target.ids);
        self.spell(text.clone()) != text
    }

    fn spell(&self, text: String) -> String {
        let restores = match self.punctuation {
            Punctuation::Keep => false,
            Punctuation::Restore => true,
            Punctuation::Auto => self.folds && is_chinese_text(&text),
        };
        if restores { restore_punctuation(&text).into_owned() } else { text }
    }
}
