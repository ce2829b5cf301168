//! `t5kit finetune`: examples to a trained model.

mod optimization;

use anyhow::{Context, Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_formats::table::ColumnRef;
use t5kit_model::T5Config;
use t5kit_train::{
    Columns, EvalRecord, Examples, Job, LAST, Lengths, Observer, Plan, StepRecord, TrainOptions, train,
};

use crate::errors::{Interrupted, usage};
use crate::interrupt;
use crate::loaded::{Loaded, bytes, notice_cut, pool};
use crate::model_args::ModelArgs;
use crate::progress::{Progress, Style, Unit};
use optimization::Optimization;

/// The flags of `t5kit finetune`.
#[derive(clap::Args)]
#[command(
    after_help = "--model may also be a config.json: that model begins with random weights, and --tokenizer must be given."
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Training examples: TSV, CSV, JSON lines or Parquet, plain, .gz or .zst
    #[arg(long, value_name = "FILE")]
    train: PathBuf,
    /// Validation examples: their loss decides which checkpoint is the best
    #[arg(long, value_name = "FILE")]
    valid: Option<PathBuf>,
    /// Folder of the run: best/, last/ and train_log.jsonl
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Column of the sources, by name or by number from 1 [default: source, or the first of two]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: target, or the second of two]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Times through the examples
    #[arg(long, value_name = "N", default_value = "3")]
    epochs: u64,
    /// End after this many steps, if the epochs have more
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Longer sources are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Longer targets are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "128")]
    max_target_length: NonZeroUsize,
    /// Decides the order of the examples and the dropout masks
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Decides the random weights of a bare config.json
    #[arg(long, value_name = "N", default_value = "0")]
    init_seed: u64,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Go on from the output folder's last/, bit for bit; from the beginning where there is none yet
    #[arg(long)]
    resume: bool,
    /// Replace the run that the output folder holds
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    #[command(flatten)]
    optimization: Optimization,
}

/// Trains, saves, and says where.
pub fn run(args: Args) -> Result<()> {
    let options = args.options()?;
    let resume = args.check_output()?;
    // A tokenizer that was cut for this run is copied into every checkpoint.
    let Loaded { model, tokenizer, cut: _cut, generation_config } = args.open_model(resume)?;
    let copied: Vec<PathBuf> = tokenizer.source_files().iter().cloned().chain(generation_config).collect();
    let lengths = Lengths { source: args.max_source_length.get(), target: args.max_target_length.get() };
    let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
    let columns = Columns { source: column(&args.source), target: column(&args.target) };
    let read = |path: &Path| -> Result<Examples> {
        let examples = Examples::read(path, &columns, &tokenizer, lengths)?;
        examples.check_ids(tokenizer.vocab_size(), model.config.vocab_size)?;
        notice_cut("text", examples.cut, lengths.source.max(lengths.target));
        Ok(examples)
    };
    let examples = read(&args.train)?;
    let valid = args.valid.as_deref().map(read).transpose()?;
    if !resume {
        args.make_output()?;
    }
    let mut display = Display::default();
    let job = Job {
        pool: &pool(args.threads),
        examples: &examples,
        valid: valid.as_ref(),
        options: &options,
        folder: &args.output,
        tokenizer_files: &copied,
        resume,
    };
    let summary = train(model, job, &mut display)?;
    display.finish();
    let folder = args.output.display();
    if summary.stopped {
        eprintln!("t5kit: stopped and saved after step {}; --resume goes on from there", summary.steps);
        return Err(Interrupted.into());
    }
    let best = summary.best_loss.map_or(String::new(), |loss| format!(", best validation loss {loss:.4}"));
    eprintln!("t5kit: {} steps{best}; the model is in {folder}", summary.steps);
    Ok(())
}

impl Args {
    fn options(&self) -> Result<TrainOptions> {
        let options = self.optimization.options()?;
        Ok(TrainOptions { epochs: self.epochs, max_steps: self.max_steps, seed: self.seed, ..options })
    }

