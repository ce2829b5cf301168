//! sacreBLEU's tokenizers `13a`, `zh`, `char` and `intl`: text to words separated by white space.

use crate::python::{is_number, is_punctuation, is_symbol, strip};
use crate::token::is_space;

/// How BLEU cuts texts into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tokenizer {
    /// As `mteval-v13a.pl`, of WMT, has it; the default.
    V13a,
    /// Every Chinese character a token, the rest as `13a`.
    Zh,
    /// Every character a token.
    Char,
    /// As `mteval-v14.pl` has it for all of Unicode.
    Intl,
}

impl Tokenizer {
    /// All of them.
    pub const ALL: [Tokenizer; 4] = [Tokenizer::V13a, Tokenizer::Zh, Tokenizer::Char, Tokenizer::Intl];

    /// The name in sacreBLEU.
    pub fn name(self) -> &'static str {
        match self {
            Tokenizer::V13a => "13a",
            Tokenizer::Zh => "zh",
            Tokenizer::Char => "char",
            Tokenizer::Intl => "intl",
        }
    }

    /// The text with white space between its tokens. White space at its end is no part of it.
    pub fn cut(self, text: &str) -> String {
        let text = text.trim_end_matches(is_space);
        match self {
            Tokenizer::V13a => {
                let mut line = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
                if line.contains('&') {
                    for (from, to) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
                        line = line.replace(from, to);
                    }
                }
                western(&format!(" {line} "))
            }
            Tokenizer::Zh => western(&apart(strip(text), is_chinese)),
            Tokenizer::Char => apart(text, |_| true),
            Tokenizer::Intl => {
                // A mark after what is no number, then one before it: it stays within 1,000 and 3.5.
                let text = pairs(text, |a, b| !is_number(a) && is_punctuation(b), [false, true, true]);
                let text = pairs(&text, |a, b| is_punctuation(a) && !is_number(b), [true, true, false]);
                apart(&text, is_symbol)
            }
        }
    }
}

/// Spaces around every character that `is` one to stand apart.
fn apart(text: &str, is: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for c in text.chars() {
        if is(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Spaces before, within and after every pair of neighbours that `is` one; pairs do not overlap, the first wins.
fn pairs(text: &str, is: impl Fn(char, char) -> bool, [before, within, after]: [bool; 3]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text.chars();
    while let Some(a) = rest.next() {
        match rest.clone().next() {
            Some(b) if is(a, b) => {
                rest.next();
                let space = |wanted: bool| if wanted { " " } else { "" };
                out += space(before);
                out.push(a);
                out += space(within);
                out.push(b);
                out += space(after);
            }
            _ => out.push(a),
        }
    }
    out
}

/// The language-dependent part of `13a`, for Western languages.
fn western(text: &str) -> String {
    let is_mark = |c| matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/');
    let is_point = |c: char| c == '.' || c == ',';
    let text = apart(text, is_mark);
    let text = pairs(&text, |a, b| !a.is_ascii_digit() && is_point(b), [false, true, true]);
    let text = pairs(&text, |a, b| is_point(a) && !b.is_ascii_digit(), [true, true, false]);
    pairs(&text, |a, b| a.is_ascii_digit() && b == '-', [false, true, true])
}

/// What `zh` holds for a Chinese character.
///
/// Two of its ranges are written with five digits after `\u`, which Python reads as a character and a digit, so
/// U+2001 to U+2A6D and U+2F81 to U+2FA1 count and no character beyond the basic plane does.
fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}'
        | '\u{fa30}'..='\u{fa6a}' | '\u{fa70}'..='\u{fad9}' | '\u{2001}'..='\u{2a6d}' | '\u{2e80}'..='\u{2fdf}'
        | '\u{2ff0}'..='\u{303f}' | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31c0}'..='\u{31ef}'
        | '\u{3200}'..='\u{33ff}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::python::split;

    fn tokens(tokenizer: Tokenizer, text: &str) -> Vec<String> {
        split(&tokenizer.cut(text)).map(String::from).collect()
    }

    #[test]
    fn marks_points_and_dashes() {
        assert_eq!(tokens(Tokenizer::V13a, "It's 3.5, ok."), ["It's", "3.5", ",", "ok", "."]);
        assert_eq!(tokens(Tokenizer::V13a, "1-2 a-b &amp;lt;"), ["1", "-", "2", "a-b", "<"]);
        assert_eq!(tokens(Tokenizer::Zh, "涨3.5%，好"), ["涨", "3.5", "%", "，", "好"]);
        assert_eq!(tokens(Tokenizer::Zh, "\u{2000}a…b"), ["a", "…", "b"]);
        assert_eq!(tokens(Tokenizer::Char, "a b\u{3000}"), ["a", "b"]);
        assert_eq!(tokens(Tokenizer::Intl, "1,000元（€5）。"), ["1,000元", "（", "€", "5", "）", "。"]);
    }
}
