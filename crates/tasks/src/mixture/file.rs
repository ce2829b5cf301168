//! A mixture's file: TOML, every key with its place.

use std::path::{Path, PathBuf};

use t5kit_formats::toml::{self, Entry, Node, Place, Section, Value, at};

use super::{Error, Form, Mixing, Mixture, Task};
use crate::suite;
use crate::template::{LabelMap, Template, ready};

/// Keys of the whole file.
const KEYS: [&str; 5] = ["mixing", "temperature", "alpha", "cap", "task"];
/// Keys of a task.
const TASK_KEYS: [&str; 16] = [
    "use",
    "suite",
    "folder",
    "language",
    "train",
    "valid",
    "valid_split",
    "source",
    "target",
    "label",
    "labels",
    "metric",
    "metrics",
    "weight",
    "rate",
    "header",
];

impl Mixture {
    /// Reads a mixture's file. Files that it names are beside it.
    ///
    /// # Errors
    /// What is no TOML, keys that there are not, values that mean nothing, each with its place.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(t5kit_formats::Error::io(path, "read"))?;
        let file = toml::read(path, text.trim_start_matches('\u{feff}'), &[])?;
        let root = &file.root;
        known(root, &KEYS)?;
        let tasks = match root.get("task").map(|entry| (&entry.value.node, &entry.place)) {
            Some((Node::Section(tasks), _)) if !tasks.entries.is_empty() => tasks,
            Some((Node::Section(_), place)) => return Err(at(place, NO_TASK).into()),
            Some((_, place)) => return Err(at(place, NO_TASK).into()),
            None => return Err(at(&file.place, NO_TASK).into()),
        };
        let mixing = mixing(root)?;
        let tasks =
            tasks.entries.iter().map(|entry| task(entry, mixing)).collect::<Result<Vec<_>, Error>>()?;
        if mixing == Mixing::Rates {
            let sum: f64 = tasks.iter().map(|task| task.weight).sum();
            if (sum - 1.0).abs() > 1e-6 {
                let rates: Vec<String> =
                    tasks.iter().map(|task| format!("{} {}", task.name, task.weight)).collect();
                let what = format!("the tasks' rates add up to {sum}, not to 1: {}", rates.join(", "));
                return Err(at(&root.get("mixing").expect("it says rates").place, what).into());
            }
        }
        Ok(Mixture { tasks, mixing })
    }
}

const NO_TASK: &str = "a mixture has tasks: write [task.NAME] with train, source and target below it";

fn mixing(root: &Section) -> Result<Mixing, Error> {
    let cap = match root.get("cap") {
        None => None,
        Some(entry) => match number(entry)? {
            cap if cap >= 1.0 && cap.fract() == 0.0 => Some(cap as u64),
            _ => return Err(at(&entry.value.place, "cap is a number of examples, 1 or more").into()),
        },
    };
    let above = |entry: &Entry, most: f64| -> Result<f64, Error> {
        let value = number(entry)?;
        let range = if most.is_finite() { format!("above 0 and at most {most}") } else { "above 0".into() };
        match value > 0.0 && value <= most && value.is_finite() {
            true => Ok(value),
            false => {
                Err(at(&entry.value.place, format!("{} must be {range}, not {value}", entry.key)).into())
            }
        }
    };
    let temperature = match (root.get("temperature"), root.get("alpha")) {
        (Some(_), Some(alpha)) => {
            return Err(at(&alpha.place, "alpha is 1 / temperature: give one of them").into());
        }
        (Some(entry), None) => Some(above(entry, f64::INFINITY)?),
        (None, Some(entry)) => Some(1.0 / above(entry, 1.0)?),
        (None, None) => None,
    };
    let name = match root.get("mixing") {
        None if temperature.is_some() => "temperature",
        None => "examples",
        Some(entry) => text(entry)?,
    };
    let entry = root.get("mixing");
    let place = || entry.map_or_else(|| root.entries[0].place.clone(), |entry| entry.value.place.clone());
    let mixing = match name {
        "examples" => Mixing::Examples { cap },
        "temperature" => match temperature {
            Some(temperature) => Mixing::Temperature { temperature, cap },
            None => return Err(at(&place(), "mixing by temperature: give temperature, or alpha").into()),
        },
        "equal" => Mixing::Equal,
        "rates" => Mixing::Rates,
        other => return Err(at(&place(), unknown("way of mixing", other, &Mixing::NAMES)).into()),
    };
    if temperature.is_some() && !matches!(mixing, Mixing::Temperature { .. }) {
        let what = format!("temperature means nothing to mixing = \"{name}\"; leave one out");
        return Err(at(&place(), what).into());
    }
    if cap.is_some() && matches!(mixing, Mixing::Equal | Mixing::Rates) {
        return Err(at(&place(), format!("cap means nothing to mixing = \"{name}\"; leave one out")).into());
    }
    Ok(mixing)
}