    /// Refuses an output folder that holds something; returns whether to resume.
    fn check_output(&self) -> Result<bool> {
        let output = &self.output;
        let last = output.join(LAST).join("config.json").is_file();
        if self.resume && last {
            return Ok(true);
        }
        let empty = match std::fs::read_dir(output) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", output.display())),
        };
        // A run that was killed before its first checkpoint leaves its log and nothing else.
        let ours = self.resume
            && ["train_log.jsonl", LAST, t5kit_train::BEST].iter().any(|name| output.join(name).exists());
        if !(empty || self.force || ours) {
            bail!(
                "{}: is not empty; go on with --resume, replace the run with --force, or choose another folder",
                output.display()
            );
        }
        Ok(false)
    }

    /// Makes the output folder, without the run that --force replaces.
    fn make_output(&self) -> Result<()> {
        let output = &self.output;
        std::fs::create_dir_all(output).with_context(|| format!("{}: cannot be made", output.display()))?;
        if self.force {
            for name in [LAST, t5kit_train::BEST] {
                let folder = output.join(name);
                if folder.join("config.json").is_file() {
                    std::fs::remove_dir_all(&folder)
                        .with_context(|| format!("{}: cannot be removed", folder.display()))?;
                }
            }
        }
        Ok(())
    }

    fn open_model(&self, resume: bool) -> Result<Loaded> {
        if resume {
            return Loaded::at(&self.output.join(LAST));
        }
        let path = Path::new(&self.model.model);
        if path.is_file() && path.extension().is_some_and(|e| e == "json") {
            let Some(tokenizer) = &self.model.tokenizer else {
                return Err(usage(format!(
                    "--model {}: a bare configuration needs --tokenizer",
                    path.display()
                )));
            };
            return Loaded::random(T5Config::read(path)?, self.init_seed, tokenizer);
        }
        Loaded::open(&self.model)
    }
}

/// Shows a run on standard error.
#[derive(Default)]
pub struct Display {
    progress: Option<Progress>,
    /// Tokens and seconds of this session's steps, for a rate that does not jump.
    tokens: usize,
    seconds: f64,
    steps: u64,
}

impl Display {
    /// Ends the progress bar.
    pub fn finish(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }
}

impl Observer for Display {
    fn started(&mut self, plan: &Plan) {
        eprintln!(
            "t5kit: {} parameters; {} examples, {} tokens an epoch, {} steps; about {} of memory",
            plan.parameters,
            plan.examples,
            plan.tokens_per_epoch,
            plan.total_steps,
            bytes(plan.memory.total())
        );
        let progress = Progress::new(Some(plan.total_steps), Style::new("training", Unit::Items("steps")));
        progress.begin_at(plan.done_steps);
        self.steps = plan.done_steps;
        self.progress = Some(progress);
    }

    fn step(&mut self, record: &StepRecord) {
        self.tokens += record.real_tokens;
        self.seconds += record.seconds;
        if let Some(progress) = &self.progress {
            let rate = self.tokens as f64 / self.seconds;
            progress.set_message(format!("loss {:.4}, {rate:.0} tokens/s", record.loss));
            progress.set_position(record.step);
        }
    }

    fn evaluating(&mut self, done: usize, of: usize) {
        if let Some(progress) = &self.progress {
            progress.set_message(format!("validating {done} of {of}"));
        }
    }

    fn evaluated(&mut self, record: &EvalRecord) {
        if let Some(progress) = &self.progress {
            let best = if record.best { " (best)" } else { "" };
            progress.println(format!(
                "step {}, epoch {:.2}: validation loss {:.4}{best}",
                record.step, record.epoch, record.valid_loss
            ));
            progress.set_message(format!("validation loss {:.4}", record.valid_loss));
        }
    }

    fn skipped(&mut self, step: u64, what: &str) {
        if let Some(progress) = &self.progress {
            progress.println(format!("step {step}: skipped, {what} is not finite"));
        }
    }

    fn stop(&mut self) -> bool {
        interrupt::requested()
    }
}
