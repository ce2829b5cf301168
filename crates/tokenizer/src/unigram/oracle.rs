//! The obvious Viterbi search, kept for ever as the oracle of the fast one.

use super::normalize::Normalizer;
use super::vocab::Vocab;

/// Scores are moved back to 0 when they leave this range, as in the library.
pub(crate) const SCORE_RESET: f32 = 100_000.0;

/// The best segmentation of `text` into (piece text, id); `None` is a character without a piece.
///
/// Sums run from left to right in `f32` and the first of equal paths stays: both as in the library, since
/// rounding decides between paths that are nearly equal.
fn segment<'a>(vocab: &Vocab, text: &'a str) -> Vec<(&'a str, Option<u32>)> {
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
            best[start..].iter_mut().flatten().for_each(|b| b.score -= score);
            score = 0.0;
        }
        let mut single = false;
        let rest = &text[start..];
        let ends = rest.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|&end| end <= vocab.longest);
        for length in ends {
            if let Some((id, piece_score)) = vocab.usable(&rest[..length]) {
                offer(&mut best, start + length, Best { score: piece_score + score, start, id: Some(id) });
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
        tokens.push((&text[node.start..end], node.id));
        end = node.start;
    }
    tokens.reverse();
    tokens
}

/// The ids of a text.
pub(crate) fn encode(vocab: &Vocab, normalizer: &Normalizer, text: &[u8], ids: &mut Vec<u32>) {
    encode_pieces(vocab, normalizer, text, ids);
}

/// The ids of a text, and their pieces.
pub(crate) fn encode_pieces(
    vocab: &Vocab,
    normalizer: &Normalizer,
    text: &[u8],
    ids: &mut Vec<u32>,
) -> Vec<String> {
    let normalized = normalizer.normalize(text);
    let mut pieces: Vec<String> = Vec::new();
    let mut after_unknown = false;
    for (piece, id) in segment(vocab, &normalized) {
        match (id, &vocab.bytes, vocab.unknown) {
            (Some(id), ..) => {
                ids.push(id);
                pieces.push(piece.to_owned());
            }
            (None, Some(bytes), _) => {
                ids.extend(piece.bytes().map(|b| bytes[usize::from(b)]));
                pieces.extend(piece.bytes().map(|b| format!("<0x{b:02X}>")));
            }
            // A run of unknown characters is one token.
            (None, None, _) if after_unknown => {
                pieces.last_mut().expect("an unknown piece stands before").push_str(piece);
            }
            (None, None, unknown) => {
                ids.extend(unknown);
                pieces.push(piece.to_owned());
            }
        }
        after_unknown = id.is_none();
    }
    pieces
}
