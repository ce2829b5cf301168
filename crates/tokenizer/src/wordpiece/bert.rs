//! Text to ids as transformers' (slow) `BertTokenizer` gives them, in one pass over a table of characters.
//!
//! For nearly every character it is known beforehand what cleaning, lower-casing, normalisation and the stripping of
//! accents make of it, whatever stands beside it. A part between two spaces (or Chinese characters) that holds another
//! one – a combining mark, a character that vanishes, a Hangul syllable that falls apart – goes through
//! [`super::basic`] instead.

use super::basic;
use super::pieces::Pieces;
use super::settings::Settings;
use super::unicode::{category, is_chinese, is_punctuation, is_python_space, is_space, lower};
use std::borrow::Cow;
use unicode_general_category::GeneralCategory::NonspacingMark;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Longer words are unknown.
const MAX_WORD: usize = 100;

/// Characters below have their [`Action`] in a table.
const TABLED: u32 = 0x1_0000;

/// What a character does, in the upper bits of a word; a character or an id in the lower ones.
#[derive(Clone, Copy)]
struct Action(u32);

impl Action {
    /// Joins the word as the given character.
    const LETTER: u32 = 0;
    /// Leaves no trace.
    const NOTHING: u32 = 1;
    /// Ends the word.
    const SPACE: u32 = 2;
    /// Ends the word and is the given id, as if there were spaces around.
    const CHINESE: u32 = 3;
    /// Ends the word and is the given id.
    const MARK: u32 = 4;
    /// Depends on its neighbours.
    const OTHER: u32 = 5;
    /// A special piece may begin here.
    const SPECIAL: u32 = 1 << 31;
    const SHIFT: u32 = 28;

    fn new(kind: u32, value: u32) -> Self {
        debug_assert!(value < 1 << Self::SHIFT);
        Self(kind << Self::SHIFT | value)
    }

    fn kind(self) -> u32 {
        (self.0 & !Self::SPECIAL) >> Self::SHIFT
    }

    fn value(self) -> u32 {
        self.0 & ((1 << Self::SHIFT) - 1)
    }
}

/// BERT's way of cutting.
pub(super) struct Bert {
    settings: Settings,
    actions: Vec<Action>,
    /// Special pieces of the vocabulary, longest first.
    specials: Vec<(String, u32)>,
    /// Whether lower-casing can make a special piece out of other text.
    lower_specials: bool,
    unknown: u32,
}

impl Bert {
    pub(super) fn new(settings: Settings, pieces: &Pieces, unknown: u32) -> Self {
        let mut specials: Vec<(String, u32)> =
            settings.specials().filter_map(|name| Some((name.to_owned(), pieces.id_of(name)?))).collect();
        specials.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let lower_specials = settings.do_lower_case && specials.iter().any(|(name, _)| lower(name) == *name);
        let mut bert = Self { settings, actions: Vec::new(), specials, lower_specials, unknown };
        let chars = (0..TABLED).map(|c| char::from_u32(c).unwrap_or('\u{fffd}'));
        bert.actions = chars.map(|c| bert.classify(c, pieces)).collect();
        bert
    }

    /// Appends the ids of a text.
    pub(super) fn encode(&self, text: &str, pieces: &Pieces, ids: &mut Vec<u32>) {
        let text =
            if self.lower_specials { basic::lower_but(text, &self.settings) } else { Cow::Borrowed(text) };
        let text = &*text;
        let mut word = Vec::with_capacity(MAX_WORD + 1);
        // Where the part between spaces began, in the text and in the ids.
        let mut part = (0, ids.len());
        let mut chars = text.chars();
        loop {
            let rest = chars.as_str();
            let Some(c) = chars.next() else { break };
            let action = self.action(c, pieces);
            if action.0 & Action::SPECIAL != 0
                && let Some((length, id)) = self.special(rest)
            {
                self.end_word(&mut word, pieces, ids);
                ids.push(id);
                chars = rest[length..].chars();
                part = (text.len() - chars.as_str().len(), ids.len());
                continue;
            }
            match action.kind() {
                Action::LETTER => {
                    if word.len() <= MAX_WORD {
                        word.push(char::from_u32(action.value()).unwrap_or(c));
                    }
                }
                Action::NOTHING => {}
                Action::MARK => {
                    self.end_word(&mut word, pieces, ids);
                    ids.push(action.value());
                }
                Action::OTHER => {
                    word.clear();
                    ids.truncate(part.1);
                    let end = text.len() - self.after_part(chars.as_str(), pieces).len();
                    self.encode_part(&text[part.0..end], pieces, ids);
                    chars = text[end..].chars();
                    part = (end, ids.len());
                }
                kind => {
                    self.end_word(&mut word, pieces, ids);
                    if kind == Action::CHINESE {
                        ids.push(action.value());
                    }
                    part = (text.len() - chars.as_str().len(), ids.len());
                }
            }
        }
        self.end_word(&mut word, pieces, ids);
    }

