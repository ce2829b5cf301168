//! A model in another storage type beside the original: how often it says the same, how near the rest is, and how probable
//! both find the same texts.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use t5kit_eval::resample::{interval, samples};
use t5kit_eval::statistics::{Statistics, Sums};
use t5kit_eval::{Bootstrap, Figure, Metric, Report, Texts, compute};
use t5kit_formats::progress::{Progress, Stopped, Watch};
use t5kit_generate::score;
use t5kit_pipeline::{Pipeline, Settled};

use crate::evaluation::of_figure;
use crate::{Asked, Error, Examples, outputs};

/// What one of the two models makes of the examples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Its text for each source.
    pub texts: Vec<String>,
    /// How many sources were cut.
    pub cut: usize,
    /// Log-probability (natural, the end included) and tokens of each text that it was to find probable.
    pub log_probs: Vec<(f64, usize)>,
}

/// Generates for all sources, as [`outputs`] does, and scores `texts` for them: the targets that there are, or of the other
/// model what [`Judged::texts`] it gave; `None`: its own. Its stages are `generating` and `scoring`.
///
/// # Errors
/// Those of generating and scoring; [`Error::Stopped`] by `watch`.
pub fn judge(
    model: &Pipeline,
    sources: &[String],
    texts: Option<&[String]>,
    asked: &Asked,
    settled: &Settled,
    watch: &mut dyn Watch,
) -> Result<Judged, Error> {
    let found = outputs(model, sources, asked, settled, watch)?;
    let most = [asked.max_source_length, asked.max_source_length];
    let pairs = sources.iter().zip(texts.unwrap_or(&found.texts));
    let (sources, targets): (Vec<_>, Vec<_>) =
        pairs.map(|(source, text)| model.encode_pair(source, text, most).into()).unzip();
    let mut log_probs = vec![(0.0, 0); sources.len()];
    let (mut done, mut flow) = (0, ControlFlow::Continue(()));
    let limits = asked.limits.unwrap_or_default();
    score(&*model.model, &model.pool, &sources, &targets, limits, |i, score| {
        log_probs[i] = (score.log_prob(), score.tokens.len());
        done += 1;
        flow = watch.progress(Progress::items("scoring", "texts", done, Some(sources.len())));
        flow
    })?;
    if flow.is_break() {
        return Err(Stopped.into());
    }
    Ok(Judged { texts: found.texts, cut: found.cut, log_probs })
}

/// Log-probabilities of the same texts under both models: natural, the mean of their tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// Under the original.
    pub original: f64,
    /// Under the other.
    pub converted: f64,
    /// Of the difference, other minus original: its 95 % confidence interval.
    pub interval: Option<(f64, f64)>,
    /// Mean difference of a whole text, either way: what the texts' own differences say where they cancel each other out.
    pub mean_absolute: f64,
    /// The greatest of them.
    pub greatest: f64,
}

impl Likelihood {
    /// Of the same texts under both models.
    ///
    /// Panics where they are not equally many.
    pub fn new(original: &[(f64, usize)], converted: &[(f64, usize)], bootstrap: Bootstrap) -> Self {
        assert_eq!(original.len(), converted.len(), "the same texts under both");
        let row = |i: usize, out: &mut [f64]| {
            out.copy_from_slice(&[original[i].0, converted[i].0, original[i].1 as f64]);
        };
        // One text of no tokens is not to be divided by.
        let means = |sums: &[f64], _: f64| {
            let tokens = sums[2].max(1.0);
            vec![sums[0] / tokens, sums[1] / tokens, (sums[1] - sums[0]) / tokens]
        };
        let sums = Sums::new(original.len(), 3, row, means);
        let all = sums.figures(&vec![1; original.len()]);
        let drawn = samples(&[&sums], bootstrap).swap_remove(0);
        let differences = || original.iter().zip(converted).map(|(a, b)| (b.0 - a.0).abs());
        Likelihood {
            original: all[0],
            converted: all[1],
            interval: interval(drawn.iter().map(|figures| figures[2]).collect()),
            mean_absolute: differences().sum::<f64>() / original.len().max(1) as f64,
            greatest: differences().fold(0.0, f64::max),
        }
    }

    /// Other minus original: below 0 where the other finds the texts less probable.
    pub fn difference(&self) -> f64 {
        self.converted - self.original
    }

