//! WordPiece, the tokenizer of BERT: `vocab.txt` to ids as transformers' (slow) `BertTokenizer` gives them.
//!
//! A text is cleaned of control characters, Chinese characters get spaces around them, words are lower-cased and
//! lose their accents (both optional), punctuation is cut off, and each word is taken apart from the left by the
//! longest piece of the vocabulary; pieces inside a word begin with `##`.

use crate::error::Error;
use crate::unigram::Protected;
use std::collections::HashMap;
use std::path::Path;
use t5kit_formats::spiece::PieceKind;
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// Longer words are unknown.
const MAX_WORD_CHARS: usize = 100;

/// Names of BERT's special pieces; in a text they stand for themselves.
const SPECIALS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// How words are treated; `tokenizer_config.json` has the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) do_lower_case: bool,
    /// As `do_lower_case` where it is not said.
    pub(crate) strip_accents: Option<bool>,
    pub(crate) tokenize_chinese_chars: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { do_lower_case: true, strip_accents: None, tokenize_chinese_chars: true }
    }
}

impl Settings {
    /// From a `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a setting is no truth value.
    pub(crate) fn parse(path: &Path, config: &serde_json::Value) -> Result<Self, Error> {
        let invalid =
            |field: &str, what: String| Error::Invalid { path: path.into(), field: field.into(), what };
        let flag = |name: &str| match config.get(name) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(serde_json::Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(invalid(name, format!("{other} is neither true nor false"))),
        };
        let default = Self::default();
        Ok(Self {
            do_lower_case: flag("do_lower_case")?.unwrap_or(default.do_lower_case),
            strip_accents: flag("strip_accents")?,
            tokenize_chinese_chars: flag("tokenize_chinese_chars")?.unwrap_or(default.tokenize_chinese_chars),
        })
    }
}

/// A WordPiece vocabulary, ready to encode and decode.
pub(crate) struct WordPiece {
    pieces: Vec<String>,
    ids: HashMap<String, u32>,
    settings: Settings,
    specials: Protected,
    /// The most characters of a piece, `##` included.
    longest: usize,
    unknown: u32,
}

impl WordPiece {
    /// Reads `vocab.txt`: one piece a line.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not UTF-8, empty, or lacks `[UNK]`.
    pub(crate) fn new(vocab: &[u8], settings: Settings, path: &Path) -> Result<Self, Error> {
        let invalid =
            |field: String, what: &str| Error::Invalid { path: path.into(), field, what: what.into() };
        let text = std::str::from_utf8(vocab).map_err(|error| {
            let line = vocab[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            invalid(format!("line {line}"), "not UTF-8; a vocabulary is a text file with one piece a line")
        })?;
        let pieces: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut ids = HashMap::with_capacity(pieces.len());
        for (id, piece) in pieces.iter().enumerate() {
            let id = u32::try_from(id).map_err(|_| invalid("lines".into(), "more than 4 billion"))?;
            // Of equal pieces the last counts, as in transformers.
            ids.insert(piece.clone(), id);
        }
        let missing = "missing; is this the vocabulary of a BERT model?";
        let unknown = *ids.get("[UNK]").ok_or_else(|| invalid("[UNK]".into(), missing))?;
        let mut specials = Protected::default();
        SPECIALS.iter().filter(|name| ids.contains_key(**name)).for_each(|name| specials.insert(name));
        let longest = pieces.iter().map(|piece| piece.chars().count()).max().unwrap_or(0);
        Ok(Self { pieces, ids, settings, specials, longest, unknown })
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(String::as_str)
    }

    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        let piece = self.piece(id)?;
        Some(match piece {
            "[UNK]" => PieceKind::Unknown,
            "[PAD]" | "[CLS]" | "[SEP]" | "[MASK]" => PieceKind::Control,
            _ => PieceKind::Normal,
        })
    }

