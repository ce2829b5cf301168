//! Pronouns and what they stand for, as T5 has them (Raffel et al. 2020, section 2.4): WSC of SuperGLUE, DPR beside it
//! to learn from, and WNLI of GLUE. The source marks the pronoun (`wsc: … *it* …`), the target is the referent.

use std::path::Path;

use regex_lite::{Regex, escape};
use serde::Deserialize;

use super::input::{Input, Out, bad_row, each_json_line, each_line};
use super::{Error, Split, SuiteExample};

#[derive(Deserialize)]
struct Wsc {
    text: String,
    target: Spans,
    label: Option<bool>,
    idx: u64,
}

#[derive(Deserialize)]
struct Spans {
    span1_text: String,
    span1_index: usize,
    span2_text: String,
    span2_index: usize,
}

/// Two texts of WSC whose pronoun is not where their index says; `t5.data.preprocessors._wsc_inputs` has what they
/// should be.
const MISPLACED: [(&str, &str); 2] = [
    (
        "The boy continued to whip the pony , and eventually the pony threw him over. John laughed out quite loud. \
         \"Good for him,\" he said. ",
        "The boy continued to whip the pony , and eventually the pony threw him over. John laughed out quite loud. \
         \"Good for X ,\" he said.",
    ),
    (
        "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the magic pebble in an iron \
         safe . Some day they might want to use it , but really for now, what more could they wish for?",
        "When they had eventually calmed down a bit , and had gotten home, Mr. Farley put the magic pebble in an iron \
         safe . Some day they might want to use X , but really for now, what more could they wish for?",
    ),
];

/// WSC: of what is learnt from only the right referents.
pub(super) fn wsc(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    each_json_line(path, |line, row: Wsc| {
        if row.label.is_none() && input.split != Split::Test {
            return Err(bad_row(path, line, "no label: `label` is not there"));
        }
        if input.split == Split::Train && row.label == Some(false) {
            out.skip();
            return Ok(());
        }
        let mut spans = row.target;
        let wrong = |what: String| bad_row(path, line, what);
        mend(&row.text, &mut spans).map_err(wrong)?;
        let blank = blank(&row.text, &spans).map_err(wrong)?;
        let source = format!("wsc: {}", blank.replace(" X ", &format!(" *{}* ", spans.span2_text)));
        out.push(SuiteExample {
            correct: row.label,
            ..SuiteExample::new(source, Some(spans.span1_text), row.idx)
        })
    })
}

/// Mends spans that are not within the text, as TFDS's `wsc.fixed` does.
fn mend(text: &str, spans: &mut Spans) -> Result<(), String> {
    for first in [true, false] {
        let (span, index) = match first {
            true => (spans.span1_text.clone(), spans.span1_index),
            false => (spans.span2_text.clone(), spans.span2_index),
        };
        let apart = ["Kamenev and Zinoviev", "Kamenev, Zinoviev, and Stalin"];
        if text.contains(&span) || apart.contains(&span.as_str()) {
            continue;
        }
        if span.contains("theyscold") {
            spans.span2_index = 10;
        }
        let word = text.split_whitespace().nth(index);
        let word =
            word.ok_or_else(|| format!("there is no word {index} in the text, where {span:?} should be"))?;
        let mut letters = span.chars();
        let start = letters.next().into_iter();
        let lower = word.chars().next().is_some_and(char::is_lowercase);
        let start: String = match lower {
            true => start.flat_map(char::to_lowercase).collect(),
            false => start.flat_map(char::to_uppercase).collect(),
        };
        let mended = (start + letters.as_str()).trim_end_matches('.').replace('\n', " ");
        if !text.contains(&mended) {
            return Err(format!("the span {span:?} is not within the text"));
        }
        *(if first { &mut spans.span1_text } else { &mut spans.span2_text }) = mended;
    }
    Ok(())
}

