//! ByT5: every byte of UTF-8 is a token, its id the byte plus 3 (Xue et al. 2022, section 3).
//!
//! Names of special tokens in a text stand for them, and sentinels follow the bytes, `<extra_id_0>` first: as in
//! transformers' `ByT5Tokenizer`.

use crate::added::Added;
use t5kit_formats::spiece::{PieceKind, is_sentinel};

pub(crate) const PAD: u32 = 0;
pub(crate) const EOS: u32 = 1;
pub(crate) const UNK: u32 = 2;
/// The id of byte 0.
const FIRST_BYTE: u32 = 3;
/// The id of `<extra_id_0>`.
const FIRST_SENTINEL: u32 = FIRST_BYTE + 256;

/// The tokenizer; there is nothing to read.
pub(crate) struct ByT5 {
    /// The names of all pieces.
    names: Vec<String>,
}

impl ByT5 {
    pub(crate) fn new(sentinels: u32) -> Self {
        let special = ["<pad>", "</s>", "<unk>"].map(String::from);
        let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
        let sentinels = (0..sentinels).map(|n| format!("<extra_id_{n}>"));
        Self { names: special.into_iter().chain(bytes).chain(sentinels).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize).map(String::as_str)
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        Some(match id {
            PAD | EOS => PieceKind::Control,
            UNK => PieceKind::Unknown,
            FIRST_BYTE..FIRST_SENTINEL => PieceKind::Byte,
            _ if (id as usize) < self.len() => PieceKind::UserDefined,
            _ => return None,
        })
    }

    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        self.names.iter().position(|name| name == piece).map(|id| id as u32)
    }

    /// The special token that `text` begins with, and its length in bytes.
    fn special(&self, text: &[u8]) -> Option<(u32, usize)> {
        let end = text.iter().take(16).position(|&byte| byte == b'>')?;
        let name = std::str::from_utf8(&text[..=end]).ok()?;
        let special = matches!(name, "<pad>" | "</s>" | "<unk>") || is_sentinel(name);
        Some((self.id_of(name).filter(|_| special)?, end + 1))
    }

    /// Appends the ids of a text. Space around `<pad>`, `</s>` and `<unk>` vanishes, around sentinels it does not.
    pub(crate) fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        let mut start = 0;
        let mut after_special = false;
        let flush = |plain: &[u8], after_special, before_special, ids: &mut Vec<u32>| {
            let plain = if after_special { trim_start(plain) } else { plain };
            let plain = if before_special { trim_end(plain) } else { plain };
            ids.extend(plain.iter().map(|&byte| u32::from(byte) + FIRST_BYTE));
        };
        for at in memchr::memchr_iter(b'<', text) {
            if let Some((id, length)) = self.special(&text[at..]) {
                let named = id < FIRST_BYTE;
                flush(&text[start..at], after_special, named, ids);
                ids.push(id);
                (start, after_special) = (at + length, named);
            }
        }
        flush(&text[start..], after_special, false, ids);
    }

    /// The bytes of ids; `<pad>` and `</s>` vanish, sentinels and the unknown token are written by name.
    pub(crate) fn decode(&self, ids: &[u32], added: &Added) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ids.len());
        for &id in ids {
            if let Some(text) = added.text(id) {
                bytes.extend_from_slice(text.as_bytes());
                continue;
            }
            match self.kind(id) {
                Some(PieceKind::Byte) => bytes.push((id - FIRST_BYTE) as u8),
                Some(PieceKind::UserDefined | PieceKind::Unknown) => {
                    bytes.extend_from_slice(self.piece(id).unwrap_or_default().as_bytes());
                }
                _ => {}
            }
        }
        bytes
    }
}

/// What Python's `str.strip` takes for space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    &bytes[spaces.len() - spaces.trim_start_matches(is_space).len()..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let last = bytes.utf8_chunks().last().filter(|chunk| chunk.invalid().is_empty());
    let spaces = last.map_or("", |chunk| chunk.valid());
    &bytes[..bytes.len() - (spaces.len() - spaces.trim_end_matches(is_space).len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of transformers 4.57's `ByT5Tokenizer`.
    #[test]
    fn ids_are_those_of_transformers() {
        let byt5 = ByT5::new(125);
        for (text, expected) in [
            ("", &[][..]),
            ("a<extra_id_0>é", &[100, 259, 198, 172]),
            ("a <extra_id_0>  b", &[100, 35, 259, 35, 35, 101]),
            ("a\u{3000}<pad> b", &[100, 0, 101]),
            (" </s> x", &[1, 123]),
            ("<extra_id_124><unk>", &[383, 2]),
            ("<extra_id_01>", &[63, 104, 123, 119, 117, 100, 98, 108, 103, 98, 51, 52, 65]),
            ("<<", &[63, 63]),
        ] {
            let mut ids = Vec::new();
            byt5.encode_into(text.as_bytes(), &mut ids);
            assert_eq!(ids, expected, "{text:?}");
        }
        assert_eq!(
            byt5.decode(&[200, 201, 0, 100, 1, 300, 2, 999], &Added::default()),
            b"\xc5\xc6a<extra_id_41><unk>"
        );
        assert_eq!(byt5.len(), 384);
    }

    #[test]
    fn any_bytes_are_encoded_and_come_back() {
        let byt5 = ByT5::new(125);
        let all: Vec<u8> = (0..=255).collect();
        let mut ids = Vec::new();
        byt5.encode_into(&all, &mut ids);
        assert_eq!(byt5.decode(&ids, &Added::default()), all);
        assert_eq!(trim_start(b" \xffa"), b"\xffa");
        assert_eq!(trim_end(b"a\xff "), b"a\xff");
    }
}
