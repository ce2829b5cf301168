//! Summaries and titles: CNN/DM and XSum in T5's text form, LCSTS and Weibo's titles in this program's.

use std::path::Path;

use t5kit_formats::table::{ColumnRef, Table, TableOptions};

use super::input::{Input, Out, bad_row, each_line};
use super::rows::Form;
use super::score::Score;
use super::{Error, Files, Split, SuiteExample, SuiteTask};

/// A split as tables on the hub: `train.csv`, `train.jsonl`, ….
macro_rules! table {
    ($split:expr, $folder:literal, $name:literal) => {
        Files {
            split: $split,
            places: &[&[
                concat!($folder, "/", $name, ".csv"),
                concat!($folder, "/", $name, ".jsonl"),
                concat!($folder, "/", $name, ".json"),
                concat!($folder, "/", $name, ".parquet"),
            ]],
            languages: None,
        }
    };
}

macro_rules! tables {
    ($folder:literal) => {
        &[
            table!(Split::Train, $folder, "train"),
            table!(Split::Validation, $folder, "validation"),
            table!(Split::Test, $folder, "test"),
        ]
    };
}

const fn task(
    name: &'static str,
    source: &'static str,
    files: &'static [Files],
    read: fn(&Input<'_>, &mut Out<'_>) -> Result<(), Error>,
) -> SuiteTask {
    SuiteTask {
        name,
        source,
        metrics: &["rouge_score"],
        reported: Split::Test,
        languages: &["en"],
        labels: None,
        files,
        form: Form::Own(read),
        score: Score::Rouge,
    }
}

pub(super) static ENGLISH: [SuiteTask; 2] = [
    task(
        "cnn_dailymail",
        "Raffel et al. 2020, section 2.3; t5.data.preprocessors.summarize",
        tables!("cnn_dailymail"),
        |input, out| columns(input, "summarize: ", "article", "highlights", out),
    ),
    task(
        "xsum",
        "Narayan et al. 2018; the text form of t5.data.preprocessors.summarize",
        tables!("xsum"),
        |input, out| columns(input, "summarize: ", "document", "summary", out),
    ),
];

const TITLE: &str = "微博的标题：";

pub(super) static TITLES: [SuiteTask; 2] = [
    SuiteTask {
        metrics: &["csl"],
        languages: &["zh"],
        score: Score::Characters,
        ..task(
            "lcsts",
            "Hu et al. 2015; the words are this program's",
            &[
                Files {
                    split: Split::Train,
                    places: &[&[
                        "PART_I.txt",
                        "DATA/PART_I.txt",
                        "LCSTS/DATA/PART_I.txt",
                        "lcsts/train.jsonl",
                    ]],
                    languages: None,
                },
                Files {
                    split: Split::Validation,
                    places: &[&[
                        "PART_II.txt",
                        "DATA/PART_II.txt",
                        "LCSTS/DATA/PART_II.txt",
                        "lcsts/valid.jsonl",
                    ]],
                    languages: None,
                },
                Files {
                    split: Split::Test,
                    places: &[&[
                        "PART_III.txt",
                        "DATA/PART_III.txt",
                        "LCSTS/DATA/PART_III.txt",
                        "lcsts/test.jsonl",
                    ]],
                    languages: None,
                },
            ],
            lcsts,
        )
    },
    SuiteTask {
        metrics: &["csl"],
        languages: &["zh"],
        score: Score::Characters,
        reported: Split::Validation,
        ..task(
            "weibo",
            "titles of Sina Weibo's news, a text and a title a line; the words are this program's",
            &[
                Files {
                    split: Split::Train,
                    places: &[
                        &["weibo/train_text.txt", "train_text.txt"],
                        &["weibo/train_label.txt", "train_label.txt"],
                    ],
                    languages: None,
                },
                Files {
                    split: Split::Validation,
                    places: &[
                        &["weibo/eval_text.txt", "eval_text.txt", "weibo/test_text.txt"],
                        &["weibo/eval_label.txt", "eval_label.txt", "weibo/test_label.txt"],
                    ],
                    languages: None,
                },
            ],
            weibo,
        )
    },
];

