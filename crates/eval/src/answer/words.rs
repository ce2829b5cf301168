//! Exact match and F1 of texts of any language, after no script: case, punctuation and white space do not count; every
//! Chinese character is a word of its own.

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
pub fn is_han(c: char) -> bool {
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
    if predicted.is_empty() && expected.is_empty() {
        return 1.0;
    }
    let [p, e] = [&predicted, &expected].map(|words| words.iter().map(String::as_str).collect::<Vec<_>>());
    super::f1(super::common(&p, &e), p.len(), e.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_marks_do_not_count() {
        assert_eq!(words("《三国Romance 2》，3.5"), ["三", "国", "romance", "2", "3", "5"]);
        assert!(
            exact_match("《红楼梦》 ", "红楼梦")
                && !exact_match("红楼", "红楼梦")
                && exact_match("A b", "a  B.")
        );
        // 2 of 2 and 3 words; a word that occurs twice counts once where the reference has it once.
        assert_eq!(f1("红楼", "红楼梦"), 0.8);
        assert_eq!(f1("the the cat", "the dog"), 0.4);
        assert_eq!((f1("。", ""), f1("", "梦")), (1.0, 0.0));
    }
}
