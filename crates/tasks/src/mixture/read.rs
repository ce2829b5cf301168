//! A task's rows as sources and targets.

use std::ops::ControlFlow;
use std::path::Path;

use t5kit_formats::table::{Row, Rows, Table, TableOptions};

use super::{Error, Form, Task};
use crate::suite::{Split, SuiteExample};
use crate::template::{LabelMap, Template};

/// An example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What the model reads.
    pub source: String,
    /// What it is to say.
    pub target: String,
}

/// What was seen while a file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bad rows left out.
    pub skipped: usize,
    /// Rows with nothing in them.
    pub blank: usize,
}

impl Task {
    /// Gives the examples to train on, or to validate on, to `each`, in order. `bad_row` says whether to go on without a
    /// row that cannot be used; those of a suite's published files are never left out.
    ///
    /// # Errors
    /// A file that cannot be read, lacks a column or holds no example; a bad row, unless it is to be left out; those of
    /// `each`.
    pub fn each<E: From<Error>>(
        &self,
        split: Split,
        options: &TableOptions,
        bad_row: &mut dyn FnMut(&Error) -> ControlFlow<()>,
        mut each: impl FnMut(Pair) -> Result<(), E>,
    ) -> Result<Seen, E> {
        let mut seen = Seen::default();
        if let Form::Suite { .. } = &self.form {
            for example in self.of_suite(split)? {
                each(Pair { source: example.source, target: example.target })?;
            }
            return Ok(seen);
        }
        let files = if split == Split::Train { &self.train } else { &self.valid };
        for path in files {
            let mut examples = 0;
            let (mut rows, wording) = self.open(path, options)?;
            for row in rows.by_ref() {
                let pair = row.map_err(Error::from).and_then(|row| self.pair(path, row, &wording));
                match pair {
                    Ok(Some(pair)) => {
                        examples += 1;
                        each(pair)?;
                    }
                    Ok(None) => seen.blank += 1,
                    Err(error) if error.is_bad_row() && bad_row(&error).is_continue() => seen.skipped += 1,
                    Err(error) => return Err(error.into()),
                }
            }
            if examples == 0 {
                return Err(Error::Nothing { path: path.clone(), task: self.name.clone() }.into());
            }
        }
        Ok(seen)
    }

    /// The examples of a suite's task: to train on, or those that the suite reports, in the language trained on.
    fn of_suite(&self, split: Split) -> Result<Vec<SuiteExample>, Error> {
        let Form::Suite { task, folder, language } = &self.form else { return Ok(Vec::new()) };
        let split = if split == Split::Train { split } else { Split::Validation };
        let mut examples = Vec::new();
        let read = task.read(folder, split, language.as_deref(), &mut |example| {
            examples.push(example);
            Ok(())
        });
        read.map_err(|source| Error::Suite { place: self.place.clone(), source: source.into() })?;
        Ok(examples)
    }

    /// The rows of a file, and how one of them is said.
    fn open(&self, path: &Path, options: &TableOptions) -> Result<(Rows, Wording), Error> {
        let has_header = self.has_header.or(options.has_header);
        let options = TableOptions { text_as_table: true, has_header, ..options.clone() };
        let table = Table::open(path, &options)?;
        if table.head().columns.is_empty() {
            return Err(Error::Nothing { path: path.to_path_buf(), task: self.name.clone() });
        }
        let numbered: Vec<String> = (1..=table.head().columns.len()).map(|n| n.to_string()).collect();
        let names: Vec<&str> = match table.head().header {
            Some(false) => numbered.iter().map(String::as_str).collect(),
            _ => table.names(),
        };
        let wrong = |source: crate::template::Error| Error::Template {
            place: self.place.clone(),
            source: source.into(),
        };
        let (source, target, labels) = match &self.form {
            Form::Suite { .. } => unreachable!("a suite's files are read by it"),
            Form::Templates { source, target, labels } => (source.clone(), target.clone(), labels.clone()),
            Form::Ready(ready) => {
                let (source, target) = ready.templates(&names).map_err(wrong)?;
                let map = ready.label_map().map_err(wrong)?;
                let labels = ready.label_column(&names).filter(|_| !map.is_empty());
                (source, target, labels.map(|column| (column.to_owned(), map)))
            }
        };
        // A number names a column whatever it is called.
        let known: Vec<&str> = names.iter().copied().chain(numbered.iter().map(String::as_str)).collect();
        let mut columns: Vec<String> = Vec::new();
        let label = labels.as_ref().map(|(column, _)| column.as_str());
        for template in [&source, &target] {
            if template.columns().any(|name| !known.contains(&name)) {
                template.check(&names).map_err(wrong)?;
            }
        }
        for name in source.columns().chain(target.columns()).chain(label) {
            if !columns.iter().any(|known| known == name) {
                columns.push(name.to_owned());
            }
        }
        let place = |name: &String| {
            let named = names.iter().position(|known| known == name);
            named.or_else(|| numbered.iter().position(|number| number == name))
        };
        let places: Vec<usize> = columns.iter().filter_map(place).collect();
        Ok((table.rows_at(&places)?, Wording { source, target, labels, columns }))
    }

