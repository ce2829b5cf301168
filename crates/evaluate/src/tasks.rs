//! Models on several tasks: those of a suite, with its papers' figures, or of a mixture.

use serde_json::{Map, Value, json};
use t5kit_eval::{Metric, Texts, compute};
use t5kit_tasks::suite::{SuiteExample, SuiteTask};

use crate::Error;

/// Examples of a task in one language, and how predictions of them are judged.
#[derive(Clone, Debug)]
pub struct Part {
    /// The task's name.
    pub task: String,
    /// The language, where the task is there in several.
    pub language: Option<String>,
    /// The examples.
    pub examples: Vec<SuiteExample>,
    /// What judges.
    pub judge: Judge,
    /// The closed set that its targets are of, where there is one.
    pub labels: Option<Vec<String>>,
}

/// What makes figures of predictions.
#[derive(Clone, Debug)]
pub enum Judge {
    /// The paper's figures.
    Suite(&'static SuiteTask),
    /// Metrics of generated texts.
    Metrics(Vec<Metric>),
}

impl Part {
    /// `xquad.zh`, or the task's name.
    pub fn name(&self) -> String {
        match &self.language {
            Some(language) => format!("{}.{language}", self.task),
            None => self.task.clone(),
        }
    }

    /// The figures of predictions, up to 1.
    ///
    /// # Errors
    /// [`Error::Suite`], [`Error::Figures`] where predictions do not go with the examples.
    pub fn figures(&self, predictions: &[String]) -> Result<Figures, Error> {
        match &self.judge {
            Judge::Suite(task) => {
                let figures = task.figures(predictions, &self.examples, self.language.as_deref())?;
                Ok(figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }
            Judge::Metrics(metrics) => {
                let references =
                    [self.examples.iter().map(|example| example.target.clone()).collect::<Vec<_>>()];
                let sources: Vec<String> =
                    self.examples.iter().map(|example| example.source.clone()).collect();
                let texts =
                    Texts { predictions, references: &references, sources: Some(&sources), against: None };
                let report = compute(metrics, texts, t5kit_eval::Bootstrap { samples: 0, seed: 0 })?;
                Ok(report
                    .figures
                    .iter()
                    .map(|figure| (figure.name.clone(), figure.value / figure.most))
                    .collect())
            }
        }
    }

    /// Right texts, as many for each example: where one has fewer, its first again.
    pub fn references(&self) -> Vec<Vec<String>> {
        let most = self.examples.iter().map(|example| example.references.len()).max().unwrap_or(0).max(1);
        let text = |example: &SuiteExample, n: usize| -> String {
            let some = example.references.get(n).or(example.references.first());
            some.unwrap_or(&example.target).clone()
        };
        (0..most).map(|n| self.examples.iter().map(|example| text(example, n)).collect()).collect()
    }
}

/// Figures by name, up to 1.
pub type Figures = Vec<(String, f64)>;

/// Figures of one or several models over the same tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskEvaluation {
    /// What the tasks are called together.
    pub data: String,
    /// Their parts: task, language, number of examples.
    pub parts: Vec<(String, Option<String>, usize)>,
    /// The models: name, and the figures of each part by name.
    pub models: Vec<(String, Vec<Figures>)>,
}

impl TaskEvaluation {
    /// The mean of a model's tasks, each the mean of its figures, of which those in several languages are the languages'
    /// mean (Raffel et al. 2020, section 2.4: all tasks of a suite count alike, and all figures of a task).
    pub fn mean(&self, model: usize) -> f64 {
        let tasks = self.tasks();
        let of_task = |task: &&str| {
            let parts: Vec<f64> = (0..self.parts.len())
                .filter(|&i| self.parts[i].0 == *task)
                .map(|i| mean(self.models[model].1[i].iter().map(|(_, value)| *value)))
                .collect();
            mean(parts.into_iter())
        };
        mean(tasks.iter().map(of_task))
    }

    /// The tasks, each once, in order.
    pub fn tasks(&self) -> Vec<&str> {
        let mut tasks: Vec<&str> = Vec::new();
        for (task, ..) in &self.parts {
            if !tasks.contains(&task.as_str()) {
                tasks.push(task);
            }
        }
        tasks
    }