    fn to_json(self) -> Value {
        json!({
            "original": self.original,
            "converted": self.converted,
            "difference": self.difference(),
            "low": self.interval.map(|(low, _)| low),
            "high": self.interval.map(|(_, high)| high),
            "mean_absolute": self.mean_absolute,
            "greatest": self.greatest,
        })
    }
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// How many examples.
    pub examples: usize,
    /// The converted model's texts against the original's: share of the same ones, ROUGE-L, BLEU.
    pub same: Report,
    /// Of the converted model against the targets, where there are targets; compared with the original's.
    pub right: Option<Report>,
    /// Of the targets, where there are any, else of the original's texts.
    pub likelihood: Likelihood,
}

impl Comparison {
    /// Compares what two models made of the same examples; both scored the same texts.
    ///
    /// # Errors
    /// [`Error::Figures`] where the texts do not belong together.
    pub fn new(
        examples: &Examples,
        original: &Judged,
        converted: &Judged,
        bootstrap: Bootstrap,
    ) -> Result<Self, Error> {
        let texts = |references, against| Texts {
            predictions: &converted.texts,
            references,
            sources: Some(&examples.sources),
            against,
        };
        let all = [Metric::Accuracy, Metric::RougeL, Metric::Bleu];
        let same = compute(&all, texts(std::slice::from_ref(&original.texts), None), bootstrap)?;
        let right = || compute(&all, texts(&examples.references, Some(&original.texts)), bootstrap);
        Ok(Comparison {
            examples: examples.sources.len(),
            same,
            right: (!examples.references.is_empty()).then(right).transpose()?,
            likelihood: Likelihood::new(&original.log_probs, &converted.log_probs, bootstrap),
        })
    }

    /// For programs; see docs/formats.md. Keys are added, never changed.
    pub fn to_json(&self) -> Value {
        let by_name = |report: &Report| -> Value {
            let figures = report.figures.iter();
            figures
                .map(|figure: &Figure| (figure.name.clone(), of_figure(figure)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "format": 1,
            "t5kit": env!("CARGO_PKG_VERSION"),
            "examples": self.examples,
            "against_original": by_name(&self.same),
            "against_targets": self.right.as_ref().map(by_name),
            "log_prob_of": if self.right.is_some() { "targets" } else { "outputs" },
            "log_prob": self.likelihood.to_json(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(texts: [&str; 3], log_probs: [(f64, usize); 3]) -> Judged {
        Judged { texts: texts.map(String::from).to_vec(), cut: 0, log_probs: log_probs.to_vec() }
    }

    #[test]
    fn the_same_is_the_same() {
        let one = judged(["甲乙", "丙", "丁戊"], [(-1.0, 3), (-2.0, 2), (-0.5, 3)]);
        let examples = Examples { sources: one.texts.clone(), references: Vec::new() };
        let bootstrap = Bootstrap { samples: 50, seed: 1 };
        let all = Comparison::new(&examples, &one, &one, bootstrap).unwrap();
        let values: Vec<f64> = all.same.figures.iter().map(|figure| figure.value).collect();
        assert!(values[0] == 1.0 && values[1] > 0.999_999, "{values:?}");
        assert_eq!((all.likelihood.difference(), all.likelihood.interval), (0.0, Some((0.0, 0.0))));
        assert_eq!((all.likelihood.original, all.likelihood.greatest), (-3.5 / 8.0, 0.0));
        let json = all.to_json();
        assert_eq!((&json["log_prob_of"], &json["against_targets"]), (&json!("outputs"), &Value::Null));
    }

    #[test]
    fn what_differs_is_counted_and_compared_with_the_targets() {
        let one = judged(["甲乙", "丙", "丁戊"], [(-1.0, 3), (-2.0, 2), (-0.5, 3)]);
        let other = judged(["甲乙", "丙", "丁己"], [(-1.0, 3), (-2.8, 2), (-0.5, 3)]);
        let examples = Examples {
            sources: one.texts.clone(),
            references: vec![vec!["甲乙".into(), "庚".into(), "丁戊".into()]],
        };
        let all = Comparison::new(&examples, &one, &other, Bootstrap { samples: 50, seed: 1 }).unwrap();
        assert_eq!(all.same.figures[0].value, 2.0 / 3.0);
        let right = all.right.as_ref().unwrap();
        assert_eq!((right.figures[0].value, right.figures[0].against.unwrap().value), (1.0 / 3.0, 2.0 / 3.0));
        assert!((all.likelihood.difference() + 0.8 / 8.0).abs() < 1e-12);
        assert!((all.likelihood.greatest - 0.8).abs() < 1e-12);
        assert!((all.likelihood.mean_absolute - 0.8 / 3.0).abs() < 1e-12);
        let (low, high) = all.likelihood.interval.unwrap();
        assert!(low < 0.0 && high <= 0.0);
        assert_eq!(all.to_json()["log_prob_of"], "targets");
    }
}
