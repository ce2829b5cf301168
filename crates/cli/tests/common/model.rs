//! A tokenizer of a few characters, a configuration that trains in seconds, and examples to learn.

use super::{file, run};
use std::path::{Path, PathBuf};
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};

/// The characters that the tokenizer has.
pub const CHARACTERS: &str = "▁甲乙丙丁戊己庚辛壬癸abcdefghij，。";

/// Writes `spiece.model` into the folder; pad 0, eos 1, unk 2, and one sentinel.
pub fn tokenizer(folder: &Path) -> PathBuf {
    tokenizer_with_sentinels(folder, 1)
}

/// The same with so many sentinels.
pub fn tokenizer_with_sentinels(folder: &Path, sentinels: usize) -> PathBuf {
    let piece = |text: &str, kind, score| Piece { text: text.into(), kind, score, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>", PieceKind::Control, 0.0),
        piece("</s>", PieceKind::Control, 0.0),
        piece("<unk>", PieceKind::Unknown, 0.0),
    ];
    pieces.extend(
        CHARACTERS
            .chars()
            .enumerate()
            .map(|(i, c)| piece(&c.to_string(), PieceKind::Normal, -1.0 - i as f32 / 10.0)),
    );
    // The last is <extra_id_0>, as in mT5.
    let sentinel = |i: usize| piece(&format!("▁<extra_id_{i}>"), PieceKind::UserDefined, 0.0);
    pieces.extend((0..sentinels).rev().map(sentinel));
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    let model = SpieceModel::new(pieces, TrainerSpec::default(), normalizer);
    file(folder, "spiece.model", model.to_bytes())
}

/// Writes `config.json` of an mT5-shaped model with this many rows.
pub fn config(folder: &Path, rows: usize) -> PathBuf {
    let config = serde_json::json!({
        "model_type": "mt5", "vocab_size": rows, "d_model": 32, "d_kv": 8, "num_heads": 3, "d_ff": 48,
        "num_layers": 1, "num_decoder_layers": 1, "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false,
    });
    file(folder, "config.json", config.to_string())
}

/// Lines of source, tab, target: the target is its first and third character.
pub fn pairs(folder: &Path, name: &str, count: usize) -> PathBuf {
    let characters: Vec<char> = CHARACTERS.chars().skip(1).collect();
    let lines: String = (0..count)
        .map(|i| {
            let at = |k: usize| characters[(i * 7 + k * 5) % characters.len()];
            format!("{}{}{}，{}\t{}{}\n", at(0), at(1), at(2), at(3), at(0), at(2))
        })
        .collect();
    file(folder, name, lines)
}

/// A Hugging Face directory with the mT5 golden and a tokenizer that fits it.
pub fn hugging_face(folder: &Path) -> PathBuf {
    let to = folder.join("mt5-tiny");
    std::fs::create_dir(&to).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens/mt5");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join(name), to.join(name)).unwrap();
    }
    tokenizer(&to);
    to
}

/// The flags of [`text`].
pub const LONG: [&str; 2] = ["--max-new-tokens", "8"];

/// What the model generates for a sentence, whatever it is stored in.
pub fn text(model: &[&str]) -> String {
    run(["generate", "--model"].iter().chain(model).chain(&LONG).chain(&["甲乙丙，丁"])).ok()
}
