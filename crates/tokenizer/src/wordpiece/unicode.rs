//! Characters as Python 3.11 sees them, whose `unicodedata` is Unicode 14: the reference tokenizers ask it.
//!
//! The crates and the standard library are newer. They differ for the characters that came after Unicode 14, which
//! are unassigned here: no case, no decomposition, no category. `tests/wordpiece.rs` checks every scalar value.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// Ranges of what Unicode 14 does not have and the crates do. `tools/wordpiece_exact.py` finds what is missing here.
#[rustfmt::skip]
const NEWER: [(u32, u32); 98] = [
    (0x5c8, 0x5c9), (0x897, 0x897), (0xcf3, 0xcf3), (0xece, 0xece), (0x1acf, 0x1af0), (0x1b4e, 0x1b4f),
    (0x1b7f, 0x1b7f), (0x1c89, 0x1c8a), (0x2427, 0x2429), (0x2ffc, 0x2fff), (0x31e4, 0x31e5),
    (0x31ef, 0x31ef), (0xa7cb, 0xa7cf), (0xa7d2, 0xa7d2), (0xa7d4, 0xa7d4), (0xa7da, 0xa7dc),
    (0xa7f1, 0xa7f1), (0x105c0, 0x105f3), (0x10d40, 0x10d65), (0x10d69, 0x10d85), (0x10d8e, 0x10d8f),
    (0x10ec2, 0x10ec5), (0x10ecb, 0x10ecf), (0x10ef0, 0x10eff), (0x1123f, 0x11241), (0x11380, 0x11389),
    (0x1138b, 0x1138b), (0x1138e, 0x1138e), (0x11390, 0x113b5), (0x113b7, 0x113c0), (0x113c2, 0x113c2),
    (0x113c5, 0x113c5), (0x113c7, 0x113ca), (0x113cc, 0x113d5), (0x113d7, 0x113d8), (0x113e1, 0x113e2),
    (0x116d0, 0x116e3), (0x11b00, 0x11b09), (0x11b60, 0x11b60), (0x11b62, 0x11b64), (0x11b66, 0x11b66),
    (0x11bc0, 0x11be1), (0x11bf0, 0x11bf9), (0x11dd9, 0x11dd9), (0x11f00, 0x11f10), (0x11f12, 0x11f3a),
    (0x11f3e, 0x11f5a), (0x1342f, 0x1342f), (0x13439, 0x13455), (0x13460, 0x143fa), (0x16100, 0x16139),
    (0x16d40, 0x16d79), (0x16ea0, 0x16eb8), (0x16ebb, 0x16ed3), (0x16ff2, 0x16ff3), (0x18cff, 0x18cff),
    (0x1b132, 0x1b132), (0x1b155, 0x1b155), (0x1cc00, 0x1ccf9), (0x1cd00, 0x1ceb3), (0x1d127, 0x1d128),
    (0x1d250, 0x1d252), (0x1d25b, 0x1d25c), (0x1d25f, 0x1d25f), (0x1d280, 0x1d281), (0x1d2c0, 0x1d2d3),
    (0x1df25, 0x1df2a), (0x1e030, 0x1e06d), (0x1e08f, 0x1e08f), (0x1e4d0, 0x1e4f9), (0x1e5d0, 0x1e5fa),
    (0x1e5ff, 0x1e5ff), (0x1e6e3, 0x1e6e3), (0x1e6e6, 0x1e6e6), (0x1e6ee, 0x1e6ef), (0x1e6f5, 0x1e6f5),
    (0x1e6ff, 0x1e6ff), (0x1f6dc, 0x1f6dc), (0x1f774, 0x1f776), (0x1f77b, 0x1f77f), (0x1f7d9, 0x1f7d9),
    (0x1f8b2, 0x1f8bb), (0x1f8c0, 0x1f8c1), (0x1fa75, 0x1fa77), (0x1fa87, 0x1fa89), (0x1fa8f, 0x1fa8f),
    (0x1faad, 0x1faaf), (0x1fabb, 0x1fabf), (0x1fac6, 0x1fac6), (0x1face, 0x1facf), (0x1fada, 0x1fadc),
    (0x1fadf, 0x1fadf), (0x1fae8, 0x1fae9), (0x1faf7, 0x1faf8), (0x1fbcb, 0x1fbef), (0x2b739, 0x2b739),
    (0x2ebf0, 0x2ee5d), (0x31350, 0x323af),
];