/// The text with an X in the pronoun's place.
fn blank(text: &str, spans: &Spans) -> Result<String, String> {
    if let Some((_, right)) = MISPLACED.iter().find(|(wrong, _)| *wrong == text) {
        return Ok((*right).to_owned());
    }
    let mut words: Vec<&str> = text.split(' ').collect();
    let (index, pronoun) = (spans.span2_index, spans.span2_text.as_str());
    match words.get_mut(index).filter(|word| index > 0 && **word == pronoun) {
        Some(word) => *word = "X",
        None => return Err(format!("the word {index} of the text is not the pronoun {pronoun:?}")),
    }
    Ok(words.join(" "))
}

/// DPR: four lines an example (sentence, pronoun, two candidates with a comma between them, the right one), and an
/// empty one.
pub(super) fn dpr(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let mut lines: Vec<String> = Vec::new();
    let (mut number, mut last) = (0u64, 0);
    let take = |lines: &mut Vec<String>, line: u64, number: &mut u64, out: &mut Out<'_>| {
        let example = resolve(lines, path, line, *number)?;
        lines.clear();
        *number += 1;
        out.push(example)
    };
    each_line(path, |line, text| {
        last = line;
        match text.trim() {
            "" if lines.is_empty() => Ok(()),
            "" => take(&mut lines, line, &mut number, out),
            text => {
                lines.push(text.to_owned());
                Ok(())
            }
        }
    })?;
    if lines.is_empty() { Ok(()) } else { take(&mut lines, last, &mut number, out) }
}

fn resolve(lines: &[String], path: &Path, line: u64, number: u64) -> Result<SuiteExample, Error> {
    let [sentence, pronoun, candidates, right] = lines else {
        let what = format!(
            "{} lines before this one, where an example has 4: sentence, pronoun, candidates, answer",
            lines.len()
        );
        return Err(bad_row(path, line, what));
    };
    if !candidates.split(',').any(|candidate| candidate.trim() == right) {
        return Err(bad_row(
            path,
            line,
            format!("the answer {right:?} is not among the candidates {candidates:?}"),
        ));
    }
    // The first of several is meant.
    let marked = format!(" {pronoun}");
    let end = |at: usize| sentence[at + marked.len()..].starts_with([' ', '.', ',']);
    let source = match sentence.match_indices(&marked).map(|(at, _)| at).find(|&at| end(at)) {
        Some(at) => format!("wsc: {} *{pronoun}*{}", &sentence[..at], &sentence[at + marked.len()..]),
        None => format!("wsc: {sentence}"),
    };
    Ok(SuiteExample::new(source, Some(right.clone()), number))
}

/// WNLI as WSC: the pronoun is the one whose surroundings in the premise are those of something in the hypothesis, and
/// that something is the referent (`t5.data.preprocessors.wnli_simple`, only to measure on).
pub(super) fn wnli(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let mut header: Option<Vec<String>> = None;
    let mut number = 0u64;
    each_line(path, |line, text| {
        if text.is_empty() {
            return Ok(());
        }
        let cells: Vec<&str> = text.split('\t').collect();
        let Some(names) = &header else {
            header = Some(cells.iter().map(|&name| name.to_owned()).collect());
            return Ok(());
        };
        let cell = |name: &str| cells.get(names.iter().position(|n| n == name)?).copied();
        let (Some(premise), Some(hypothesis)) = (cell("sentence1"), cell("sentence2")) else {
            return Err(bad_row(path, line, "`sentence1` or `sentence2` is not there"));
        };
        let correct = match cell("label") {
            Some("0") => Some(false),
            Some("1") => Some(true),
            None if input.split == Split::Test => None,
            other => {
                return Err(bad_row(
                    path,
                    line,
                    format!("the label {:?} is not 0 or 1", other.unwrap_or_default()),
                ));
            }
        };
        let (source, referent) = referent(premise, hypothesis).map_err(|what| bad_row(path, line, what))?;
        out.push(SuiteExample { correct, ..SuiteExample::new(source, Some(referent), number) })?;
        number += 1;
        Ok(())
    })
}

const PRONOUNS: [&str; 9] = ["he", "she", "they", "it", "her", "his", "their", "them", "him"];
const MARKS: [char; 4] = ['.', ',', '?', '!'];

