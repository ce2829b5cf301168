//! Cutting overlong texts so that their parts have the same pieces as the whole.
//!
//! A corpus may hold a whole book in one line. Tokenizing it at once would take memory in proportion, so
//! texts longer than a limit are cut, at a space wherever there is one: a tokenizer that drops spaces at
//! both ends of a text, puts one before it and has no piece with a space inside gives the parts exactly the
//! pieces of the whole. Whether the tokenizer at hand is such a one is tried out, not believed.

use t5kit_tokenizer::Tokenizer;

/// Knows where a text may be cut.
#[derive(Debug, Clone)]
pub(crate) struct Splitter {
    /// Characters at which the parts' pieces are those of the whole.
    separators: Vec<char>,
}

/// The end of a first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Its length in bytes, at a character's beginning (in UTF-8).
    pub end: usize,
    /// Whether the parts have the pieces of the whole; if not, there may be a piece or two more.
    pub exact: bool,
}

/// Characters that normalisers take for a space.
const CANDIDATES: [char; 4] = [' ', '\n', '\t', '\u{3000}'];

impl Splitter {
    /// Tries out at which characters `tokenizer` lets itself be cut.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        let spaced_inside = (0..tokenizer.vocab_size() as u32)
            .filter_map(|id| tokenizer.piece(id))
            .any(|piece| piece.chars().skip(1).any(|c| c == '\u{2581}'));
        if spaced_inside {
            return Self { separators: Vec::new() };
        }
        const SAMPLES: [&str; 5] = ["今天", "word", "。”", "3.14", "的"];
        let cuts = |&separator: &char| {
            SAMPLES.iter().all(|left| {
                SAMPLES.iter().all(|right| {
                    let whole = tokenizer.encode(&format!("{left}{separator}{right}"));
                    let parts = [tokenizer.encode(left), tokenizer.encode(&format!("{separator}{right}"))];
                    whole == parts.concat() && tokenizer.encode(&format!("{left}{separator}")) == parts[0]
                })
            })
        };
        Self { separators: CANDIDATES.into_iter().filter(cuts).collect() }
    }

    /// Where to cut `text`, of which at most `limit` bytes (at least 4) may be the first part: before the
    /// last single separator between plain characters there, else before the last character.
    pub fn cut(&self, text: &[u8], limit: usize) -> Cut {
        let window = &text[..limit.min(text.len())];
        for end in (1..window.len()).rev() {
            let separator = self.separators.iter().find(|c| starts_with(&text[end..], **c));
            if let Some(separator) = separator
                && is_plain(last_char(&window[..end]))
                && is_plain(first_char(&text[end + separator.len_utf8()..]))
            {
                return Cut { end, exact: true };
            }
        }
        let mut end = window.len();
        while end < text.len() && end > window.len() - 3 && text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        Cut { end, exact: end == text.len() }
    }

    /// The parts of `text` that are to be tokenized one by one, none longer than `limit` bytes, and how
    /// many of the cuts between them are not exact.
    pub fn parts<'a>(&self, text: &'a str, limit: usize) -> (Vec<&'a str>, u64) {
        let (mut parts, mut forced, mut rest) = (Vec::new(), 0, text);
        while rest.len() > limit {
            let cut = self.cut(rest.as_bytes(), limit);
            forced += u64::from(!cut.exact);
            let (part, after) = rest.split_at(cut.end);
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        (parts, forced)
    }
}

fn starts_with(text: &[u8], c: char) -> bool {
    text.starts_with(c.encode_utf8(&mut [0; 4]).as_bytes())
}

/// Whether normalisers do nothing strange to a character beside a space: they drop U+2581 at the end of a
/// text, for one, and take invisible characters for spaces.
fn is_plain(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c.is_ascii_punctuation() || "。，、；：？！”’）》".contains(c))
}

/// The first character; none where the bytes do not begin with one.
fn first_char(text: &[u8]) -> Option<char> {
    let head = &text[..text.len().min(4)];
    match std::str::from_utf8(head) {
        Ok(head) => head.chars().next(),
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?.chars().next(),
    }
}

/// The last character; none where the bytes do not end with one.
fn last_char(text: &[u8]) -> Option<char> {
    let tail = &text[text.len().saturating_sub(4)..];
    (0..tail.len()).find_map(|i| std::str::from_utf8(&tail[i..]).ok())?.chars().next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splitter(separators: &[char]) -> Splitter {
        Splitter { separators: separators.to_vec() }
    }

    #[test]
    fn cuts_at_the_last_separator() {
        let s = splitter(&[' ', '\u{3000}']);
        assert_eq!(s.cut(b"ab cd ef", 7), Cut { end: 5, exact: true });
        assert_eq!(s.cut(b"ab cd ef", 5), Cut { end: 2, exact: true });
        assert_eq!(s.cut("今天\u{3000}好的".as_bytes(), 12), Cut { end: 6, exact: true });
        assert_eq!(s.cut("今天。 好的".as_bytes(), 13), Cut { end: 9, exact: true });
        // A separator at the very beginning would leave an empty part.
        assert_eq!(s.cut(b" abcdef", 5), Cut { end: 5, exact: false });
        // Not beside other spaces, U+2581 or invisible characters.
        for text in ["今天\u{2581} 好的吗", "今天 \u{2581}好的吗", "今天  好的吗", "今天\u{200b} 好的吗"]
        {
            assert!(!s.cut(text.as_bytes(), 13).exact, "{text}");
        }
    }

    #[test]
    fn without_a_separator_between_characters() {
        let s = splitter(&[]);
        for (limit, end) in [(4, 3), (5, 3), (6, 6), (7, 6)] {
            assert_eq!(s.cut("今天好".as_bytes(), limit), Cut { end, exact: false }, "{limit}");
        }
        // Neither does it loop on bytes that are no UTF-8.
        assert_eq!(s.cut(&[0x80; 10], 5), Cut { end: 2, exact: false });
    }

    #[test]
    fn parts_are_the_whole() {
        let text = "今天天气 不错 ".repeat(50) + &"啊".repeat(40);
        for limit in [4, 7, 30, 1000] {
            let (parts, forced) = splitter(&[' ']).parts(&text, limit);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|p| !p.is_empty() && p.len() <= limit));
            assert_eq!(forced == 0, limit == 1000, "{limit}: {forced}");
        }
        assert_eq!(splitter(&[' ']).parts("", 10), (vec![""], 0));
    }
}