/// Whether a character came after Unicode 14.
pub(super) fn is_newer(c: char) -> bool {
    let c = u32::from(c);
    let after = NEWER.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= NEWER[after - 1].1
}

/// `unicodedata.category`.
pub(super) fn category(c: char) -> GeneralCategory {
    match c {
        // A spacing mark since Unicode 15.
        '\u{1171e}' => GeneralCategory::NonspacingMark,
        c if is_newer(c) => GeneralCategory::Unassigned,
        c => get_general_category(c),
    }
}

/// `str.lower`.
pub(super) fn lower(text: &str) -> String {
    // Σ becomes ς at the end of a word: two characters have changed what that is since Unicode 14. In their place
    // stands one, not in the text, that still behaves so.
    for (changed, stand_ins) in [('\u{295}', ['\u{138}', '\u{18d}']), ('\u{1171e}', ['\u{a9bc}', '\u{a8e0}'])]
    {
        if text.contains('Σ')
            && text.contains(changed)
            && let Some(stand_in) = stand_ins.into_iter().find(|c| !text.contains(*c))
        {
            let [from, to] = [changed, stand_in].map(String::from);
            return lower(&text.replace(&from, &to)).replace(&to, &from);
        }
    }
    between_newer(text, |part, out| out.push_str(&part.to_lowercase()))
}

/// `unicodedata.normalize("NFC", …)`.
pub(super) fn nfc(text: &str) -> String {
    between_newer(text, |part, out| out.extend(part.nfc()))
}

/// `unicodedata.normalize("NFD", …)` without the characters of category Mn.
pub(super) fn without_accents(text: &str) -> String {
    let mut bare = between_newer(text, |part, out| out.extend(part.nfd()));
    bare.retain(|c| category(c) != GeneralCategory::NonspacingMark);
    bare
}

/// Changes the parts between characters that Unicode 14 does not have; nothing acts across those.
fn between_newer(text: &str, change: impl Fn(&str, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_newer(*c)) {
        change(&rest[..at], &mut out);
        out.push(c);
        rest = &rest[at + c.len_utf8()..];
    }
    change(rest, &mut out);
    out
}

/// `str.isspace`: what `str.split` and `str.strip` go by.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// A space of BERT's (`_is_whitespace`, `_is_space`).
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r') || category(c) == GeneralCategory::SpaceSeparator
}

/// ASCII marks of any category, and categories P*.
pub(super) fn is_punctuation(c: char) -> bool {
    use GeneralCategory::*;
    c.is_ascii_punctuation()
        || matches!(
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

/// The blocks that BERT puts spaces around.
pub(super) fn is_chinese(c: char) -> bool {
    matches!(u32::from(c),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_ceaf | 0xf900..=0xfaff
        | 0x2_f800..=0x2_fa1f)
}

/// A digit of any script, `\d` of Python's `re`.
pub(super) fn is_digit(c: char) -> bool {
    category(c) == GeneralCategory::DecimalNumber
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::fmt::Write;

    #[test]
    fn every_scalar_value_is_as_in_python() {
        let expected = include_str!("../../tests/goldens/wordpiece/unicode.txt");
        assert_eq!(expected.lines().count(), 0x110);
        for (block, expected) in expected.lines().enumerate() {
            let first = block as u32 * 0x1000;
            let mut text = String::new();
            for c in (first..first + 0x1000).filter_map(char::from_u32) {
                let kind = category(c).abbreviation();
                let one = c.to_string();
                let (low, composed, bare) = (lower(&one), nfc(&one), without_accents(&one));
                let [last, inner, after] =
                    [format!("ΑΣ{c}"), format!("ΑΣ{c}Α"), format!("{c}Σ")].map(|text| lower(&text));
                writeln!(text, "{c}\t{kind}\t{low}\t{composed}\t{bare}\t{last}\t{inner}\t{after}").unwrap();
            }
            let hash: String =
                Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, expected, "among the 4,096 values from {first:#x} on");
        }
    }
}
