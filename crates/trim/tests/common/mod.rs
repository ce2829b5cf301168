//! What several test files need.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

use t5kit_formats::spiece::{Piece, PieceKind, SpieceModel};
use t5kit_tokenizer::Tokenizer;
use tempfile::TempDir;

/// The shared real data, which lies beside the repository: tests that use it are ignored unless asked for.
pub fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data")
}

/// A small model of mT5's shape: control pieces, bytes, some words, characters and sentinels.
pub fn small_model(words: &[&str]) -> SpieceModel {
    let mut pieces = Vec::new();
    let mut add = |text: &str, score: f32, kind: PieceKind| {
        pieces.push(Piece { text: text.into(), score, kind, ..Piece::default() });
    };
    add("<pad>", 0.0, PieceKind::Control);
    add("</s>", 0.0, PieceKind::Control);
    add("<unk>", 0.0, PieceKind::Unknown);
    for byte in 0..256 {
        add(&format!("<0x{byte:02X}>"), 0.0, PieceKind::Byte);
    }
    add("▁", -2.0, PieceKind::Normal);
    for (i, word) in words.iter().enumerate() {
        add(word, -3.0 - i as f32 / 16.0, PieceKind::Normal);
    }
    add("▁<extra_id_1>", 0.0, PieceKind::UserDefined);
    add("▁<extra_id_0>", 0.0, PieceKind::UserDefined);
    // A trainer specification that says "byte_fallback" (field 35), behind the pieces.
    let mut model = SpieceModel::default();
    model.pieces = pieces;
    let mut bytes = model.to_bytes();
    bytes.extend_from_slice(&[0x12, 3, 0x98, 0x02, 1]);
    model = SpieceModel::parse(&bytes, Path::new("small")).unwrap();
    assert!(model.trainer_spec.byte_fallback);
    model
}

/// Words for [`small_model`] that cover some Chinese and English.
pub const WORDS: [&str; 20] = [
    "今天", "天气", "很", "好", "不", "错", "今", "天", "气", "我们", "去", "公园", "。", "，", "▁the", "▁a",
    "s", "▁word", "a", "的",
];

/// Writes a model into `folder` and loads it as a tokenizer.
pub fn tokenizer(folder: &TempDir, model: &SpieceModel) -> Tokenizer {
    let path = folder.path().join("spiece.model");
    fs::write(&path, model.to_bytes()).unwrap();
    Tokenizer::load(&path).unwrap()
}

/// Random numbers by a fixed rule.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// A text of about `words` words, mostly of the small model's, with spaces, rare characters and line ends
/// left out.
pub fn text(random: &mut Random, words: usize) -> String {
    const MORE: [&str; 9] = [" ", "  ", "猫", "𠀀", "\u{3000}", "x", "<extra_id_0>", "\u{2581}", "e\u{301}"];
    (0..words).map(|_| if random.below(4) == 0 { random.pick(&MORE) } else { random.pick(&WORDS) }).collect()
}
