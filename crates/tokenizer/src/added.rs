//! Finding added tokens in a text, as the `tokenizers` library does (`AddedVocabulary::find_matches`).
//!
//! The text is read from left to right, the longest token first. What stands between two tokens is cut into pieces by
//! itself.

use crate::protected::Protected;
use std::collections::HashMap;
use t5kit_formats::added_tokens::AddedToken;
use unicode_general_category::{GeneralCategory, get_general_category};

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// An added token.
    Token(&'a AddedToken),
    /// What stands between tokens; `at_start` where it begins the text.
    Text { text: &'a [u8], at_start: bool },
}

/// The added tokens of a tokenizer.
#[derive(Default)]
pub(crate) struct Added {
    /// Ascending by id.
    tokens: Vec<AddedToken>,
    /// Those that are found in the text as it stands, and those that are found in the normalised one.
    raw: Matcher,
    normalized: Matcher,
}

/// Texts to look for, and which token each of them is.
#[derive(Default)]
struct Matcher {
    set: Protected,
    tokens: HashMap<String, usize>,
}

impl Matcher {
    fn insert(&mut self, text: &str, token: usize) {
        if !text.is_empty() {
            self.set.insert(text);
            self.tokens.insert(text.to_owned(), token);
        }
    }
}

impl Added {
    /// Tokens that are found in the text as it stands, whatever they say of normalisation.
    pub(crate) fn new(tokens: Vec<AddedToken>) -> Self {
        Self::with_normalized(tokens, |_| None)
    }

    /// `normalize` gives the text under which a token is found in the normalised text, where it is.
    pub(crate) fn with_normalized(
        mut tokens: Vec<AddedToken>,
        normalize: impl Fn(&AddedToken) -> Option<String>,
    ) -> Self {
        tokens.sort_by_key(|token| token.id);
        let (mut raw, mut normalized) = (Matcher::default(), Matcher::default());
        for (i, token) in tokens.iter().enumerate() {
            match normalize(token) {
                Some(text) => normalized.insert(&text, i),
                None => raw.insert(&token.content, i),
            }
        }
        Self { tokens, raw, normalized }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether any token is found in normalised text.
    pub(crate) fn any_normalized(&self) -> bool {
        !self.normalized.tokens.is_empty()
    }

    /// The tokens, ascending by id.
    pub(crate) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// The token with an id.
    pub(crate) fn get(&self, id: u32) -> Option<&AddedToken> {
        let at = self.tokens.binary_search_by_key(&id, |token| token.id).ok()?;
        Some(&self.tokens[at])
    }

    /// The text of the token with an id.
    pub(crate) fn text(&self, id: u32) -> Option<&str> {
        self.get(id).map(|token| &*token.content)
    }

    /// The id of a token.
    pub(crate) fn id_of(&self, content: &str) -> Option<u32> {
        self.tokens.iter().find(|token| token.content == content).map(|token| token.id)
    }

    /// The parts of a text that has not been normalised.
    pub(crate) fn split<'a>(&'a self, text: &'a [u8]) -> Vec<Part<'a>> {
        self.parts(text, &self.raw)
    }

    /// The parts of a text that has been normalised.
    pub(crate) fn split_normalized<'a>(&'a self, text: &'a [u8]) -> Vec<Part<'a>> {
        self.parts(text, &self.normalized)
    }

    fn parts<'a>(&'a self, text: &'a [u8], matcher: &Matcher) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        // What lies before is in `parts`, and what lies before `at` has been looked at.
        let (mut done, mut at) = (0, 0);
        while at < text.len() {
            let Some(content) = matcher.set.longest_prefix(&text[at..]) else {
                at += 1;
                continue;
            };
            let token = &self.tokens[matcher.tokens[content]];
            let (mut start, mut end) = (at, at + content.len());
            at = end;
            if token.single_word && (ends_with_word(&text[..start]) || starts_with_word(&text[end..])) {
                continue;
            }
            if token.lstrip {
                start = done + trim_end(&text[done..start]).len();
            }
            if token.rstrip {
                end = text.len() - trim_start(&text[end..]).len();
            }
            if done < start {
                parts.push(Part::Text { text: &text[done..start], at_start: done == 0 });
            }
            parts.push(Part::Token(token));
            (done, at) = (end, end.max(at));
        }
        if done < text.len() {
            parts.push(Part::Text { text: &text[done..], at_start: done == 0 });
        }
        parts
    }
}

/// The first character, if the bytes begin with one.
fn first(text: &[u8]) -> Option<char> {
    (1..=text.len().min(4)).find_map(|n| std::str::from_utf8(&text[..n]).ok()?.chars().next())
}

/// The last character, if the bytes end with one.
fn last(text: &[u8]) -> Option<char> {
    let from = |n: usize| std::str::from_utf8(&text[text.len() - n..]).ok()?.chars().next();
    (1..=text.len().min(4)).find_map(from)
}

/// Without the white space at the beginning.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let Some(c) = first(text).filter(|c| c.is_whitespace()) {
        text = &text[c.len_utf8()..];
    }
    text
}

