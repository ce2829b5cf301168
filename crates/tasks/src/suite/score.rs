//! From predictions to the papers' figures: `t5.data.postprocessors`, `t5.evaluation.metrics` and mT5's span F1.
//!
//! Values are up to 1 as those of `t5kit-eval` are, where `t5` has a hundredfold. Two things differ: `t5`'s ROUGE is the
//! median of drawn samples, this the mean that they are drawn around; and a prediction that is `nan` is no number here.

use std::collections::{HashMap, HashSet};

use t5kit_eval::{Bootstrap, Metric, Texts, compute};

use super::{Error, SuiteExample, SuiteTask};

/// What a task's predictions are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Score {
    Accuracy,
    Matthews,
    F1Accuracy,
    MeanF1Accuracy,
    Correlations,
    MultiRc,
    Record,
    Winograd,
    Squad,
    Mlqa,
    Cmrc,
    Spans,
    Rouge,
    Characters,
}

/// The place of a label among the labels; `None` of any other text, which counts as wrong
/// (`string_label_to_class_id`).
pub fn class(text: &str, labels: &[&str]) -> Option<usize> {
    labels.iter().position(|label| *label == text)
}

/// The share of predictions that are right.
pub fn accuracy<T: PartialEq>(targets: &[T], predictions: &[T]) -> f64 {
    mean(
        targets.iter().zip(predictions).map(|(target, prediction)| f64::from(u8::from(target == prediction))),
    )
}

/// F1 of the class 1 of two; a prediction that is neither counts as the wrong one of them (`f1_score_with_invalid`).
pub fn f1_with_invalid(targets: &[usize], predictions: &[Option<usize>]) -> f64 {
    let predictions: Vec<usize> = targets
        .iter()
        .zip(predictions)
        .map(|(&t, &p)| p.filter(|&p| p < 2).unwrap_or(1 - t.min(1)))
        .collect();
    f1_of_class(1, targets, predictions.iter().copied().map(Some))
}

/// The mean of every class's F1 (`mean_multiclass_f1`).
pub fn mean_f1(classes: usize, targets: &[usize], predictions: &[Option<usize>]) -> f64 {
    mean((0..classes).map(|class| f1_of_class(class, targets, predictions.iter().copied())))
}

fn f1_of_class(class: usize, targets: &[usize], predictions: impl Iterator<Item = Option<usize>>) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (target, prediction) in targets.iter().zip(predictions) {
        let (is, said) = (*target == class, prediction == Some(class));
        both += usize::from(is && said);
        either += usize::from(is) + usize::from(said);
    }
    if either == 0 { 0.0 } else { 2.0 * both as f64 / either as f64 }
}

/// The share of groups in which every prediction is right (`mean_group_metric(all_match)`).
pub fn groups_matched<T: PartialEq>(groups: &[&str], targets: &[T], predictions: &[T]) -> f64 {
    let mut matched: HashMap<&str, bool> = HashMap::new();
    for (group, (target, prediction)) in groups.iter().zip(targets.iter().zip(predictions)) {
        *matched.entry(group).or_insert(true) &= target == prediction;
    }
    mean(matched.values().map(|&all| f64::from(u8::from(all))))
}

