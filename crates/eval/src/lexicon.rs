//! Words as numbers, within one comparison.

use std::collections::HashMap;

/// Numbers the different words that it sees, from 0.
#[derive(Debug, Default)]
pub struct Lexicon<'a>(HashMap<&'a str, u32>);

impl<'a> Lexicon<'a> {
    /// The numbers of these words.
    pub fn ids(&mut self, words: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
        let mut id = |word| {
            let next = self.0.len() as u32;
            *self.0.entry(word).or_insert(next)
        };
        words.into_iter().map(&mut id).collect()
    }
}
