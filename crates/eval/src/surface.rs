//! Figures of what texts look like: how varied they are, how much of them is copied, how long they are.
//!
//! Their tokens are single characters of Chinese and Japanese and the words between white space of everything else.

use std::collections::HashMap;

use crate::answer::words::is_han;
use crate::lexicon::Lexicon;
use crate::python::split;
use crate::statistics::Statistics;
use crate::token::is_space;

/// The tokens of a text.
pub fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for word in split(text) {
        let mut rest = word;
        while let Some(c) = rest.chars().next() {
            let end = if is_han(c) { c.len_utf8() } else { rest.find(is_han).unwrap_or(rest.len()) };
            tokens.push(&rest[..end]);
            rest = &rest[end..];
        }
    }
    tokens
}

/// distinct-n (Li et al. 2016): different n-grams of all texts per n-gram.
#[derive(Debug)]
pub struct Distinct {
    /// The n-grams of all lines one after another, as numbers from 0.
    grams: Vec<u32>,
    /// Where each line ends in `grams`.
    ends: Vec<usize>,
    different: usize,
}

impl Distinct {
    /// Of these texts; `n` is at least 1.
    pub fn new<'a>(texts: impl Iterator<Item = &'a str>, n: usize) -> Self {
        let mut lexicon = Lexicon::default();
        // n-grams of each length are numbered by the shorter one that they begin with and their last token.
        let mut longer: Vec<HashMap<(u32, u32), u32>> = vec![HashMap::new(); n - 1];
        let (mut grams, mut ends) = (Vec::new(), Vec::new());
        for text in texts {
            let ids = lexicon.ids(tokens(text));
            let mut line = ids.clone();
            for (k, numbers) in longer.iter_mut().enumerate() {
                let lasts = ids.iter().skip(k + 1);
                let number = |(&first, &last): (&u32, &u32)| {
                    let next = numbers.len() as u32;
                    *numbers.entry((first, last)).or_insert(next)
                };
                line = line.iter().zip(lasts).map(number).collect();
            }
            grams.extend(line);
            ends.push(grams.len());
        }
        let different = grams.iter().max().map_or(0, |&most| most as usize + 1);
        Distinct { grams, ends, different }
    }

    fn lines(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.grams[start..end])
    }

    /// The figure of each line.
    pub fn of_lines(&self) -> Vec<f64> {
        let share = |line: &[u32]| {
            let mut different = line.to_vec();
            different.sort_unstable();
            different.dedup();
            different.len() as f64 / line.len().max(1) as f64
        };
        self.lines().map(share).collect()
    }
}

impl Statistics for Distinct {
    fn figures(&self, times: &[u32]) -> Vec<f64> {
        let mut seen = vec![false; self.different];
        let (mut different, mut all) = (0u64, 0u64);
        for (line, &times) in self.lines().zip(times).filter(|(_, times)| **times > 0) {
            all += line.len() as u64 * u64::from(times);
            for &gram in line {
                different += u64::from(!std::mem::replace(&mut seen[gram as usize], true));
            }
        }
        vec![different as f64 / all.max(1) as f64]
    }

    fn count(&self) -> usize {
        self.ends.len()
    }
}

/// Coverage (Grusky et al. 2018): the share of a text's tokens that lie in fragments copied from its source, the
/// longest taken greedily from the left. 0 for a text without tokens.
pub fn coverage(text: &str, source: &str) -> f64 {
    let mut lexicon = Lexicon::default();
    let (source, text) = (lexicon.ids(tokens(source)), lexicon.ids(tokens(text)));
    let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
    source.iter().enumerate().for_each(|(at, &id)| places.entry(id).or_default().push(at));
    let (mut at, mut copied) = (0, 0);
    while at < text.len() {
        let same = |&from: &usize| text[at..].iter().zip(&source[from..]).take_while(|(a, b)| a == b).count();
        let longest = places.get(&text[at]).and_then(|places| places.iter().map(same).max()).unwrap_or(0);
        copied += longest;
        at += longest.max(1);
    }
    copied as f64 / text.len().max(1) as f64
}

/// Characters but white space.
pub fn length(text: &str) -> usize {
    text.chars().filter(|&c| !is_space(c)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_characters_and_words() {
        assert_eq!(tokens("用GPT-4 写 a，b"), ["用", "GPT-4", "写", "a，b"]);
    }

    #[test]
    fn distinct_counts_over_all_lines() {
        let of =
            |n, texts: &[&str]| Distinct::new(texts.iter().copied(), n).figures(&vec![1; texts.len()])[0];
        assert_eq!(of(1, &["甲乙", "乙丙"]), 0.75);
        assert_eq!(of(2, &["甲乙丙", "甲乙", "丁"]), 2.0 / 3.0);
        assert_eq!(of(3, &["甲乙", ""]), 0.0);
        let twice = Distinct::new(["甲乙", "丙"].into_iter(), 1);
        assert_eq!(twice.figures(&[2, 0]), [0.5]);
        assert_eq!(Distinct::new(["甲甲", ""].into_iter(), 1).of_lines(), [0.5, 0.0]);
    }

    #[test]
    fn coverage_takes_the_longest_fragments() {
        assert_eq!(coverage("甲乙丁", "丁甲丙甲乙"), 1.0);
        assert_eq!(coverage("a x b", "a b"), 2.0 / 3.0);
        assert_eq!((coverage("", "a"), coverage("a", "")), (0.0, 0.0));
    }
}
