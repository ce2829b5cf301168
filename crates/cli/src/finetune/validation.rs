//! Validation, checkpoints and logs of `t5kit finetune`: flags.

use anyhow::Result;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use t5kit_eval::Metric;
use t5kit_generate::GenerateOptions;
use t5kit_generate::constrain::Constraint;
use t5kit_pipeline::{Constrain, Error, Pipeline, Wishes};
use t5kit_tasks::mixture::{Mixture, Task};
use t5kit_train::{Examples, MEAN, ValidationOptions};

use crate::constrain::{in_words, of_references, wished};
use crate::errors::usage;
use crate::metrics::metric_of_a_run;
use crate::punctuation::PunctuationFlag;
use crate::training::report::Permitted;

/// When and how a run is validated, saved and logged.
#[derive(clap::Args)]
#[command(next_help_heading = "Validation, checkpoints and logs")]
pub struct ValidationArgs {
    /// Validate every N steps [default: every epoch]; always at the end
    #[arg(long, value_name = "N", requires = "validating")]
    eval_every: Option<NonZeroU64>,
    /// Write last/ every N steps [default: after every validation, or epoch]; always at the end
    #[arg(long, value_name = "N")]
    save_every: Option<NonZeroU64>,
    /// Metrics of targets generated for the validation examples: bleu, rouge-1, rouge-2, rouge-l, chrf, accuracy,
    /// macro-f1, exact-match, f1, and those of t5kit metrics that compare with references; several with commas
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric_of_a_run, requires = "validating")]
    metric: Vec<Metric>,
    /// What decides which checkpoint is the best: loss, or one of --metric [default: the first of --metric, else loss]
    #[arg(long, value_name = "NAME", requires = "validating")]
    best_metric: Option<String>,
    /// End after N validations in a row without a better one
    #[arg(long, value_name = "N", requires = "validating")]
    early_stopping_patience: Option<NonZeroU64>,
    /// Beams that targets are generated with for --metric [default: 1, greedy]
    #[arg(long, value_name = "N")]
    eval_num_beams: Option<NonZeroUsize>,
    /// Tokens generated at most for --metric, </s> included [default: --max-target-length]
    #[arg(long, value_name = "N")]
    eval_max_new_tokens: Option<NonZeroUsize>,
    /// Generate for the first N validation examples only [default: all]
    #[arg(long, value_name = "N")]
    eval_max_examples: Option<NonZeroUsize>,
    /// What alone may be generated for --metric, as t5kit generate has it: list:TEXT,…, trie:…, regex:PATTERN,
    /// labels:…; labels alone: those of the validation examples, or of each task of a mixture. May be repeated
    #[arg(long, value_name = "KIND:WHAT", requires = "validating")]
    constrain: Vec<String>,
    /// What happens to half-width punctuation in generated Chinese: auto restores ，！？：；（） where the references have
    /// them
    #[arg(long, value_enum, default_value_t = PunctuationFlag::Auto)]
    pub punctuation: PunctuationFlag,
    /// Write TensorBoard event files [default folder: tensorboard/ in the output folder]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    tensorboard: Option<Option<PathBuf>>,
}