    /// The example of a row; `None` where there is nothing in it.
    fn pair(&self, path: &Path, row: Row, wording: &Wording) -> Result<Option<Pair>, Error> {
        if row.values.iter().all(|value| value.trim().is_empty()) {
            return Ok(None);
        }
        let Wording { source, target, labels, columns } = wording;
        let place = |name: &str| columns.iter().position(|column| column == name).unwrap_or(0);
        let mut values: Vec<&str> = row.values.iter().map(String::as_str).collect();
        if let Some((column, map)) = labels {
            let at = place(column);
            values[at] = map.name(values[at], path, row.line).map_err(|error| Error::Label(error.into()))?;
        }
        let fill = |template: &Template| template.fill(|name| values[place(name)]);
        // A template's own words are always there: what is empty is a column.
        let empty = |template: &Template| {
            template.columns().count() > 0
                && template.columns().all(|name| values[place(name)].trim().is_empty())
        };
        for (template, what) in [(source, "source"), (target, "target")] {
            if empty(template) {
                let (path, task) = (path.to_path_buf(), self.name.clone());
                return Err(Error::Empty { path, line: row.line, what, task });
            }
        }
        Ok(Some(Pair { source: fill(source), target: fill(target) }))
    }
}

/// How a row is said: the templates, the labels, and the columns in the order of a row's values.
struct Wording {
    source: Template,
    target: Template,
    labels: Option<(String, LabelMap)>,
    columns: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixture::Mixture;

    /// The examples of the only task of a mixture over this table, with bad rows left out or not.
    fn pairs(table: &str, task: &str, skip: bool) -> Result<(Vec<(String, String)>, Seen), String> {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.tsv"), table).unwrap();
        std::fs::write(at("m.toml"), format!("[task.t]\ntrain = 'a.tsv'\n{task}\n")).unwrap();
        let mixture = Mixture::read(&at("m.toml")).unwrap();
        let mut found = Vec::new();
        let mut bad_row = |_: &Error| if skip { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let seen =
            mixture.tasks[0].each::<Error>(Split::Train, &TableOptions::default(), &mut bad_row, |pair| {
                found.push((pair.source, pair.target));
                Ok(())
            });
        seen.map(|seen| (found, seen)).map_err(|error| error.to_string())
    }

    const LABELS: &str =
        "source = '甲：{1}！'\ntarget = '{2}'\nlabels = { 0 = '负', 1 = '正' }\nheader = false";

    #[test]
    fn rows_are_said_in_the_tasks_words() {
        let (found, seen) = pairs("好书\t1\n\n难看\t 0 \n", LABELS, false).unwrap();
        assert_eq!(found, [("甲：好书！".into(), "正".into()), ("甲：难看！".into(), "负".into())]);
        assert_eq!(seen.skipped, 0);
        // By name, by number although there are names, and a column that is only part of the words.
        let by_name = "source = '{b}/{1}'\ntarget = '{c}'\nheader = true";
        let (found, _) = pairs("a\tb\tc\nx\ty\tz\n", by_name, false).unwrap();
        assert_eq!(found, [("y/x".into(), "z".into())]);
    }

    #[test]
    fn rows_that_cannot_be_used_are_told_or_left_out() {
        let table = "好书\t1\n难看\t2\n\t1\n还行\t0\n";
        let said = pairs(table, LABELS, false).unwrap_err();
        assert!(said.contains("a.tsv, line 2") && said.contains("\"2\"") && said.contains("0, 1"), "{said}");
        let said = pairs("好书\t1\n\t1\n", LABELS, false).unwrap_err();
        assert!(said.contains("a.tsv, line 2: the source of task t is empty"), "{said}");
        let (found, seen) = pairs(table, LABELS, true).unwrap();
        assert_eq!((found.len(), seen.skipped), (2, 2));
        for nothing in ["", "\n\n"] {
            let said = pairs(nothing, LABELS, true).unwrap_err();
            assert!(said.ends_with("a.tsv: holds no example of task t"), "{said}");
        }
        let said = pairs("x\t9\n", LABELS, true).unwrap_err();
        assert!(said.ends_with("holds no example of task t"), "{said}");
        let said = pairs("x\t1\n", "source = '{text}'\ntarget = '{2}'\nheader = false", false).unwrap_err();
        assert!(said.contains("m.toml:1:7") && said.contains("no column text"), "{said}");
    }
}
