//! WoBERT's words: text to ids as bert4keras' `Tokenizer` gives them with
//! `pre_tokenize=lambda s: jieba.cut(s, HMM=False)`.
//!
//! The text is lower-cased and loses its accents as a whole, jieba cuts it, a word of the vocabulary is one token, and
//! WordPiece takes the others apart. What counts as a space, a control character and too long a word differs from
//! `BertTokenizer`, and no piece is special in a text.

use super::pieces::Pieces;
use super::settings::Settings;
use super::unicode::{
    category, is_chinese, is_punctuation, is_python_space, is_space, lower, without_accents,
};
use jieba_rs::Jieba;
use std::borrow::Cow;
use std::sync::OnceLock;
use unicode_general_category::GeneralCategory::{Control, Format};

/// Longer words are not taken apart (`word_maxlen`).
const MAX_WORD: usize = 200;

/// jieba's dictionary, loaded when a tokenizer first needs it: that takes some 0.1 s and 60 MB.
fn jieba() -> &'static Jieba {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    JIEBA.get_or_init(|| {
        let mut jieba = Jieba::new();
        // The only word of jieba 0.42.1's dictionary that is missing.
        jieba.add_word("B超", Some(3), None);
        jieba
    })
}

/// WoBERT's way of cutting.
pub(super) struct Words {
    lower_case: bool,
    strips: bool,
    unknown: u32,
    jieba: &'static Jieba,
}

impl Words {
    pub(super) fn new(settings: &Settings, unknown: u32) -> Self {
        Self { lower_case: settings.do_lower_case, strips: settings.strips(), unknown, jieba: jieba() }
    }

    /// Appends the ids of a text.
    pub(super) fn encode(&self, text: &str, pieces: &Pieces, ids: &mut Vec<u32>) {
        let text = self.normal(text);
        let mut word = Vec::new();
        let mut rest = &*text;
        while let Some(c) = rest.chars().next() {
            if !is_cut(c) {
                self.encode_char(c, pieces, ids);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let (block, after) = rest.split_at(rest.find(|c| !is_cut(c)).unwrap_or(rest.len()));
            for token in self.jieba.cut(block, false) {
                match pieces.id_of(token.word) {
                    Some(id) => ids.push(id),
                    None => self.encode_word(token.word, &mut word, pieces, ids),
                }
            }
            rest = after;
        }
    }

    /// `lowercase_and_normalize`.
    fn normal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.lower_case && !self.strips {
            return Cow::Borrowed(text);
        }
        // What hardly any text goes beyond: neither upper case nor accents.
        let plain = |c: char| {
            matches!(c, '\0'..='@' | '['..='\u{7f}' | '\u{4e00}'..='\u{9fff}' | '\u{3001}'..='\u{3029}'
                | '\u{ff00}'..='\u{ff20}' | '\u{2010}'..='\u{2027}')
        };
        if text.chars().all(|c| plain(c) || c.is_ascii()) {
            let upper = self.lower_case && text.bytes().any(|byte| byte.is_ascii_uppercase());
            return if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
        }
        let low = if self.lower_case { lower(text) } else { text.to_owned() };
        Cow::Owned(if self.strips { without_accents(&low) } else { low })
    }

    /// A character that jieba leaves alone.
    fn encode_char(&self, c: char, pieces: &Pieces, ids: &mut Vec<u32>) {
        let id = pieces.id_of_char(c);
        if id.is_some() || !is_dropped(c) {
            ids.push(id.unwrap_or(self.unknown));
        }
    }

    /// A word of jieba's that is not in the vocabulary: letters, digits, `+#&._%-` and Chinese characters.
    fn encode_word(&self, text: &str, word: &mut Vec<char>, pieces: &Pieces, ids: &mut Vec<u32>) {
        for c in text.chars() {
            if is_chinese(c) || is_punctuation(c) {
                self.end_word(word, pieces, ids);
                ids.push(pieces.id_of_char(c).unwrap_or(self.unknown));
            } else {
                word.push(c);
            }
        }
        self.end_word(word, pieces, ids);
    }

    fn end_word(&self, word: &mut Vec<char>, pieces: &Pieces, ids: &mut Vec<u32>) {
        if word.len() > MAX_WORD {
            ids.push(pieces.id_of(&word.iter().collect::<String>()).unwrap_or(self.unknown));
        } else if !pieces.split(word, ids) {
            ids.push(self.unknown);
        }
        word.clear();
    }
}

/// What jieba cuts (its `re_han_default`); every other character is a word of its own.
fn is_cut(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fd5}' | 'a'..='z' | 'A'..='Z' | '0'..='9')
        || matches!(c, '+' | '#' | '&' | '.' | '_' | '%' | '-')
}

/// Whether a character alone makes no token: spaces and what bert4keras holds for control characters.
fn is_dropped(c: char) -> bool {
    !is_punctuation(c)
        && !is_chinese(c)
        && (is_space(c) || is_python_space(c) || c == '\u{fffd}' || matches!(category(c), Control | Format))
}
