//! Exact match and F1 of answers, as reading comprehension has them (SQuAD, CMRC 2018): case, punctuation and white
//! space do not count; every Chinese character is a word of its own.

use std::collections::HashMap;

/// The words of a text: lower-cased runs of letters and digits, and single Chinese characters.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() && !is_han(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if is_han(c) {
            words.push(c.to_string());
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// Chinese characters, kana and the ideographic zero: what is written without spaces.
fn is_han(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether two texts have the same words.
pub fn exact_match(prediction: &str, reference: &str) -> bool {
    words(prediction) == words(reference)
}

/// The harmonic mean of precision and recall of words, each counted as often as it occurs; 1 where neither side has
/// any.
pub fn f1(prediction: &str, reference: &str) -> f64 {
    let (predicted, expected) = (words(prediction), words(reference));
    if predicted.is_empty() || expected.is_empty() {
        return f64::from(u8::from(predicted.is_empty() && expected.is_empty()));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &expected {
        *left.entry(word).or_insert(0) += 1;
    }
    let mut common = 0;
    for word in &predicted {
        if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    2.0 * f64::from(common) / (predicted.len() + expected.len()) as f64
}
