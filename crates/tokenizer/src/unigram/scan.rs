//! Text to character codes: UTF-8 decoding, normalisation and the treatment of spaces in one pass.
//!
//! Nearly every character is one lookup in [`Classes`]. The others – those that a longer rule, a user-defined
//! piece or a replacement by several characters may concern, and those that no piece contains – go through
//! the normaliser's own step, [`Normalizer::prefix`], so that there is one definition of what is right.

use super::alphabet::{Alphabet, Classes, FIRST_SPECIAL, LATER, NO_CODE, SPACE};
use super::normalize::Normalizer;

/// Codes of [`NO_CODE`] that follow every text, so that the search may look ahead.
pub(crate) const PADDING: usize = 8;

/// A normalised text.
#[derive(Default)]
pub(crate) struct Codes {
    /// One code for every character, then at least [`PADDING`] times [`NO_CODE`].
    pub(crate) codes: Vec<u16>,
    /// How many characters there are.
    pub(crate) length: usize,
    /// The characters that have no code, with their places, in ascending order.
    pub(crate) strangers: Vec<(usize, char)>,
}

impl Codes {
    /// The character at a place.
    pub(crate) fn char(&self, alphabet: &Alphabet, place: usize) -> char {
        match self.codes[place] {
            NO_CODE => match self.strangers.binary_search_by_key(&place, |s| s.0) {
                Ok(i) => self.strangers[i].1,
                Err(_) => unreachable!("every character without a code is listed"),
            },
            code => alphabet.char(code),
        }
    }
}

/// Where the scanner stands in a text.
struct Scan<'a> {
    normalizer: &'a Normalizer,
    alphabet: &'a Alphabet,
    space: char,
    codes: &'a mut Vec<u16>,
    length: usize,
    strangers: &'a mut Vec<(usize, char)>,
    /// Whether a space would be one too many.
    after_space: bool,
}

impl Scan<'_> {
    /// Appends a character of the normalised text.
    fn push(&mut self, c: char) {
        let code = self.alphabet.code(c);
        if code == NO_CODE {
            self.strangers.push((self.length, c));
        }
        if self.length >= self.codes.len() {
            self.codes.resize(self.length + 64, NO_CODE);
        }
        self.codes[self.length] = code;
        self.length += 1;
    }

    /// Takes the first rule, piece or character of `input` (not empty) and returns its length.
    fn step(&mut self, input: &[u8]) -> usize {
        let (text, length) = self.normalizer.prefix(input);
        let text = if self.after_space { text.trim_start_matches(' ') } else { text };
        if !text.is_empty() {
            for c in text.chars() {
                self.push(if c == ' ' { self.space } else { c });
            }
            self.after_space = self.normalizer.remove_extra_whitespaces && text.ends_with(' ');
        }
        length
    }

    /// Drops what has been pushed since there were `length` characters.
    fn back_to(&mut self, length: usize) {
        self.length = length;
        while self.strangers.last().is_some_and(|s| s.0 >= length) {
            self.strangers.pop();
        }
    }
}

/// Normalises `text` into `out`, whose memory is used again.
pub(crate) fn scan(
    normalizer: &Normalizer,
    alphabet: &Alphabet,
    classes: &Classes,
    text: &[u8],
    out: &mut Codes,
) {
    let space = normalizer.space().chars().next().expect("one character");
    let space_code = alphabet.code(space);
    let remove_extra = normalizer.remove_extra_whitespaces;
    out.strangers.clear();
    let mut scan = Scan {
        normalizer,
        alphabet,
        space,
        codes: &mut out.codes,
        length: 0,
        strangers: &mut out.strangers,
        after_space: remove_extra,
    };
    let mut rest = text;
    if remove_extra {
        while !rest.is_empty() {
            let (prefix, length) = normalizer.prefix(rest);
            if prefix != " " {
                break;
            }
            rest = &rest[length..];
        }
    }
    if !rest.is_empty() {
        if normalizer.add_dummy_prefix && !normalizer.treat_whitespace_as_suffix {
            scan.push(space);
        }
        scan_body(&mut scan, classes, space_code, rest);
        if remove_extra {
            // As the library does: space symbols that the text itself ends with vanish too.
            let mut length = scan.length;
            while length > 0 && scan.codes[length - 1] == space_code {
                if space_code == NO_CODE && scan.strangers.last() != Some(&(length - 1, space)) {
                    break;
                }
                length -= 1;
                scan.back_to(length);
            }
        }
        if normalizer.add_dummy_prefix && normalizer.treat_whitespace_as_suffix {
            scan.push(space);
        }
    }
    let length = scan.length;
    out.length = length;
    if out.codes.len() < length + PADDING {
        out.codes.resize(length + PADDING, NO_CODE);
    }
    out.codes[length..length + PADDING].fill(NO_CODE);
}

