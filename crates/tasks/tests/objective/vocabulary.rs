//! Small vocabularies, and choices that are written down or drawn.

use std::path::Path;
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_tasks::objective::Choices;
use t5kit_tokenizer::Tokenizer;

/// The ids of the goldens: 500, of which the last are so many sentinels, `<extra_id_0>` the very last.
pub fn of_500(sentinels: usize) -> Tokenizer {
    let words = (6..500 - sentinels).map(|id| format!("▁w{id}"));
    let modes = ["▁[NLU]", "▁[NLG]", "▁[S2S]"].map(String::from);
    of_pieces(modes.into_iter().chain(words), sentinels)
}

/// Every character of a text is a token.
pub fn of_characters(text: &str) -> Tokenizer {
    let mut characters: Vec<char> = text.chars().filter(|c| *c != ' ').collect();
    characters.sort_unstable();
    characters.dedup();
    of_pieces(characters.into_iter().map(String::from).chain(["▁".into()]), 100)
}

fn of_pieces(normal: impl Iterator<Item = String>, sentinels: usize) -> Tokenizer {
    let special = |text: &str, kind| Piece { text: text.into(), kind, ..Piece::default() };
    let mut pieces = vec![
        special("<pad>", PieceKind::Control),
        special("</s>", PieceKind::Control),
        special("<unk>", PieceKind::Unknown),
    ];
    pieces.extend(normal.map(|text| Piece { text, score: -1.0, ..Piece::default() }));
    let names = (0..sentinels).rev().map(|n| format!("▁<extra_id_{n}>"));
    pieces.extend(names.map(|text| special(&text, PieceKind::UserDefined)));
    let trainer = TrainerSpec { vocab_size: pieces.len() as i64, ..TrainerSpec::default() };
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    let model = SpieceModel::new(pieces, trainer, normalizer).to_bytes();
    Tokenizer::from_bytes(&model, Path::new("spiece.model")).unwrap()
}

/// Choices that another program has made.
pub struct Written(pub std::collections::VecDeque<serde_json::Value>);

impl Written {
    fn next(&mut self, kind: &str) -> serde_json::Value {
        let next = self.0.pop_front().expect("a choice is left");
        assert_eq!(next[0], kind, "{next}");
        next
    }
}

impl Choices for Written {
    fn uniform(&mut self) -> f64 {
        self.next("u")[1].as_f64().unwrap()
    }

    fn below(&mut self, n: usize) -> usize {
        let next = self.next("b");
        assert_eq!(next[2].as_u64(), Some(n as u64), "{next}");
        next[1].as_u64().unwrap() as usize
    }

    fn order(&mut self, n: usize) -> Vec<usize> {
        let next = self.next("o");
        let order: Vec<usize> = serde_json::from_value(next[1].clone()).unwrap();
        assert_eq!(order.len(), n);
        order
    }
}

/// Choices by a hash of a key and a counter (SplitMix64).
pub struct Drawn(pub u64);

impl Choices for Drawn {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }
}
