//! When and how a run is validated: loss and generated metrics, which checkpoint is the best, when to give up.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use t5kit_eval::{Metric, Scorer};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_generate::constrain::Constraint;
use t5kit_generate::{GenerateOptions, generate};
use t5kit_model::Seq2Seq;
use t5kit_tensor::Pool;
use t5kit_tokenizer::{Punctuation, PunctuationCount, Tokenizer, restore_punctuation};

use crate::log::EvalRecord;
use crate::{Error, Examples, pass};

/// When a run is validated, by what, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValidationOptions {
    /// Steps between validations; `None`: every epoch. Always at the end.
    pub eval_every: Option<u64>,
    /// Steps between checkpoints; `None`: after every validation. Always at the end.
    pub save_every: Option<u64>,
    /// Names of the metrics of generated targets ([`Metric::name`]), beside the loss.
    pub metrics: Vec<String>,
    /// What decides which checkpoint is the best: one of `metrics` or `loss`; `None`: the first metric, else the loss.
    pub best_metric: Option<String>,
    /// Ends the run after so many validations in a row without a better one.
    pub early_stopping_patience: Option<u64>,
    /// Beams that targets are generated with; 0 and 1: greedily.
    pub num_beams: usize,
    /// Tokens that are generated at most.
    pub max_new_tokens: usize,
    /// Targets are generated for so many examples, the first; `None`: for all.
    pub max_examples: Option<usize>,
    /// What alone may be generated, in words ([`Decoding`] has the constraint itself); `None`: anything.
    #[serde(default)]
    pub constrain: Option<String>,
}

impl ValidationOptions {
    /// The metric that decides; `None`: the loss.
    pub fn decides(&self) -> Option<&str> {
        let name = self.best_metric.as_deref().or(self.metrics.first().map(String::as_str));
        name.filter(|name| *name != "loss")
    }

    /// Whether a validation is better than the best so far. What is not a number never is.
    pub(crate) fn is_better(&self, now: &EvalRecord, best: Option<&EvalRecord>) -> bool {
        let value = |record: &EvalRecord| match self.decides() {
            None => Some(-record.valid_loss),
            Some(name) => record.metrics.get(name).and_then(|value| value.as_f64()),
        };
        let Some(now) = value(now).filter(|value| !value.is_nan()) else { return false };
        best.and_then(value).is_none_or(|best| now > best)
    }

    /// The settings that decide a run's results, with the fields' names within [`crate::TrainOptions`].
    pub(crate) fn decisive(&self) -> [(&'static str, String); 7] {
        let text = |n: Option<String>| n.unwrap_or_else(|| "unset".into());
        [
            ("validation.eval_every", text(self.eval_every.map(|n| n.to_string()))),
            (
                "validation.metrics",
                if self.metrics.is_empty() { "unset".into() } else { self.metrics.join(",") },
            ),
            ("validation.best_metric", text(self.best_metric.clone())),
            ("validation.num_beams", self.num_beams.max(1).to_string()),
            ("validation.max_new_tokens", self.max_new_tokens.to_string()),
            ("validation.max_examples", text(self.max_examples.map(|n| n.to_string()))),
            ("validation.constrain", text(self.constrain.clone())),
        ]
    }
}

/// How targets are generated and read.
#[derive(Clone)]
pub struct Decoding<'a> {
    /// The tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// What may be generated: pieces and sentinels, and the constraint where there is one. Beams and lengths are the
    /// [`ValidationOptions`]'.
    pub options: GenerateOptions,
    /// Constraints of tasks of a mixture by the tasks' names, in place of that of `options`.
    pub of_tasks: Vec<(String, Arc<Constraint>)>,
    /// What happens to the punctuation of generated Chinese; `Auto`: it is restored where the references have
    /// full-width marks.
    pub punctuation: Punctuation,
}

impl Decoding<'_> {
    /// These examples in parts that one constraint holds for.
    fn parts(
        &self,
        examples: &Examples,
        which: Range<usize>,
    ) -> Vec<(Range<usize>, Option<Arc<Constraint>>)> {
        if self.of_tasks.is_empty() || examples.tasks.is_empty() {
            return vec![(which, self.options.constraint.clone())];
        }
        let parts = examples.tasks.iter().map(|task| {
            let part = which.start.max(task.examples.start)..which.end.min(task.examples.end);
            let own = self.of_tasks.iter().find(|(name, _)| *name == task.name);
            (part, own.map(|(_, constraint)| constraint).or(self.options.constraint.as_ref()).cloned())
        });
        parts.filter(|(part, _)| !part.is_empty()).collect()
    }
}

/// A generated target beside the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The source as the model sees it.
    pub source: String,
    /// The right target.
    pub reference: String,
    /// The generated one.
    pub output: String,
}