fn task(entry: &Entry, mixing: Mixing) -> Result<Task, Error> {
    let (name, place) = (entry.key.clone(), entry.place.clone());
    let Node::Section(keys) = &entry.value.node else {
        return Err(at(&place, format!("{name} is a section: write [task.{name}]")).into());
    };
    known(keys, &TASK_KEYS)?;
    if name.contains(['/', ',']) || name.trim().is_empty() || ["loss", "mean"].contains(&name.as_str()) {
        let what = format!("a task cannot be called {name:?}: its figures are called NAME/METRIC");
        return Err(at(&place, what).into());
    }
    let files = |key: &str| keys.get(key).map(paths).transpose();
    let train = files("train")?.unwrap_or_default();
    let valid = files("valid")?.unwrap_or_default();
    let form = form(&name, keys, &place)?;
    if let (Form::Suite { .. }, Some(entry)) = (&form, keys.get("train").or(keys.get("valid"))) {
        return Err(at(&entry.place, "a suite's files are found in its folder; leave this out").into());
    }
    if train.is_empty() && valid.is_empty() && !matches!(form, Form::Suite { .. }) {
        return Err(
            at(&place, format!("task {name} has no files: give train, or valid alone to evaluate")).into()
        );
    }
    let valid_split = match keys.get("valid_split") {
        None => None,
        Some(entry) => match number(entry)? {
            share if share > 0.0 && share < 1.0 => Some(share),
            _ => {
                return Err(
                    at(&entry.value.place, "valid_split is a share between 0 and 1, such as 0.05").into()
                );
            }
        },
    };
    if let (Some(split), false) = (keys.get("valid_split"), valid.is_empty()) {
        return Err(at(&split.place, "valid_split and valid: give one of them").into());
    }
    let metrics = metrics(keys, &form)?;
    let weight = match (keys.get("weight"), keys.get("rate"), mixing) {
        (Some(entry), _, Mixing::Rates) => {
            return Err(at(&entry.place, "mixing = \"rates\" wants rate, not weight").into());
        }
        (_, None, Mixing::Rates) => {
            return Err(
                at(&place, format!("task {name} has no rate, and mixing = \"rates\" wants one")).into()
            );
        }
        (_, Some(entry), Mixing::Rates) | (Some(entry), None, _) => match number(entry)? {
            weight if weight >= 0.0 && weight.is_finite() => weight,
            _ => return Err(at(&entry.value.place, format!("{} is 0 or more", entry.key)).into()),
        },
        (_, Some(entry), _) => {
            return Err(at(&entry.place, "rate is for mixing = \"rates\"; give weight").into());
        }
        (None, None, _) => 1.0,
    };
    let has_header = match keys.get("header").map(|entry| (&entry.value.node, &entry.value.place)) {
        None => None,
        Some((Node::Bool(header), _)) => Some(*header),
        Some((_, place)) => return Err(at(place, "header is true or false").into()),
    };
    Ok(Task { name, place, train, valid, valid_split, form, metrics, weight, has_header })
}

