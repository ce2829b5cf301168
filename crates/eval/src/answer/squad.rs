//! SQuAD 1.1's rules (`evaluate-v1.1.py`): lower case, without ASCII punctuation, `a`, `an`, `the`, and more than one
//! space.

use super::{joined, of_normalized, without_articles};
use crate::python::split;

/// Exact match and F1 of one answer.
pub fn scores(prediction: &str, reference: &str) -> [f64; 2] {
    of_normalized(&normalized(prediction), &normalized(reference))
}

fn normalized(text: &str) -> String {
    let text: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    joined(split(&without_articles(&text, &["a", "an", "the"])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert_eq!(normalized("The  U.S. a-team, an_x! thé"), "us ateam anx thé");
        assert_eq!(scores("the cat", "Cat."), [1.0, 1.0]);
        assert_eq!(scores("the", "a"), [1.0, 0.0]);
        // 2 of 3 and 2 of 2 words.
        assert_eq!(scores("big red dog", "red dog")[1], 0.8);
    }
}