/// Whether a prediction is the referent, up to determiners and words more or less; `None` of a prediction without
/// words (`wsc_simple`).
pub fn is_referent(prediction: &str, referent: &str) -> Option<bool> {
    const DETERMINERS: [&str; 21] = [
        "a", "an", "few", "her", "his", "each", "every", "many", "much", "my", "our", "some", "that", "the",
        "their", "these", "this", "those", "which", "whose", "your",
    ];
    let clean = |text: &str| {
        let text = text.trim().to_lowercase();
        let words = text.split(' ').filter(|word| !DETERMINERS.contains(word));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let (prediction, referent) = (clean(prediction), clean(referent));
    if prediction.iter().all(String::is_empty) && prediction.len() < 2 {
        return None;
    }
    let has_mark = |words: &[String]| words.iter().any(|word| word.contains('\''));
    if has_mark(&prediction) != has_mark(&referent) {
        return Some(false);
    }
    // No words are, as a text, one empty word.
    let set = |words: Vec<String>| match words.is_empty() {
        true => HashSet::from([String::new()]),
        false => words.into_iter().collect::<HashSet<_>>(),
    };
    let (prediction, referent) = (set(prediction), set(referent));
    Some(prediction.is_subset(&referent) || referent.is_subset(&prediction))
}

/// F1 of entities in mT5's tagging form, `PER: … $$ LOC: …` (`multilingual_t5.evaluation.metrics.span_f1`).
pub fn span_f1(targets: &[&str], predictions: &[&str]) -> f64 {
    // As the reference has it, lest nothing be divided by nothing.
    const LEAST: f64 = 1e-13;
    let (mut right, mut wrong, mut missed) = (0usize, 0usize, 0usize);
    for (target, prediction) in targets.iter().zip(predictions) {
        let mut expected = entities(target);
        for entity in entities(prediction) {
            match expected.iter().position(|other| *other == entity) {
                Some(at) => {
                    expected.remove(at);
                    right += 1;
                }
                None => wrong += 1,
            }
        }
        missed += expected.len();
    }
    let precision = right as f64 / ((right + wrong) as f64 + LEAST);
    let recall = right as f64 / ((right + missed) as f64 + LEAST);
    2.0 * (precision * recall) / (precision + recall + LEAST)
}

/// Kinds and words; what has no colon, or more than one, is none.
fn entities(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split(" $$ ").map(|part| part.trim().split(':').collect::<Vec<_>>());
    parts
        .filter_map(|part| <[&str; 2]>::try_from(part).ok())
        .map(|[tag, words]| (tag.trim(), words.trim()))
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { f64::NAN } else { sum / count as f64 }
}

impl Score {
    /// What its figures are called.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Score::Accuracy | Score::Winograd => &["accuracy"],
            Score::Matthews => &["matthews_corrcoef"],
            Score::F1Accuracy => &["f1", "accuracy"],
            Score::MeanF1Accuracy => &["mean_3class_f1", "accuracy"],
            Score::Correlations => &["pearson_corrcoef", "spearman_corrcoef"],
            Score::MultiRc => &["f1", "exact_match"],
            Score::Record | Score::Squad | Score::Mlqa | Score::Cmrc => &["em", "f1"],
            Score::Spans => &["span_f1"],
            Score::Rouge => &["rouge1", "rouge2", "rougeLsum"],
            Score::Characters => &["rouge-1", "rouge-2", "rouge-l", "bleu"],
        }
    }

    /// The figures, in the order of [`Score::names`].
    pub fn figures(
        self,
        task: &SuiteTask,
        predictions: &[String],
        examples: &[SuiteExample],
        language: &str,
    ) -> Result<Vec<(&'static str, f64)>, Error> {
        if predictions.len() != examples.len() || examples.is_empty() {
            let (predictions, examples) = (predictions.len(), examples.len());
            return Err(Error::Unpaired { task: task.name, predictions, examples });
        }
        if let Some(example) = examples.iter().find(|example| self.is_unanswered(example)) {
            return Err(Error::NoAnswer { task: task.name, id: example.id.clone() });
        }
        let of = Scored { task, predictions, examples };
        let values = match self {
            Score::Accuracy => vec![of.accuracy()],
            Score::Matthews => of.matthews()?,
            Score::F1Accuracy => {
                let (targets, predictions) = of.classes()?;
                vec![f1_with_invalid(&targets, &predictions), of.accuracy()]
            }
            Score::MeanF1Accuracy => {
                let (targets, predictions) = of.classes()?;
                let classes = task.labels.unwrap_or_default().len();
                vec![mean_f1(classes, &targets, &predictions), of.accuracy()]
            }
            Score::Correlations => of.metrics(&[Metric::Pearson, Metric::Spearman], str::to_owned)?,
            Score::MultiRc => {
                let (targets, predictions) = of.classes()?;
                let right: Vec<Option<usize>> = targets.iter().copied().map(Some).collect();
                let groups: Vec<&str> = examples.iter().filter_map(|e| e.group.as_deref()).collect();
                vec![f1_with_invalid(&targets, &predictions), groups_matched(&groups, &right, &predictions)]
            }
            Score::Record => of.first_of_groups().metrics(&[Metric::Squad], str::to_owned)?,
            Score::Winograd => {
                let said = predictions.iter().zip(examples).map(|(p, e)| is_referent(p, &e.target));
                let right = examples.iter().map(|example| example.correct);
                vec![accuracy(&right.collect::<Vec<_>>(), &said.collect::<Vec<_>>())]
            }
            Score::Squad => of.metrics(&[Metric::Squad], str::to_owned)?,
            Score::Mlqa => {
                let metric = Metric::by_name(&format!("mlqa:{language}")).unwrap_or(Metric::Squad);
                of.metrics(&[metric], str::to_owned)?
            }
            Score::Cmrc => of.metrics(&[Metric::Cmrc], str::to_owned)?,
            Score::Spans => {
                let targets: Vec<&str> = examples.iter().map(|example| example.target.as_str()).collect();
                let predictions: Vec<&str> = predictions.iter().map(String::as_str).collect();
                vec![span_f1(&targets, &predictions)]
            }
            Score::Rouge => {
                // Sentences on lines of their own, for ROUGE-Lsum.
                let mut all = of.metrics(&[Metric::RougeScore(None)], |text| text.replace(" . ", " .\n"))?;
                all.remove(2);
                all
            }
            Score::Characters => of.metrics(&[Metric::Csl], str::to_owned)?,
        };
        Ok(self.names().iter().copied().zip(values).collect())
    }

    fn is_unanswered(self, example: &SuiteExample) -> bool {
        match self {
            Score::Winograd => example.correct.is_none(),
            _ => example.references.is_empty(),
        }
    }
}

