//! The obvious Viterbi search, kept for ever as the oracle of the fast one, and used where a model is too odd
//! for that: scores beyond any sense, or more characters than the compact tables hold.

use super::normalize::Normalizer;
use super::vocab::Vocab;
use std::collections::HashMap;

/// Scores are moved back to 0 when they leave this range, as in the library.
pub(crate) const SCORE_RESET: f32 = 100_000.0;

/// The pieces that a text is cut into, by their text.
pub(crate) struct Oracle {
    pieces: HashMap<Box<str>, (u32, f32)>,
    /// The length of the longest piece in bytes.
    longest: usize,
}

impl Oracle {
    /// # Errors
    /// The ids of two pieces with the same text.
    pub(crate) fn new(vocab: &Vocab) -> Result<Self, (u32, u32)> {
        let mut oracle = Self { pieces: HashMap::new(), longest: 0 };
        for (id, text, score) in vocab.usable() {
            oracle.longest = oracle.longest.max(text.len());
            if let Some((first, _)) = oracle.pieces.insert(text.into(), (id, score)) {
                return Err((first, id));
            }
        }
        Ok(oracle)
    }

    /// The id of a piece.
    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        self.pieces.get(piece).map(|(id, _)| *id)
    }

    /// The best segmentation of a text: pieces with their ids, which a character without a piece does not have.
    ///
    /// Sums run from left to right in `f32` and the first of equal paths stays: both as in the library, since
    /// rounding decides between paths that are nearly equal.
    pub(crate) fn segment(
        &self,
        vocab: &Vocab,
        normalizer: &Normalizer,
        text: &[u8],
        prefix: bool,
    ) -> Vec<(String, Option<u32>)> {
        self.segment_normalized(vocab, &normalizer.normalize(text, prefix))
    }

    /// [`Oracle::segment`] of a text that is normalised already.
    pub(crate) fn segment_normalized(&self, vocab: &Vocab, text: &str) -> Vec<(String, Option<u32>)> {
        #[derive(Clone, Copy)]
        struct Best {
            score: f32,
            start: usize,
            id: Option<u32>,
        }
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        best[0] = Some(Best { score: 0.0, start: 0, id: None });
        let offer = |best: &mut [Option<Best>], end: usize, new: Best| {
            if best[end].is_none_or(|old| new.score > old.score) {
                best[end] = Some(new);
            }
        };
        for (start, c) in text.char_indices() {
            let mut score = best[start].expect("a path ends before every character").score;
            if score.abs() > SCORE_RESET {
                let offset = score;
                best[start..].iter_mut().flatten().for_each(|b| b.score -= offset);
                score = 0.0;
            }
            let mut single = false;
            let rest = &text[start..];
            let ends =
                rest.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|&end| end <= self.longest);
            for length in ends {
                if let Some(&(id, piece_score)) = self.pieces.get(&rest[..length]) {
                    offer(
                        &mut best,
                        start + length,
                        Best { score: piece_score + score, start, id: Some(id) },
                    );
                    single |= length == c.len_utf8();
                }
            }
            if !single {
                let score = vocab.unknown_score + score;
                offer(&mut best, start + c.len_utf8(), Best { score, start, id: None });
            }
        }
        let mut tokens = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let node = best[end].expect("a path ends before every character");
            tokens.push((text[node.start..end].to_owned(), node.id));
            end = node.start;
        }
        tokens.reverse();
        tokens
    }
}