impl ValidationArgs {
    /// The options; `max_target_length` is how long targets are. The tasks of a mixture have metrics of their own.
    pub fn options(&self, max_target_length: usize, mixture: Option<&Mixture>) -> Result<ValidationOptions> {
        let mut metrics: Vec<String> = Vec::new();
        for metric in &self.metric {
            let name = metric.name();
            if !metrics.contains(&name) {
                metrics.push(name);
            }
        }
        let mut best_metric = self.best_metric.clone();
        let mut of_tasks: Vec<String> = Vec::new();
        if let Some(mixture) = mixture {
            if !metrics.is_empty() {
                let why = "each task of a mixture has its own; say them there";
                return Err(usage(format!("--metric: {why}")));
            }
            let validated = |task: &&Task| task.is_validated();
            for task in mixture.tasks.iter().filter(validated) {
                let names = task.metrics.iter().filter_map(|name| Metric::by_name(name));
                of_tasks.extend(names.map(|metric| format!("{}/{}", task.name, metric.name())));
            }
            if !of_tasks.is_empty() {
                of_tasks.push(MEAN.to_owned());
                best_metric.get_or_insert_with(|| MEAN.to_owned());
            }
            let losses = mixture.tasks.iter().filter(validated).map(|task| format!("{}/loss", task.name));
            let losses: Vec<String> = losses.collect();
            if let Some(best) = best_metric.as_ref().filter(|best| losses.contains(best)) {
                return Err(usage(format!(
                    "--best-metric {best}: less of it is better; give loss, for all tasks"
                )));
            }
        }
        if let Some(best) = &best_metric
            && best != "loss"
            && !metrics.contains(best)
            && !of_tasks.contains(best)
        {
            let known = match of_tasks.is_empty() {
                true => "one of --metric".to_owned(),
                false => of_tasks.join(", "),
            };
            return Err(usage(format!("--best-metric {best}: give loss or {known}")));
        }
        // A preset may have a metric, so clap cannot ask for it.
        let beside = [
            ("--eval-num-beams", self.eval_num_beams.is_some()),
            ("--eval-max-examples", self.eval_max_examples.is_some()),
            ("--constrain", !self.constrain.is_empty()),
        ];
        if let Some((flag, _)) =
            beside.iter().find(|(_, given)| *given && metrics.is_empty() && of_tasks.is_empty())
        {
            return Err(usage(format!("{flag}: is about generated texts; give --metric too")));
        }
        let constrain = wished(&self.constrain)?;
        let wishes = Wishes { constrain: constrain.clone(), ..Wishes::default() };
        wishes.check()?;
        let beams = self.eval_num_beams.is_some_and(|n| n.get() > 1);
        if beams && matches!(constrain, Some(Constrain::Labels(_))) {
            let why = "labels are scored and not searched for: use one or the other";
            return Err(usage(format!("--constrain labels and --eval-num-beams: {why}")));
        }
        Ok(ValidationOptions {
            constrain: constrain.as_ref().map(in_words),
            eval_every: self.eval_every.map(NonZeroU64::get),
            save_every: self.save_every.map(NonZeroU64::get),
            metrics,
            best_metric,
            early_stopping_patience: self.early_stopping_patience.map(NonZeroU64::get),
            num_beams: self.eval_num_beams.map_or(1, NonZeroUsize::get),
            max_new_tokens: self.eval_max_new_tokens.map_or(max_target_length, NonZeroUsize::get),
            max_examples: self.eval_max_examples.map(NonZeroUsize::get),
        })
    }

    /// What `--constrain` lets come of a model in targets of at most `max_new_tokens`.
    pub fn permitted(
        &self,
        loaded: &Pipeline,
        valid: Option<&Examples>,
        mixture: Option<&Mixture>,
        max_new_tokens: usize,
    ) -> Result<Permitted> {
        let mut permitted = Permitted::default();
        let (mut constrain, Some(valid)) = (wished(&self.constrain)?, valid) else { return Ok(permitted) };
        let options = GenerateOptions { max_new_tokens, ..loaded.generate_options() };
        let settle = |constrain: &Constrain| -> Result<Arc<Constraint>> {
            let found = loaded.constraint(constrain, &options).map_err(|error| match error {
                // Its flag has another name here.
                Error::Constrain { what } => {
                    Error::Constrain { what: what.replace("`max_new_tokens`", "`validation.max_new_tokens`") }
                }
                other => other,
            });
            Ok(Arc::new(found?))
        };
        if let (Some(Constrain::Labels(labels)), Some(mixture)) = (&constrain, mixture)
            && labels.is_empty()
        {
            for task in mixture.tasks.iter().filter(|task| task.is_validated()) {
                let labels: Vec<String> = task.labels().into_iter().map(str::to_owned).collect();
                if !labels.is_empty() {
                    permitted.of_tasks.push((task.name.clone(), settle(&Constrain::Labels(labels))?));
                }
            }
            return match permitted.of_tasks.is_empty() {
                true => Err(usage("--constrain labels: no task that is validated has labels; leave it out")),
                false => Ok(permitted),
            };
        }
        of_references(&mut constrain, valid.references.iter());
        permitted.all = constrain.as_ref().map(settle).transpose()?;
        Ok(permitted)
    }

    /// The folder of TensorBoard's events.
    pub fn tensorboard(&self, output: &Path) -> Option<PathBuf> {
        self.tensorboard.as_ref().map(|folder| folder.clone().unwrap_or_else(|| output.join("tensorboard")))
    }
}
