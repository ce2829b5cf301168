//! SuperGLUE in T5's text form (Raffel et al. 2020, section 2.4 and appendix D), from its files of JSON lines.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde::Deserialize;

use super::input::{Input, Out, UNKNOWN, bad_row, each_json_line};
use super::rows::{Form, RowForm};
use super::score::Score;
use super::{Error, Files, Split, SuiteExample, SuiteTask, winograd};

const EN: &[&str] = &["en"];
const SOURCE: &str = "Raffel et al. 2020, appendix D; t5.data.preprocessors.glue";

/// The usual three files of a folder.
macro_rules! jsonl {
    ($folder:literal) => {
        &[
            Files { split: Split::Train, places: &[&[concat!($folder, "/train.jsonl")]], languages: None },
            Files { split: Split::Validation, places: &[&[concat!($folder, "/val.jsonl")]], languages: None },
            Files { split: Split::Test, places: &[&[concat!($folder, "/test.jsonl")]], languages: None },
        ]
    };
}

const TRUTH: &[(&str, &str)] = &[("false", "False"), ("true", "True")];
const TRUTH_LABELS: &[&str] = &["False", "True"];
const TWO: &[(&str, &str)] = &[("entailment", "entailment"), ("not_entailment", "not_entailment")];
const TWO_LABELS: &[&str] = &["entailment", "not_entailment"];

/// A task as most are.
const fn task(
    name: &'static str,
    files: &'static [Files],
    form: Form,
    labels: Option<&'static [&'static str]>,
    score: Score,
) -> SuiteTask {
    SuiteTask {
        name,
        source: SOURCE,
        metrics: &["accuracy"],
        reported: Split::Validation,
        languages: EN,
        labels,
        files,
        form,
        score,
    }
}

/// A row a line.
const fn rows(
    name: &'static str,
    files: &'static [Files],
    source: &'static str,
    labels: &'static [(&'static str, &'static str)],
    closed: &'static [&'static str],
    score: Score,
) -> SuiteTask {
    task(name, files, Form::Json(RowForm::new(source, &["label"], labels)), Some(closed), score)
}

pub(super) static TASKS: [SuiteTask; 11] = [
    rows(
        "boolq",
        jsonl!("BoolQ"),
        "boolq passage: {passage} question: {question}",
        TRUTH,
        TRUTH_LABELS,
        Score::Accuracy,
    ),
    rows(
        "cb",
        jsonl!("CB"),
        "cb hypothesis: {hypothesis} premise: {premise}",
        &[("entailment", "entailment"), ("contradiction", "contradiction"), ("neutral", "neutral")],
        &["entailment", "contradiction", "neutral"],
        Score::MeanF1Accuracy,
    ),
    rows(
        "copa",
        jsonl!("COPA"),
        "copa choice1: {choice1} choice2: {choice2} premise: {premise} question: {question}",
        &[("0", "choice1"), ("1", "choice2")],
        &["choice1", "choice2"],
        Score::Accuracy,
    ),
    SuiteTask {
        metrics: &[],
        ..task("multirc", jsonl!("MultiRC"), Form::Own(multirc), Some(TRUTH_LABELS), Score::MultiRc)
    },
    SuiteTask {
        source: "Raffel et al. 2020, section 2.4; t5.data.preprocessors.record",
        metrics: &["squad"],
        ..task("record", jsonl!("ReCoRD"), Form::Own(record), None, Score::Record)
    },
    rows(
        "rte",
        jsonl!("RTE"),
        "rte hypothesis: {hypothesis} premise: {premise}",
        TWO,
        TWO_LABELS,
        Score::Accuracy,
    ),
    rows(
        "wic",
        jsonl!("WiC"),
        "wic sentence1: {sentence1} sentence2: {sentence2} word: {word}",
        TRUTH,
        TRUTH_LABELS,
        Score::Accuracy,
    ),
    SuiteTask {
        source: "Raffel et al. 2020, section 2.4; t5.data.preprocessors.wsc_simple",
        metrics: &[],
        ..task("wsc", jsonl!("WSC"), Form::Own(winograd::wsc), None, Score::Winograd)
    },
    SuiteTask {
        source: "Raffel et al. 2020, section 2.4; t5.data.preprocessors.definite_pronoun_resolution_simple",
        reported: Split::Train,
        ..task(
            "dpr",
            &[
                Files {
                    split: Split::Train,
                    places: &[&["DPR/train.c.txt", "train.c.txt"]],
                    languages: None,
                },
                Files { split: Split::Test, places: &[&["DPR/test.c.txt", "test.c.txt"]], languages: None },
            ],
            Form::Own(winograd::dpr),
            None,
            Score::Accuracy,
        )
    },
    SuiteTask {
        metrics: &["matthews"],
        reported: Split::Test,
        ..rows(
            "axb",
            &[Files { split: Split::Test, places: &[&["AX-b/AX-b.jsonl", "AX-b.jsonl"]], languages: None }],
            "rte hypothesis: {sentence2} premise: {sentence1}",
            TWO,
            TWO_LABELS,
            Score::Matthews,
        )
    },
    SuiteTask {
        reported: Split::Test,
        ..rows(
            "axg",
            &[Files { split: Split::Test, places: &[&["AX-g/AX-g.jsonl", "AX-g.jsonl"]], languages: None }],
            "rte hypothesis: {hypothesis} premise: {premise}",
            TWO,
            TWO_LABELS,
            Score::Accuracy,
        )
    },
];

