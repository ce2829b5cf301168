//! Given texts as a tree of their tokens.

use std::collections::HashMap;
use std::sync::Arc;

/// Texts by their ids: what may come after each beginning of them.
#[derive(Clone)]
pub struct Texts(Arc<Tree>);

struct Tree {
    /// As they were given.
    names: Vec<String>,
    /// Ids each of which ends a text; the first is the one that texts were encoded with.
    end: Vec<u32>,
    /// The first is the beginning of all texts.
    nodes: Vec<Node>,
}

/// A beginning of texts.
#[derive(Default)]
pub(crate) struct Node {
    /// Ids that continue it, ascending, and which nodes they lead to.
    pub next: Vec<(u32, usize)>,
    /// The text that it is all of.
    pub text: Option<usize>,
    /// Tokens to the nearest end, the end included.
    left: usize,
}

impl Texts {
    /// Texts and their ids without an end, which each of `end` (one at least) is. Of texts with the same ids the first
    /// counts. An empty list is one that permits nothing.
    pub fn new(texts: impl IntoIterator<Item = (String, Vec<u32>)>, end: &[u32]) -> Self {
        let mut tree = Tree { names: Vec::new(), end: end.to_vec(), nodes: vec![Node::default()] };
        let mut places: HashMap<(usize, u32), usize> = HashMap::new();
        for (name, ids) in texts {
            let mut at = 0;
            for id in ids {
                let new = tree.nodes.len();
                let next = *places.entry((at, id)).or_insert(new);
                if next == new {
                    tree.nodes[at].next.push((id, next));
                    tree.nodes.push(Node::default());
                }
                at = next;
            }
            if tree.nodes[at].text.is_none() {
                tree.nodes[at].text = Some(tree.names.len());
                tree.names.push(name);
            }
        }
        // Children come after their parents.
        for at in (0..tree.nodes.len()).rev() {
            let behind = tree.nodes[at].next.iter().map(|&(_, next)| tree.nodes[next].left + 1).min();
            let node = &mut tree.nodes[at];
            node.left = if node.text.is_some() { 1 } else { behind.unwrap_or(usize::MAX - 1) };
            node.next.sort_unstable();
        }
        Texts(Arc::new(tree))
    }

    /// The texts as they were given, those with the ids of an earlier one left out.
    pub fn names(&self) -> &[String] {
        &self.0.names
    }

    /// Tokens of the shortest one, the end included.
    pub fn shortest(&self) -> usize {
        self.0.nodes[0].left
    }

    /// Tokens of the longest one, the end included.
    pub fn longest(&self) -> usize {
        let mut depth = vec![0; self.0.nodes.len()];
        for (at, node) in self.0.nodes.iter().enumerate() {
            node.next.iter().for_each(|&(_, next)| depth[next] = depth[at] + 1);
        }
        depth.into_iter().max().unwrap_or(0) + 1
    }

    /// Beginnings that are told apart, the empty one and whole texts included.
    pub fn beginnings(&self) -> usize {
        self.0.nodes.len()
    }

    pub(crate) fn node(&self, at: usize) -> &Node {
        &self.0.nodes[at]
    }

    /// The id that texts end in.
    pub(crate) fn end(&self) -> u32 {
        self.0.end[0]
    }

    /// Which text the ids are, with an end or without.
    pub fn text(&self, ids: &[u32]) -> Option<usize> {
        let said = match ids.split_last() {
            Some((last, before)) if self.0.end.contains(last) => before,
            _ => ids,
        };
        self.0.nodes[self.walk(said)?].text
    }

    fn walk(&self, ids: &[u32]) -> Option<usize> {
        let next = |at: usize, id: &u32| {
            let next = &self.0.nodes[at].next;
            next.binary_search_by_key(id, |&(id, _)| id).ok().map(|found| next[found].1)
        };
        ids.iter().try_fold(0, next)
    }

    /// The ids that may come after these, where `left` tokens may still come.
    pub(crate) fn allowed(&self, said: &[u32], left: usize) -> Vec<u32> {
        let Some(at) = self.walk(said).filter(|_| left > 0) else { return Vec::new() };
        let Node { next, text, .. } = &self.0.nodes[at];
        let fits = |&&(_, next): &&(u32, usize)| self.0.nodes[next].left < left;
        let ends = self.0.end.iter().filter(|_| text.is_some());
        next.iter().filter(fits).map(|(id, _)| id).chain(ends).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_whole_and_nothing_else() {
        let ids: [&[u32]; 5] = [&[5, 6], &[5, 6, 7, 8], &[9], &[5, 6], &[5, 4, 4]];
        let texts = Texts::new(ids.iter().map(|ids| (format!("{ids:?}"), ids.to_vec())), &[1, 2]);
        assert_eq!((texts.names().len(), texts.shortest(), texts.longest()), (4, 2, 5));
        assert_eq!(texts.beginnings(), 1 + 4 + 1 + 2);
        for (said, left, allowed) in [
            (&[][..], 9, &[5, 9][..]),
            (&[], 3, &[5, 9]),
            (&[], 2, &[9]),
            (&[], 1, &[]),
            (&[5], 9, &[4, 6]),
            (&[5], 2, &[6]),
            (&[5, 6], 9, &[7, 1, 2]),
            (&[5, 6], 2, &[1, 2]),
            (&[5, 6], 0, &[]),
            (&[9], 3, &[1, 2]),
            (&[9, 1], 3, &[]),
            (&[3], 9, &[]),
        ] {
            assert_eq!(texts.allowed(said, left), allowed, "{said:?}, {left}");
        }
        assert_eq!(
            [&[5, 6][..], &[5, 6, 2], &[5], &[5, 6, 1, 1]].map(|ids| texts.text(ids)),
            [Some(0), Some(0), None, None]
        );
        let none = Texts::new([], &[1]);
        assert!(none.allowed(&[], 9).is_empty() && none.shortest() > 1 << 40);
        let empty = Texts::new([(String::new(), Vec::new())], &[1]);
        assert_eq!((empty.allowed(&[], 9), empty.text(&[1])), (vec![1], Some(0)));
    }
}
