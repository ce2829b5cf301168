//! SentencePiece Unigram models: text to ids and back.
//!
//! `parts` cuts a text at added tokens, `scan` turns it into character codes (`alphabet`), `search` finds the best pieces
//! in them (`trie`), and `encode` makes ids of these. `normalize` and `oracle` say the same in the obvious way.

mod alphabet;
mod charsmap;
mod decode;
mod encode;
mod normalize;
mod oracle;
mod parts;
mod scan;
mod search;
mod trie;
mod vocab;

use crate::error::Error;
use alphabet::{Alphabet, Classes};
pub(crate) use decode::{decode_bytes, decode_text};
use normalize::Normalizer;
use oracle::Oracle;
use scan::Codes;
use search::{MAX_PIECE_CHARS, Memory, Step};
use std::cell::RefCell;
use std::path::Path;
use t5kit_formats::spiece::{NormalizerSpec, SpieceModel};
use t5kit_formats::tokenizer_json::Steps;
use trie::{Entry, Trie};
pub(crate) use vocab::Vocab;

/// Scores beyond this are left to the oracle: sums of them are no longer finite.
const MAX_SCORE: f32 = 1e30;

/// Memory for texts of more characters than this is given back after use.
const KEPT_CHARS: usize = 1 << 18;

/// A Unigram model, ready to encode and decode.
pub(crate) struct Unigram {
    pub(crate) vocab: Vocab,
    pub(crate) normalizer: Normalizer,
    pub(crate) denormalizer: Option<Normalizer>,
    unk_surface: String,
    searcher: Searcher,
    /// What is done to a text before the normaliser sees it, for models that come from a `tokenizer.json`.
    steps: Steps,
    /// The white space that the normaliser leaves as it is; listed where [`Steps`] treat white space.
    white: Vec<char>,
    #[cfg(fuzzing)]
    oracle: Oracle,
}

/// How the best pieces are found.
enum Searcher {
    Fast(Box<Fast>),
    Oracle(Oracle),
}

/// The tables of the fast search.
struct Fast {
    alphabet: Alphabet,
    classes: Classes,
    trie: Trie,
    /// The number of characters of each piece that a text can be cut into.
    lengths: Vec<u16>,
}

impl Fast {
    /// The length in characters of a step's piece.
    #[inline(always)]
    fn length(&self, step: Step) -> usize {
        if step.lane == 0 { usize::from(self.lengths[step.id as usize]) } else { step.lane as usize }
    }
}