#[derive(Deserialize)]
struct MultiRc {
    idx: u64,
    passage: Passage<Asked>,
}

#[derive(Deserialize)]
struct Passage<Q> {
    text: String,
    #[serde(default = "Vec::new")]
    questions: Vec<Q>,
    #[serde(default)]
    entities: Vec<Entity>,
}

#[derive(Deserialize)]
struct Asked {
    idx: u64,
    question: String,
    answers: Vec<Offered>,
}

#[derive(Deserialize)]
struct Offered {
    idx: u64,
    text: String,
    label: Option<u8>,
}

/// MultiRC: an example an answer, of which every question has several.
fn multirc(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let bold = Regex::new("</?b>").expect("a sound expression");
    each_json_line(path, |line, row: MultiRc| {
        for question in &row.passage.questions {
            for answer in &question.answers {
                let target = match answer.label {
                    Some(0) => Some("False"),
                    Some(1) => Some("True"),
                    None if input.split == Split::Test => None,
                    other => {
                        let is = other.map_or("not there".to_owned(), |label| format!("{label}, not 0 or 1"));
                        return Err(bad_row(
                            path,
                            line,
                            format!("the label of answer {} is {is}", answer.idx),
                        ));
                    }
                };
                let source = format!(
                    "multirc question: {} answer: {} paragraph: {}",
                    question.question, answer.text, row.passage.text
                );
                let source = bold.replace_all(&source.replace("<br>", " "), "").into_owned();
                let id = format!("{}-{}-{}", row.idx, question.idx, answer.idx);
                let group = Some(question.idx.to_string());
                out.push(SuiteExample { group, ..SuiteExample::new(source, target.map(str::to_owned), id) })?;
            }
        }
        Ok(())
    })
}

#[derive(Deserialize)]
struct Record {
    idx: u64,
    passage: Passage<serde::de::IgnoredAny>,
    qas: Vec<Query>,
}

/// Characters, counted by code points, the last one included.
#[derive(Deserialize)]
struct Entity {
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Query {
    idx: u64,
    query: String,
    answers: Option<Vec<Answer>>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

/// ReCoRD: to learn from, an example an answer; to measure on, one a query with all its answers (T5 has one an answer
/// there too, and takes the first of each query when it scores).
fn record(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let highlight = Regex::new("([.?!\"'])\n@highlight\n").expect("a sound expression");
    each_json_line(path, |line, row: Record| {
        let passage = highlight.replace_all(&row.passage.text, "${1} ").replace("\n@highlight\n", ". ");
        let letters: Vec<char> = row.passage.text.chars().collect();
        let mut entities = BTreeSet::new();
        for Entity { start, end } in &row.passage.entities {
            let Some(entity) = letters.get(*start..=*end) else {
                let what =
                    format!("the entity from {start} to {end} is not within the passage's {}", letters.len());
                return Err(bad_row(path, line, what + " characters"));
            };
            entities.insert(entity.iter().collect::<String>());
        }
        let entities = entities.into_iter().collect::<Vec<_>>().join(", ");
        for query in row.qas {
            let source = format!("record query: {} entities: {entities} passage: {passage}", query.query);
            let answers: BTreeSet<String> = query.answers.into_iter().flatten().map(|a| a.text).collect();
            if answers.is_empty() && input.split != Split::Test {
                return Err(bad_row(path, line, format!("query {} has no answer", query.idx)));
            }
            let references: Vec<String> = answers.into_iter().collect();
            let id = format!("{}-{}", row.idx, query.idx);
            let examples = if input.split == Split::Train { references.len() } else { 1 };
            for i in 0..examples {
                out.push(SuiteExample {
                    source: source.clone(),
                    target: references.get(i).cloned().unwrap_or_else(|| UNKNOWN.to_owned()),
                    references: references.clone(),
                    id: Some(id.clone()),
                    group: Some(id.clone()),
                    correct: None,
                })?;
            }
        }
        Ok(())
    })
}
