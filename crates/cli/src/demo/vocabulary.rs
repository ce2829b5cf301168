//! A SentencePiece Unigram model for the demo, made without a training library.
//!
//! Its shape is mT5's: control pieces, 256 bytes, pieces of many scripts, a hundred sentinels at the end, and more
//! than the data needs, so that counting and trimming have something to do. Chinese pieces are every character
//! of the data, numbers of two digits, the grammar's words, and frequent strings of its templates; scores come from counts, refined
//! by a few rounds of segmenting the data with the model so far (hard EM). Pieces of other scripts are
//! syllables that no line of the data holds.

use super::grammar::{Grammar, Pair};
use anyhow::Result;
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::path::Path;
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_tensor::Rng;
use t5kit_tokenizer::Tokenizer;

/// Rounds of segmenting and counting.
const ROUNDS: usize = 3;
/// Characters of the longest string taken from templates.
const LONGEST: usize = 4;
/// Occurrences below which a string is no piece.
const RARE: usize = 12;
/// Punctuation is a piece by itself.
const MARKS: &str = "，。：、《》！？%";

/// Letters of the scripts that the data does not use: consonants (or any letter) and vowels to go with them.
const SCRIPTS: [(&str, &str); 9] = [
    ("bcdfghjklmnprstvwz", "aeiouáéíóúäöüßçñ"),
    ("бвгджзклмнпрстфхцчшщ", "аеиоуыэюя"),
    ("βγδζθκλμνξπρστφχψ", "αεηιουω"),
    ("かきくけこさしすせそたちつてとなにぬねの", "まみむめもらりるれろ"),
    ("アイウエオカキクケコサシスセソ", "タチツテトナニヌネノン"),
    ("가나다라마바사아자차카타파하", "고노도로모보소오조초"),
    ("กขคงจชดตทนบปพมยรลวสห", "ะาแโไเ"),
    ("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "اوي"),
    ("कखगघचछजझटडतदधनपबभमयरलवशसह", "ािीुूेैो"),
];

/// Writes the model to `path` and returns its tokenizer.
pub fn build(grammar: &Grammar, pairs: &[Pair], path: &Path) -> Result<Tokenizer> {
    let mut counts = candidates(grammar, pairs);
    for _ in 0..ROUNDS {
        write(&counts, path)?;
        counts = recount(&Tokenizer::load(path)?, pairs, counts);
    }
    write(&counts, path)?;
    Ok(Tokenizer::load(path)?)
}

/// A tokenizer for which every character of the texts is a token: to look at something without a model's.
pub fn of_characters<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Tokenizer> {
    let mut counts = BTreeMap::from([("▁".to_string(), 1)]);
    for c in texts.flat_map(str::chars).filter(|c| *c != ' ') {
        *counts.entry(c.into()).or_default() += 1;
    }
    Ok(Tokenizer::from_bytes(&model(&counts).to_bytes(), Path::new("spiece.model"))?)
}

fn is_mark(c: char) -> bool {
    MARKS.contains(c)
}

/// Strings that may become pieces, with how often each occurs in the pairs.
fn candidates(grammar: &Grammar, pairs: &[Pair]) -> BTreeMap<String, usize> {
    let texts = grammar.texts();
    let (words, phrases): (Vec<_>, Vec<_>) = texts.values.iter().partition(|v| !v.contains(is_mark));
    let mut wanted: HashSet<&str> = words.into_iter().map(String::as_str).collect();
    for text in texts.literals.iter().chain(phrases) {
        wanted.extend(text.split(is_mark).flat_map(|part| substrings(part, 2..=LONGEST)));
    }
    let longest = wanted.iter().map(|s| s.chars().count()).max().unwrap_or(1);
    let mut counts = BTreeMap::from([("▁".to_string(), pairs.len())]);
    for text in pairs.iter().flat_map(|pair| [&pair.sentence, &pair.headline]) {
        for string in substrings(text, 1..=longest) {
            let number = string.len() == 2 && string.bytes().all(|b| b.is_ascii_digit());
            if string.chars().nth(1).is_none() || number || wanted.contains(string) {
                match counts.get_mut(string) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(string.into(), 1)),
                }
            }
        }
    }
    counts.retain(|string, count| *count >= RARE || string.chars().nth(1).is_none());
    counts
}

/// The substrings of these numbers of characters.
fn substrings(text: &str, lengths: RangeInclusive<usize>) -> Vec<&str> {
    let edges: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut found = Vec::new();
    for (from, &start) in edges.iter().enumerate() {
        let ends = lengths.clone().filter_map(|n| edges.get(from + n));
        found.extend(ends.map(|&end| &text[start..end]));
    }
    found
}

