//! Characters and pieces that are kept whatever their counts: built-in sets and files.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use t5kit_formats::encoding::{Encoding, decode};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use t5kit_formats::inputs::hex;

/// Names of the built-in sets with what is in them.
pub const SETS: [(&str, &str); 5] = [
    ("hanzi-common", "the 3,500 characters of level 1 of the 通用规范汉字表 (2013)"),
    ("hanzi-gb2312", "the 6,763 characters of GB/T 2312-1980"),
    ("punctuation-zh", "Chinese punctuation by GB/T 15834-2011, and its full-width companions"),
    ("ascii", "the 94 printable ASCII characters"),
    ("ascii-pieces", "all pieces of ASCII characters, with or without a space before them"),
];

const HANZI_COMMON: &str = include_str!("sets/hanzi_common.txt");
const HANZI_GB2312: &str = include_str!("sets/hanzi_gb2312.txt");
/// Stops, pauses, quotes, brackets, dash, ellipsis, emphasis, connectors, interpunct, titles, proper names
/// and slash, in the order of the standard, vertical quotes included; then full-width signs in common use.
const PUNCTUATION_ZH: &str = "。？！，、；：“”‘’『』「」﹁﹂﹃﹄（）［］〔〕【】—…．－～·《》〈〉＿／｛｝＂＇％＃＠＆＊＋＝＜＞｜＼＾｀￥";

/// What one `--require` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Required {
    /// The set's name or the file.
    pub name: String,
    /// SHA-256 of the file, in hexadecimal; none for built-in sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Ids of the pieces it comes to, ascending.
    #[serde(skip)]
    pub ids: Vec<u32>,
    /// How many pieces that are.
    pub pieces: usize,
    /// Characters for which the tokenizer has no piece, so that they stay bytes or unknown.
    pub missing: Vec<String>,
}

impl Required {
    /// The pieces that a built-in set, or else the file of that name, asks for.
    ///
    /// A line of a file that is one of the tokenizer's pieces (with `▁` for a space) asks for that piece,
    /// any other line for each of its characters. Characters are taken as the tokenizer normalises them: `，`
    /// asks for `,` of a tokenizer to which they are the same.
    ///
    /// # Errors
    /// [`Error::Files`] where the file cannot be read, [`Error::List`] where it is not UTF-8 or empty.
    pub fn new(tokenizer: &Tokenizer, name: &str) -> Result<Self, Error> {
        let mut required =
            Self { name: name.to_owned(), sha256: None, ids: vec![], pieces: 0, missing: vec![] };
        let ascii: String;
        match name {
            "hanzi-common" => required.add_characters(tokenizer, HANZI_COMMON),
            "hanzi-gb2312" => required.add_characters(tokenizer, HANZI_GB2312),
            "punctuation-zh" => required.add_characters(tokenizer, PUNCTUATION_ZH),
            "ascii" => {
                ascii = ('!'..='~').collect();
                required.add_characters(tokenizer, &ascii);
            }
            "ascii-pieces" => required.add_ascii_pieces(tokenizer),
            _ => required.add_file(tokenizer, Path::new(name))?,
        }
        // A character that begins a word needs the space before it as a piece of its own.
        required.ids.extend(tokenizer.id_of("\u{2581}"));
        required.ids.sort_unstable();
        required.ids.dedup();
        required.pieces = required.ids.len();
        required.missing.sort_unstable();
        required.missing.dedup();
        Ok(required)
    }

    /// What WordPiece needs where longer pieces are left out: the characters of all pieces of several that were counted, so
    /// that no text of theirs becomes unknown. A character that is no piece keeps those that hold it. `None` for
    /// tokenizers of another kind.
    pub(crate) fn reachable(tokenizer: &Tokenizer, counts: &[u64]) -> Option<Self> {
        tokenizer.characters(0)?;
        let name = "characters of counted pieces".to_owned();
        let mut required = Self { name, sha256: None, ids: vec![], pieces: 0, missing: vec![] };
        for (id, _) in (0..).zip(counts).filter(|&(id, &n)| n > 0 && !tokenizer.is_special(id)) {
            let characters = tokenizer.characters(id).unwrap_or_default();
            if characters.len() < 2 {
                continue;
            }
            if characters.contains(&None) {
                required.ids.push(id);
            }
            required.ids.extend(characters.into_iter().flatten());
        }
        required.ids.sort_unstable();
        required.ids.dedup();
        required.pieces = required.ids.len();
        Some(required)
    }

    fn add_ascii_pieces(&mut self, tokenizer: &Tokenizer) {
        let ascii = |piece: &str| !piece.is_empty() && piece.replace('\u{2581}', "").is_ascii();
        let ids = 0..tokenizer.vocab_size() as u32;
        self.ids.extend(ids.filter(|&id| tokenizer.piece(id).is_some_and(ascii)));
    }

    fn add_file(&mut self, tokenizer: &Tokenizer, path: &Path) -> Result<(), Error> {
        let bad = |what: String| Error::List { path: path.to_path_buf(), what };
        if !path.exists() {
            let names: Vec<&str> = SETS.iter().map(|(name, _)| *name).collect();
            return Err(bad(format!("neither a file nor a built-in set ({})", names.join(", "))));
        }
        let bytes = std::fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
        t5kit_formats::foreign::check(path, &bytes)?;
        self.sha256 = Some(hex(&Sha256::digest(&bytes)));
        let text = decode(&bytes, Encoding::Auto)
            .ok_or_else(|| bad("neither UTF-8 nor GB18030 nor UTF-16; save it as UTF-8".into()))?;
        if text.trim().is_empty() {
            return Err(bad("nothing is required in it".into()));
        }
        for line in text.lines() {
            match tokenizer.id_of(line) {
                Some(id) => self.ids.push(id),
                None => self.add_characters(tokenizer, line),
            }
        }
        Ok(())
    }

    fn add_characters(&mut self, tokenizer: &Tokenizer, text: &str) {
        for character in text.chars().filter(|c| !c.is_whitespace()) {
            let character = character.to_string();
            let ids = tokenizer.encode(&character);
            // What is unknown to the tokenizer has no normalised form to be had from its ids.
            let normalized =
                if ids.contains(&tokenizer.unk_id()) { character.clone() } else { tokenizer.decode(&ids) };
            for c in normalized.chars().filter(|c| !c.is_whitespace()) {
                match tokenizer.id_of(c.encode_utf8(&mut [0; 4])) {
                    Some(id) => self.ids.push(id),
                    None => self.missing.push(character.clone()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_what_they_say() {
        let hanzi = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>();
        let (common, gb2312) = (hanzi(HANZI_COMMON), hanzi(HANZI_GB2312));
        assert_eq!((common.len(), gb2312.len()), (3500, 6763));
        for set in [common, gb2312, hanzi(PUNCTUATION_ZH)] {
            let distinct: std::collections::HashSet<char> = set.iter().copied().collect();
            assert_eq!(distinct.len(), set.len());
        }
        assert!(hanzi(HANZI_COMMON).iter().all(|c| ('\u{4e00}'..='\u{9fff}').contains(c)));
        assert_eq!(('!'..='~').count(), 94);
    }
}
