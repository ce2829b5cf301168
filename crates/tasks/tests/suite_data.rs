//! Ready templates and suites on real files: run with `--ignored` beside ../shared/data.

use std::fs;
use std::path::{Path, PathBuf};

use t5kit_formats::table::{ColumnRef, Table, TableOptions};
use t5kit_tasks::suite::{self, Split, SuiteExample};
use t5kit_tasks::template::ready;

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path)
}

fn read(suite: &str, task: &str, folder: &Path, split: Split, language: Option<&str>) -> Vec<SuiteExample> {
    let mut examples = Vec::new();
    let task = suite::by_name(suite).unwrap().task(task).unwrap();
    let facts = task.read(folder, split, language, &mut |example| {
        examples.push(example);
        Ok(())
    });
    assert_eq!(facts.unwrap().examples, examples.len() as u64);
    examples
}

/// Every prediction right.
fn perfect(suite: &str, task: &str, examples: &[SuiteExample], language: Option<&str>) {
    let predictions: Vec<String> = examples.iter().map(|example| example.target.clone()).collect();
    let task = suite::by_name(suite).unwrap().task(task).unwrap();
    for (name, value) in task.figures(&predictions, examples, language).unwrap() {
        assert!((value - 1.0).abs() < 1e-9, "{} {name}: {value}", task.name);
    }
}

#[test]
#[ignore = "needs ../shared/data"]
fn questions() {
    for language in ["en", "zh"] {
        let examples = read("zero-shot", "xquad", &data("qa"), Split::Test, Some(language));
        assert_eq!(examples.len(), 1190);
        assert!(
            examples.iter().all(|e| e.source.starts_with("question: ") && e.source.contains(" context: "))
        );
        perfect("zero-shot", "xquad", &examples, Some(language));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cmrc2018_public")).unwrap();
    fs::copy(data("qa/cmrc2018_dev.json"), folder.path().join("cmrc2018_public/dev.json")).unwrap();
    let examples = read("clue", "cmrc2018", folder.path(), Split::Validation, None);
    assert_eq!(examples.len(), 3219);
    assert!(examples.iter().all(|e| e.references.len() == 3 || e.references.len() == 1));
    perfect("clue", "cmrc2018", &examples, None);
}

#[test]
#[ignore = "needs ../shared/data"]
fn topics() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tnews")).unwrap();
    for (name, split) in [("train_few_all.json", "train"), ("dev_few_all.json", "valid")] {
        fs::copy(data(&format!("tnews/{split}.jsonl")), folder.path().join("tnews").join(name)).unwrap();
    }
    let examples = read("fewclue", "tnews", folder.path(), Split::Train, None);
    assert_eq!(examples[0].source, "新闻标题的主题：孩子跟谁睡，就是谁的孩子");
    assert_eq!(examples[0].target, "故事");
    perfect("fewclue", "tnews", &read("fewclue", "tnews", folder.path(), Split::Validation, None), None);
}

#[test]
#[ignore = "needs ../shared/data"]
fn ready_templates() {
    for (name, file) in [
        ("sentiment", "sentiment/train.tsv"),
        ("sentiment", "sentiment/valid.tsv"),
        ("topic", "tnews/train.jsonl"),
        ("reading", "qa/cmrc2018_dev.json"),
        ("csl-title", "csl/title.tsv"),
        ("csl-keywords", "csl/keywords.tsv"),
        ("csl-category", "csl/category_train.tsv"),
        ("csl-category", "csl/category_valid.tsv"),
        ("csl-discipline", "csl/discipline.tsv"),
    ] {
        let path = data(file);
        let header = file.ends_with(".tsv").then_some(false);
        let mut table =
            Table::open(&path, &TableOptions { has_header: header, ..TableOptions::default() }).unwrap();
        let count = table.head().columns.len();
        let names: Vec<String> = match header {
            Some(_) => (1..=count).map(|place| place.to_string()).collect(),
            None => table.names().into_iter().map(str::to_owned).collect(),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let ready = ready::by_name(name).unwrap();
        let (source, target) = ready.templates(&names).unwrap();
        let labels = ready.label_map().unwrap();
        let label = ready.label_column(&names);
        let columns: Vec<&str> = source.columns().chain(target.columns()).collect();
        let refs: Vec<ColumnRef> = columns.iter().map(|name| ColumnRef::parse(name)).collect();
        let places = table.resolve(&refs).unwrap();
        let mut rows = 0;
        for row in table.rows_at(&places).unwrap() {
            let row = row.unwrap();
            let cell = |name: &str| {
                let text = &row.values[columns.iter().position(|column| *column == name).unwrap()];
                match label.is_some_and(|label| label == name) {
                    true => labels.name(text, &path, row.line).unwrap(),
                    false => text,
                }
            };
            let (source, target) = (source.fill(cell), target.fill(cell));
            assert!(source.contains('：') && !target.is_empty(), "{file}, line {}", row.line);
            rows += 1;
        }
        assert!(rows >= 240, "{file}: {rows}");
    }
}