/// Predictions and what they should be.
#[derive(Clone, Copy)]
struct Scored<'s, P = &'s [String], E = &'s [SuiteExample]> {
    task: &'s SuiteTask,
    predictions: P,
    examples: E,
}

impl<'s> Scored<'s> {
    fn accuracy(&self) -> f64 {
        let targets: Vec<&str> = self.examples.iter().map(|example| example.target.as_str()).collect();
        accuracy(&targets, &self.predictions.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Targets and predictions as places among the task's labels.
    fn classes(&self) -> Result<(Vec<usize>, Vec<Option<usize>>), Error> {
        let labels = self.task.labels.unwrap_or_default();
        let target = |example: &SuiteExample| {
            let class = class(&example.target, labels);
            class.ok_or_else(|| Error::NoAnswer { task: self.task.name, id: example.id.clone() })
        };
        let targets = self.examples.iter().map(target).collect::<Result<_, _>>()?;
        Ok((targets, self.predictions.iter().map(|prediction| class(prediction, labels)).collect()))
    }

    /// Matthews' coefficient, all predictions that are no label being one more class.
    fn matthews(&self) -> Result<Vec<f64>, Error> {
        let labels = self.task.labels.unwrap_or_default();
        self.metrics(&[Metric::Matthews], |text| class(text, labels).map_or("-1", |at| labels[at]).to_owned())
    }

    /// The first example of every group.
    fn first_of_groups(&self) -> Scored<'s, Vec<String>, Vec<SuiteExample>> {
        let mut seen = HashSet::new();
        let pairs = self.predictions.iter().zip(self.examples);
        let first = pairs.filter(|(_, example)| seen.insert(example.group.as_deref()));
        let (predictions, examples) = first.map(|(p, e)| (p.clone(), e.clone())).unzip();
        Scored { task: self.task, predictions, examples }
    }
}

impl<P: AsRef<[String]>, E: AsRef<[SuiteExample]>> Scored<'_, P, E> {
    /// The values of metrics of generated texts.
    fn metrics(&self, metrics: &[Metric], prepared: impl Fn(&str) -> String) -> Result<Vec<f64>, Error> {
        let examples = self.examples.as_ref();
        let predictions: Vec<String> = self.predictions.as_ref().iter().map(|text| prepared(text)).collect();
        // As many for each: those of a text with fewer come again, which changes no maximum.
        let most = examples.iter().map(|example| example.references.len()).max().unwrap_or_default();
        let one = |example: &SuiteExample, at: usize| {
            let all = &example.references;
            prepared(all.get(at).or(all.first()).map_or("", String::as_str))
        };
        let references: Vec<Vec<String>> =
            (0..most).map(|at| examples.iter().map(|example| one(example, at)).collect()).collect();
        let texts = Texts { predictions: &predictions, references: &references, ..Texts::default() };
        let report = compute(metrics, texts, Bootstrap { samples: 0, ..Bootstrap::default() });
        let report = report.map_err(|source| Error::Metric { task: self.task.name, source })?;
        Ok(report.figures.iter().map(|figure| figure.value).collect())
    }
}