/// Two columns of a table, and `id` where there is one.
fn columns(
    input: &Input<'_>,
    prefix: &str,
    source: &str,
    target: &str,
    out: &mut Out<'_>,
) -> Result<(), Error> {
    let path = &input.files[0];
    let mut table = Table::open(path, &TableOptions::default())?;
    let mut wanted = vec![ColumnRef::Name(source.to_owned()), ColumnRef::Name(target.to_owned())];
    wanted.extend(table.names().contains(&"id").then(|| ColumnRef::Name("id".to_owned())));
    let places = table.resolve(&wanted)?;
    for (number, row) in table.rows_at(&places)?.enumerate() {
        let mut row = row?;
        let id = if row.values.len() > 2 { row.values.remove(2) } else { number.to_string() };
        let target = row.values.remove(1);
        out.push(SuiteExample::new(format!("{prefix}{}", row.values[0]), Some(target), id))?;
    }
    Ok(())
}

/// The least score of how well a title suits its text that counts, of those that people gave (Hu et al. 2015, section
/// 4).
const SUITS: u32 = 3;

/// LCSTS: `<doc id=…>` with `<summary>`, `<short_text>` and, but for the first part, `<human_label>`, each on lines of
/// its own; or JSON lines with `summary`, `text` and `human_label`.
fn lcsts(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return columns(input, TITLE, "text", "summary", out);
    }
    let mut doc = Doc::default();
    each_line(path, |line, text| {
        if doc.line(path, line, text.trim())? {
            let doc = std::mem::take(&mut doc);
            let unsuitable = input.split != Split::Train && doc.label.is_some_and(|label| label < SUITS);
            if unsuitable {
                out.skip();
                return Ok(());
            }
            let source = format!("{TITLE}{}", doc.text);
            return out.push(SuiteExample::new(source, Some(doc.summary), doc.id));
        }
        Ok(())
    })?;
    if doc.open {
        return Err(bad_row(path, doc.begun, format!("the document {} has no </doc>", doc.id)));
    }
    Ok(())
}

/// A document of LCSTS, as far as it was read.
#[derive(Default)]
struct Doc {
    open: bool,
    begun: u64,
    id: String,
    summary: String,
    text: String,
    label: Option<u32>,
    within: Option<Part>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Summary,
    Text,
}

impl Doc {
    /// Takes a line; whether it ends the document.
    fn line(&mut self, path: &Path, line: u64, text: &str) -> Result<bool, Error> {
        match text {
            "" => {}
            "<summary>" => self.within = Some(Part::Summary),
            "<short_text>" => self.within = Some(Part::Text),
            "</summary>" | "</short_text>" => self.within = None,
            "</doc>" => {
                if self.summary.is_empty() || self.text.is_empty() {
                    let what = format!("the document {:?} ends without a summary or a short text", self.id);
                    return Err(bad_row(path, line, what));
                }
                return Ok(true);
            }
            _ if self.within.is_some() => {
                let to = if self.within == Some(Part::Summary) { &mut self.summary } else { &mut self.text };
                to.push_str(text);
            }
            _ => self.tag(path, line, text)?,
        }
        Ok(false)
    }

    /// A line that is a tag with a value.
    fn tag(&mut self, path: &Path, line: u64, text: &str) -> Result<(), Error> {
        let id = text.strip_prefix("<doc id=").and_then(|rest| rest.strip_suffix('>'));
        if let Some(id) = id.filter(|_| !self.open) {
            (self.open, self.begun, self.id) = (true, line, id.trim_matches('"').to_owned());
            return Ok(());
        }
        let label = text.strip_prefix("<human_label>").and_then(|rest| rest.strip_suffix("</human_label>"));
        match label.map(|label| label.trim().parse()) {
            Some(Ok(label)) => {
                self.label = Some(label);
                Ok(())
            }
            _ => Err(bad_row(path, line, format!("{text:?} is no part of a document"))),
        }
    }
}

/// Weibo: texts in one file, their titles on the same lines of another.
fn weibo(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let [texts, titles] = input.files else { return Ok(()) };
    let mut held: Vec<String> = Vec::new();
    each_line(titles, |_, title| {
        held.push(title.trim().to_owned());
        Ok(())
    })?;
    let mut read = 0;
    each_line(texts, |line, text| {
        let title = held.get(line as usize - 1).ok_or_else(|| {
            bad_row(titles, held.len() as u64, format!("ends, and {} has more lines", texts.display()))
        })?;
        read = line;
        out.push(SuiteExample::new(format!("{TITLE}{}", text.trim()), Some(title.clone()), line - 1))
    })?;
    if read < held.len() as u64 {
        return Err(bad_row(texts, read, format!("ends, and {} has more lines", titles.display())));
    }
    Ok(())
}
