//! The demo's data: sentence–headline pairs in three parts that share neither a sentence nor a headline.

use super::grammar::{Grammar, Pair};
use anyhow::{Result, ensure};
use std::collections::HashSet;
use t5kit_tensor::Rng;

/// Training, validation and test pairs.
pub struct Data {
    /// Pairs to learn from.
    pub train: Vec<Pair>,
    /// Pairs to watch while learning.
    pub valid: Vec<Pair>,
    /// Pairs that are only generated for.
    pub test: Vec<Pair>,
}

/// The grammar of the demo.
pub fn grammar() -> Result<Grammar> {
    Grammar::parse(include_str!("grammar.txt"))
}

impl Data {
    /// Draws parts of these sizes. The same seed gives the same data.
    pub fn draw(grammar: &Grammar, seed: u64, train: usize, valid: usize, test: usize) -> Result<Data> {
        let wanted = train + valid + test;
        let mut rng = Rng::new(seed, 0);
        let (mut sentences, mut headlines) = (HashSet::new(), HashSet::new());
        let mut pairs = Vec::with_capacity(wanted);
        for _ in 0..wanted * 20 {
            let pair = grammar.draw(&mut rng);
            if sentences.contains(&pair.sentence) || !headlines.insert(pair.headline.clone()) {
                continue;
            }
            sentences.insert(pair.sentence.clone());
            pairs.push(pair);
            if pairs.len() == wanted {
                let test = pairs.split_off(train + valid);
                let valid = pairs.split_off(train);
                return Ok(Data { train: pairs, valid, test });
            }
        }
        ensure!(wanted == 0, "the grammar gave only {} different headlines of {wanted}", pairs.len());
        Ok(Data { train: Vec::new(), valid: Vec::new(), test: Vec::new() })
    }
}

/// Pairs as lines of sentence, tab, headline: the file that `t5kit finetune --train` reads.
pub fn tsv(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| format!("{}\t{}\n", pair.sentence, pair.headline)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_share_nothing_and_repeat() {
        let grammar = grammar().unwrap();
        let data = Data::draw(&grammar, 1, 3000, 100, 200).unwrap();
        assert_eq!((data.train.len(), data.valid.len(), data.test.len()), (3000, 100, 200));
        let all: Vec<&Pair> = data.train.iter().chain(&data.valid).chain(&data.test).collect();
        let sentences: HashSet<&str> = all.iter().map(|pair| pair.sentence.as_str()).collect();
        let headlines: HashSet<&str> = all.iter().map(|pair| pair.headline.as_str()).collect();
        assert_eq!((sentences.len(), headlines.len()), (3300, 3300));
        assert_eq!(Data::draw(&grammar, 1, 3000, 100, 200).unwrap().test, data.test);
        assert_ne!(Data::draw(&grammar, 2, 3000, 100, 200).unwrap().test, data.test);
    }

    #[test]
    fn copying_the_beginning_is_no_way_to_a_headline() {
        let data = Data::draw(&grammar().unwrap(), 1, 0, 0, 500).unwrap();
        let cut: Vec<String> =
            data.test.iter().map(|p| p.sentence.chars().take(p.headline.chars().count()).collect()).collect();
        let pairs = cut.iter().zip(&data.test).map(|(cut, pair)| (cut.as_str(), pair.headline.as_str()));
        let bleu = t5kit_eval::csl(pairs).bleu;
        assert!(bleu < 0.25, "{bleu}");
    }

    #[test]
    fn a_grammar_of_few_sentences_is_an_error() {
        let grammar = Grammar::parse("> a\n< b\n").unwrap();
        assert!(Data::draw(&grammar, 1, 1, 1, 1).is_err());
        assert!(Data::draw(&grammar, 1, 0, 1, 0).is_ok());
    }
}
