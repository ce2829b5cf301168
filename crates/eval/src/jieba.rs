//! Words of Chinese text as Python's jieba 0.42.1 cuts them by default, `HMM=True` (`jieba.lcut(text)`).
//!
//! The dictionary, the shortest path and the hidden Markov model are `jieba-rs`'s. Its rules for letters and digits
//! differ from the Python package's, so they are applied here: what is cut, and how single characters that the
//! dictionary leaves over are put together.

use std::sync::OnceLock;

use jieba_rs::Jieba;

use crate::token::is_space;

/// The dictionary, loaded when it is first needed: that takes some 0.1 s and 60 MB.
fn jieba() -> &'static Jieba {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    JIEBA.get_or_init(|| {
        let mut jieba = Jieba::new();
        // The only word of jieba 0.42.1's dictionary that is missing.
        jieba.add_word("B超", Some(3), None);
        jieba
    })
}

/// No dictionary at all: what is cut goes to the model.
fn model() -> &'static Jieba {
    static MODEL: OnceLock<Jieba> = OnceLock::new();
    MODEL.get_or_init(Jieba::empty)
}

/// The words of a text in order, without those of white space alone.
pub fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = if is_cut(c) { rest.find(|c| !is_cut(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
        let (block, after) = rest.split_at(end);
        if is_cut(c) {
            cut_block(block, &mut words);
        } else if !is_space(c) {
            words.push(block);
        }
        rest = after;
    }
    words
}

/// What `re_han_default` matches; every other character is a word of its own.
fn is_cut(c: char) -> bool {
    is_han(c) || c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '&' | '.' | '_' | '%' | '-')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fd5}')
}

/// `__cut_DAG`: words of the dictionary, and runs of single characters between them.
fn cut_block<'a>(block: &'a str, words: &mut Vec<&'a str>) {
    let jieba = jieba();
    // Without the model, jieba-rs gives the path itself, but for letters and digits, which it joins to runs.
    let mut run = 0..0;
    let mut place = 0;
    for token in jieba.cut(block, false) {
        let word = token.word;
        let single = word.chars().nth(1).is_none()
            || word.bytes().all(|b| b.is_ascii_alphanumeric()) && !jieba.has_word(word);
        if !single {
            cut_run(&block[run.start..place], words);
            words.push(word);
            run.start = place + word.len();
        }
        place += word.len();
    }
    cut_run(&block[run.start..], words);
}

/// Characters that the path leaves single: through the model, unless they are a word that the path did not take.
fn cut_run<'a>(run: &'a str, words: &mut Vec<&'a str>) {
    if run.chars().nth(1).is_none() || jieba().has_word(run) {
        words.extend(run.char_indices().map(|(at, c)| &run[at..at + c.len_utf8()]));
        return;
    }
    let mut rest = run;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_han(c) != is_han(first)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        if is_han(first) {
            words.extend(model().cut(part, true).into_iter().map(|token| token.word));
        } else {
            cut_latin(part, words);
        }
        rest = after;
    }
}

/// `re_skip`'s parts: letters and digits, with decimals and a per cent sign, and what stands between.
fn cut_latin<'a>(text: &'a str, words: &mut Vec<&'a str>) {
    let bytes = text.as_bytes();
    let run = |from: usize, is: fn(&u8) -> bool| from + bytes[from..].iter().take_while(|b| is(b)).count();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at = run(at, |b| !b.is_ascii_alphanumeric());
        if at == start {
            at = run(at, u8::is_ascii_alphanumeric);
            if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                at = run(at + 1, u8::is_ascii_digit);
            }
            at += usize::from(bytes.get(at) == Some(&b'%'));
        }
        words.push(&text[start..at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numbers() {
        assert_eq!(words("用 GPT-4.5_x 涨3.5%吧"), ["用", "GPT", "-", "4.5", "_", "x", "涨", "3.5%", "吧"]);
        assert_eq!(words("他来到了网易杭研大厦"), ["他", "来到", "了", "网易", "杭研", "大厦"]);
        assert_eq!(words("做B超，\t好"), ["做", "B超", "，", "好"]);
        assert!(words(" \u{3000}").is_empty());
    }

    /// `tools/metrics_packages_goldens.py`.
    #[test]
    fn the_words_are_those_of_the_python_package() {
        let goldens: serde_json::Value = serde_json::from_str(include_str!("../tests/goldens/packages.json"))
            .expect("the goldens are JSON");
        let cut = goldens["jieba"].as_array().unwrap();
        assert!(cut.len() > 500);
        for line in cut {
            let want: Vec<&str> =
                line[1].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            assert_eq!(words(line[0].as_str().unwrap()), want);
        }
    }
}
