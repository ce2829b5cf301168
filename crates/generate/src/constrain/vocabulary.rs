//! What the pieces of a vocabulary add to a text, as a tree of their bytes: pieces that begin alike are looked at
//! together.

use t5kit_tokenizer::{LeadingSpace, Surfaces, Tokenizer};

/// The pieces that a text can be made of.
pub struct Vocabulary {
    /// Those at the beginning of a text, where a piece may lose its space, and those behind it.
    pub(crate) first: Bytes,
    pub(crate) later: Bytes,
    /// Whether what follows a piece of which nothing is left stands at the beginning still.
    pub(crate) begins_again: bool,
    /// Whether the text has spaces that no piece says.
    pub(crate) spaceless: bool,
    /// What every id adds to a text, one after the other, and where each begins.
    said: Vec<u8>,
    begins: Vec<u32>,
    /// Whether an id's text loses its space where a text begins.
    strips: Vec<bool>,
}

impl Vocabulary {
    /// The pieces of a tokenizer, without the ids that `never` come. `continues`: the text goes on with another one, so
    /// that its first piece keeps its space. `None` where the text of pieces is not told by one after the other.
    pub fn new(tokenizer: &Tokenizer, never: &[u32], continues: bool) -> Option<Self> {
        let (space, spaceless) = match tokenizer.surfaces() {
            Surfaces::Unknown => return None,
            Surfaces::Spaceless => (LeadingSpace::Stays, true),
            Surfaces::Joined(_) if continues => (LeadingSpace::Stays, false),
            Surfaces::Joined(space) => (space, false),
        };
        let mut never = never.to_vec();
        never.sort_unstable();
        let ids = tokenizer.vocab_size();
        let said = (0..ids as u32).filter(|id| never.binary_search(id).is_err());
        let surfaces = said.filter_map(|id| Some((id, tokenizer.surface(id)?)));
        // A byte's space is the text's.
        let strips = |id: u32| tokenizer.piece(id).is_some_and(|piece| piece.starts_with('\u{2581}'));
        Some(Vocabulary::of(
            surfaces.map(|(id, bytes)| (id, bytes.into_owned(), strips(id))),
            ids,
            space,
            spaceless,
        ))
    }

    /// Ids with what they add to a text, and whether that begins with a space that may go.
    fn of(
        pieces: impl Iterator<Item = (u32, Vec<u8>, bool)>,
        ids: usize,
        space: LeadingSpace,
        spaceless: bool,
    ) -> Self {
        let (mut first, mut later) = (Builder::default(), Builder::default());
        let (mut said, mut begins, mut stripped) = (Vec::new(), vec![0], vec![false; ids]);
        for (id, bytes, strips) in pieces {
            begins.resize(id as usize + 1, said.len() as u32);
            said.extend_from_slice(&bytes);
            let cut = usize::from(strips && space != LeadingSpace::Stays);
            stripped[id as usize] = cut == 1;
            if cut < bytes.len() || cut == 1 {
                first.add(id, &bytes[cut..]);
            }
            // What adds nothing could come for ever.
            if !bytes.is_empty() {
                later.add(id, &bytes);
            }
        }
        begins.resize(ids + 1, said.len() as u32);
        let begins_again = space == LeadingSpace::AllGo;
        let (first, later) = (first.finish(), later.finish());
        Vocabulary { first, later, begins_again, spaceless, said, begins, strips: stripped }
    }

    /// Ids are below.
    pub(crate) fn ids(&self) -> usize {
        self.strips.len()
    }

    /// What an id adds to a text, at its beginning (`first`) or behind it; `None` for one that does not come.
    pub(crate) fn text(&self, id: u32, first: bool) -> Option<&[u8]> {
        let at = id as usize;
        let strips = *self.strips.get(at)?;
        let text = &self.said[self.begins[at] as usize..self.begins[at + 1] as usize];
        (!text.is_empty()).then(|| &text[usize::from(first && strips)..])
    }

    /// Pieces as they are, for tests.
    #[cfg(test)]
    pub(crate) fn of_pieces(pieces: &[Option<&str>], space: LeadingSpace) -> Self {
        let surface = |(id, piece): (usize, &Option<&str>)| {
            piece.map(|piece| (id as u32, piece.as_bytes().to_vec(), piece.starts_with(' ')))
        };
        let some = pieces.iter().enumerate().filter_map(surface);
        Vocabulary::of(some, pieces.len(), space, false)
    }
}

