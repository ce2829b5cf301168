//! The pieces of a `vocab.txt`, and the longest of them at the beginning of a word.

use super::settings::PreTokenize;
use super::unicode::{is_chinese, is_python_space};
use crate::error::Error;
use std::path::Path;

/// Larger files are no vocabularies; one of a million pieces has a third of it.
pub(crate) const MAX_BYTES: u64 = 32 << 20;

/// No piece, no node.
const NONE: u32 = u32::MAX;
const ROOT: u32 = 0;

/// Pieces by id, and a trie of their characters.
pub(super) struct Pieces {
    text: String,
    /// Where the piece of an id is in `text`.
    spans: Vec<(u32, u32)>,
    /// The piece that ends at a node.
    ends: Vec<u32>,
    /// Edges: an open hash table of a power of two of places, half full at most.
    edges: Vec<Edge>,
    /// The node of `##`; [`NONE`] where no piece begins so.
    inside: u32,
}

#[derive(Clone, Copy)]
struct Edge {
    /// Node and character; all ones where the place is free.
    key: u64,
    child: u32,
}

const FREE: Edge = Edge { key: u64::MAX, child: NONE };

impl Pieces {
    /// Reads `vocab.txt`: one piece a line, lines ending as Python's text mode has it (`\n`, `\r\n` or `\r`).
    /// Of equal lines the last gives the id.
    ///
    /// For BERT an id is a line's number. For jieba it is counted as bert4keras' `load_vocab` does: a piece is a
    /// line up to its first space, and gets as id the number of *different* pieces so far, so that equal lines
    /// shift what follows.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not UTF-8 or too large.
    pub(super) fn read(vocab: &[u8], pre_tokenize: PreTokenize, path: &Path) -> Result<Self, Error> {
        if vocab.len() as u64 > MAX_BYTES {
            return Err(too_large(path, vocab.len() as u64));
        }
        let text = std::str::from_utf8(vocab).map_err(|error| {
            let line = lines(&vocab[..=error.valid_up_to()]).count();
            let what = "not UTF-8; a vocabulary is a text file with one piece a line".into();
            Error::Invalid { path: path.into(), field: format!("line {line}"), what }
        })?;
        let mut pieces = Self {
            text: text.to_owned(),
            spans: Vec::new(),
            ends: vec![NONE],
            edges: vec![FREE; 1 << 10],
            inside: NONE,
        };
        match pre_tokenize {
            PreTokenize::None => {
                for (start, end) in lines(vocab) {
                    let node = pieces.insert(&text[start..end]);
                    pieces.ends[node as usize] = pieces.spans.len() as u32;
                    pieces.spans.push((start as u32, end as u32));
                }
            }
            PreTokenize::Jieba => {
                let mut different = Vec::new();
                for (start, end) in lines(vocab) {
                    let (start, end) = first_word(text, start, end);
                    let node = pieces.insert(&text[start..end]) as usize;
                    let known = pieces.ends[node] != NONE;
                    pieces.ends[node] = different.len() as u32;
                    if !known {
                        different.push((node, (start as u32, end as u32)));
                    }
                }
                // Several pieces may have got one id, and none another.
                let ids = different.iter().map(|&(node, _)| pieces.ends[node] as usize + 1);
                pieces.spans.resize(ids.max().unwrap_or(0), (0, 0));
                for &(node, span) in &different {
                    pieces.spans[pieces.ends[node] as usize] = span;
                }
            }
        }
        pieces.inside = pieces.node("##").unwrap_or(NONE);
        Ok(pieces)
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn piece(&self, id: u32) -> Option<&str> {
        let &(start, end) = self.spans.get(id as usize)?;
        Some(&self.text[start as usize..end as usize])
    }

    pub(super) fn id_of(&self, piece: &str) -> Option<u32> {
        let id = self.ends[self.node(piece)? as usize];
        (id != NONE).then_some(id)
    }

    /// The piece that is one character.
    pub(super) fn id_of_char(&self, c: char) -> Option<u32> {
        let node = self.step(ROOT, c);
        let id = if node == NONE { NONE } else { self.ends[node as usize] };
        (id != NONE).then_some(id)
    }

    /// Takes a word apart, the longest piece first; appends nothing and says false where a rest is left.
    pub(super) fn split(&self, word: &[char], ids: &mut Vec<u32>) -> bool {
        let before = ids.len();
        let (mut from, mut at) = (ROOT, 0);
        while at < word.len() {
            let (mut node, mut longest, mut next) = (from, NONE, at);
            for (i, &c) in word.iter().enumerate().skip(at) {
                node = self.step(node, c);
                if node == NONE {
                    break;
                }
                if self.ends[node as usize] != NONE {
                    (longest, next) = (self.ends[node as usize], i + 1);
                }
            }
            if longest == NONE {
                ids.truncate(before);
                return false;
            }
            ids.push(longest);
            (from, at) = (self.inside, next);
        }
        true
    }

    fn node(&self, text: &str) -> Option<u32> {
        text.chars().try_fold(ROOT, |node, c| Some(self.step(node, c)).filter(|&child| child != NONE))
    }

    /// The child of a node, or [`NONE`].
    #[inline]
    fn step(&self, node: u32, c: char) -> u32 {
        self.edges[self.place(key(node, c))].child
    }

    /// Where an edge is, or the free place where it belongs.
    #[inline]
    fn place(&self, key: u64) -> usize {
        let mask = self.edges.len() - 1;
        let mut place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.edges[place].key != key && self.edges[place].key != FREE.key {
            place = (place + 1) & mask;
        }
        place
    }

    /// The node of a text, made where it is missing.
    fn insert(&mut self, text: &str) -> u32 {
        let mut node = ROOT;
        for c in text.chars() {
            let key = key(node, c);
            let mut place = self.place(key);
            if self.edges[place].child == NONE {
                if self.ends.len() * 2 > self.edges.len() {
                    self.grow();
                    place = self.place(key);
                }
                self.edges[place] = Edge { key, child: self.ends.len() as u32 };
                self.ends.push(NONE);
            }
            node = self.edges[place].child;
        }
        node
    }

    fn grow(&mut self) {
        let doubled = vec![FREE; self.edges.len() * 2];
        for edge in std::mem::replace(&mut self.edges, doubled) {
            if edge.key != FREE.key {
                let place = self.place(edge.key);
                self.edges[place] = edge;
            }
        }
    }
}

fn key(node: u32, c: char) -> u64 {
    u64::from(node) << 21 | u64::from(u32::from(c))
}

/// Whether a `vocab.txt` is one of words: more than one piece in twenty is of several Chinese characters, as in WoBERT (a
/// third of them), RoFormer and T5-PEGASUS. BERT's has none.
pub(super) fn has_words(vocab: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(vocab) else { return false };
    let is_word = |piece: &str| piece.chars().all(is_chinese) && piece.chars().nth(1).is_some();
    let (mut all, mut words) = (0usize, 0usize);
    for (start, end) in lines(vocab) {
        all += 1;
        words += usize::from(is_word(&text[start..end]));
    }
    words * 20 > all
}

/// The error for files of more than [`MAX_BYTES`].
fn too_large(path: &Path, bytes: u64) -> Error {
    let what = format!("{bytes} bytes; a vocabulary has at most {MAX_BYTES}: is this another file?");
    Error::Invalid { path: path.into(), field: "size".into(), what }
}

/// Beginnings and ends of lines.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let start = at;
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        at = start + length + if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        Some((start, start + length))
    })
}

