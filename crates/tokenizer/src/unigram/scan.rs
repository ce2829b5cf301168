//! Text to character codes: UTF-8 decoding, normalisation and the treatment of spaces in one pass.
//!
//! Nearly every character is one lookup in [`Classes`]. The others – those that a longer rule, a user-defined
//! piece or a replacement by several characters may concern, and those that no piece contains – go through
//! the normaliser's own step, [`Normalizer::prefix`], so that there is one definition of what is right.

use super::alphabet::{Alphabet, CLOSE, Classes, FIRST_SPECIAL, LATER, NO_CODE, SPACE};
use super::normalize::{Normalizer, first_char};

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
    /// Ends the text after `length` characters.
    fn finish(&mut self, length: usize) {
        self.length = length;
        if self.codes.len() < length + PADDING {
            self.codes.resize(length + PADDING, NO_CODE);
        }
        self.codes[length..length + PADDING].fill(NO_CODE);
    }

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

/// Normalises `text` into `out`, whose memory is used again. Without `prefix` the text gets no space that it does not
/// have.
pub(crate) fn scan(
    normalizer: &Normalizer,
    alphabet: &Alphabet,
    classes: &Classes,
    text: &[u8],
    prefix: bool,
    out: &mut Codes,
) {
    let dummy_prefix = normalizer.add_dummy_prefix && prefix;
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
        if dummy_prefix && !normalizer.treat_whitespace_as_suffix {
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
        if dummy_prefix && normalizer.treat_whitespace_as_suffix {
            scan.push(space);
        }
    }
    let length = scan.length;
    out.finish(length);
}

/// The codes of a text that is normalised already.
pub(crate) fn scan_normalized(alphabet: &Alphabet, text: &str, out: &mut Codes) {
    out.strangers.clear();
    out.codes.clear();
    for (place, c) in text.chars().enumerate() {
        let code = alphabet.code(c);
        if code == NO_CODE {
            out.strangers.push((place, c));
        }
        out.codes.push(code);
    }
    let length = out.codes.len();
    out.finish(length);
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
        let run = at;
        let mut codes = scan.codes[scan.length..].iter_mut();
        let mut after_space = scan.after_space;
        let class = loop {
            let Some((class, bytes)) = classify(classes, text, at) else { break None };
            if class >= FIRST_SPECIAL {
                if class != SPACE {
                    break Some(class);
                }
                if !after_space {
                    *codes.next().expect("one for each byte") = space_code;
                }
                after_space = remove_extra;
            } else {
                *codes.next().expect("one for each byte") = class;
                after_space = false;
            }
            at += bytes;
        };
        let left = codes.len();
        let length = scan.codes.len() - left;
        let before_run = std::mem::replace(&mut scan.after_space, after_space);
        scan.length = length;
        let Some(class) = class else { return };
        if class == LATER && at > run {
            // A rule may match the character before and this one.
            let before = char_before(text, at);
            // None that begins with a space does: see `Alphabet::classes`.
            if classify(classes, text, before).is_some_and(|(class, _)| class != SPACE) {
                scan.length -= 1;
                scan.after_space = if before == run {
                    before_run
                } else {
                    let class = classify(classes, text, char_before(text, before));
                    remove_extra && class.is_some_and(|(class, _)| class == SPACE)
                };
                let next = before + scan.step(&text[before..]);
                if next > at {
                    at = next;
                    continue;
                }
            }
        }
        at += scan.step(&text[at..]);
    }
}

/// The class of the character at `at` and its length in bytes; bytes that are no character are to be looked
/// at closely. `None` at the end.
#[inline(always)]
fn classify(classes: &Classes, text: &[u8], at: usize) -> Option<(u16, usize)> {
    let rest = &text[at..];
    if let Some(head) = rest.first_chunk::<4>() {
        let head = u32::from_le_bytes(*head);
        // A character of three bytes: 1110xxxx 10xxxxxx 10xxxxxx, the first byte lowest.
        if head & 0x00c0_c0f0 == 0x0080_80e0 {
            let c = (head & 0x0f) << 12 | (head >> 8 & 0x3f) << 6 | head >> 16 & 0x3f;
            return Some((classes.three_bytes(c as u16), 3));
        }
        if head & 0x80 == 0 {
            return Some((classes.ascii((head & 0x7f) as u8), 1));
        }
    }
    classify_other(classes, rest)
}

/// [`classify`] for characters of two or four bytes, and near the end of the text.
fn classify_other(classes: &Classes, rest: &[u8]) -> Option<(u16, usize)> {
    if rest.is_empty() {
        return None;
    }
    Some(match first_char(rest) {
        Some(text) => {
            let c = text.chars().next().expect("one character");
            (classes.any(c), text.len())
        }
        None => (CLOSE, 1),
    })
}

/// Where the character before `at` begins, which is a valid one.
fn char_before(text: &[u8], at: usize) -> usize {
    let length = text[..at].iter().rev().position(|byte| byte & 0xc0 != 0x80);
    at - 1 - length.expect("a valid character ends here")
}