    /// What follows the part between spaces at the beginning of a text.
    fn after_part<'a>(&self, text: &'a str, pieces: &Pieces) -> &'a str {
        let mut chars = text.chars();
        loop {
            let rest = chars.as_str();
            let Some(c) = chars.next() else { return rest };
            let action = self.action(c, pieces);
            let special = || action.0 & Action::SPECIAL != 0 && self.special(rest).is_some();
            if matches!(action.kind(), Action::SPACE | Action::CHINESE) || special() {
                return rest;
            }
        }
    }

    /// Appends the ids of a text without special pieces, step by step.
    fn encode_part(&self, text: &str, pieces: &Pieces, ids: &mut Vec<u32>) {
        let text = basic::lower_but(text, &self.settings);
        let mut chars = Vec::new();
        for word in basic::words(&text, &self.settings) {
            if word.whole {
                ids.push(pieces.id_of(&word.text).unwrap_or(self.unknown));
                continue;
            }
            chars.extend(word.text.chars());
            self.end_word(&mut chars, pieces, ids);
        }
    }

    /// Appends the ids of a word and empties it.
    fn end_word(&self, word: &mut Vec<char>, pieces: &Pieces, ids: &mut Vec<u32>) {
        if word.len() > MAX_WORD || !pieces.split(word, ids) {
            ids.push(self.unknown);
        }
        word.clear();
    }

    /// The special piece that a text begins with: its length and id.
    fn special(&self, text: &str) -> Option<(usize, u32)> {
        let (name, id) = self.specials.iter().find(|(name, _)| text.starts_with(&**name))?;
        Some((name.len(), *id))
    }

    #[inline]
    fn action(&self, c: char, pieces: &Pieces) -> Action {
        match self.actions.get(c as usize) {
            Some(action) => *action,
            None => self.classify(c, pieces),
        }
    }

    fn classify(&self, c: char, pieces: &Pieces) -> Action {
        let Action(action) = self.classify_plain(c, pieces);
        let special = self.specials.iter().any(|(name, _)| name.starts_with(c));
        Action(action | if special { Action::SPECIAL } else { 0 })
    }

    fn classify_plain(&self, c: char, pieces: &Pieces) -> Action {
        let other = Action::new(Action::OTHER, 0);
        let id = |c: char| pieces.id_of_char(c).unwrap_or(self.unknown);
        let settings = &self.settings;
        let removed = basic::is_removed(c);
        if !removed && (is_space(c) || is_python_space(c)) {
            return Action::new(Action::SPACE, 0);
        }
        if removed || !settings.never_split.is_empty() {
            return other;
        }
        let chinese = settings.tokenize_chinese_chars && is_chinese(c);
        let low = if settings.do_lower_case { one(c.to_lowercase()) } else { Some(c) };
        // Spaces around a Chinese character keep marks away from it.
        let composed = low.and_then(|low| if chinese { one(std::iter::once(low).nfc()) } else { Some(low) });
        let Some(composed) = composed else { return other };
        let stable = is_nfc_quick(std::iter::once(composed)) == IsNormalized::Yes;
        if canonical_combining_class(composed) != 0 || !stable {
            return other;
        }
        let mut bare = Some(composed);
        if settings.strips() {
            let parts = || std::iter::once(composed).nfd().filter(|c| category(*c) != NonspacingMark);
            bare = one(parts());
            if bare != Some(composed) && (self.lower_specials || !settings.do_lower_case) {
                // Without its accents a word may be a special piece.
                return other;
            }
            if parts().next().is_none() {
                return Action::new(Action::NOTHING, 0);
            }
        }
        match bare {
            Some(bare) if chinese => Action::new(Action::CHINESE, id(bare)),
            Some(bare) if is_punctuation(bare) => Action::new(Action::MARK, id(bare)),
            Some(bare) => Action::new(Action::LETTER, bare.into()),
            None => other,
        }
    }
}

/// The only character, where there is one and no more.
fn one(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}
