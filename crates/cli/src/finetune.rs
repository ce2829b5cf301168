//! `t5kit finetune`: examples to a trained model.

mod data;
mod display;
mod lora;
mod optimization;
pub mod presets;
mod report;
mod validation;

use anyhow::{Context, Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_formats::generation_config::Decoded;
use t5kit_formats::lang::fill;
use t5kit_model::Architecture;
use t5kit_pipeline::Pipeline;
use t5kit_pipeline::files::TrainingFiles;
use t5kit_tensor::Pool;
use t5kit_train::{
    BEST, Data, Decoding, EVENTS, LAST, LOG, REPORT, Setup, TrainOptions, check_resume, holds_checkpoint,
    remove_leavings, train,
};

use crate::errors::{Interrupted, usage};
use crate::lang::lang;
use crate::model_args::ModelArgs;
use crate::new_tokens;
use crate::typed;
use data::DataArgs;
pub use data::OnError;
use display::Display;
use lora::LoraArgs;
use optimization::Optimization;
use report::Page;
use validation::ValidationArgs;

/// The flags of `t5kit finetune`.
#[derive(clap::Args)]
#[command(
    after_help = "--model may also be a config.json: that model begins with random weights, and --tokenizer must be given."
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder of the run: best/, last/, train_log.jsonl and report.html
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Times through the examples
    #[arg(long, value_name = "N", default_value = "3")]
    epochs: u64,
    /// End after this many steps, if the epochs have more
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Decides the order of the examples and the dropout masks
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Decides the random weights of a bare config.json
    #[arg(long, value_name = "N", default_value = "0")]
    init_seed: u64,
    /// Words that become tokens of their own, one a line; their rows begin as the mean of those of the pieces that they
    /// were before
    #[arg(long, value_name = "FILE")]
    add_tokens: Option<PathBuf>,
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
    #[command(flatten)]
    lora: LoraArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    validation: ValidationArgs,
    /// The command line from the subcommand on, where it is not the process's own.
    #[arg(skip)]
    pub command: Vec<String>,
}

/// Trains, saves, and says where.
pub fn run(args: Args) -> Result<()> {
    let options = args.options()?;
    let resume = args.check_output()?;
    if resume {
        let threads = args.threads.map_or_else(Pool::default_threads, NonZeroUsize::get);
        check_resume(&args.output, &options, threads)?;
    }
    let mut loaded = args.open_model(resume)?;
    new_tokens::add(&mut loaded, args.add_tokens.as_deref())?;
    let decoding = loaded.generate_options();
    let (rows, most_tokens) = (loaded.model.rows(), loaded.model.config().most_tokens());
    let (examples, valid, prompt) =
        args.data.read(&loaded.tokenizer, &loaded.pool, &args.output, rows, most_tokens, args.seed)?;
    let punctuation = args.validation.punctuation.into();
    let trained = args.data.trained(&examples, valid.as_ref(), prompt, punctuation);
    // They are copied into every checkpoint, a tokenizer that was cut for this run among them.
    let files = TrainingFiles::new(&loaded, &trained, decoded(&options))?;
    let copied = if args.lora.lora_rank.is_some() { &files.fixed[..] } else { &files.all };
    let Pipeline { model, tokenizer, pool, .. } = loaded;
    let tensorboard = args.validation.tensorboard(&args.output);
    if let Some(events) = tensorboard.as_ref().map(|folder| folder.join(EVENTS))
        && events.exists()
        && !(args.resume || args.force)
    {
        bail!("{}: is another run's; give a folder of its own, or --force to replace it", events.display());
    }
    let (shown, bytes_share) = report::seen(&tokenizer, &examples);
    let page = Page {
        lang: lang(),
        folder: &args.output,
        model: &args.model.model,
        train: &args.data.train,
        command: typed::command_line(&args.command_line()),
        parameters: model.params().elements(),
        options: &options,
        settings: args.settings(pool.threads()),
        lengths: args.lengths(),
        examples: &examples,
        valid: valid.as_ref(),
        shown,
        bytes_share,
        date: typed::now(),
        punctuation,
    };
    let mut display = Display::default();
    display.page = Some(page);
    let setup = Setup {
        pool: &pool,
        valid: valid.as_ref(),
        options: &options,
        folder: &args.output,
        tokenizer_files: copied,
        decoding: Some(Decoding { tokenizer: &tokenizer, options: decoding, punctuation }),
        tensorboard: tensorboard.as_deref(),
        base: &args.model.model,
        resume,
    };
    let outcome = train(model, Data::Examples(&examples), setup, &mut display)?;
    display.finish();
    let folder = args.output.display();
    if outcome.stopped {
        eprintln!("t5kit: {}", fill(lang().texts().stopped_and_saved, &[("step", &outcome.steps)]));
        return Err(Interrupted.into());
    }
    if let Some(page) = &display.page {
        page.finish(&args.trained()?, &pool, outcome.best.as_ref())?;
    }
    let t = lang().texts();
    let early = if outcome.early { t.ended_early } else { "" };
    let best = outcome.best.map_or(String::new(), |best| {
        let decisive = options.validation.decides();
        let (name, value) = match decisive.and_then(|name| Some((name, best.metrics.get(name)?.as_f64()?))) {
            Some((name, value)) => (name, value),
            None => (t.validation_loss, best.valid_loss),
        };
        fill(t.best_was, &[("name", &name), ("value", &format!("{value:.4}")), ("step", &best.step)])
    });
    let values: [(&str, &dyn std::fmt::Display); 4] =
        [("steps", &outcome.steps), ("best", &best), ("folder", &folder), ("page", &REPORT)];
    eprintln!("t5kit: {early}{}", fill(t.trained_model, &values));
    Ok(())
}

