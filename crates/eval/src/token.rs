//! Text to tokens: one character, one token, after lower-casing.
//!
//! The reference joins the characters of a line with spaces and lower-cases the result; ROUGE and BLEU then cut
//! that string in two different ways. Both cuts are made here straight from the text:
//!
//! - BLEU cuts at single spaces (`split(" ")`): a space in the text becomes two empty tokens, an empty text one.
//! - ROUGE cuts into sentences at `.`, then each sentence at white space (`split()`), and later at single spaces
//!   again, by which a sentence of white space alone becomes one empty token.

/// A lower-cased character, or one of the two tokens that are not one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u32);

impl Token {
    /// The empty string.
    pub const EMPTY: Token = Token(0x11_0000);
    /// `İ` (U+0130), the one character whose lower case is two characters.
    const DOTTED_I: Token = Token(0x11_0001);

    /// The token of one character.
    ///
    /// Lower case is context-free here: the spaces around every character hide its neighbours from the rule of
    /// the final sigma.
    pub fn of(c: char) -> Token {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(only), None) => Token(only as u32),
            _ => Token::DOTTED_I,
        }
    }

    /// The token as a number below 2^21.
    pub fn id(self) -> u32 {
        self.0
    }
}

/// White space as Python's `str.split` sees it: Unicode's `White_Space` and the four information separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether the text holds nothing but white space.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// The tokens that BLEU counts: `" ".join(text).lower().split(" ")`. Never empty.
pub fn bleu_tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 2 + 1);
    for c in text.chars() {
        if c == ' ' {
            tokens.extend([Token::EMPTY; 2]);
        } else {
            tokens.push(Token::of(c));
        }
    }
    if tokens.is_empty() {
        tokens.push(Token::EMPTY);
    }
    tokens
}

/// The sentences that ROUGE compares, none of them without a token. Empty for an empty text and for a text of
/// one dot; two dots hold an empty sentence between them.
pub fn rouge_sentences(text: &str) -> Vec<Vec<Token>> {
    let mut sentences = Vec::new();
    let dots = text.matches('.').count();
    for (i, part) in text.split('.').enumerate() {
        // The joining spaces belong to the parts, so a part without characters has a length only between two
        // dots; one before the first dot or after the last is dropped as empty.
        if part.is_empty() && (i == 0 || i == dots) {
            continue;
        }
        let mut sentence: Vec<Token> = part.chars().filter(|&c| !is_space(c)).map(Token::of).collect();
        if sentence.is_empty() {
            sentence.push(Token::EMPTY);
        }
        sentences.push(sentence);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Token> {
        text.chars().map(Token::of).collect()
    }

    #[test]
    fn a_space_is_two_empty_tokens_for_bleu() {
        assert_eq!(bleu_tokens(""), [Token::EMPTY]);
        assert_eq!(bleu_tokens(" "), [Token::EMPTY; 2]);
        assert_eq!(bleu_tokens("A\tb"), of("a\tb"));
        let e = Token::EMPTY;
        assert_eq!(bleu_tokens(" 好 "), [e, e, Token::of('好'), e, e]);
    }

    #[test]
    fn dots_end_sentences_and_white_space_vanishes_for_rouge() {
        let empty = vec![Token::EMPTY];
        assert_eq!(rouge_sentences(""), Vec::<Vec<Token>>::new());
        assert_eq!(rouge_sentences("."), Vec::<Vec<Token>>::new());
        assert_eq!(rouge_sentences(".."), vec![empty.clone()]);
        assert_eq!(rouge_sentences(" "), vec![empty.clone()]);
        assert_eq!(rouge_sentences("a b.C."), vec![of("ab"), of("c")]);
        assert_eq!(rouge_sentences("a. \u{1f}.b"), vec![of("a"), empty, of("b")]);
    }

    #[test]
    fn only_one_character_has_a_lower_case_of_two() {
        let two: Vec<char> =
            (0..=0x10ffff).filter_map(char::from_u32).filter(|c| c.to_lowercase().count() != 1).collect();
        assert_eq!(two, ['İ']);
        assert_eq!(Token::of('İ'), Token::DOTTED_I);
        assert_eq!(Token::of('Σ'), Token::of('σ'));
        assert_ne!(Token::of('İ'), Token::of('i'));
    }
}
