//! Words as nltk's `word_tokenize` cuts them, for what is not Chinese in an answer of CMRC 2018.
//!
//! A text is cut into sentences, then each by the rules of `NLTKWordTokenizer` (nltk 3.10.4), which follow the Penn
//! Treebank's. nltk finds sentences with a model, Punkt, that was trained on newspapers; here a sentence ends at a full
//! stop before white space unless the word is an initial or one of a few abbreviations. It matters only to
//! full stops within an answer, which then are words of their own.

use crate::python::{is_word, split};
use crate::token::is_space;

/// Words before whose full stop no sentence ends, lower-cased.
const ABBREVIATIONS: [&str; 45] = [
    "a.d", "a.m", "adm", "aug", "ave", "bros", "capt", "co", "col", "corp", "dec", "dr", "feb", "fig", "fri",
    "gen", "gov", "inc", "jan", "jr", "l.p", "lt", "ltd", "maj", "messrs", "mr", "mrs", "ms", "nov", "oct",
    "p.m", "ph.d", "prof", "rep", "rev", "sen", "sept", "sgt", "sr", "st", "u.k", "u.n", "u.s", "vs", "w",
];

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    sentences(text).into_iter().flat_map(words_of_sentence).collect()
}

/// The text cut after every full stop that ends a sentence.
fn sentences(text: &str) -> Vec<&str> {
    let (mut sentences, mut start) = (Vec::new(), 0);
    for (at, c) in text.char_indices() {
        // Some marks follow a sentence at once.
        if !(is_space(c) || "([{;:@".contains(c) && text[start..at].ends_with('.')) {
            continue;
        }
        let next = text[at..].trim_start_matches(is_space).chars().next();
        if next.is_some_and(|next| ends_sentence(&text[start..at], next)) {
            sentences.push(&text[start..at]);
            start = at;
        }
    }
    sentences.push(&text[start..]);
    sentences
}

/// Whether the sentence ends behind a text before a word that begins with `next`. After a number it goes on with a
/// word: lower-cased, as answers are, Punkt takes none for a beginning.
fn ends_sentence(text: &str, next: char) -> bool {
    let last = text.rsplit(is_space).next().unwrap_or_default();
    let last = last.trim_end_matches([')', ']', '}', '"', '\'', '*']);
    if last.ends_with(['?', '!']) {
        return true;
    }
    let Some(word) = last.strip_suffix('.') else { return false };
    // What parts words within, and what none begins with.
    let word = word.rsplit(|c| ")\";}]*:@'({[!?".contains(c)).next().unwrap_or_default();
    let word = word.trim_start_matches(|c| "`&#-,".contains(c));
    let is_initial = word.chars().nth(1).is_none() && !word.starts_with(is_digit);
    let is_number = word.starts_with(is_digit) && word.chars().all(|c| is_digit(c) || c == '.' || c == ',');
    !(is_initial || is_number && next.is_alphabetic() || word.ends_with('.') || ABBREVIATIONS.contains(&word))
}

/// A text under substitution, each of which reads it from left to right once.
struct Text(Vec<char>);

impl Text {
    /// Puts what `found` says in place of what it finds: how many characters from a place on, and what instead.
    fn replace(&mut self, found: impl Fn(&[char], usize) -> Option<(usize, String)>) {
        let old = std::mem::take(&mut self.0);
        let mut at = 0;
        while at < old.len() {
            match found(&old, at) {
                Some((length, instead)) => {
                    self.0.extend(instead.chars());
                    at += length;
                }
                None => {
                    self.0.push(old[at]);
                    at += 1;
                }
            }
        }
    }

    /// Spaces around runs of characters that are `one`, of `least` on and together.
    fn apart(&mut self, least: usize, one: impl Fn(char) -> bool) {
        self.replace(|text, at| {
            let run = text[at..].iter().take_while(|&&c| one(c)).count();
            (run >= least && run > 0)
                .then(|| (run, format!(" {} ", text[at..at + run].iter().collect::<String>())))
        });
    }

    /// Spaces around every character that is `one`.
    fn each_apart(&mut self, one: impl Fn(char) -> bool) {
        self.replace(|text, at| one(text[at]).then(|| (1, format!(" {} ", text[at]))));
    }

    /// Spaces around every occurrence of a few characters.
    fn string_apart(&mut self, what: &str, instead: &str) {
        let what: Vec<char> = what.chars().collect();
        self.replace(|text, at| text[at..].starts_with(&what).then(|| (what.len(), format!(" {instead} "))));
    }
}

fn words_of_sentence(sentence: &str) -> Vec<String> {
    let mut text = Text(sentence.chars().collect());
    starting_quotes(&mut text);
    punctuation(&mut text);
    text.each_apart(|c| "][(){}<>".contains(c));
    text.string_apart("--", "--");
    text.0.insert(0, ' ');
    text.0.push(' ');
    ending_quotes(&mut text);
    contractions(&mut text);
    let text: String = text.0.into_iter().collect();
    split(&text).map(String::from).collect()
}