/// Generates targets for some of the examples, in order. Its stage is `generating`.
///
/// # Errors
/// [`Error::Stopped`] where `watch` stops it; those of generating.
pub fn samples(
    model: &dyn Seq2Seq,
    pool: &Pool,
    examples: &Examples,
    which: Range<usize>,
    decoding: &Decoding<'_>,
    options: &ValidationOptions,
    watch: &mut dyn Watch,
) -> Result<Vec<Sample>, Error> {
    let which = which.start.min(examples.len())..which.end.min(examples.len());
    let count = which.len();
    let text = |ids: &[u32]| decoding.tokenizer.decode(ids);
    let mut samples: Vec<Sample> = which
        .clone()
        .map(|i| Sample {
            source: text(examples.source(i)),
            reference: examples.references.get(i).cloned().unwrap_or_else(|| text(examples.target(i))),
            output: String::new(),
        })
        .collect();
    let mut how = GenerateOptions {
        num_beams: options.num_beams.max(1),
        max_new_tokens: options.max_new_tokens.max(1),
        ..decoding.options.clone()
    };
    // What is known how it is written: the text of a list, and one that matches a pattern.
    let mut exact = vec![false; count];
    let (mut done, mut end) = (0, Ok(()));
    for (part, constraint) in decoding.parts(examples, which.clone()) {
        let first = part.start - which.start;
        let sources: Vec<Vec<u32>> = part.map(|i| examples.source(i).to_vec()).collect();
        let is_pattern = matches!(constraint.as_deref(), Some(Constraint::Pattern(_)));
        how.constraint = constraint;
        generate(model, pool, &sources, &how, |i, targets| {
            let target = targets.first().map_or(&[][..], |target| &target.ids);
            let given = how.constraint.as_deref().and_then(|constraint| constraint.text(target));
            exact[first + i] = given.is_some() || is_pattern && decoding.punctuation == Punctuation::Auto;
            samples[first + i].output = given.map_or_else(|| text(target), str::to_owned);
            done += 1;
            end = watch.go_on(Progress::items("generating", "targets", done, Some(count)));
            if end.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        std::mem::replace(&mut end, Ok(()))?;
    }
    let mut marks = PunctuationCount::default();
    samples.iter().for_each(|sample| marks.add(&sample.reference));
    let restores = match decoding.punctuation {
        Punctuation::Keep => false,
        Punctuation::Restore => true,
        Punctuation::Auto => marks.is_full_width(),
    };
    if restores {
        for (sample, _) in samples.iter_mut().zip(exact).filter(|(_, exact)| !exact) {
            sample.output = restore_punctuation(&sample.output).into_owned();
        }
    }
    Ok(samples)
}

/// The loss, and metrics by name.
type Found = (f64, serde_json::Map<String, serde_json::Value>);

/// The loss and the metrics of a model on validation examples.
pub(crate) fn validate(
    model: &dyn Seq2Seq,
    pool: &Pool,
    valid: &Examples,
    batch_size: usize,
    decoding: Option<&Decoding<'_>>,
    options: &ValidationOptions,
    watch: &mut dyn Watch,
) -> Result<Found, Error> {
    let (loss, by_task) = pass::evaluate(model, pool, valid, batch_size, watch)?;
    let mut metrics = serde_json::Map::new();
    for (task, loss) in valid.tasks.iter().zip(by_task) {
        metrics.insert(format!("{}/loss", task.name), loss.into());
    }
    let Some(decoding) = decoding else { return Ok((loss, metrics)) };
    let most = options.max_examples.unwrap_or(usize::MAX);
    if !options.metrics.is_empty() {
        let samples = samples(model, pool, valid, 0..most.min(valid.len()), decoding, options, watch)?;
        metrics.extend(scores(&options.metrics, &samples).map(|(name, score)| (name, score.into())));
    }
    let mut firsts = Vec::new();
    for task in valid.tasks.iter().filter(|task| !task.metrics.is_empty()) {
        let start = task.examples.start;
        let which = start..task.examples.end.min(start.saturating_add(most));
        let samples = samples(model, pool, valid, which, decoding, options, watch)?;
        for (i, (name, score)) in scores(&task.metrics, &samples).enumerate() {
            firsts.extend((i == 0).then_some(score));
            metrics.insert(format!("{}/{name}", task.name), score.into());
        }
    }
    if !firsts.is_empty() {
        metrics.insert(MEAN.to_owned(), (firsts.iter().sum::<f64>() / firsts.len() as f64).into());
    }
    Ok((loss, metrics))
}

/// The scores of samples by these metrics.
fn scores(metrics: &[String], samples: &[Sample]) -> impl Iterator<Item = (String, f64)> {
    let named: Vec<Metric> = metrics.iter().filter_map(|name| Metric::by_name(name)).collect();
    let mut scorer = Scorer::new(&named);
    samples.iter().for_each(|sample| scorer.add(&sample.output, &sample.reference));
    scorer.scores().into_iter().map(|(metric, score)| (metric.name(), score)).collect::<Vec<_>>().into_iter()
}

/// What the mean of the tasks' first metrics is called.
pub const MEAN: &str = "mean";