/// The source and the referent of a pair.
fn referent(premise: &str, hypothesis: &str) -> Result<(String, String), String> {
    let (said, claimed) = (words(premise), words(hypothesis));
    let mut best: Option<(usize, usize, String)> = None;
    for (index, _) in said.iter().enumerate().filter(|(_, word)| PRONOUNS.contains(&word.as_str())) {
        let (score, candidate) = candidate(&said, &claimed, index)?;
        if best.as_ref().is_none_or(|(most, _, _)| score > *most) {
            best = Some((score, index, candidate));
        }
    }
    let (_, index, candidate) = best.ok_or("no pronoun in `sentence1`")?;
    let referent = in_hypothesis(&candidate, hypothesis)?;
    let mut marked: Vec<String> = premise.split(' ').map(str::to_owned).collect();
    let word =
        marked.get_mut(index).filter(|word| !word.is_empty()).ok_or("`sentence1` has spaces too many")?;
    *word = match word.strip_suffix(MARKS) {
        Some(bare) => format!("*{bare}* {}", &word[bare.len()..]),
        None => format!("*{word}*"),
    };
    Ok((format!("wsc: {}", marked.join(" ")), referent))
}

/// Lower-cased words without the mark behind them.
fn words(text: &str) -> Vec<String> {
    let lower = text.trim().to_lowercase();
    let bare = lower.split(' ').map(|word| word.strip_suffix(MARKS).unwrap_or(word));
    bare.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// How many words around the pronoun the hypothesis has too, and what it has in the pronoun's place.
fn candidate(premise: &[String], hypothesis: &[String], index: usize) -> Result<(usize, String), String> {
    let (before, behind) = (&premise[..index], &premise[index + 1..]);
    let reversed = |words: &[String]| words.iter().rev().cloned().collect::<Vec<_>>();
    let common_before = common(&reversed(hypothesis), &reversed(before));
    let common_behind = common(hypothesis, behind);
    let score = common_before + common_behind;
    if score == 0 {
        return Ok((0, String::new()));
    }
    let before = &before[before.len() - common_before..];
    let behind = &behind[..common_behind];
    let claimed = hypothesis.join(" ");
    // The words stand in the expressions as they are, as in the reference.
    let pattern = |before: &[String], middle: &str, behind: &[String]| {
        let parts =
            before.iter().map(String::as_str).chain([middle]).chain(behind.iter().map(String::as_str));
        let text = parts.collect::<Vec<_>>().join(" ");
        Regex::new(&text).map_err(|_| format!("the words {text:?} cannot be looked for"))
    };
    let found = [
        pattern(before, "(.+)", behind)?,
        // The candidate may begin the hypothesis, or end it.
        pattern(&[], "^(.+)", behind)?,
        pattern(before, "(.+)$", &[])?,
    ];
    let found = found.iter().find_map(|pattern| pattern.captures(&claimed));
    Ok((score, found.map(|groups| groups[1].to_owned()).unwrap_or_default()))
}

/// How many of the first `words` are, in a row, part of the hypothesis's text.
fn common(hypothesis: &[String], words: &[String]) -> usize {
    let hypothesis = hypothesis.join(" ");
    (0..words.len()).find(|&i| !hypothesis.contains(&words[..=i].join(" "))).unwrap_or(words.len())
}

/// A candidate as the hypothesis spells it: from its last kind of article on, without a mark or 's behind it.
fn in_hypothesis(candidate: &str, hypothesis: &str) -> Result<String, String> {
    let words: Vec<&str> = candidate.split(' ').collect();
    let article = |article| words.iter().position(|word| *word == article);
    let start = ["a", "an", "the"].into_iter().filter_map(article).max().unwrap_or(0);
    let parts: Vec<String> =
        words[start..].iter().map(|word| format!(r"{}(?:\.|,|\?|!)?", escape(word))).collect();
    let pattern = Regex::new(&format!("(?i)({})", parts.join(" ")));
    let found = pattern.ok().and_then(|pattern| pattern.find(hypothesis).map(|found| found.as_str()));
    let found = found.ok_or_else(|| format!("{candidate:?} is not in `sentence2`"))?;
    let found = found.strip_suffix(MARKS).unwrap_or(found);
    let bare = found.strip_suffix('\'').or_else(|| found.strip_suffix("'s")).unwrap_or(found);
    Ok(bare.to_owned())
}