fn form(name: &str, keys: &Section, place: &Place) -> Result<Form, Error> {
    if let Some(entry) = keys.get("suite") {
        return of_suite(entry, keys);
    }
    if let Some(entry) = keys.get("folder").or(keys.get("language")) {
        return Err(at(&entry.place, format!("{} goes with suite = \"SUITE/TASK\"", entry.key)).into());
    }
    if let Some(entry) = keys.get("use") {
        let called = text(entry)?;
        if let Some(other) = ["source", "target", "label", "labels"].iter().find_map(|key| keys.get(key)) {
            return Err(at(
                &other.place,
                format!("use = \"{called}\" says the {}; leave one out", other.key),
            )
            .into());
        }
        return match ready::by_name(called) {
            Some(ready) => Ok(Form::Ready(ready)),
            None => Err(at(&entry.value.place, unknown("task", called, &ready::NAMES)).into()),
        };
    }
    let template = |key: &str| -> Result<Template, Error> {
        let Some(entry) = keys.get(key) else {
            let what = format!(
                "task {name} has no {key}: give a template such as \"{{text}}\", or use = a ready task"
            );
            return Err(at(place, what).into());
        };
        Template::parse(text(entry)?)
            .map_err(|source| Error::Template { place: entry.value.place.clone(), source: source.into() })
    };
    let (source, target) = (template("source")?, template("target")?);
    let labels = match keys.get("labels") {
        None => None,
        Some(entry) => {
            let Node::Section(map) = &entry.value.node else {
                return Err(at(
                    &entry.value.place,
                    "labels is a map such as { \"0\" = \"负面\", \"1\" = \"正面\" }",
                )
                .into());
            };
            let pairs = map.entries.iter().map(|entry| Ok((entry.key.clone(), text(entry)?.to_owned())));
            let pairs = pairs.collect::<Result<Vec<_>, Error>>()?;
            let map = LabelMap::new(pairs).map_err(|source| Error::Template {
                place: entry.value.place.clone(),
                source: source.into(),
            })?;
            if map.is_empty() {
                return Err(at(&entry.value.place, "labels is empty; leave it out").into());
            }
            let of_target: Vec<&str> = target.columns().collect();
            let column = match (keys.get("label"), &of_target[..]) {
                (Some(entry), _) => column(entry)?,
                (None, [column]) => (*column).to_owned(),
                (None, _) => {
                    let what =
                        "which column do labels name? The target has several; say so with label = \"COLUMN\"";
                    return Err(at(&entry.place, what).into());
                }
            };
            Some((column, map))
        }
    };
    if let (Some(entry), None) = (keys.get("label"), &labels) {
        return Err(at(&entry.place, "label is the column of labels, which are missing").into());
    }
    Ok(Form::Templates { source, target, labels })
}

/// A task of a suite: `suite = "glue/sst2"` with its folder.
fn of_suite(entry: &Entry, keys: &Section) -> Result<Form, Error> {
    let called = text(entry)?;
    if let Some(other) = ["use", "source", "target", "label", "labels"].iter().find_map(|key| keys.get(key)) {
        return Err(
            at(&other.place, format!("suite = \"{called}\" says the {}; leave one out", other.key)).into()
        );
    }
    let (suite, task) = called.split_once('/').unwrap_or((called, ""));
    let Some(suite) = suite::by_name(suite) else {
        return Err(at(&entry.value.place, unknown("suite", suite, &suite::NAMES)).into());
    };
    let Some(task) = suite.task(task) else {
        let names: Vec<&str> = suite.tasks().iter().map(|task| task.name).collect();
        let what = unknown(&format!("task of {}", suite.name), task, &names);
        return Err(at(&entry.value.place, format!("{what}: write {}/TASK", suite.name)).into());
    };
    let Some(folder) = keys.get("folder") else {
        return Err(
            at(&entry.place, format!("suite = \"{called}\" needs folder, where its files are")).into()
        );
    };
    let folder = folder.value.home.join(text(folder)?);
    let language = keys.get("language").map(|entry| text(entry).map(str::to_owned)).transpose()?;
    Ok(Form::Suite { task, folder, language })
}

