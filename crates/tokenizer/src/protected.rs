//! Pieces that are taken from a text as they are.

use std::collections::HashMap;

/// At most so many pieces that are prefixes of one another are looked at, as in the library.
const MAX_PREFIXES: usize = 64;

/// A set of strings that is asked for the longest one a text begins with.
#[derive(Default)]
pub(crate) struct Protected {
    /// The trie's edges; node 0 is the root.
    next: HashMap<(u32, u8), u32>,
    /// Whether a string ends at the node.
    ends: Vec<bool>,
    /// The first bytes of all strings: for nearly every text the answer is here.
    first: [u64; 4],
}

impl Protected {
    /// Adds a string; the empty one is ignored.
    pub(crate) fn insert(&mut self, text: &str) {
        let Some(&first) = text.as_bytes().first() else { return };
        self.first[usize::from(first >> 6)] |= 1 << (first & 63);
        if self.ends.is_empty() {
            self.ends.push(false);
        }
        let mut node = 0;
        for &byte in text.as_bytes() {
            let fresh = self.ends.len() as u32;
            node = *self.next.entry((node, byte)).or_insert(fresh);
            if node == fresh {
                self.ends.push(false);
            }
        }
        self.ends[node as usize] = true;
    }

    /// The longest string of the set that `text` begins with.
    pub(crate) fn longest_prefix<'a>(&self, text: &'a [u8]) -> Option<&'a str> {
        let &first = text.first()?;
        if self.first[usize::from(first >> 6)] >> (first & 63) & 1 == 0 {
            return None;
        }
        let (mut node, mut longest, mut found) = (0, 0, 0);
        for (i, &byte) in text.iter().enumerate() {
            let Some(&next) = self.next.get(&(node, byte)) else { break };
            node = next;
            if self.ends[node as usize] {
                longest = i + 1;
                found += 1;
                if found == MAX_PREFIXES {
                    break;
                }
            }
        }
        let piece = std::str::from_utf8(&text[..longest]).expect("equal to a string of the set");
        (longest > 0).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::Protected;

    #[test]
    fn the_longest_wins() {
        let mut set = Protected::default();
        assert_eq!(set.longest_prefix(b"abc"), None);
        for text in ["ab", "abcd", "▁<x>", ""] {
            set.insert(text);
        }
        for (text, found) in [
            (&b"abc"[..], Some("ab")),
            (b"abcde", Some("abcd")),
            (b"a", None),
            (b"", None),
            (b"b", None),
            ("▁<x>".as_bytes(), Some("▁<x>")),
            ("▁<y>".as_bytes(), None),
        ] {
            assert_eq!(set.longest_prefix(text), found);
        }
    }
}
