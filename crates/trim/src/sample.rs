//! What a trimmed tokenizer does to held-out text.

use std::path::Path;

use serde::{Deserialize, Serialize};
use t5kit_formats::spiece::PieceKind;
use t5kit_formats::table::{self, Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::record::column_names;
use t5kit_formats::inputs::Input;

/// Held-out text under the uncut and the cut tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleReport {
    /// The file.
    pub file: String,
    /// Its columns as they were asked for; none: chosen by the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// SHA-256 of its first 64 KiB, in hexadecimal, to know it again.
    pub head_sha256: String,
    /// Its size in bytes.
    pub disk_bytes: u64,
    /// Texts in it.
    pub texts: u64,
    /// Their bytes in UTF-8.
    pub text_bytes: u64,
    /// Texts that are segmented differently.
    pub texts_changed: u64,
    /// Bytes of normalised text within pieces of the uncut tokenizer, and how many of them are in pieces
    /// that the cut one does not have at that place. A changed text with unknown pieces, whose extent cannot
    /// be told, counts whole.
    pub piece_bytes: u64,
    /// The changed ones among them.
    pub piece_bytes_changed: u64,
    /// Tokens of the uncut and of the cut tokenizer.
    pub tokens: BeforeAfter,
    /// Byte pieces among them.
    pub byte_tokens: BeforeAfter,
    /// Characters written as bytes.
    pub byte_characters: BeforeAfter,
    /// Unknown pieces among them.
    pub unknown_tokens: BeforeAfter,
    /// Some changed texts, with their pieces before and after.
    pub examples: Vec<Change>,
}

/// A number under the uncut and under the cut tokenizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeAfter {
    /// With the uncut one.
    pub before: u64,
    /// With the cut one.
    pub after: u64,
}

/// The first changed place of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Pieces of the uncut tokenizer from that place on.
    pub before: Vec<String>,
    /// Pieces of the cut one.
    pub after: Vec<String>,
}

/// How many examples are kept, and how many pieces of each.
const EXAMPLES: usize = 8;
const EXAMPLE_PIECES: usize = 12;

/// Tokenizes the texts of `input` with both tokenizers; `kept` are the old ids of the new one's pieces.
///
/// # Errors
/// [`Error::Table`] for the first row that cannot be read.
pub fn sample(
    old: &Tokenizer,
    new: &Tokenizer,
    kept: &[u32],
    input: &Input,
    columns: &Columns,
    options: &TableOptions,
) -> Result<SampleReport, Error> {
    let mut report = SampleReport {
        file: file_name(&input.path),
        fields: column_names(columns),
        head_sha256: input.head_sha256.clone(),
        disk_bytes: input.bytes,
        ..SampleReport::default()
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for row in table::open_columns(&input.path, columns, options)? {
        for text in row?.values {
            before.clear();
            after.clear();
            old.encode_into(text.as_bytes(), &mut before);
            new.encode_into(text.as_bytes(), &mut after);
            // In the old numbers from here on.
            after.iter_mut().for_each(|id| *id = kept[*id as usize]);
            report.texts += 1;
            report.text_bytes += text.len() as u64;
            report.add(old, &before, &after);
        }
    }
    Ok(report)
}

/// The last part of a path, for reports: where things lie on a machine is nobody's business.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl SampleReport {
    fn add(&mut self, tokenizer: &Tokenizer, before: &[u32], after: &[u32]) {
        self.tokens.before += before.len() as u64;
        self.tokens.after += after.len() as u64;
        for (ids, bytes, characters, unknown) in [
            (
                before,
                &mut self.byte_tokens.before,
                &mut self.byte_characters.before,
                &mut self.unknown_tokens.before,
            ),
            (
                after,
                &mut self.byte_tokens.after,
                &mut self.byte_characters.after,
                &mut self.unknown_tokens.after,
            ),
        ] {
            for &id in ids {
                match tokenizer.piece_kind(id) {
                    Some(PieceKind::Byte) => {
                        *bytes += 1;
                        *characters += u64::from(byte_value(tokenizer, id).is_some_and(|b| b & 0xc0 != 0x80));
                    }
                    Some(PieceKind::Unknown) => *unknown += 1,
                    _ => {}
                }
            }
        }
        let changed = before != after;
        self.texts_changed += u64::from(changed);
        match (spans(tokenizer, before), spans(tokenizer, after)) {
            (Some(old), Some(new)) => {
                self.piece_bytes += old.iter().map(|span| span.len()).sum::<u64>();
                if changed {
                    self.piece_bytes_changed += changed_bytes(&old, before, &new, after);
                }
            }
            _ => {
                // Bytes of the unknown pieces are not known; those of the others stand for the text.
                let known: u64 = before.iter().filter_map(|&id| extent(tokenizer, id)).sum();
                self.piece_bytes += known;
                self.piece_bytes_changed += if changed { known } else { 0 };
            }
        }
        if changed && self.examples.len() < EXAMPLES {
            let same = before.iter().zip(after).take_while(|(a, b)| a == b).count();
            let pieces = |ids: &[u32]| {
                let some = ids[same..].iter().take(EXAMPLE_PIECES);
                some.map(|&id| tokenizer.piece(id).unwrap_or_default().to_owned()).collect()
            };
            self.examples.push(Change { before: pieces(before), after: pieces(after) });
        }
    }
}

/// The value of a byte piece, `<0xE4>`.
fn byte_value(tokenizer: &Tokenizer, id: u32) -> Option<u8> {
    let digits = tokenizer.piece(id)?.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok()
}

/// Bytes of normalised text that a piece stands for; unknown of unknown pieces.
fn extent(tokenizer: &Tokenizer, id: u32) -> Option<u64> {
    match tokenizer.piece_kind(id)? {
        PieceKind::Unknown => None,
        PieceKind::Byte => Some(1),
        _ => tokenizer.piece(id).map(|piece| piece.len() as u64),
    }
}

/// A piece's place in the normalised text.
struct Span {
    start: u64,
    end: u64,
}

impl Span {
    fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// The places of all pieces; none where an unknown one is among them.
fn spans(tokenizer: &Tokenizer, ids: &[u32]) -> Option<Vec<Span>> {
    let mut start = 0;
    ids.iter()
        .map(|&id| {
            let span = Span { start, end: start + extent(tokenizer, id)? };
            start = span.end;
            Some(span)
        })
        .collect()
}

/// Bytes within pieces of the old segmentation that the new one does not have in the same place.
fn changed_bytes(old: &[Span], before: &[u32], new: &[Span], after: &[u32]) -> u64 {
    let mut at = 0;
    let mut changed = 0;
    for (span, id) in old.iter().zip(before) {
        while new.get(at).is_some_and(|other| other.start < span.start) {
            at += 1;
        }
        let same = new.get(at).is_some_and(|other| other.start == span.start) && after.get(at) == Some(id);
        if !same {
            changed += span.len();
        }
    }
    changed
}