/// What one thread needs while it encodes.
#[derive(Default)]
struct Scratch {
    codes: Codes,
    memory: Memory,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Unigram {
    /// `aliases` are further spellings of pieces, see [`Vocab::new`].
    ///
    /// # Errors
    /// [`Error::Invalid`] when the pieces or the character map are not usable.
    pub(crate) fn new(
        model: &SpieceModel,
        aliases: &[(String, u32)],
        steps: Steps,
        path: &Path,
    ) -> Result<Self, Error> {
        let vocab = Vocab::new(model, aliases, path)?;
        let invalid = |name: &str, what: &str| Error::Invalid {
            path: path.into(),
            field: format!("{name}.precompiled_charsmap"),
            what: what.into(),
        };
        let read = |spec: &NormalizerSpec, name| Normalizer::new(spec).map_err(|what| invalid(name, what));
        let mut normalizer = read(&model.normalizer_spec, "normalizer_spec")?;
        normalizer.treat_whitespace_as_suffix = model.trainer_spec.treat_whitespace_as_suffix;
        vocab.user_defined().for_each(|piece| normalizer.protected.insert(piece));
        let denormalizer = match &model.denormalizer_spec {
            Some(spec) if !spec.precompiled_charsmap.is_empty() => Some(read(spec, "denormalizer_spec")?),
            _ => None,
        };
        let sensible = |text: &str, score: f32| {
            score.abs() <= MAX_SCORE
                && (text.len() <= MAX_PIECE_CHARS || text.chars().count() <= MAX_PIECE_CHARS)
        };
        let all_sensible =
            sensible("", vocab.unknown_score) && vocab.usable().all(|(_, text, score)| sensible(text, score));
        let alphabet = if all_sensible {
            Alphabet::new(vocab.usable().map(|(_, text, score)| (text, score)))
        } else {
            None
        };
        let duplicate = |(first, second)| vocab.duplicate(path, first, second);
        let searcher = match alphabet {
            Some(alphabet) => {
                let (trie, lengths) = build_trie(&vocab, &alphabet).map_err(duplicate)?;
                let summary = match &normalizer.charsmap {
                    Some(map) => Some(map.summary().map_err(|what| invalid("normalizer_spec", what))?),
                    None => None,
                };
                let space = normalizer.space().chars().next().expect("one character");
                let protected = vocab.user_defined().filter_map(|piece| piece.chars().next());
                let classes = alphabet.classes(summary.as_ref(), space, protected);
                Searcher::Fast(Box::new(Fast { alphabet, classes, trie, lengths }))
            }
            None => Searcher::Oracle(Oracle::new(&vocab).map_err(duplicate)?),
        };
        let unk_surface = model.trainer_spec.unk_surface.clone();
        #[cfg(fuzzing)]
        let oracle = Oracle::new(&vocab).map_err(duplicate)?;
        let white = parts::unmapped_white(&normalizer, steps);
        let unigram = Self {
            vocab,
            steps,
            white,
            normalizer,
            denormalizer,
            unk_surface,
            searcher,
            #[cfg(fuzzing)]
            oracle,
        };
        // An unused piece may not repeat another one either.
        let unused = (0..unigram.vocab.len() as u32).filter_map(|id| {
            let text = unigram.vocab.piece(id)?;
            (unigram.vocab.unused_id(text) == Some(id)).then_some((id, text))
        });
        for (id, text) in unused {
            if let Some(other) = unigram.usable_id(text) {
                return Err(unigram.vocab.duplicate(path, id.min(other), id.max(other)));
            }
        }
        Ok(unigram)
    }

    /// The id of a piece that a text can be cut into.
    fn usable_id(&self, piece: &str) -> Option<u32> {
        let id = match &self.searcher {
            Searcher::Fast(fast) => fast.trie.id_of(piece.chars().map(|c| fast.alphabet.code(c))),
            Searcher::Oracle(oracle) => oracle.id_of(piece),
        };
        id.map(|id| self.vocab.resolve(id))
    }

    /// The id of a piece.
    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        let vocab = &self.vocab;
        vocab.reserved_id(piece).or_else(|| self.usable_id(piece)).or_else(|| vocab.unused_id(piece))
    }
}

impl Scratch {
    fn give_back(&mut self) {
        if self.codes.codes.capacity() > KEPT_CHARS * 4 {
            *self = Self::default();
        }
    }
}

