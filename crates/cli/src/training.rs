//! What every subcommand that trains has: its folder, its seeds, its threads, and how it begins or goes on.

pub mod display;
pub mod lora;
pub mod optimization;
pub mod report;

use anyhow::{Context, Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_formats::generation_config::Decoded;
use t5kit_formats::lang::fill;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::{Devices, Pool, Precision};
use t5kit_train::{
    BEST, EVENTS, LAST, LOG, Outcome, REPORT, RunState, TrainOptions, check_devices, holds_checkpoint,
    remove_leavings,
};

use crate::device::DeviceArgs;
use crate::errors::{Interrupted, usage};
use crate::lang::lang;
use crate::model_args::{Beginning, ModelArgs};
use display::Display;
use report::Page;

/// The folder of a run, and what it is begun with.
#[derive(clap::Args)]
pub struct RunArgs {
    /// Folder of the run: best/, last/, train_log.jsonl and report.html
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Decides the order of the examples and the dropout masks
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    #[command(flatten)]
    beginning: Beginning,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Go on from the output folder's last/, bit for bit; from the beginning where there is none yet
    #[arg(long)]
    pub resume: bool,
    /// Replace the run that the output folder holds
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
}

impl RunArgs {
    /// Threads to work on.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(Pool::default_threads, NonZeroUsize::get)
    }

    /// The GPUs that train, none for the processor; refuses what these options ask for and cannot be had there, before
    /// anything is read.
    pub fn devices(&self, options: &TrainOptions) -> Result<Option<Devices>> {
        let devices = self.device.open_all()?;
        match check_devices(options, devices.as_ref()) {
            // No processor multiplies it, so this is no matter of the machine.
            Err(error) if devices.is_none() && options.precision == Precision::Tf32 => Err(usage(error)),
            checked => Ok(checked.map(|()| devices)?),
        }
    }

    /// Refuses a folder for TensorBoard that another run has its events in.
    pub fn check_events(&self, tensorboard: Option<&Path>) -> Result<()> {
        if let Some(events) = tensorboard.map(|folder| folder.join(EVENTS))
            && events.exists()
            && !(self.resume || self.force)
        {
            bail!(
                "{}: is another run's; give a folder of its own, or --force to replace it",
                events.display()
            );
        }
        Ok(())
    }

    /// Refuses an output folder that holds something, or what the run begins from; returns whether to resume.
    pub fn check_output(&self, model: &ModelArgs) -> Result<bool> {
        let output = &self.output;
        if self.resume && output.is_dir() {
            remove_leavings(output);
        }
        if self.resume && holds_checkpoint(&output.join(LAST)) {
            return Ok(true);
        }
        let empty = match std::fs::read_dir(output) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", output.display())),
        };
        // A run that was killed before its first checkpoint leaves its log, and best/ at most.
        let ours = self.resume && [LOG, LAST, BEST].iter().any(|name| output.join(name).exists());
        if !(empty || self.force || ours) {
            bail!(
                "{}: is not empty; go on with --resume, replace the run with --force, or choose another folder",
                output.display()
            );
        }
        // Checkpoints here go when the run begins; its tokenizer is copied later.
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let [run, last, best] =
            [output.clone(), output.join(LAST), output.join(BEST)].map(|path| real(&path));
        let goes = |path: &Path| {
            Some(path) == run.as_deref()
                || [&last, &best].into_iter().flatten().any(|folder| path.starts_with(folder))
        };
        let begins = [Some(Path::new(&model.model)), model.tokenizer.as_deref()];
        if let Some(path) =
            begins.into_iter().flatten().find(|path| real(path).is_some_and(|path| goes(&path)))
        {
            bail!(
                "{}: would be replaced by the run that begins from it; choose another --output",
                path.display()
            );
        }
        Ok(false)
    }

    /// Opens the model to train: the one named, or `last/` where the run is resumed. `lora`: adapters are trained.
    pub fn open_model(&self, model: &ModelArgs, lora: bool, resume: bool) -> Result<Pipeline> {
        if lora && model.adapter.is_some() {
            let why = "merge it into the model first, by t5kit convert";
            return Err(usage(format!("--adapter and --lora-rank: one adapter lies on another; {why}")));
        }
        self.beginning.check(model)?;
        let last = self.output.join(LAST);
        // An adapter goes on beside its base.
        if resume && last.join("config.json").is_file() {
            return ModelArgs::at(last.to_string_lossy()).open(self.threads);
        }
        if let Some(path) = model.bare_configuration() {
            if lora {
                let why =
                    "adapters are nothing without the weights that they were trained beside; give a model";
                return Err(usage(format!("--model {}: {why}", path.display())));
            }
            return model.begin(path, &self.beginning, self.threads);
        }
        let prepared = model.prepare(None, self.threads)?;
        if lora && let Some(adapter) = prepared.adapter() {
            let why =
                "an adapter, and --lora-rank lays another on it; make it a model first, by t5kit convert";
            return Err(usage(format!("--model {}: {why}", adapter.display())));
        }
        Ok(prepared.load()?)
    }
}

/// How targets are generated while such a run is validated.
pub fn decoded(options: &TrainOptions) -> Decoded {
    let how = &options.validation;
    let num_beams = (!how.metrics.is_empty()).then_some(how.num_beams.max(1));
    Decoded { num_beams, max_new_tokens: how.max_new_tokens }
}

/// Says how a run has ended, and with an error where it was stopped; the page is written before, where it was not by
/// `finish`.
pub fn ended(
    outcome: &Outcome,
    output: &Path,
    options: &TrainOptions,
    display: &Display<'_>,
    finish: impl FnOnce(&Page<'_>) -> Result<()>,
) -> Result<()> {
    let folder = output.display();
    if outcome.stopped {
        if let (Some(page), Some(steps)) = (&display.page, display.total_steps()) {
            page.write(RunState::Stopped(steps), outcome.best.as_ref(), &[])?;
        }
        told!(stopped_and_saved, step = outcome.steps);
        return Err(Interrupted.into());
    }
    display.page.as_ref().map_or(Ok(()), finish)?;
    let t = lang().texts();
    let early = if outcome.early { t.terminal.ended_early } else { "" };
    let best = outcome.best.as_ref().map_or(String::new(), |best| {
        let decisive = options.validation.decides();
        let (name, value) = match decisive.and_then(|name| Some((name, best.metrics.get(name)?.as_f64()?))) {
            Some((name, value)) => (name, value),
            None => (t.pages.validation_loss, best.valid_loss),
        };
        fill(t.terminal.best_was, &[("name", &name), ("value", &format!("{value:.4}")), ("step", &best.step)])
    });
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("steps", &outcome.steps), ("best", &best), ("folder", &folder), ("page", &REPORT)];
    eprintln!("t5kit: {early}{}", fill(t.terminal.trained_model, &values));
    Ok(())
}
