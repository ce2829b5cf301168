//! CMRC 2018's rules (`cmrc2018_evaluate.py`): exact match without certain marks; F1 of the longest run of words that
//! both answers have, every Chinese character a word and the rest cut as nltk cuts English.

use super::f1;
use super::nltk::words;
use crate::lexicon::Lexicon;
use crate::python::strip;

/// Exact match and F1 of one answer.
pub fn scores(prediction: &str, reference: &str) -> [f64; 2] {
    let plain = |text: &str| -> String { lower(text).chars().filter(|&c| !is_mark(c)).collect() };
    let same = plain(prediction) == plain(reference);
    let (p, r) = (segments(prediction), segments(reference));
    let mut lexicon = Lexicon::default();
    let ids = [&p, &r].map(|words| lexicon.ids(words.iter().map(String::as_str)));
    [f64::from(u8::from(same)), f1(longest_run(&ids[0], &ids[1]), p.len(), r.len())]
}

fn lower(text: &str) -> String {
    strip(&text.to_lowercase()).to_owned()
}

/// The marks that the script leaves out. An ellipsis is not among them: it is written as two characters there.
fn is_mark(c: char) -> bool {
    "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』".contains(c)
}

/// The words of an answer, without marks.
fn segments(text: &str) -> Vec<String> {
    let (mut segments, mut other) = (Vec::new(), String::new());
    for c in lower(text).chars().filter(|&c| !is_mark(c)) {
        if matches!(c, '\u{4e00}'..='\u{9fa5}') {
            segments.extend(words(&std::mem::take(&mut other)));
            segments.push(c.to_string());
        } else {
            other.push(c);
        }
    }
    segments.extend(words(&other));
    segments
}

/// The length of the longest run of words that both have.
fn longest_run(a: &[u32], b: &[u32]) -> usize {
    let (mut longest, mut row) = (0, vec![0; b.len() + 1]);
    for word in a {
        for (j, other) in b.iter().enumerate().rev() {
            row[j + 1] = if word == other { row[j] + 1 } else { 0 };
            longest = longest.max(row[j + 1]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        assert_eq!(segments("《三国》Romance-2, ok"), ["三", "国", "romance2", ",", "ok"]);
        assert_eq!(scores("红楼，梦。", "红楼梦"), [1.0, 1.0]);
        // The longest run is 2 of 4 and 3 words.
        assert_eq!(scores("红楼的梦", "红楼梦"), [0.0, 4.0 / 7.0]);
        assert_eq!(scores("。", ""), [1.0, 0.0]);
    }
}