    /// Rows of the table for a terminal, heads among them: a task in one language is a row with a column a model; one in
    /// several has a table of its own, languages as columns and then their mean, a row a model and figure (Xue et al.
    /// 2021, tables 2 and 6). In percent.
    pub fn tables(&self) -> Vec<Vec<Vec<String>>> {
        let percent = |value: f64| format!("{:.1}", 100.0 * value);
        let (mut one, mut tables) = (Vec::new(), Vec::new());
        let mut head = vec!["task".to_owned(), "figure".to_owned(), "examples".to_owned()];
        head.extend(self.models.iter().map(|(name, _)| name.clone()));
        for task in self.tasks() {
            let parts: Vec<usize> = (0..self.parts.len()).filter(|&i| self.parts[i].0 == task).collect();
            let first = parts[0];
            let figures = self.models.first().map_or(&[][..], |(_, figures)| &figures[first]);
            if self.parts[first].1.is_none() {
                for (i, (name, _)) in figures.iter().enumerate() {
                    let mut row = vec![task.to_owned(), name.clone(), self.parts[first].2.to_string()];
                    row.extend(self.models.iter().map(|(_, figures)| percent(figures[first][i].1)));
                    one.push(row);
                }
                continue;
            }
            let mut rows = vec![vec![task.to_owned(), "figure".to_owned()]];
            rows[0].extend(parts.iter().map(|&i| self.parts[i].1.clone().unwrap_or_default()));
            rows[0].push("mean".to_owned());
            for (model, all) in &self.models {
                for (n, (name, _)) in figures.iter().enumerate() {
                    let values: Vec<f64> = parts.iter().map(|&i| all[i][n].1).collect();
                    let mut row = vec![model.clone(), name.clone()];
                    row.extend(values.iter().map(|&value| percent(value)));
                    row.push(percent(mean(values.into_iter())));
                    rows.push(row);
                }
            }
            tables.push(rows);
        }
        if !one.is_empty() {
            if one.len() > 1 {
                let mut row = vec!["mean".to_owned(), String::new(), String::new()];
                row.extend((0..self.models.len()).map(|model| percent(self.mean(model))));
                one.push(row);
            }
            one.insert(0, head);
            tables.insert(0, one);
        }
        tables
    }

    /// The figures for programs: `{"tasks": [{"task", "language", "examples", "figures": {MODEL: {NAME: VALUE}}}],
    /// "mean": {MODEL: VALUE}}`.
    pub fn to_json(&self) -> Value {
        let tasks = self.parts.iter().enumerate().map(|(i, (task, language, examples))| {
            let figures = self.models.iter().map(|(name, all)| {
                let values: Map<String, Value> =
                    all[i].iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                (name.clone(), Value::Object(values))
            });
            let figures: Map<String, Value> = figures.collect();
            json!({"task": task, "language": language, "examples": examples, "figures": figures})
        });
        let means = self.models.iter().enumerate().map(|(i, (name, _))| (name.clone(), json!(self.mean(i))));
        json!({
            "format": 1,
            "t5kit": env!("CARGO_PKG_VERSION"),
            "data": self.data,
            "tasks": tasks.collect::<Vec<_>>(),
            "mean": means.collect::<Map<String, Value>>(),
        })
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_columns_and_all_tasks_count_alike() {
        let figures = |em: f64, f1: f64| vec![("exact_match".to_owned(), em), ("f1".to_owned(), f1)];
        let evaluation = TaskEvaluation {
            data: "zero-shot".into(),
            parts: vec![
                ("xquad".into(), Some("en".into()), 10),
                ("xquad".into(), Some("zh".into()), 10),
                ("sst2".into(), None, 4),
            ],
            models: vec![(
                "m".into(),
                vec![figures(0.5, 0.7), figures(0.3, 0.5), vec![("accuracy".into(), 0.9)]],
            )],
        };
        // xquad: (0.6 + 0.4) / 2 = 0.5; with sst2's 0.9 the mean is 0.7.
        assert!((evaluation.mean(0) - 0.7).abs() < 1e-12);
        let tables = evaluation.tables();
        assert_eq!(tables[0], [["task", "figure", "examples", "m"], ["sst2", "accuracy", "4", "90.0"]]);
        assert_eq!(
            tables[1],
            [
                ["xquad", "figure", "en", "zh", "mean"],
                ["m", "exact_match", "50.0", "30.0", "40.0"],
                ["m", "f1", "70.0", "50.0", "60.0"]
            ]
        );
        let json = evaluation.to_json();
        assert_eq!(json["tasks"][1]["figures"]["m"]["f1"], 0.5);
        assert_eq!(json["tasks"][2]["language"], Value::Null);
    }

    #[test]
    fn every_example_has_as_many_right_texts() {
        let example = |references: &[&str]| SuiteExample {
            target: "t".into(),
            references: references.iter().map(|text| (*text).to_owned()).collect(),
            ..SuiteExample::default()
        };
        let part = Part {
            task: "squad".into(),
            language: None,
            examples: vec![example(&["a", "b"]), example(&["c"]), example(&[])],
            judge: Judge::Metrics(Vec::new()),
            labels: None,
        };
        assert_eq!(part.references(), [["a", "c", "t"], ["b", "c", "t"]]);
        assert_eq!(part.name(), "squad");
    }
}