/// A tree of bytes, its nodes in the order of a walk that goes deep first: a node's subtree is what stands between it and
/// `behind`.
pub(crate) struct Bytes {
    pub nodes: Vec<ByteNode>,
    ids: Vec<u32>,
}

/// A node: the byte that leads to it, where its subtree ends, and where its ids begin.
pub(crate) struct ByteNode {
    pub byte: u8,
    pub behind: u32,
    first: u32,
}

impl Bytes {
    /// The ids that are the bytes down to this node.
    pub fn ids(&self, at: usize) -> &[u32] {
        let end = self.nodes.get(at + 1).map_or(self.ids.len(), |next| next.first as usize);
        &self.ids[self.nodes[at].first as usize..end]
    }
}

#[derive(Default)]
struct Builder(Vec<(Vec<u8>, u32)>);

impl Builder {
    fn add(&mut self, id: u32, bytes: &[u8]) {
        self.0.push((bytes.to_vec(), id));
    }

    fn finish(mut self) -> Bytes {
        self.0.sort_unstable();
        let mut bytes = Bytes { nodes: vec![ByteNode { byte: 0, behind: 0, first: 0 }], ids: Vec::new() };
        // The nodes of the last piece, the root first.
        let mut path = vec![0];
        let mut last: &[u8] = &[];
        for (piece, id) in &self.0 {
            let common = last.iter().zip(piece).take_while(|(a, b)| a == b).count();
            for at in path.drain(common + 1..) {
                let node: usize = at;
                bytes.nodes[node].behind = bytes.nodes.len() as u32;
            }
            for &byte in &piece[common..] {
                path.push(bytes.nodes.len());
                bytes.nodes.push(ByteNode { byte, behind: 0, first: bytes.ids.len() as u32 });
            }
            bytes.ids.push(*id);
            last = piece;
        }
        for at in path {
            bytes.nodes[at].behind = bytes.nodes.len() as u32;
        }
        bytes
    }
}

/// The pieces of each node, by walking.
#[cfg(test)]
fn listed(bytes: &Bytes) -> std::collections::HashMap<u32, Vec<u8>> {
    let mut all = std::collections::HashMap::new();
    let mut open: Vec<(usize, Vec<u8>)> = vec![(bytes.nodes.len(), Vec::new())];
    for at in 0..bytes.nodes.len() {
        while open.len() > 1 && open.last().is_some_and(|(behind, _)| *behind <= at) {
            open.pop();
        }
        let mut text = open.last().map_or(Vec::new(), |(_, text)| text.clone());
        if at > 0 {
            text.push(bytes.nodes[at].byte);
        }
        bytes.ids(at).iter().for_each(|&id| drop(all.insert(id, text.clone())));
        open.push((bytes.nodes[at].behind as usize, text));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_piece_is_found_by_its_bytes() {
        let pieces = [
            Some(" a"),
            None,
            Some("ab"),
            Some(" "),
            Some("abc"),
            Some("今天"),
            Some("今"),
            Some("ab"),
            Some(""),
        ];
        for (space, first) in [
            (LeadingSpace::Stays, [" a", "ab", " ", "abc", "今天", "今", "ab"]),
            (LeadingSpace::Goes, ["a", "ab", "", "abc", "今天", "今", "ab"]),
        ] {
            let vocabulary = Vocabulary::of_pieces(&pieces, space);
            let ids = [0, 2, 3, 4, 5, 6, 7];
            let want: HashMap<u32, Vec<u8>> =
                ids.into_iter().zip(first.map(|text| text.as_bytes().to_vec())).collect();
            assert_eq!(listed(&vocabulary.first), want);
            assert_eq!(listed(&vocabulary.later)[&0], b" a");
            for (id, text) in want {
                assert_eq!(vocabulary.text(id, true), Some(&text[..]));
            }
            assert_eq!((vocabulary.text(1, true), vocabulary.text(0, false)), (None, Some(&b" a"[..])));
        }
        assert!(listed(&Vocabulary::of_pieces(&[], LeadingSpace::Stays).later).is_empty());
    }
}