fn metrics(keys: &Section, form: &Form) -> Result<Vec<String>, Error> {
    if let (Some(_), Some(entry)) = (keys.get("metric"), keys.get("metrics")) {
        return Err(at(&entry.place, "metric and metrics: give one of them").into());
    }
    let Some(entry) = keys.get("metric").or_else(|| keys.get("metrics")) else {
        return Ok(match form {
            Form::Ready(ready) => vec![ready.metric.to_owned()],
            Form::Suite { task, language, .. } => {
                let language = language.as_deref().unwrap_or(task.languages[0]);
                task.metrics.iter().map(|name| name.replace("{lang}", language)).collect()
            }
            Form::Templates { labels: Some(_), .. } => vec!["accuracy".to_owned()],
            Form::Templates { .. } => Vec::new(),
        });
    };
    let names = match &entry.value.node {
        Node::List(list) => list.iter().map(|value| text_of(&entry.key, value).map(str::to_owned)).collect(),
        _ => text(entry).map(|name| vec![name.to_owned()]),
    }?;
    Ok(names)
}

/// A key that there is not is an error, with the nearest that there is.
fn known(section: &Section, keys: &[&str]) -> Result<(), Error> {
    match section.entries.iter().find(|entry| !keys.contains(&entry.key.as_str())) {
        Some(entry) => Err(at(&entry.place, unknown("key", &entry.key, keys)).into()),
        None => Ok(()),
    }
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let nearest = near.filter(|(near, _)| *near > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = nearest.map_or(String::new(), |(_, known)| format!(", did you mean {known}?"));
    format!("there is no {what} {name}{meant}; there are {}", known.join(", "))
}

fn text(entry: &Entry) -> Result<&str, Error> {
    text_of(&entry.key, &entry.value)
}

fn text_of<'v>(key: &str, value: &'v Value) -> Result<&'v str, Error> {
    match &value.node {
        Node::Text(text) => Ok(text),
        other => Err(at(&value.place, format!("{key} is text in quotes, not {}", other.kind())).into()),
    }
}

/// A column by name or number.
fn column(entry: &Entry) -> Result<String, Error> {
    match &entry.value.node {
        Node::Integer(number) => Ok(number.clone()),
        _ => text(entry).map(str::to_owned),
    }
}

fn number(entry: &Entry) -> Result<f64, Error> {
    match &entry.value.node {
        Node::Integer(number) | Node::Float(number) => {
            number.parse().map_err(|_| at(&entry.value.place, format!("{} is no number", entry.key)).into())
        }
        other => {
            Err(at(&entry.value.place, format!("{} is a number, not {}", entry.key, other.kind())).into())
        }
    }
}