/// How targets are generated while such a run is validated.
fn decoded(options: &TrainOptions) -> Decoded {
    let how = &options.validation;
    let num_beams = (!how.metrics.is_empty()).then_some(how.num_beams.max(1));
    Decoded { num_beams, max_new_tokens: how.max_new_tokens }
}

impl Args {
    /// The settings that decide what the run computes.
    pub fn options(&self) -> Result<TrainOptions> {
        let options = self.lora.apply(self.optimization.options(self.lora.lora_rank.is_some())?);
        let validation = self.validation.options(self.data.max_target_length.get())?;
        Ok(TrainOptions {
            epochs: self.epochs,
            max_steps: self.max_steps,
            seed: self.seed,
            validation,
            ..options
        })
    }

    /// Tokens of a source and of a target, at most.
    pub fn lengths(&self) -> [usize; 2] {
        [self.data.max_source_length.get(), self.data.max_target_length.get()]
    }

    /// Threads to work on.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(Pool::default_threads, NonZeroUsize::get)
    }

    /// Refuses an output folder that holds something, or what the run begins from; returns whether to resume.
    fn check_output(&self) -> Result<bool> {
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
        let begins = [Some(Path::new(&self.model.model)), self.model.tokenizer.as_deref()];
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

    /// The command line from the subcommand on.
    fn command_line(&self) -> Vec<String> {
        if self.command.is_empty() { std::env::args().skip(1).collect() } else { self.command.clone() }
    }

    /// What the report says of the run beside its options.
    fn settings(&self, threads: usize) -> Vec<(&'static str, String)> {
        let files = |files: &[PathBuf]| -> String {
            files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
        };
        vec![
            ("model", self.model.model.clone()),
            ("train", files(&self.data.train)),
            ("valid", files(&self.data.valid)),
            ("threads", threads.to_string()),
        ]
    }

    /// The run's best model, else its last.
    fn trained(&self) -> Result<Pipeline> {
        match self.lora.lora_rank {
            Some(_) => ModelArgs { adapter: Some(self.output.clone()), ..self.model.clone() },
            None => ModelArgs::at(self.output.to_string_lossy()),
        }
        .open(Some(NonZeroUsize::MIN))
    }

    fn open_model(&self, resume: bool) -> Result<Pipeline> {
        let lora = self.lora.lora_rank.is_some();
        if lora && self.model.adapter.is_some() {
            let why = "merge it into the model first, by t5kit convert";
            return Err(usage(format!("--adapter and --lora-rank: one adapter lies on another; {why}")));
        }
        let last = self.output.join(LAST);
        if lora && self.add_tokens.is_some() {
            let what = "--add-tokens with --lora-rank: an adapter holds no rows for new tokens; add them with t5kit \
                        convert first";
            return Err(usage(what.to_owned()));
        }
        // An adapter goes on beside its base.
        if resume && last.join("config.json").is_file() {
            return ModelArgs::at(last.to_string_lossy()).open(self.threads);
        }
        if let Some(path) = self.model.bare_configuration() {
            if lora {
                let why =
                    "adapters are nothing without the weights that they were trained beside; give a model";
                return Err(usage(format!("--model {}: {why}", path.display())));
            }
            return self.model.begin(path, self.init_seed, self.threads);
        }
        let prepared = self.model.prepare(None, self.threads)?;
        if lora && let Some(adapter) = prepared.adapter() {
            let why =
                "an adapter, and --lora-rank lays another on it; make it a model first, by t5kit convert";
            return Err(usage(format!("--model {}: {why}", adapter.display())));
        }
        Ok(prepared.load()?)
    }
}
