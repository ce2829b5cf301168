//! A text's words as transformers' `BasicTokenizer` makes them, step by step: the obvious version. It serves the few
//! texts that the table of [`super::bert`] cannot, and is what that is tested against.

use super::settings::Settings;
use super::unicode::without_accents;
use super::unicode::{category, is_chinese, is_punctuation, is_python_space, is_space, lower, nfc};
use std::borrow::Cow;
use unicode_general_category::GeneralCategory::{Control, Format, PrivateUse, Surrogate, Unassigned};

/// A word, and whether it is looked up as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) whole: bool,
}

/// `PreTrainedTokenizer.tokenize`'s lower-casing: everything but the special pieces, character by character.
pub(super) fn lower_but<'a>(text: &'a str, settings: &Settings) -> Cow<'a, str> {
    if !settings.do_lower_case {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (part, length) = match settings.specials().find(|name| rest.starts_with(name)) {
            Some(name) => (Cow::Borrowed(name), name.len()),
            None => (Cow::Owned(lower(&rest[..c.len_utf8()])), c.len_utf8()),
        };
        out.push_str(&part);
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// Words of a text (lower-cased, where that is asked for) that holds no special piece.
pub(super) fn words(text: &str, settings: &Settings) -> Vec<Word> {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_removed(c) {
        } else if is_space(c) {
            clean.push(' ');
        } else if settings.tokenize_chinese_chars && is_chinese(c) {
            clean.extend([' ', c, ' ']);
        } else {
            clean.push(c);
        }
    }
    let never_split = |word: &str| settings.never_split.iter().any(|name| name == word);
    let mut words = Vec::new();
    for word in nfc(&clean).split(is_python_space).filter(|word| !word.is_empty()) {
        // Cleaning may have joined the parts of a special piece.
        let kept = never_split(word) || settings.specials().any(|name| name == word);
        let mut bare = word.to_owned();
        if !kept && settings.do_lower_case {
            bare = lower(&bare);
        }
        if !kept && settings.strips() {
            bare = without_accents(&bare);
        }
        // Lower-casing may have made one, too.
        if never_split(&bare) || settings.specials().any(|name| name == bare) {
            words.push(bare);
            continue;
        }
        let mut start = 0;
        for (at, c) in bare.char_indices().filter(|(_, c)| is_punctuation(*c)) {
            words.push(bare[start..at].to_owned());
            start = at + c.len_utf8();
            words.push(c.to_string());
        }
        words.push(bare[start..].to_owned());
    }
    let words = words.iter().flat_map(|word| word.split(is_python_space)).filter(|word| !word.is_empty());
    words.map(|word| Word { text: word.into(), whole: never_split(word) }).collect()
}

/// What `_clean_text` leaves out: control characters, and all that Unicode has not assigned.
pub(super) fn is_removed(c: char) -> bool {
    let control = matches!(category(c), Control | Format | PrivateUse | Surrogate | Unassigned);
    c == '\u{fffd}' || control && !matches!(c, '\t' | '\n' | '\r')
}
