//! C3 and ChID of CLUE and FewCLUE: answers among choices, in files of their own shapes.

use std::collections::HashMap;

use serde::Deserialize;

use super::input::{Input, Out, bad_document, bad_row, each_json_line};
use super::{Error, Split, SuiteExample};

/// A blank of ChID that is asked for, and one that is not.
const BLANK: &str = "#idiom#";
const OTHER_BLANK: &str = "□□□□";

fn cloze(passage: &str, candidates: &[String]) -> String {
    format!("选出填在{BLANK}处的成语：{}。{passage}", candidates.join("、"))
}

#[derive(Deserialize)]
struct Passages {
    content: Vec<String>,
    candidates: Vec<String>,
}

/// CLUE's ChID: several passages with the same candidates; blanks have names (`#idiom000378#`), and the places (from 0)
/// of the right candidates stand in a second file. An example a blank.
pub(super) fn chid(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let answers: HashMap<String, usize> = match input.files.get(1) {
        Some(path) => t5kit_formats::json::read(path, "ChID's answers")?,
        None => HashMap::new(),
    };
    each_json_line(path, |line, row: Passages| {
        for passage in &row.content {
            for name in blanks(passage) {
                let target = match answers.get(name) {
                    Some(&place) => Some(row.candidates.get(place).cloned().ok_or_else(|| {
                        let count = row.candidates.len();
                        bad_row(path, line, format!("the answer to {name} is candidate {place} of {count}"))
                    })?),
                    None if input.split == Split::Test => None,
                    None => return Err(bad_row(path, line, format!("the answers have none for {name}"))),
                };
                let mut asked = passage.clone();
                for other in blanks(passage) {
                    asked = asked.replace(other, if other == name { BLANK } else { OTHER_BLANK });
                }
                out.push(SuiteExample::new(cloze(&asked, &row.candidates), target, name))?;
            }
        }
        Ok(())
    })
}

/// The names of a passage's blanks, as they stand in it.
fn blanks(passage: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = passage;
    while let Some(at) = rest.find("#idiom") {
        let Some(end) = rest[at + 1..].find('#') else { break };
        found.push(&rest[at..at + end + 2]);
        rest = &rest[at + end + 2..];
    }
    found
}

#[derive(Deserialize)]
struct Passage {
    content: String,
    candidates: Vec<String>,
    answer: Option<usize>,
    id: Option<u64>,
}

/// FewCLUE's ChID: one passage and one blank a line.
pub(super) fn few_chid(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    each_json_line(path, |line, row: Passage| {
        let target = match row.answer {
            Some(place) => Some(row.candidates.get(place).cloned().ok_or_else(|| {
                bad_row(path, line, format!("the answer is candidate {place} of {}", row.candidates.len()))
            })?),
            None if input.split == Split::Test => None,
            None => return Err(bad_row(path, line, "no label: `answer` is not there")),
        };
        let source = cloze(&row.content, &row.candidates);
        out.push(SuiteExample::new(source, target, row.id.unwrap_or(line - 1)))
    })
}

/// A text's lines, the questions about it, its name.
type Text = (Vec<String>, Vec<Choice>, serde_json::Value);

#[derive(Deserialize)]
struct Choice {
    question: String,
    choice: Vec<String>,
    answer: Option<String>,
}

/// C3: dialogues and other texts, one array a file; an example a question, with the choices behind it.
pub(super) fn c3(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    for path in input.files {
        let texts: Vec<Text> = t5kit_formats::json::read(path, "C3")?;
        for (lines, questions, id) in texts {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            let context = lines.join("\n");
            for (number, Choice { question, choice, answer }) in questions.into_iter().enumerate() {
                let id = format!("{id}-{number}");
                let target = match answer {
                    None if input.split == Split::Test => None,
                    Some(answer) if choice.contains(&answer) => Some(answer),
                    other => {
                        let answer = other.map_or("nothing".to_owned(), |answer| format!("{answer:?}"));
                        let what = format!("the answer to {id} is {answer}, and not among the choices");
                        return Err(bad_document(path, what));
                    }
                };
                let choices = choice.join("；");
                let source = format!("阅读理解：{context}根据上述信息回答问题：{question}选项：{choices}");
                out.push(SuiteExample::new(source, target, id))?;
            }
        }
    }
    Ok(())
}
