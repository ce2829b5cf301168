//! Pieces to text as bert4keras' `Tokenizer.decode` does it: what a reader of Chinese expects, without spaces between
//! Chinese characters, with one after Western punctuation.

use super::unicode::{is_chinese, is_digit, is_punctuation, is_python_space};

/// Marks after which no space stays.
const TIGHT: &str = "＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､\u{3000}、〃〈〉《》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟\
    〰〾〿–—‘’‛“”„‟…‧﹏﹑﹔·！？｡。+-/={(<[";

/// The text of pieces; those in brackets vanish.
pub(super) fn decode<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (i, piece) in pieces.filter(|piece| !(piece.starts_with('[') && piece.ends_with(']'))).enumerate() {
        let mut chars = piece.chars();
        let single = chars.next().filter(|_| chars.as_str().is_empty());
        if let Some(rest) = piece.strip_prefix("##") {
            text.push_str(rest);
        } else if single.is_some_and(is_chinese) {
            text.push_str(piece);
        } else if single.is_some_and(is_punctuation) {
            text.push_str(piece);
            text.push(' ');
        } else {
            if i == 0 || !text.chars().next_back().is_some_and(is_chinese) {
                text.push(' ');
            }
            text.push_str(piece);
        }
    }
    let text = join_decimals(&tighten(&join_endings(&text)));
    text.trim_matches(is_python_space).to_owned()
}

/// Runs of spaces become one; `' s ` becomes `'s `.
fn join_endings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !(c == ' ' && out.ends_with(' ')) {
            out.push(c);
        }
    }
    let mut joined = String::with_capacity(out.len());
    let mut rest = &*out;
    while let Some(at) = rest.find("' ") {
        let (before, after) = (&rest[..at + 1], &rest[at + 2..]);
        joined.push_str(before);
        let ending =
            ["re ", "m ", "s ", "t ", "ve ", "d ", "ll "].iter().find(|end| after.starts_with(**end));
        match ending {
            Some(ending) => {
                joined.push_str(ending);
                rest = &after[ending.len()..];
            }
            None => {
                joined.push(' ');
                rest = after;
            }
        }
    }
    joined + rest
}

/// No space after a mark of [`TIGHT`].
fn tighten(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut tight = false;
    for c in text.chars() {
        if !(tight && c == ' ') {
            out.push(c);
        }
        tight = TIGHT.contains(c);
    }
    out
}

/// `3. 14` becomes `3.14`; a digit that has been joined begins no other number (as `re.sub` has it).
fn join_decimals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        if let [a, '.', ' ', b, ..] = chars[at..]
            && is_digit(a)
            && is_digit(b)
        {
            out.extend([a, '.', b]);
            at += 4;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn spaces_stand_between_latin_words_and_after_punctuation() {
        let text = |pieces: &str| decode(pieces.split(' '));
        assert_eq!(text("今 天 天气 the un ##able . the [SEP] 今 the"), "今天天气the unable. the今the");
        assert_eq!(text("it ' s , 3 . 14 . 15 ( a ) 「 b 」"), "it' s, 3.14.15(a) 「b」");
        assert_eq!(text("a ##a ' t x 1 . 2 . 3"), "aa't x 1.2. 3");
        assert_eq!(text("[UNK] ##a"), "a");
        assert_eq!(text(""), "");
    }
}