/// How often each piece is used when the pairs are segmented; strings that are hardly used are dropped,
/// characters never.
fn recount(
    tokenizer: &Tokenizer,
    pairs: &[Pair],
    counts: BTreeMap<String, usize>,
) -> BTreeMap<String, usize> {
    let mut used = vec![0usize; tokenizer.vocab_size()];
    let mut ids = Vec::new();
    for text in pairs.iter().flat_map(|pair| [&pair.sentence, &pair.headline]) {
        ids.clear();
        tokenizer.encode_into(text.as_bytes(), &mut ids);
        for &id in &ids {
            used[id as usize] += 1;
        }
    }
    let count = |string: &str| tokenizer.id_of(string).map_or(0, |id| used[id as usize]);
    counts
        .into_keys()
        .map(|string| (count(&string), string))
        .filter(|(count, string)| *count >= RARE || string.chars().nth(1).is_none())
        .map(|(count, string)| (string, count))
        .collect()
}

fn write(counts: &BTreeMap<String, usize>, path: &Path) -> Result<()> {
    std::fs::write(path, model(counts).to_bytes())
        .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", path.display()))
}

/// A model of the strings and of the pieces that every such model has.
fn model(counts: &BTreeMap<String, usize>) -> SpieceModel {
    let total: usize = counts.values().sum();
    let score = |count: usize| ((count.max(1) as f64) / total.max(1) as f64).ln() as f32;
    let mut normal: Vec<Piece> = counts
        .iter()
        .map(|(string, &count)| Piece { text: string.clone(), score: score(count), ..Piece::default() })
        .collect();
    // Pieces of other scripts lie between the Chinese ones, as in a multilingual vocabulary.
    let mut rng = Rng::new(0, 1);
    let range = 1.0 - f64::from(score(1));
    normal.extend(foreign_syllables(counts).map(|text| Piece {
        text,
        score: (-1.0 - rng.uniform() * range) as f32,
        ..Piece::default()
    }));
    normal.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.text.cmp(&b.text)));

    let special = |text: &str, kind| Piece { text: text.into(), kind, ..Piece::default() };
    let mut pieces = vec![
        special("<pad>", PieceKind::Control),
        special("</s>", PieceKind::Control),
        special("<unk>", PieceKind::Unknown),
    ];
    pieces.extend((0..256).map(|byte| special(&format!("<0x{byte:02X}>"), PieceKind::Byte)));
    pieces.extend(normal);
    pieces.extend((0..100).rev().map(|n| special(&format!("▁<extra_id_{n}>"), PieceKind::UserDefined)));
    let trainer =
        TrainerSpec { vocab_size: pieces.len() as i64, byte_fallback: true, ..TrainerSpec::default() };
    let normalizer = NormalizerSpec { name: "identity".into(), ..NormalizerSpec::default() };
    SpieceModel::new(pieces, trainer, normalizer)
}

/// Every pair of letters of each script, with and without the ▁ that begins a word.
fn foreign_syllables(taken: &BTreeMap<String, usize>) -> impl Iterator<Item = String> {
    let mut seen: HashSet<String> = taken.keys().cloned().collect();
    SCRIPTS
        .iter()
        .flat_map(|(first, second)| {
            first.chars().flat_map(move |a| {
                second.chars().flat_map(move |b| [format!("{a}{b}"), format!("▁{a}{b}"), format!("{b}{a}")])
            })
        })
        .filter(move |syllable| seen.insert(syllable.clone()))
}

#[cfg(test)]
mod tests {
    use super::super::data::{Data, grammar};
    use super::*;

    #[test]
    fn every_text_comes_back_and_takes_few_pieces() {
        let grammar = grammar().unwrap();
        let data = Data::draw(&grammar, 1, 2000, 0, 100).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = build(&grammar, &data.train, &folder.path().join("spiece.model")).unwrap();
        assert_eq!((tokenizer.pad_id(), tokenizer.eos_id(), tokenizer.unk_id()), (0, 1, 2));
        assert!(tokenizer.vocab_size() > 3000, "{}", tokenizer.vocab_size());
        let (mut characters, mut pieces, mut bytes) = (0, 0, 0);
        for text in data.test.iter().flat_map(|pair| [&pair.sentence, &pair.headline]) {
            let ids = tokenizer.encode(text);
            assert_eq!(&tokenizer.decode(&ids), text);
            characters += text.chars().count();
            pieces += ids.len();
            bytes += ids.iter().filter(|&&id| tokenizer.piece_kind(id) == Some(PieceKind::Byte)).count();
        }
        assert!(pieces * 5 < characters * 4, "{pieces} pieces for {characters} characters");
        assert!(bytes < pieces / 100, "{bytes} of {pieces} pieces are bytes");
    }

    #[test]
    fn substrings_are_cut_between_characters() {
        assert_eq!(substrings("a中b", 1..=2), ["a", "a中", "中", "中b", "b"]);
        assert_eq!(substrings("", 1..=3), [""; 0]);
    }
}
