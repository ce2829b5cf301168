//! What `t5kit metrics` compares, read from files: lines of plain text, or columns of tables.

use anyhow::Result;
use std::path::{Path, PathBuf};
use t5kit_eval::Metric;
use t5kit_formats::table::{ColumnRef, Error, Texts};

use super::Args;
use crate::errors::usage;
use crate::table_flags::{column_said, say_encoding, spoken};

/// Texts line by line.
pub struct Compared {
    pub predictions: Vec<String>,
    /// One list for each right text that a prediction has.
    pub references: Vec<Vec<String>>,
    pub sources: Option<Vec<String>>,
    pub against: Option<Vec<String>>,
}

/// Names of columns of generated texts, of right ones, and of sources.
const PREDICTIONS: [&str; 5] = ["generated", "prediction", "predictions", "predicted", "output"];
const REFERENCES: [&str; 9] =
    ["reference", "references", "target", "label", "summary", "answer", "标题", "答案", "译文"];
const SOURCES: [&str; 12] = [
    "source", "sources", "input", "text", "document", "article", "question", "摘要", "原文", "正文", "问题",
    "内容",
];

/// Reads what these metrics need.
///
/// # Errors
/// Wrong usage where something is missing; those of the files, and of files of different lengths.
pub fn read(args: &Args, metrics: &[Metric]) -> Result<Compared> {
    let files: Vec<&PathBuf> = match args.references.is_empty() {
        true => args.reference.iter().take(1).map(|_| &args.predictions).collect(),
        false => args.references.iter().collect(),
    };
    if files.is_empty() && metrics.iter().any(|metric| metric.needs_references()) {
        return Err(usage(
            "right texts are missing: --references FILE, or --reference COLUMN of the file of the predictions",
        ));
    }
    let sources = args.sources.as_ref().or(args.source.as_ref().map(|_| &args.predictions));
    let needs_sources = metrics.iter().find(|metric| metric.needs_sources());
    if let (Some(metric), None) = (needs_sources, sources) {
        return Err(usage(format!(
            "{metric} compares with the sources: --sources FILE, or --source COLUMN of the file of the predictions"
        )));
    }
    let others = files.iter().copied().chain(sources).chain(&args.against);
    let from_stdin = others.chain([&args.predictions]).filter(|path| path.as_os_str() == "-");
    if from_stdin.count() > 1 {
        return Err(usage("standard input can be read once: give a file, or two"));
    }
    let columns: Vec<Option<&String>> = match args.reference.is_empty() {
        true => vec![None],
        false => args.reference.iter().map(Some).collect(),
    };
    let predictions = all(args, &args.predictions, args.prediction.as_ref(), &PREDICTIONS)?;
    let paired = |path: &Path, column: Option<&String>, usual: &[&str]| -> Result<Vec<String>> {
        let texts = all(args, path, column, usual)?;
        same_number(&args.predictions, predictions.len(), path, texts.len())?;
        Ok(texts)
    };
    let mut references = Vec::new();
    for file in files {
        for column in &columns {
            references.push(paired(file, *column, &REFERENCES)?);
        }
    }
    let sources = sources.filter(|_| needs_sources.is_some());
    let sources = sources.map(|path| paired(path, args.source.as_ref(), &SOURCES)).transpose()?;
    let against = args.against.as_ref().map(|path| paired(path, args.prediction.as_ref(), &PREDICTIONS));
    let against = against.transpose()?;
    if predictions.is_empty() {
        let right = args.references.first().unwrap_or(&args.predictions).clone();
        return Err(Error::NoTexts { left: args.predictions.clone(), right }.into());
    }
    Ok(Compared { predictions, references, sources, against })
}

fn same_number(left: &Path, predictions: usize, right: &Path, texts: usize) -> Result<()> {
    let (short, few, long) = match predictions.cmp(&texts) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Less => (left, predictions, right),
        std::cmp::Ordering::Greater => (right, texts, left),
    };
    Err(Error::Unpaired { short: short.into(), texts: few as u64, long: long.into() }.into())
}

/// The texts of a file; of plain text its lines, else a column, which is said.
fn all(args: &Args, path: &Path, column: Option<&String>, usual: &[&str]) -> Result<Vec<String>> {
    let mut options = args.tables.options();
    // Lines with tabs are lines, unless a column of them is wanted.
    options.text_as_table = column.is_some();
    let column = column.map(|column| ColumnRef::parse(column));
    let texts = Texts::open(path, column.as_ref(), usual, &options)?;
    match texts.column() {
        Some(name) => eprintln!("t5kit: {}: {}", spoken(path), column_said(Some(name), texts.encoding())),
        None => say_encoding(path, texts.encoding()),
    }
    Ok(texts.collect::<Result<_, _>>()?)
}
