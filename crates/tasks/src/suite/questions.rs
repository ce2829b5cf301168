//! Questions about passages, in files of SQuAD's shape, in T5's and mT5's text form: `question: … context: …`.
//!
//! T5 puts spaces around ASCII punctuation (Raffel et al. 2020; `t5.data.preprocessors.squad`), mT5 around whatever is
//! no letter, mark, digit, underscore or white space of any script (Xue et al. 2021;
//! `multilingual_t5.preprocessors.xquad`).

use std::path::Path;

use serde::Deserialize;
use unicode_general_category::{GeneralCategory as Category, get_general_category};

use super::input::{Input, Out, bad_document};
use super::rows::Form;
use super::score::Score;
use super::{Error, Files, Split, SuiteExample, SuiteTask};

pub(super) static SQUAD: [SuiteTask; 1] = [SuiteTask {
    name: "squad",
    source: "Raffel et al. 2020, section 2.3; t5.data.preprocessors.squad",
    metrics: &["squad"],
    reported: Split::Validation,
    languages: &["en"],
    labels: None,
    files: &[
        Files {
            split: Split::Train,
            places: &[&["train-v1.1.json", "squad/train-v1.1.json"]],
            languages: None,
        },
        Files {
            split: Split::Validation,
            places: &[&["dev-v1.1.json", "squad/dev-v1.1.json"]],
            languages: None,
        },
    ],
    form: Form::Own(squad),
    score: Score::Squad,
}];

/// SQuAD as T5 has it.
fn squad(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    each_question(input, |question| padded_example(question, |c| c.is_ascii_punctuation(), out))
}

/// SQuAD, XQuAD and MLQA as mT5 has them.
pub(super) fn multilingual(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    each_question(input, |question| padded_example(question, foreign_punctuation, out))
}

/// What TyDiQA's ids and files call its languages.
const TYDIQA: [(&str, &str); 9] = [
    ("ar", "arabic"),
    ("bn", "bengali"),
    ("en", "english"),
    ("fi", "finnish"),
    ("id", "indonesian"),
    ("ko", "korean"),
    ("ru", "russian"),
    ("sw", "swahili"),
    ("te", "telugu"),
];

/// The name of a language of TyDiQA; of any other its code.
pub(super) fn language_name(code: &str) -> &str {
    TYDIQA.iter().find(|(other, _)| *other == code).map_or(code, |(_, name)| name)
}

/// TyDiQA-GoldP as mT5 has it: all languages may be in one file, told by how ids begin.
pub(super) fn tydiqa(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let name = language_name(input.language);
    each_question(input, |question| match question.id.split('-').next() == Some(name) {
        true => padded_example(question, foreign_punctuation, out),
        false => Ok(()),
    })
}

/// CMRC 2018 and DRCD in the blog post's words.
pub(super) fn chinese(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    each_question(input, |Question { id, question, context, answers }| {
        let source = format!("阅读理解：{context}根据上述信息回答问题：{question}");
        let mut example = SuiteExample::new(source, answers.first().cloned(), id);
        example.references = answers;
        out.push(example)
    })
}

/// A question as it stands in a file.
struct Question<'q> {
    id: String,
    question: String,
    context: &'q str,
    answers: Vec<String>,
}

fn padded_example(question: Question<'_>, is_mark: fn(char) -> bool, out: &mut Out<'_>) -> Result<(), Error> {
    let pad = |text: &str| padded(text, is_mark);
    let source = format!("question: {} context: {}", pad(&question.question), pad(question.context));
    let references: Vec<String> = question.answers.iter().map(|answer| pad(answer)).collect();
    let mut example = SuiteExample::new(single_spaces(&source), references.first().cloned(), question.id);
    example.references = references;
    out.push(example)
}

/// What mT5 puts spaces around.
fn foreign_punctuation(c: char) -> bool {
    if c == '_' || is_space(c) {
        return false;
    }
    !matches!(
        get_general_category(c),
        Category::DecimalNumber
            | Category::LetterNumber
            | Category::OtherNumber
            | Category::UppercaseLetter
            | Category::LowercaseLetter
            | Category::TitlecaseLetter
            | Category::ModifierLetter
            | Category::OtherLetter
            | Category::NonspacingMark
            | Category::SpacingMark
            | Category::EnclosingMark
    )
}

/// White space as the reference's expressions have it: ASCII's alone.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

fn padded(text: &str, is_mark: fn(char) -> bool) -> String {
    let mut spaced = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_mark(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    single_spaces(&spaced)
}

/// One space for every run of white space.
fn single_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = false;
    for c in text.chars() {
        let space = is_space(c);
        if !space {
            out.push(c);
        } else if !before {
            out.push(' ');
        }
        before = space;
    }
    out
}

// The table reader knows this shape, too, but keeps the first of the answers only; scores need all of them.

#[derive(Deserialize)]
struct Document {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    id: String,
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

fn each_question(
    input: &Input<'_>,
    mut each: impl FnMut(Question<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    for path in input.files {
        let document: Document = t5kit_formats::json::read(path, "SQuAD")?;
        for paragraph in document.data.iter().flat_map(|article| &article.paragraphs) {
            for asked in &paragraph.qas {
                let answers: Vec<String> = asked.answers.iter().map(|answer| answer.text.clone()).collect();
                unanswered(path, input, asked, &answers)?;
                each(Question {
                    id: asked.id.clone(),
                    question: asked.question.clone(),
                    context: &paragraph.context,
                    answers,
                })?;
            }
        }
    }
    Ok(())
}

fn unanswered(path: &Path, input: &Input<'_>, asked: &Asked, answers: &[String]) -> Result<(), Error> {
    if answers.is_empty() && input.split != Split::Test {
        return Err(bad_document(path, format!("the question {:?} has no answer", asked.id)));
    }
    Ok(())
}
