//! Ids to text, as the sentencepiece library does it.

use super::Unigram;
use super::normalize::SPACE_SYMBOL;
use crate::added::Added;
use t5kit_formats::spiece::PieceKind;

/// Decodes into bytes: what byte pieces give is not checked.
pub(crate) fn decode_bytes(model: &Unigram, ids: &[u32], added: &Added) -> Vec<u8> {
    decode(model, ids, added, |bytes, out| out.extend_from_slice(bytes))
}

/// Decodes into text: a byte piece that is no part of valid UTF-8 becomes U+FFFD.
pub(crate) fn decode_text(model: &Unigram, ids: &[u32], added: &Added) -> String {
    let text = decode(model, ids, added, append_lossy);
    let text = String::from_utf8(text).expect("pieces are text and bytes were made so");
    match &model.denormalizer {
        Some(denormalizer) => denormalizer.normalize(text.as_bytes(), true),
        None => text,
    }
}

fn decode(
    model: &Unigram,
    ids: &[u32],
    added: &Added,
    mut flush: impl FnMut(&[u8], &mut Vec<u8>),
) -> Vec<u8> {
    let vocab = &model.vocab;
    let normalizer = &model.normalizer;
    let strips = normalizer.add_dummy_prefix || normalizer.remove_extra_whitespaces;
    let mut out = Vec::with_capacity(ids.len() * 4);
    let mut bytes = Vec::new();
    // Whether the text has not begun yet: leading space symbols are the normaliser's and vanish.
    let mut at_start = true;
    for &id in ids {
        if let Some(text) = added.text(id) {
            // An added token is what it is.
            flush(&bytes, &mut out);
            bytes.clear();
            out.extend_from_slice(text.as_bytes());
            at_start = false;
            continue;
        }
        let (Some(piece), Some(kind)) = (vocab.piece(id), vocab.kind(id)) else { continue };
        if let (PieceKind::Byte, Some(byte)) = (kind, vocab.byte(id)) {
            bytes.push(byte);
            continue;
        }
        flush(&bytes, &mut out);
        bytes.clear();
        at_start &= out.is_empty();
        match kind {
            PieceKind::Control => continue,
            PieceKind::Unknown => {
                out.extend_from_slice(model.unk_surface.as_bytes());
                let space = strips && !normalizer.remove_extra_whitespaces && piece.starts_with(SPACE_SYMBOL);
                at_start &= !space;
            }
            _ => {
                let mut piece = piece;
                if at_start
                    && strips
                    && let Some(rest) = piece.strip_prefix(SPACE_SYMBOL)
                {
                    piece = rest;
                    // Where extra spaces are removed, all of them go, otherwise only the one prefix.
                    at_start &= normalizer.remove_extra_whitespaces;
                }
                let mut parts = piece.split(SPACE_SYMBOL);
                out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
                for part in parts {
                    out.push(b' ');
                    out.extend_from_slice(part.as_bytes());
                }
            }
        }
        at_start &= out.is_empty();
    }
    flush(&bytes, &mut out);
    out
}

/// Appends bytes as text; each byte that begins no valid sequence becomes one U+FFFD.
fn append_lossy(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                out.extend_from_slice(text.as_bytes());
                return;
            }
            Err(error) => {
                let (valid, broken) = rest.split_at(error.valid_up_to());
                out.extend_from_slice(valid);
                out.extend_from_slice("\u{fffd}".as_bytes());
                rest = &broken[1..];
            }
        }
    }
}
