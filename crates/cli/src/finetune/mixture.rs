//! The mixture of `t5kit finetune`: its tasks read, their rates said.

use anyhow::Result;
use std::path::Path;
use t5kit_formats::lang::fill;
use t5kit_tasks::mixture::Mixture;
use t5kit_tasks::suite::Split;
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{DataOptions, Examples, Task};

use super::data::{DataArgs, Reading, say_facts};
use crate::errors::usage;
use crate::lang::lang;
use crate::metrics::metric_of_a_run;
use crate::say::count;

impl DataArgs {
    /// The mixture, where there is one; metrics that no run can be validated by are an error.
    pub fn mixture(&self) -> Result<Option<Mixture>> {
        let Some(path) = &self.mixture else { return Ok(None) };
        let mixture = read(path)?;
        if let Some(task) = mixture.tasks.iter().find(|task| !task.has(Split::Train)) {
            return Err(usage(format!(
                "{}: task {} has nothing to train on: give train",
                task.place, task.name
            )));
        }
        for task in &mixture.tasks {
            for name in &task.metrics {
                metric_of_a_run(name).map_err(|error| usage(format!("{}: {error}", task.place)))?;
            }
        }
        Ok(Some(mixture))
    }

    /// Reads the training and the validation examples of all tasks, and says how often each is drawn.
    #[expect(clippy::too_many_arguments, reason = "those of `DataArgs::read` and the mixture")]
    pub(super) fn read_mixture(
        &self,
        mixture: &Mixture,
        tokenizer: &Tokenizer,
        pool: &Pool,
        output: &Path,
        rows: usize,
        most_tokens: Option<usize>,
        seed: u64,
    ) -> Result<(Examples, Option<Examples>)> {
        let t = lang().texts();
        let options = self.options(output, most_tokens);
        let placement = &options.placement;
        let (mut train, mut valid) = (Vec::new(), Vec::new());
        for task in &mixture.tasks {
            let read = |split, references| -> Result<Examples> {
                let options = DataOptions { references, ..options.clone() };
                let mut reading = Reading::new(self.skips());
                let examples = Examples::read_task(task, split, tokenizer, pool, &options, &mut reading);
                reading.clear();
                let examples = examples?;
                examples.check_ids(tokenizer.vocab_size(), rows)?;
                Ok(examples)
            };
            let all = read(Split::Train, task.valid_split.is_some())?;
            let (own, aside) = match task.valid_split {
                Some(share) => {
                    let (own, aside) = all.split(share, seed, placement)?;
                    (own, Some(aside))
                }
                None => {
                    (all, task.has(Split::Validation).then(|| read(Split::Validation, true)).transpose()?)
                }
            };
            let of =
                |rate| Task { name: task.name.clone(), examples: 0..0, rate, metrics: task.metrics.clone() };
            train.push((of(0.0), own));
            valid.extend(aside.map(|aside| (of(0.0), aside)));
        }
        let sizes: Vec<(usize, f64)> =
            train.iter().zip(&mixture.tasks).map(|((_, own), task)| (own.len(), task.weight)).collect();
        let rates = mixture.mixing.rates(&sizes);
        if rates.iter().all(|&rate| rate <= 0.0) {
            return Err(usage("--mixture: every task has weight 0: nothing would be trained on".to_owned()));
        }
        for ((task, own), &rate) in train.iter_mut().zip(&rates) {
            task.rate = rate;
            let of_task =
                valid.iter().find(|(valid, _)| valid.name == task.name).map_or(0, |(_, part)| part.len());
            let share = format!("{:.1}", 100.0 * rate);
            let values: [(&str, &dyn std::fmt::Display); 4] = [
                ("task", &task.name),
                ("n", &count(own.len())),
                ("valid", &count(of_task)),
                ("share", &share),
            ];
            eprintln!("t5kit: {}", fill(t.terminal.task_of_mixture, &values));
        }
        let train = Examples::join(train, placement)?;
        say_facts(
            &train.facts,
            options.lengths,
            &fill(t.terminal.of_part, &[("part", &t.pages.part_training)]),
        );
        let valid = (!valid.is_empty()).then(|| Examples::join(valid, placement)).transpose()?;
        if let Some(valid) = &valid {
            say_facts(
                &valid.facts,
                options.lengths,
                &fill(t.terminal.of_part, &[("part", &t.pages.part_validation)]),
            );
        }
        Ok((train, valid))
    }
}

/// A mixture's file; what is wrong with it is wrong usage.
pub fn read(path: &Path) -> Result<Mixture> {
    Mixture::read(path).map_err(|error| match error.is_usage() {
        true => usage(error.to_string()),
        false => error.into(),
    })
}