fn starting_quotes(text: &mut Text) {
    text.replace(|text, at| match text[at] {
        c @ ('«' | '“' | '‘' | '„') => Some((1, format!(" {c} "))),
        '`' => {
            let run = text[at..].iter().take_while(|&&c| c == '`').count();
            Some((run, format!(" {} ", "`".repeat(run))))
        }
        _ => None,
    });
    if text.0.first() == Some(&'"') {
        text.0.splice(..1, "``".chars());
    }
    text.string_apart("``", "``");
    text.replace(|text, at| {
        let before = text[at];
        let quote = match text.get(at + 1..)? {
            ['"', ..] => 1,
            ['\'', '\'', ..] => 2,
            _ => return None,
        };
        " ([{<".contains(before).then(|| (1 + quote, format!("{before} `` ")))
    });
    text.replace(|text, at| {
        if text[at] != '\'' || at > 0 && is_word(text[at - 1]) {
            return None;
        }
        let word: String =
            text[at + 1..].iter().take_while(|&&c| is_word(c)).flat_map(|c| c.to_lowercase()).collect();
        let clitic = ["re", "ve", "ll", "m", "t", "s", "d", "n"].contains(&word.as_str());
        (!word.is_empty() && !clitic).then(|| (1, "' ".into()))
    });
}

fn punctuation(text: &mut Text) {
    let closing = |c: char| "])}>\"'»”’ ".contains(c);
    final_stop(text, closing, " ");
    text.replace(|text, at| {
        let next = *text.get(at + 1)?;
        (":,".contains(text[at]) && !is_digit(next)).then(|| (2, format!(" {} {next}", text[at])))
    });
    if let Some(c @ (':' | ',')) = text.0.last().copied() {
        text.0.pop();
        text.0.extend([' ', c, ' ']);
    }
    text.apart(2, |c| c == '.');
    text.each_apart(|c| ";@#$%&".contains(c));
    text.each_apart(|c| ('\u{2012}'..='\u{2015}').contains(&c));
    final_stop(text, |c| "])}>\"'".contains(c), "");
    text.each_apart(|c| c == '?' || c == '!');
    text.replace(|text, at| match text.get(at..at + 3)? {
        [before, '\'', ' '] if *before != '\'' => Some((3, format!("{before} ' "))),
        _ => None,
    });
    text.each_apart(|c| c == '*');
}

/// A full stop at the end stands apart from what is before it and, by `between`, from closing marks behind it.
fn final_stop(text: &mut Text, closing: impl Fn(char) -> bool, between: &str) {
    let end = text.0.iter().rposition(|&c| !is_space(c)).map_or(0, |last| last + 1);
    // Spaces may themselves be among the marks that close.
    let marks = text.0[..end].iter().rev().take_while(|&&c| closing(c)).count();
    let Some(stop) = (end - marks).checked_sub(1).filter(|&at| at > 0 && text.0[at] == '.') else { return };
    if text.0[stop - 1] == '.' {
        return;
    }
    let marks: String = text.0[stop + 1..end].iter().collect();
    text.0.truncate(stop);
    text.0.extend(format!(" .{between}{marks} ").chars());
}

fn ending_quotes(text: &mut Text) {
    text.each_apart(|c| "»”’".contains(c));
    text.string_apart("''", "''");
    text.string_apart("\"", "''");
    text.replace(|text, at| {
        let run = text[at..].iter().take_while(|&&c| is_space(c)).count();
        (run > 0).then(|| (run, " ".into()))
    });
    for clitics in [
        &["'s", "'S", "'m", "'M", "'d", "'D", "'"][..],
        &["'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"],
    ] {
        text.replace(|text, at| {
            let before = text[at];
            let follows = |clitic: &&&str| {
                text[at + 1..].iter().copied().take(clitic.len() + 1).eq(clitic.chars().chain([' ']))
            };
            let clitic = clitics.iter().find(follows)?;
            (before != '\'' && before != ' ').then(|| (2 + clitic.len(), format!("{before} {clitic} ")))
        });
    }
}

/// `cannot` and the like. nltk's rules for `'tis` never apply: its opening quotes have taken the apostrophe away.
fn contractions(text: &mut Text) {
    let halves = [
        ("can", "not"),
        ("d", "'ye"),
        ("gim", "me"),
        ("gon", "na"),
        ("got", "ta"),
        ("lem", "me"),
        ("more", "'n"),
        ("wan", "na"),
    ];
    for (first, second) in halves {
        text.replace(|text, at| {
            let (middle, end) = (at + first.len(), at + first.len() + second.len());
            let begins = (at == 0 || !is_word(text[at - 1])) && is_word(text[at]);
            // `wan na` only before white space.
            let next = text.get(end).copied();
            let ends = next.is_none_or(|c| !is_word(c)) && (first != "wan" || next.is_some_and(is_space));
            let same = |from: usize, to: usize, half: &str| {
                text.get(from..to)
                    .is_some_and(|part| part.iter().flat_map(|c| c.to_lowercase()).eq(half.chars()))
            };
            let found = begins && ends && same(at, middle, first) && same(middle, end, second);
            let part = |from: usize, to: usize| text[from..to].iter().collect::<String>();
            found.then(|| (end - at, format!(" {} {} ", part(at, middle), part(middle, end))))
        });
    }
}

/// Python's `\d`: decimal digits of every script.
fn is_digit(c: char) -> bool {
    let of = unicode_general_category::get_general_category(c);
    of == unicode_general_category::GeneralCategory::DecimalNumber
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_the_treebank() {
        for (text, want) in [
            (
                "good muffins cost $3.88 (roughly 3,36 euros)",
                "good muffins cost $ 3.88 ( roughly 3,36 euros )",
            ),
            ("they'll save and i can't.", "they 'll save and i ca n't ."),
            ("\"hello\" she said...", "`` hello '' she said ..."),
            ("cannot gonna 'tis wanna go", "can not gon na ' tis wan na go"),
            ("in new york. please buy mr. smith's a--b", "in new york . please buy mr. smith 's a -- b"),
            ("u.s. 3.5% [x]", "u.s. 3.5 % [ x ]"),
            ("", ""),
        ] {
            assert_eq!(words(text).join(" "), want);
        }
    }
}