/// The part of [`scan`] between the ends.
fn scan_body(scan: &mut Scan, classes: &Classes, space_code: u16, text: &[u8]) {
    let remove_extra = scan.normalizer.remove_extra_whitespaces;
    let mut at = 0;
    while at < text.len() {
        // One code for each byte that is left is enough for the quick loop.
        let needed = scan.length + (text.len() - at) + PADDING;
        if scan.codes.len() < needed {
            scan.codes.resize(needed, NO_CODE);
        }
        let codes = scan.codes.as_mut_slice();
        let (mut length, mut after_space) = (scan.length, scan.after_space);
        // Where the character before this one began, and what was known there: a rule may need both.
        let mut before = (at, length, after_space);
        let class = loop {
            let Some(&lead) = text.get(at) else { break None };
            let (class, bytes) = if lead < 0x80 {
                (classes.basic(u16::from(lead)), 1)
            } else if lead & 0xf0 == 0xe0 && at + 2 < text.len() {
                let (second, third) = (text[at + 1], text[at + 2]);
                let c = u32::from(lead & 15) << 12 | u32::from(second & 63) << 6 | u32::from(third & 63);
                // Longer than need be, or no continuation bytes; surrogates have no code anyway.
                if c < 0x800 || (second ^ 0x80) | (third ^ 0x80) >= 0x40 {
                    break Some(0);
                }
                (classes.basic(c as u16), 3)
            } else {
                match decode_other(&text[at..]) {
                    Some(c) => (classes.any(c), c.len_utf8()),
                    None => break Some(0),
                }
            };
            if class >= FIRST_SPECIAL {
                if class != SPACE {
                    break Some(class);
                }
                before = (at, length, after_space);
                codes[length] = space_code;
                length += usize::from(!after_space);
                after_space = remove_extra;
            } else {
                before = (at, length, after_space);
                codes[length] = class;
                length += 1;
                after_space = false;
            }
            at += bytes;
        };
        scan.length = length;
        scan.after_space = after_space;
        match class {
            None => {}
            Some(LATER) if before.0 != at => {
                let here = at;
                at = before.0;
                scan.back_to(before.1);
                scan.after_space = before.2;
                at += scan.step(&text[at..]);
                if at == here {
                    at += scan.step(&text[at..]);
                }
            }
            Some(_) => at += scan.step(&text[at..]),
        }
    }
}

/// The first character of `text`, if it is one of two or four bytes.
fn decode_other(text: &[u8]) -> Option<char> {
    let continuation = |i: usize| text.get(i).filter(|b| *b & 0xc0 == 0x80).map(|b| u32::from(b & 63));
    let lead = u32::from(text[0]);
    match lead {
        0xc2..=0xdf => char::from_u32((lead & 31) << 6 | continuation(1)?),
        0xf0..=0xf4 => {
            let c = (lead & 7) << 18 | continuation(1)? << 12 | continuation(2)? << 6 | continuation(3)?;
            char::from_u32(c).filter(|c| *c >= '\u{10000}')
        }
        _ => None,
    }
}
