//! The parts of a text between added tokens, each of them searched for pieces by itself, and what a `tokenizer.json` does
//! to them beyond SentencePiece's own normalisation.

use super::Unigram;
use super::normalize::{Normalizer, SPACE_SYMBOL};
use crate::added::{self, Added};
use std::borrow::Cow;
use t5kit_formats::added_tokens::AddedToken;
use t5kit_formats::tokenizer_json::Steps;

/// A part of a text.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    /// An added token.
    Token(&'a AddedToken),
    /// Text as it stands; with a space before it where the model wants one and `prefix` is set.
    Text { text: &'a [u8], prefix: bool },
    /// Text as the search wants it.
    Normalized(&'a str),
}

impl Unigram {
    /// Calls `found` with the parts of a text, in order.
    pub(super) fn each_part(&self, text: &[u8], added: &Added, mut found: impl FnMut(Part)) {
        if added.is_empty() {
            let text = self.prepare(text);
            return found(Part::Text { text: &text, prefix: true });
        }
        for part in added.split(text) {
            match part {
                added::Part::Token(token) => found(Part::Token(token)),
                added::Part::Text { text, at_start } => {
                    let text = self.prepare(text);
                    if !(added.any_normalized() && self.each_normalized(&text, at_start, added, &mut found)) {
                        found(self.part(&text, at_start));
                    }
                }
            }
        }
    }

    fn part<'a>(&self, text: &'a [u8], at_start: bool) -> Part<'a> {
        let prefix = self.prefixes(at_start) || self.normalizer.begins_with_space(text);
        Part::Text { text, prefix }
    }

    /// Whether a part gets a space before it.
    fn prefixes(&self, at_start: bool) -> bool {
        at_start || !self.steps.prefix_first_only
    }

    /// Cuts a part at the tokens that are looked for in normalised text; says false, and finds nothing, where there are
    /// none.
    fn each_normalized(
        &self,
        text: &[u8],
        at_start: bool,
        added: &Added,
        found: &mut impl FnMut(Part),
    ) -> bool {
        let text = self.for_tokens(text);
        let parts = added.split_normalized(text.as_bytes());
        if !parts.iter().any(|part| matches!(part, added::Part::Token(_))) {
            return false;
        }
        for part in parts {
            match part {
                added::Part::Token(token) => found(Part::Token(token)),
                added::Part::Text { text, at_start: first } => {
                    let first = first && at_start;
                    if self.steps.trim_end {
                        // Spaces beside a token stay: they have been normalised already.
                        let text = String::from_utf8_lossy(text);
                        let begins = text.starts_with([' ', '\u{2581}']);
                        let prefix = if self.prefixes(first) && !begins { SPACE_SYMBOL } else { "" };
                        found(Part::Normalized(&(prefix.to_owned() + &text.replace(' ', SPACE_SYMBOL))));
                    } else {
                        found(self.part(text, first));
                    }
                }
            }
        }
        true
    }

    /// A text as added tokens are looked for in it, and as their own text is looked for.
    pub(crate) fn for_tokens(&self, text: &[u8]) -> String {
        let mapped = self.normalizer.map(text);
        if self.steps.trim_end { join_spaces(mapped.trim_end()) } else { mapped }
    }

    /// A text whose white space is what the normaliser makes of spaces, as far as the steps ask for it.
    fn prepare<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.steps.trim_end {
            return Cow::Borrowed(added::trim_end(text));
        }
        if self.white.is_empty() {
            return Cow::Borrowed(text);
        }
        let Ok(valid) = std::str::from_utf8(text) else {
            let text = String::from_utf8_lossy(text).replace(&*self.white, " ");
            return Cow::Owned(text.into_bytes());
        };
        match valid.contains(&*self.white) {
            true => Cow::Owned(valid.replace(&*self.white, " ").into_bytes()),
            false => Cow::Borrowed(text),
        }
    }
}

/// Makes one `▁` of every run of spaces, as the `Replace` of a `tokenizer.json` does.
fn join_spaces(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' && joined.ends_with([' ', '\u{2581}']) {
            if joined.ends_with(' ') {
                joined.pop();
                joined.push('\u{2581}');
            }
        } else {
            joined.push(c);
        }
    }
    joined
}

/// The white space, other than a space, that a normaliser makes neither a space of nor nothing, where the steps cut at
/// any.
pub(super) fn unmapped_white(normalizer: &Normalizer, steps: Steps) -> Vec<char> {
    let white = |c: &char| c.is_whitespace() && *c != ' ';
    let mapped = |c: char| matches!(normalizer.prefix(c.encode_utf8(&mut [0; 4]).as_bytes()).0, " " | "");
    let all = ('\0'..=char::MAX).take_while(|&c| steps.split_whitespace && c <= '\u{3000}');
    all.filter(white).filter(|&c| !mapped(c)).collect()
}
