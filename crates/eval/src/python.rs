//! Strings as Python sees them: white space, word characters and punctuation by Unicode's categories.

use unicode_general_category::GeneralCategory::{self, *};
use unicode_general_category::get_general_category as category;

pub use crate::token::is_space;

/// `str.split()`: the parts between white space, none of them empty.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|part| !part.is_empty())
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What `\w` of `re` matches: letters, numbers of every kind, and the underscore; no combining marks.
pub fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '_';
    }
    is_letter(category(c)) || is_number(c)
}

fn is_letter(of: GeneralCategory) -> bool {
    matches!(of, UppercaseLetter | LowercaseLetter | TitlecaseLetter | ModifierLetter | OtherLetter)
}

/// `\p{N}`.
pub fn is_number(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    matches!(category(c), DecimalNumber | LetterNumber | OtherNumber)
}

/// `\p{P}`.
pub fn is_punctuation(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_punctuation() && !is_ascii_symbol(c);
    }
    matches!(
        category(c),
        ConnectorPunctuation
            | DashPunctuation
            | OpenPunctuation
            | ClosePunctuation
            | InitialPunctuation
            | FinalPunctuation
            | OtherPunctuation
    )
}

/// `\p{S}`.
pub fn is_symbol(c: char) -> bool {
    if c.is_ascii() {
        return is_ascii_symbol(c);
    }
    matches!(category(c), MathSymbol | CurrencySymbol | ModifierSymbol | OtherSymbol)
}

fn is_ascii_symbol(c: char) -> bool {
    matches!(c, '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_has_its_categories() {
        for c in (0..128u8).map(char::from) {
            let of = category(c);
            assert_eq!(
                is_symbol(c),
                matches!(of, MathSymbol | CurrencySymbol | ModifierSymbol | OtherSymbol),
                "{c:?}"
            );
            assert_eq!(is_word(c), is_letter(of) || of == DecimalNumber || c == '_', "{c:?}");
            assert_eq!(is_punctuation(c) || is_symbol(c), c.is_ascii_punctuation(), "{c:?}");
        }
    }

    #[test]
    fn parts_and_kinds() {
        assert_eq!(split("\u{3000}a\u{1c}b \n").collect::<Vec<_>>(), ["a", "b"]);
        assert!(is_word('好') && is_word('²') && is_word('Ⅷ') && !is_word('\u{301}') && !is_word('，'));
        assert!(
            is_punctuation('，')
                && is_punctuation('%')
                && is_symbol('€')
                && is_symbol('🎉')
                && is_number('٣')
        );
    }
}