    /// Appends the ids of a text; bytes that are no UTF-8 vanish, as U+FFFD does.
    pub(crate) fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        let text = String::from_utf8_lossy(text);
        let mut rest = &*text;
        let mut plain = String::new();
        while let Some(c) = rest.chars().next() {
            if let Some(special) = self.specials.longest_prefix(rest.as_bytes()) {
                self.encode_plain(&plain, ids);
                plain.clear();
                ids.extend(self.id_of(special));
                rest = &rest[special.len()..];
                continue;
            }
            if self.settings.do_lower_case {
                plain.extend(c.to_lowercase());
            } else {
                plain.push(c);
            }
            rest = &rest[c.len_utf8()..];
        }
        self.encode_plain(&plain, ids);
    }

    /// Appends the ids of a text without special pieces.
    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            if is_space(c) {
                clean.push(' ');
            } else if c == '\u{fffd}' || is_control(c) {
            } else if self.settings.tokenize_chinese_chars && is_chinese(c) {
                clean.extend([' ', c, ' ']);
            } else {
                clean.push(c);
            }
        }
        let strips = self.settings.strip_accents.unwrap_or(self.settings.do_lower_case);
        let normal: String = clean.nfc().collect();
        for word in normal.split_whitespace() {
            // Cleaning may have joined the parts of a special piece.
            if SPECIALS.contains(&word) {
                ids.push(self.id_of(word).unwrap_or(self.unknown));
                continue;
            }
            let lower = if self.settings.do_lower_case { word.to_lowercase() } else { word.to_owned() };
            let bare: String = if strips {
                lower.nfd().filter(|c| get_general_category(*c) != GeneralCategory::NonspacingMark).collect()
            } else {
                lower
            };
            let mut start = 0;
            for (at, c) in bare.char_indices() {
                // Accents may have hidden a space.
                if c.is_whitespace() || is_punctuation(c) {
                    self.encode_word(&bare[start..at], ids);
                    start = at + c.len_utf8();
                    if !c.is_whitespace() {
                        self.encode_word(&bare[at..start], ids);
                    }
                }
            }
            self.encode_word(&bare[start..], ids);
        }
    }

    /// Takes a word apart by the longest piece first; a word that leaves a rest is unknown as a whole.
    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        let ends: Vec<usize> = word.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
        if ends.len() > MAX_WORD_CHARS {
            ids.push(self.unknown);
            return;
        }
        let before = ids.len();
        let (mut start, mut first) = (0, 0);
        let mut piece = String::new();
        while start < word.len() {
            let last = ends.len().min(first + self.longest);
            let found = (first..last).rev().find_map(|i| {
                piece.clear();
                piece.push_str(if start > 0 { "##" } else { "" });
                piece.push_str(&word[start..ends[i]]);
                Some((i, self.id_of(&piece)?))
            });
            let Some((i, id)) = found else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            (start, first) = (ends[i], i + 1);
        }
    }

    /// The text of ids: special pieces but `[UNK]` vanish, `##` joins, and words are separated by a space unless
    /// one of the two characters that meet is Chinese or punctuation.
    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for &id in ids {
            let (Some(piece), Some(kind)) = (self.piece(id), self.kind(id)) else { continue };
            if kind == PieceKind::Control {
                continue;
            }
            if let Some(rest) = piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                text.push_str(rest);
                continue;
            }
            let tight = |c: char| is_chinese(c) || is_punctuation(c);
            let meets = text.chars().next_back().zip(piece.chars().next());
            if meets.is_some_and(|(a, b)| !tight(a) && !tight(b)) {
                text.push(' ');
            }
            text.push_str(piece);
        }
        text
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r') || get_general_category(c) == GeneralCategory::SpaceSeparator
}

fn is_control(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse, Surrogate, Unassigned};
    matches!(get_general_category(c), Control | Format | PrivateUse | Surrogate | Unassigned)
}

fn is_punctuation(c: char) -> bool {
    use GeneralCategory::*;
    c.is_ascii_punctuation()
        || matches!(
            get_general_category(c),
            ConnectorPunctuation
                | DashPunctuation
                | OpenPunctuation
                | ClosePunctuation
                | InitialPunctuation
                | FinalPunctuation
                | OtherPunctuation
        )
}

/// The blocks that BERT puts spaces around.
fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_ceaf | 0xf900..=0xfaff
        | 0x2_f800..=0x2_fa1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(settings: Settings, text: &str) -> String {
        let vocab =
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n今\n天\n##天\nun\n##aff\n##able\nThe\nthe\ne\n.\n##é\n";
        let model = WordPiece::new(vocab.as_bytes(), settings, Path::new("vocab.txt")).unwrap();
        let mut ids = Vec::new();
        model.encode_into(text.as_bytes(), &mut ids);
        ids.iter().map(|id| model.piece(*id).unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn as_bert_does() {
        let cased = Settings { do_lower_case: false, ..Default::default() };
        for (settings, text, expected) in [
            (Settings::default(), "今天 Unaffable.THE", "今 天 un ##aff ##able . the"),
            (Settings::default(), "unaffablex é", "[UNK] e"),
            (Settings::default(), "a[MASK]今[mask]", "[UNK] [MASK] 今 [UNK] [UNK] [UNK]"),
            (Settings::default(), "\u{200b}th\u{0}e\u{a0}the\u{fffd}\u{2028}the", "the the the"),
            (Settings::default(), "", ""),
            (cased, "The the É", "The the [UNK]"),
            (cased, "[MA\u{200b}SK]", "[MASK]"),
            (Settings { tokenize_chinese_chars: false, ..cased }, "今天天", "今 ##天 ##天"),
            (Settings { strip_accents: Some(false), ..Default::default() }, "e\u{301} eé", "[UNK] e ##é"),
        ] {
            assert_eq!(tokens(settings, text), expected, "{text:?} {settings:?}");
        }
        assert_eq!(tokens(Settings::default(), &"e".repeat(101)), "[UNK]");
    }

    #[test]
    fn decoding_puts_spaces_between_latin_words_only() {
        let vocab = "[UNK]\n[SEP]\n今\n天\nun\n##able\nthe\n.\n";
        let model = WordPiece::new(vocab.as_bytes(), Settings::default(), Path::new("vocab.txt")).unwrap();
        assert_eq!(model.decode(&[2, 3, 6, 4, 5, 7, 6, 1, 99]), "今天the unable.the");
    }

    #[test]
    fn damaged_files_are_refused() {
        let error = |bytes: &[u8]| {
            WordPiece::new(bytes, Settings::default(), Path::new("vocab.txt")).err().unwrap().to_string()
        };
        assert!(error(b"a\nb\n").contains("[UNK]: missing"));
        assert!(error(b"[UNK]\na\xff\n").contains("line 2: not UTF-8"));
        let config = serde_json::json!({"do_lower_case": 3});
        let error = Settings::parse(Path::new("tokenizer_config.json"), &config).unwrap_err().to_string();
        assert!(error.contains("do_lower_case: 3 is neither"));
    }
}
