//! The suites beside the references: examples and scores as `tools/suite_goldens.py` makes them with `t5`'s own code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use t5kit_tasks::suite::{self, Split, SuiteExample, SuiteTask};

#[derive(Deserialize)]
struct Goldens {
    examples: Vec<Case>,
    scores: Vec<Scores>,
}

#[derive(Deserialize)]
struct Case {
    suite: String,
    task: String,
    split: String,
    language: Option<String>,
    /// Paths in the suite's folder, and what stands in the files.
    files: BTreeMap<String, String>,
    examples: Vec<Example>,
    skipped: u64,
}

#[derive(Deserialize)]
struct Example {
    source: String,
    target: String,
    references: Vec<String>,
    id: Option<String>,
    group: Option<String>,
    correct: Option<bool>,
}

#[derive(Deserialize)]
struct Scores {
    suite: String,
    task: String,
    language: Option<String>,
    predictions: Vec<String>,
    examples: Vec<Example>,
    figures: BTreeMap<String, f64>,
}

impl From<Example> for SuiteExample {
    fn from(e: Example) -> Self {
        let Example { source, target, references, id, group, correct } = e;
        SuiteExample { source, target, references, id, group, correct }
    }
}

fn goldens() -> Goldens {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/suites.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn task(suite: &str, task: &str) -> &'static SuiteTask {
    suite::by_name(suite).unwrap().task(task).unwrap_or_else(|| panic!("{suite} has no {task}"))
}

#[test]
fn examples_are_the_references() {
    let mut covered = Vec::new();
    for case in goldens().examples {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in &case.files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let (task, split) = (task(&case.suite, &case.task), Split::by_name(&case.split).unwrap());
        let mut read = Vec::new();
        let facts = task.read(folder.path(), split, case.language.as_deref(), &mut |example| {
            read.push(example);
            Ok(())
        });
        let facts = facts.unwrap_or_else(|e| panic!("{} {split}: {e}", case.task));
        let expected: Vec<SuiteExample> = case.examples.into_iter().map(SuiteExample::from).collect();
        for (i, (read, expected)) in read.iter().zip(&expected).enumerate() {
            assert_eq!(read, expected, "{} {split}, example {i}", case.task);
        }
        assert_eq!((read.len(), facts.examples), (expected.len(), expected.len() as u64), "{}", case.task);
        assert_eq!(
            (facts.skipped, facts.files.len()),
            (case.skipped, case.files.len()),
            "{} {split}",
            case.task
        );
        if let Some(labels) = task.labels {
            let closed = |e: &SuiteExample| e.references.iter().all(|text| labels.contains(&text.as_str()));
            assert!(read.iter().all(closed), "{}: a target is not among the labels", case.task);
        }
        covered.push((case.suite, case.task));
    }
    for name in suite::NAMES {
        for task in suite::by_name(name).unwrap().tasks() {
            let is = |(suite, covered): &(String, String)| suite == name && covered == task.name;
            assert!(covered.iter().any(is), "no golden for {name}'s {}", task.name);
        }
    }
}

#[test]
fn scores_are_the_references() {
    for case in goldens().scores {
        let examples: Vec<SuiteExample> = case.examples.into_iter().map(SuiteExample::from).collect();
        let task = task(&case.suite, &case.task);
        let figures = task.figures(&case.predictions, &examples, case.language.as_deref()).unwrap();
        // `t5` calls SQuAD's exact match em.
        let figures: BTreeMap<String, f64> = figures.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        assert_eq!(
            figures.keys().collect::<Vec<_>>(),
            case.figures.keys().collect::<Vec<_>>(),
            "{}",
            case.task
        );
        for (name, expected) in &case.figures {
            let is = figures[name];
            assert!((is - expected).abs() < 1e-9, "{} {name}: {is}, the reference has {expected}", case.task);
        }
    }
}

#[test]
fn what_tasks_say_of_themselves_holds() {
    for name in suite::NAMES {
        let suite = suite::by_name(name).unwrap();
        assert_eq!(suite.name, name);
        for task in suite.tasks() {
            assert!(task.splits().any(|split| split == task.reported), "{name}/{}", task.name);
            for language in task.languages {
                for metric in task.metrics {
                    let metric = metric.replace("{lang}", language);
                    assert!(t5kit_eval::Metric::by_name(&metric).is_some(), "{name}/{}: {metric}", task.name);
                }
                let places = task.files(task.reported, Some(language));
                assert!(!places.is_empty() && places.iter().all(|place| !place.contains('{')), "{places:?}");
            }
        }
    }
    let zero_shot = suite::by_name("zero-shot").unwrap().zero_shot();
    let names: Vec<&str> = zero_shot.iter().map(|row| row.task.name).collect();
    assert_eq!(names, ["xnli", "paws-x", "wikiann", "xquad", "mlqa", "tydiqa"]);
    assert_eq!(zero_shot[3].figures, ["em", "f1"]);
    assert_eq!(zero_shot[2].languages.len(), 40);
    for row in zero_shot {
        // What is learnt from is there in the one language, and needs no name.
        assert_eq!(row.task.files(Split::Train, None), row.task.files(Split::Train, Some(row.trained_on)));
        assert!(
            row.languages.contains(&row.trained_on) && row.task.files(Split::Train, Some("zh")).is_empty()
        );
    }
    assert!(suite::by_name("glue").unwrap().zero_shot().is_empty());
}
