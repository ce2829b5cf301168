//! Exact match and F1 of answers, by the rules of the scripts that come with the data sets: SQuAD, MLQA, CMRC 2018.

pub mod cmrc;
pub mod mlqa;
mod nltk;
pub mod squad;
pub mod words;

use std::collections::HashMap;

/// How many of the words two answers share, each counted as often as both have it.
fn common<'a>(predicted: &[&'a str], expected: &[&'a str]) -> usize {
    let mut left: HashMap<&'a str, usize> = HashMap::new();
    expected.iter().for_each(|word| *left.entry(word).or_default() += 1);
    let mut found = |word: &&&'a str| match left.get_mut(**word) {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    };
    predicted.iter().filter(&mut found).count()
}

/// The harmonic mean of `common` over either length; 0 where nothing is common, so of two empty answers too.
fn f1(common: usize, predicted: usize, expected: usize) -> f64 {
    if common == 0 { 0.0 } else { 2.0 * common as f64 / (predicted + expected) as f64 }
}

/// Exact match and F1 of normalized answers whose words stand between single spaces.
fn of_normalized(prediction: &str, reference: &str) -> [f64; 2] {
    let words = |text| crate::python::split(text).collect::<Vec<_>>();
    let (p, r) = (words(prediction), words(reference));
    [f64::from(u8::from(prediction == reference)), f1(common(&p, &r), p.len(), r.len())]
}

/// The text without its words, runs of letters, digits and underscores, that are articles: each becomes a space.
fn without_articles(text: &str, articles: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let in_word = crate::python::is_word(c);
        let end = rest.find(|c| crate::python::is_word(c) != in_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        out += if in_word && articles.contains(&part) { " " } else { part };
        rest = after;
    }
    out
}

/// Words joined by single spaces.
fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}