/// The first word of a line; an empty one where there is none.
fn first_word(text: &str, start: usize, end: usize) -> (usize, usize) {
    let line = &text[start..end];
    let word = line.trim_start_matches(is_python_space);
    let start = end - word.len();
    (start, start + word.find(is_python_space).unwrap_or(word.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vocab: &str, pre_tokenize: PreTokenize) -> Pieces {
        Pieces::read(vocab.as_bytes(), pre_tokenize, Path::new("vocab.txt")).unwrap()
    }

    #[test]
    fn lines_end_as_in_python() {
        let pieces = read("a\r\nb\rc\n\n\r\rd e", PreTokenize::None);
        let all: Vec<_> = (0..pieces.len() as u32).map(|id| pieces.piece(id).unwrap()).collect();
        assert_eq!(all, ["a", "b", "c", "", "", "", "d e"]);
        assert_eq!((pieces.id_of(""), pieces.id_of("d e"), pieces.id_of("d")), (Some(5), Some(6), None));
        assert_eq!(read("", PreTokenize::None).len(), 0);
    }

    /// `load_vocab` on these lines gives {'a': 2, 'b': 1, 'c': 2, 'd': 3, '': 4}.
    #[test]
    fn equal_lines_shift_ids_in_bert4keras() {
        let pieces = read("a x\nb\n a\nc\n\u{3000}d\n\u{2028}\n", PreTokenize::Jieba);
        let ids: Vec<_> = ["a", "b", "c", "d", ""].map(|piece| pieces.id_of(piece).unwrap()).into();
        assert_eq!(ids, [2, 1, 2, 3, 4]);
        let all: Vec<_> = (0..pieces.len() as u32).map(|id| pieces.piece(id).unwrap()).collect();
        assert_eq!(all, ["", "b", "c", "d", ""]);
        let gap = read("a\nb\na\n", PreTokenize::Jieba);
        assert_eq!((gap.len(), gap.id_of("a"), gap.piece(2)), (3, Some(2), Some("a")));
    }

    #[test]
    fn words_show() {
        assert!(has_words("[UNK]\n今\n天\n今天\n".as_bytes()));
        assert!(!has_words("[UNK]\n今\n天\n##今天\nab\n".as_bytes()));
        assert!(!has_words(format!("今天\n{}", "a\n".repeat(19)).as_bytes()));
        assert!(!has_words(b"") && !has_words(b"\xff"));
    }

    #[test]
    fn the_longest_piece_first() {
        let pieces = read("un\n##aff\n##able\n##a\n##abl\nuna\n", PreTokenize::None);
        let split = |word: &str| {
            let mut ids = vec![99];
            let whole = pieces.split(&word.chars().collect::<Vec<_>>(), &mut ids);
            (whole, ids.split_off(1))
        };
        assert_eq!(split("unaffable"), (false, vec![]));
        assert_eq!(split("unable"), (false, vec![]));
        assert_eq!(split("unablable"), (false, vec![]));
        assert_eq!(split("unaabl"), (true, vec![5, 4]));
        assert_eq!(split("ununa"), (false, vec![]));
        assert_eq!(split("unaaffable"), (true, vec![5, 1, 2]));
        assert_eq!(split(""), (true, vec![]));
        assert!(!read("un\n", PreTokenize::None).split(&['u', 'n', 'u', 'n'], &mut vec![]));
    }
}
