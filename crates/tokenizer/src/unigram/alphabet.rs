//! Characters as small numbers: what the scanner looks up for every character of a text.
//!
//! Characters that occur in pieces get codes from 1, the frequent ones first, so that what belongs to them
//! lies together in memory. A second table says what a character of the *text* becomes: for nearly all of
//! them one code, found by one lookup, normalisation included.

use super::charsmap::Summary;
use std::collections::HashMap;

/// No character of any piece; also what follows the end of a text. No piece contains it.
pub(crate) const NO_CODE: u16 = 0;
/// More characters than this and the compact tables cannot be built.
pub(crate) const MAX_CODES: usize = 65_000;

// What a character of the text becomes, where that is not simply a code.

/// A space.
pub(crate) const SPACE: u16 = 0xffff;
/// To be looked at closely, together with the character before it: a longer key may match there.
pub(crate) const LATER: u16 = 0xfffe;
/// To be looked at closely.
pub(crate) const CLOSE: u16 = 0xfffd;
/// Below it are codes.
pub(crate) const FIRST_SPECIAL: u16 = CLOSE;

/// A value for every character, in pages of 256; pages without entries are shared.
pub(crate) struct Pages {
    /// For `character / 256`, where its page begins in `values`, in pages.
    index: Vec<u16>,
    values: Vec<u16>,
}

impl Pages {
    fn new(default: u16) -> Self {
        Self { index: vec![0; 0x11_0000 >> 8], values: vec![default; 256] }
    }

    fn set(&mut self, c: char, value: u16) {
        let page = &mut self.index[c as usize >> 8];
        if *page == 0 {
            *page = (self.values.len() >> 8) as u16;
            let default: Vec<u16> = self.values[..256].to_vec();
            self.values.extend_from_slice(&default);
        }
        self.values[(usize::from(*page) << 8) + (c as usize & 255)] = value;
    }

    pub(crate) fn get(&self, c: char) -> u16 {
        self.values[(usize::from(self.index[c as usize >> 8]) << 8) + (c as usize & 255)]
    }
}

/// The characters of the pieces.
pub(crate) struct Alphabet {
    /// The character of each code; that of [`NO_CODE`] means nothing.
    chars: Vec<char>,
    codes: Pages,
}

impl Alphabet {
    /// Numbers the characters of `pieces`, given with their scores: first those that are a piece, by score,
    /// then the others by how many pieces they are in. `None` when there are too many.
    pub(crate) fn new<'a>(pieces: impl Iterator<Item = (&'a str, f32)>) -> Option<Self> {
        // By character; untouched pages of it cost nothing.
        let mut counts = vec![0u32; 0x11_0000];
        let mut singles: HashMap<char, f32> = HashMap::new();
        for (piece, score) in pieces {
            let mut chars = piece.chars();
            if let (Some(c), "") = (chars.next(), chars.as_str()) {
                singles.insert(c, score);
            }
            piece.chars().for_each(|c| counts[c as usize] += 1);
        }
        let known = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut order: Vec<(char, f32, u32)> = known
            .filter_map(|(c, &count)| {
                let c = char::from_u32(c as u32)?;
                Some((c, singles.get(&c).copied().unwrap_or(f32::NEG_INFINITY), count))
            })
            .collect();
        if order.len() > MAX_CODES {
            return None;
        }
        order.sort_unstable_by(|(a, score_a, count_a), (b, score_b, count_b)| {
            score_b.total_cmp(score_a).then(count_b.cmp(count_a)).then(a.cmp(b))
        });
        let mut codes = Pages::new(NO_CODE);
        let mut chars = vec!['\0'];
        for (c, ..) in order {
            codes.set(c, chars.len() as u16);
            chars.push(c);
        }
        Some(Self { chars, codes })
    }

    /// Codes are below this number.
    pub(crate) fn len(&self) -> usize {
        self.chars.len()
    }

    /// The code of a character, or [`NO_CODE`].
    pub(crate) fn code(&self, c: char) -> u16 {
        self.codes.get(c)
    }

    /// The character of a code.
    pub(crate) fn char(&self, code: u16) -> char {
        self.chars[usize::from(code)]
    }

    /// What the characters of a text become; `space` is what a space is replaced by, and `first_of_protected`
    /// are the characters that user-defined pieces begin with.
    pub(crate) fn classes(
        &self,
        summary: Option<&Summary>,
        space: char,
        first_of_protected: impl Iterator<Item = char>,
    ) -> Classes {
        let space = if self.code(space) == NO_CODE { CLOSE } else { SPACE };
        let mut pages = Pages::new(CLOSE);
        for (code, &c) in self.chars.iter().enumerate().skip(1) {
            pages.set(c, code as u16);
        }
        pages.set(' ', space);
        for &(c, text) in summary.map_or(&[][..], |s| &s.single) {
            let mut chars = text.chars();
            let class = match (chars.next(), chars.next()) {
                (Some(' '), None) => space,
                (Some(to), None) if self.code(to) != NO_CODE => self.code(to),
                // Nothing, several characters, or one that no piece contains.
                _ => CLOSE,
            };
            pages.set(c, class);
        }
        for c in first_of_protected {
            pages.set(c, CLOSE);
        }
        for &c in summary.map_or(&[][..], |s| &s.leading) {
            // So that the scanner need not step back over spaces.
            if pages.get(c) == SPACE {
                pages.set(c, CLOSE);
            }
        }
        for &c in summary.map_or(&[][..], |s| &s.later) {
            pages.set(c, LATER);
        }
        let ascii = std::array::from_fn(|c| pages.get(char::from(c as u8)));
        let mut three_bytes = vec![CLOSE; 0x1_0000].into_boxed_slice();
        for c in (0x800..0x1_0000).filter_map(char::from_u32) {
            three_bytes[c as usize] = pages.get(c);
        }
        Classes { ascii, three_bytes: three_bytes.try_into().expect("made with this length"), pages }
    }
}

/// What each character of a text becomes: a code, or one of [`SPACE`], [`LATER`] and [`CLOSE`].
pub(crate) struct Classes {
    ascii: [u16; 128],
    /// [`CLOSE`] for what three bytes must not stand for: surrogates, and characters that need less.
    three_bytes: Box<[u16; 0x1_0000]>,
    pages: Pages,
}

impl Classes {
    /// The class of a character below 128.
    #[inline(always)]
    pub(crate) fn ascii(&self, c: u8) -> u16 {
        self.ascii[usize::from(c & 0x7f)]
    }

    /// The class of a character that was written with three bytes.
    #[inline(always)]
    pub(crate) fn three_bytes(&self, c: u16) -> u16 {
        self.three_bytes[usize::from(c)]
    }

    /// The class of any character.
    pub(crate) fn any(&self, c: char) -> u16 {
        self.pages.get(c)
    }
}
