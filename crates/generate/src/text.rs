//! Between text and ids, where generation needs more than the tokenizer: words that must not occur, and text that
//! appears token by token.

use t5kit_tokenizer::Tokenizer;

/// Characters that a word is put after to see its ids in the middle of a text.
const ANCHORS: [&str; 6] = ["，", ",", "。", ".", "的", "a"];

/// The ids of a word wherever it may stand: at the beginning of a text or after a space, and in the middle. For
/// `bad_words_ids`; only these segmentations of the word are found, as in transformers. Empty for a word without ids.
pub fn word_ids(tokenizer: &Tokenizer, word: &str) -> Vec<Vec<u32>> {
    let first = tokenizer.encode(word);
    let inside = ANCHORS.iter().find_map(|anchor| {
        let before = tokenizer.encode(anchor);
        let mut both = tokenizer.encode(&format!("{anchor}{word}"));
        // An anchor that merges with the word shows nothing.
        if !both.starts_with(&before) || both.len() == before.len() {
            return None;
        }
        Some(both.split_off(before.len()))
    });
    let mut all: Vec<Vec<u32>> =
        [Some(first), inside].into_iter().flatten().filter(|ids| !ids.is_empty()).collect();
    all.dedup();
    all
}

/// Text that appears token by token: what [`Tokenizer::decode`] gives for the ids so far, as far as it is certain.
pub struct TextStream<'t> {
    tokenizer: &'t Tokenizer,
    ids: Vec<u32>,
    /// Bytes of the text that have been given out.
    given: usize,
}

impl<'t> TextStream<'t> {
    /// Nothing yet.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        TextStream { tokenizer, ids: Vec::new(), given: 0 }
    }

    /// The text that another id makes certain; empty while a character's bytes are incomplete.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids);
        // Bytes that are no character yet are shown as U+FFFD: they wait for those that may complete them.
        self.give(text.trim_end_matches('\u{fffd}'))
    }

    /// What is left at the end: bytes that no others completed.
    pub fn finish(mut self) -> String {
        let text = self.tokenizer.decode(&self.ids);
        self.give(&text)
    }

    fn give(&mut self, text: &str) -> String {
        let new = text.get(self.given..).unwrap_or_default().to_owned();
        self.given += new.len();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};

    fn tokenizer() -> (tempfile::TempDir, Tokenizer) {
        let piece = |text: &str, kind, score| Piece { text: text.into(), kind, score, ..Piece::default() };
        let mut pieces = vec![
            piece("<pad>", PieceKind::Control, 0.0),
            piece("</s>", PieceKind::Control, 0.0),
            piece("<unk>", PieceKind::Unknown, 0.0),
        ];
        for (i, text) in ["▁", "，", "甲", "乙", "▁甲", "甲乙", "丙"].iter().enumerate() {
            pieces.push(piece(text, PieceKind::Normal, -1.0 - i as f32 / 10.0));
        }
        pieces.extend((0..256).map(|b| piece(&format!("<0x{b:02X}>"), PieceKind::Byte, 0.0)));
        let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
        let trainer = TrainerSpec { byte_fallback: true, ..TrainerSpec::default() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spiece.model");
        std::fs::write(&file, SpieceModel::new(pieces, trainer, normalizer).to_bytes()).unwrap();
        let tokenizer = Tokenizer::load(&file).unwrap();
        (folder, tokenizer)
    }

    #[test]
    fn words_are_found_at_the_beginning_and_inside() {
        let (_folder, t) = tokenizer();
        let pieces = |word: &str| -> Vec<Vec<&str>> {
            word_ids(&t, word).iter().map(|ids| ids.iter().filter_map(|&id| t.piece(id)).collect()).collect()
        };
        assert_eq!(pieces("甲"), [vec!["▁甲"], vec!["甲"]]);
        assert_eq!(pieces("丙"), [vec!["▁", "丙"], vec!["丙"]]);
        assert!(word_ids(&t, "").is_empty());
    }

    proptest! {
        /// Whatever the ids, the parts together are the decoded text.
        #[test]
        fn streamed_text_is_the_decoded_text(ids in proptest::collection::vec(0u32..266, 0..12)) {
            let (_folder, t) = tokenizer();
            let mut stream = TextStream::new(&t);
            let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
            text.push_str(&stream.finish());
            prop_assert_eq!(text, t.decode(&ids));
        }
    }
}