/// Files, beside the mixture's own; folders and patterns of files too.
fn paths(entry: &Entry) -> Result<Vec<PathBuf>, Error> {
    let values: Vec<&Value> = match &entry.value.node {
        Node::List(list) => list.iter().collect(),
        _ => vec![&entry.value],
    };
    let mut paths = Vec::new();
    for value in values {
        let path = value.home.join(text_of(&entry.key, value)?);
        let found = t5kit_formats::inputs::expand(&[path.to_string_lossy().into_owned()])
            .map_err(|error| at(&value.place, error.to_string()))?;
        paths.extend(found.into_iter().map(|input| input.path));
    }
    match paths.is_empty() {
        true => Err(at(&entry.value.place, format!("{} names no file", entry.key)).into()),
        false => Ok(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Split;

    /// A mixture of this text, beside a table.
    fn read(text: &str) -> Result<Mixture, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.tsv"), "甲\t0\n").unwrap();
        let path = folder.path().join("m.toml");
        std::fs::write(&path, text).unwrap();
        Mixture::read(&path).map_err(|error| {
            assert!(error.is_usage() || matches!(error, Error::Template { .. }), "{error}");
            let said = error.to_string();
            assert!(!said.contains('\n'), "{said}");
            said.split_once("m.toml").unwrap_or_else(|| panic!("no place in {said}")).1.to_owned()
        })
    }

    const TASK: &str = "[task.t]\ntrain = 'a.tsv'\nsource = '{1}'\ntarget = '{2}'\n";

    #[test]
    fn what_is_not_said_has_its_default() {
        let plain = read(TASK).unwrap();
        assert_eq!(plain.mixing, Mixing::Examples { cap: None });
        let task = &plain.tasks[0];
        assert_eq!((task.name.as_str(), task.weight, task.train.len()), ("t", 1.0, 1));
        assert!(task.metrics.is_empty() && task.labels().is_empty() && !task.is_validated());
        let labels =
            read(&format!("{TASK}labels = {{ 0 = '负', 1 = '正', 2 = '正' }}\nvalid_split = 0.5\n")).unwrap();
        let task = &labels.tasks[0];
        assert_eq!(
            (task.metrics.as_slice(), task.labels()),
            (&["accuracy".to_owned()][..], vec!["负", "正"])
        );
        assert!(task.is_validated() && task.has(Split::Train) && !task.has(Split::Validation));
        let ready = read("alpha = 0.5\ncap = 9\n[task.t]\nuse = 'csl-category'\ntrain = 'a.tsv'\n").unwrap();
        assert_eq!(ready.mixing, Mixing::Temperature { temperature: 2.0, cap: Some(9) });
        assert_eq!((ready.tasks[0].metrics[0].as_str(), ready.tasks[0].labels().len()), ("accuracy", 13));
        let suite = read("[task.t]\nsuite = 'glue/sst2'\nfolder = 'x'\nweight = 0\n").unwrap();
        assert_eq!((suite.tasks[0].labels(), suite.tasks[0].weight), (vec!["negative", "positive"], 0.0));
    }

    #[test]
    fn what_means_nothing_is_refused_where_it_stands() {
        let with = |line: &str| read(&format!("{TASK}{line}\n")).unwrap_err();
        let on_top = |line: &str| read(&format!("{line}\n{TASK}")).unwrap_err();
        for (said, place, part) in [
            (with("wieght = 2"), ":5:1", "did you mean weight?"),
            (with("weight = -1"), ":5:10", "0 or more"),
            (with("weight = '2'"), ":5:10", "weight is a number, not "),
            (with("rate = 0.5"), ":5:1", "mixing = \"rates\""),
            (with("label = '2'"), ":5:1", "labels, which are missing"),
            (with("labels = {}"), ":5:10", "labels is empty"),
            (with("labels = { 0 = ' ' }"), ":5:10", "no name"),
            (with("use = 'topic'"), ":3:1", "says the source"),
            (with("suite = 'glue/sst2'"), ":3:1", "says the source"),
            (with("folder = 'x'"), ":5:1", "suite"),
            (with("metric = 'f1'\nmetrics = ['f1']"), ":6:1", "one of them"),
            (with("valid_split = 1"), ":5:15", "between 0 and 1"),
            (with("valid = 'a.tsv'\nvalid_split = 0.1"), ":6:1", "one of them"),
            (with("valid = 'b.tsv'"), ":5:9", "no such file"),
            (with("header = 1"), ":5:10", "true or false"),
            (on_top("cap = 0.5"), ":1:7", "1 or more"),
            (on_top("alpha = 2"), ":1:9", "at most 1"),
            (on_top("temperature = 2\nalpha = 0.5"), ":2:1", "1 / temperature"),
            (on_top("mixing = 'equal'\ncap = 5"), ":1:10", "cap means nothing"),
            (on_top("mixing = 'rates'"), ":2:7", "has no rate"),
            (read("task = 3").unwrap_err(), ":1:1", "[task.NAME]"),
            (read("[task]\n").unwrap_err(), ":1:2", "[task.NAME]"),
            (read("[task.mean]\ntrain = 'a.tsv'\n").unwrap_err(), ":1:7", "cannot be called"),
            (read("[task.t]\ntrain = 'a.tsv'\n").unwrap_err(), ":1:7", "has no source"),
            (read("[task.t]\nsource = '{1}'\ntarget = '{2}'\n").unwrap_err(), ":1:7", "has no files"),
            (read("[task.t]\nuse = 'topics'\ntrain = 'a.tsv'\n").unwrap_err(), ":2:7", "did you mean topic?"),
            (read("[task.t]\nsuite = 'glue/sst2'\n").unwrap_err(), ":2:1", "needs folder"),
        ] {
            assert!(said.starts_with(place) && said.contains(part), "{place} {part}: {said}");
        }
    }
}