/// The trie of all pieces that a text can be cut into, and how many characters each piece has.
///
/// # Errors
/// The ids of two pieces with the same text.
fn build_trie(vocab: &Vocab, alphabet: &Alphabet) -> Result<(Trie, Vec<u16>), (u32, u32)> {
    let mut codes = Vec::new();
    let mut lengths = vec![0; vocab.spellings()];
    for (id, text, _) in vocab.usable() {
        let start = codes.len();
        codes.extend(text.chars().map(|c| alphabet.code(c)));
        // Pieces of more than MAX_PIECE_CHARS never come here.
        lengths[id as usize] = (codes.len() - start) as u16;
    }
    let mut rest = &*codes;
    let entries: Vec<Entry> = vocab
        .usable()
        .map(|(id, _, score)| {
            let (codes, others) = rest.split_at(usize::from(lengths[id as usize]));
            rest = others;
            Entry { codes, score, id }
        })
        .collect();
    Ok((Trie::new(&entries, alphabet.len(), vocab.unknown_score)?, lengths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::added::Added;
    use proptest::prelude::*;
    use t5kit_formats::spiece::{Piece, PieceKind, TrainerSpec};

    fn model(pieces: &[(&str, f32, PieceKind)]) -> SpieceModel {
        let piece = |&(text, score, kind): &(&str, f32, PieceKind)| Piece {
            text: text.to_owned(),
            score,
            kind,
            unknown_fields: vec![],
        };
        let pieces = pieces.iter().map(piece).collect();
        SpieceModel::new(pieces, TrainerSpec::default(), NormalizerSpec::default())
    }

    fn new(model: &SpieceModel) -> Result<Unigram, Error> {
        Unigram::new(model, &[], Steps::default(), Path::new("x"))
    }

    /// Ids and pieces of the fast search; checked against the oracle's.
    fn checked(unigram: &Unigram, oracle: &Oracle, text: &[u8]) -> Vec<u32> {
        assert!(matches!(unigram.searcher, Searcher::Fast(_)));
        let (mut fast, mut again, mut slow) = (vec![], vec![], vec![]);
        unigram.encode_into(text, &Added::default(), &mut fast);
        let pieces = unigram.encode_pieces(text, &Added::default(), &mut again);
        let expected = unigram
            .append_tokens(&oracle.segment(&unigram.vocab, &unigram.normalizer, text, true), &mut slow);
        assert_eq!(fast, slow, "{:?}", String::from_utf8_lossy(text));
        assert_eq!((again, pieces), (slow, expected));
        fast
    }

    proptest! {
        /// Random vocabularies of pieces up to ten characters, with scores that often tie and scores that are
        /// so large that they have to be moved back, over texts longer than a block.
        #[test]
        fn the_fast_search_is_the_obvious_one(
            words in proptest::collection::btree_set("[ab今▁]{1,10}", 1..40),
            scores in proptest::collection::vec(prop_oneof![
                (-6i8..0).prop_map(f32::from),
                -20f32..0.0,
                (-9i8..9).prop_map(|s| f32::from(s) * 30_011.3),
            ], 40),
            kinds in proptest::collection::vec(prop_oneof![
                8 => Just(PieceKind::Normal), 1 => Just(PieceKind::Unused), 1 => Just(PieceKind::UserDefined),
            ], 40),
            texts in proptest::collection::vec(prop_oneof!["[ab今▁ ]{0,80}", "[ab今c🙂 ]{500,1600}"], 3),
        ) {
            // Without a normal piece the score of unknown characters is beyond the fast search's limit.
            let mut pieces = vec![("<unk>", 0.0, PieceKind::Unknown), ("z", -7.5, PieceKind::Normal)];
            for (i, word) in words.iter().enumerate() {
                pieces.push((word, scores[i], kinds[i]));
            }
            let unigram = new(&model(&pieces)).unwrap();
            let oracle = Oracle::new(&unigram.vocab).unwrap();
            for text in &texts {
                checked(&unigram, &oracle, text.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_encoded(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let unigram = new(&model(&[("<unk>", 0.0, PieceKind::Unknown), ("a", -1.0, PieceKind::Normal)])).unwrap();
            let oracle = Oracle::new(&unigram.vocab).unwrap();
            checked(&unigram, &oracle, &text);
        }
    }

    #[test]
    fn awkward_lengths() {
        let pieces = ["a", "ab", "abab", "ababa", "bbbbbbbbbbbb", "▁"];
        let mut all = vec![("<unk>", 0.0, PieceKind::Unknown)];
        all.extend(pieces.iter().map(|&text| (text, -1.5 * text.len() as f32, PieceKind::Normal)));
        let unigram = new(&model(&all)).unwrap();
        let oracle = Oracle::new(&unigram.vocab).unwrap();
        for length in (0..20).chain(500..530).chain(1010..1040).chain([5000]) {
            checked(&unigram, &oracle, "ab".repeat(length).as_bytes());
            checked(&unigram, &oracle, "b".repeat(length).as_bytes());
            checked(&unigram, &oracle, "今".repeat(length).as_bytes());
        }
    }

    /// Models that the compact tables cannot hold work all the same.
    #[test]
    fn odd_models_go_to_the_oracle() {
        let long = "a".repeat(MAX_PIECE_CHARS + 1);
        for odd in [("b", 1e35, PieceKind::Normal), (long.as_str(), -1.0, PieceKind::Normal)] {
            let pieces = [("<unk>", 0.0, PieceKind::Unknown), ("a", -9.0, PieceKind::Normal), odd];
            let unigram = new(&model(&pieces)).unwrap();
            assert!(matches!(unigram.searcher, Searcher::Oracle(_)));
            let mut ids = vec![];
            unigram.encode_into(odd.0.as_bytes(), &Added::default(), &mut ids);
            assert_eq!(ids, [0, 2]);
        }
        let all: Vec<String> = (0x4e00..0x4e00 + alphabet::MAX_CODES as u32 + 3000)
            .filter_map(char::from_u32)
            .map(String::from)
            .collect();
        let mut pieces = vec![("<unk>", 0.0, PieceKind::Unknown)];
        pieces.extend(all.iter().map(|text| (text.as_str(), -1.0, PieceKind::Normal)));
        let unigram = new(&model(&pieces)).unwrap();
        assert!(matches!(unigram.searcher, Searcher::Oracle(_)));
        assert_eq!(unigram.id_of("一"), Some(1));
    }
}