/// Without the white space at the end.
pub(crate) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some(c) = last(text).filter(|c| c.is_whitespace()) {
        text = &text[..text.len() - c.len_utf8()];
    }
    text
}

fn starts_with_word(text: &[u8]) -> bool {
    first(text).is_some_and(is_word)
}

fn ends_with_word(text: &[u8]) -> bool {
    last(text).is_some_and(is_word)
}

/// `\w` of regular expressions: letters, marks, decimal digits, connecting punctuation and joiners.
fn is_word(c: char) -> bool {
    use GeneralCategory::{ConnectorPunctuation, DecimalNumber, EnclosingMark, NonspacingMark, SpacingMark};
    c.is_alphabetic()
        || matches!(c, '\u{200c}' | '\u{200d}')
        || matches!(
            get_general_category(c),
            NonspacingMark | SpacingMark | EnclosingMark | DecimalNumber | ConnectorPunctuation
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: u32, content: &str) -> AddedToken {
        AddedToken { id, content: content.into(), ..AddedToken::default() }
    }

    /// The parts, tokens in brackets; `^` marks what begins the text.
    fn shown(added: &Added, text: &[u8]) -> String {
        let part = |part: &Part| match part {
            Part::Token(token) => format!("[{}]", token.id),
            Part::Text { text, at_start } => {
                format!("{}{}", if *at_start { "^" } else { "" }, String::from_utf8_lossy(text))
            }
        };
        added.split(text).iter().map(part).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn the_longest_from_the_left() {
        let added = Added::new(vec![token(7, "<a>"), token(8, "<a>b"), token(9, "b<"), token(3, "天")]);
        assert_eq!(shown(&added, "x<a>bc<a> 天天".as_bytes()), "^x|[8]|c|[7]| |[3]|[3]");
        assert_eq!(shown(&added, b"ab<a>"), "^a|[9]|a>");
        assert_eq!((shown(&added, b""), shown(&added, b"<a>")), (String::new(), "[7]".into()));
        assert_eq!(shown(&added, b"\xff<a>\xe5"), "^\u{fffd}|[7]|\u{fffd}");
        assert_eq!((added.text(8), added.id_of("b<"), added.text(1)), (Some("<a>b"), Some(9), None));
    }

    #[test]
    fn spaces_that_belong_to_a_token() {
        let strips = |lstrip, rstrip| Added::new(vec![AddedToken { lstrip, rstrip, ..token(5, "<m>") }]);
        let text = "a \u{3000}<m> \t<m> b";
        assert_eq!(shown(&strips(false, false), text.as_bytes()), "^a \u{3000}|[5]| \t|[5]| b");
        assert_eq!(shown(&strips(true, false), text.as_bytes()), "^a|[5]|[5]| b");
        assert_eq!(shown(&strips(false, true), text.as_bytes()), "^a \u{3000}|[5]|[5]|b");
        assert_eq!(shown(&strips(true, true), text.as_bytes()), "^a|[5]|[5]|b");
        assert_eq!(shown(&strips(true, true), b" <m> "), "[5]");
    }

    #[test]
    fn words_stand_alone() {
        let added = Added::new(vec![AddedToken { single_word: true, ..token(5, "re") }]);
        assert_eq!(
            shown(&added, "re, pre re_ re\u{301} 天re re".as_bytes()),
            "[5]|, pre re_ re\u{301} 天re |[5]"
        );
    }
}
