//! `t5kit pretrain`: documents to a model that has gone on learning from text alone.

mod data;

use anyhow::Result;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use t5kit_formats::trained::Trained;
use t5kit_model::Architecture;
use t5kit_pipeline::Pipeline;
use t5kit_pipeline::files::TrainingFiles;
use t5kit_tasks::objective::Budget;
use t5kit_tokenizer::Punctuation;
use t5kit_train::{
    Data, Documents, Examples, RunState, Setup, Stream, TrainOptions, ValidationOptions, check_resume,
    held_out_examples, train,
};

use crate::lang::lang;
use crate::model_args::ModelArgs;
use crate::progress::Monitor;
use crate::say::count;
use crate::training::display::Display;
use crate::training::lora::LoraArgs;
use crate::training::optimization::Optimization;
use crate::training::report::{self, Page, Permitted};
use crate::training::{self, RunArgs};
use crate::typed;
use data::DataArgs;

/// The flags of `t5kit pretrain`.
#[derive(clap::Args)]
#[command(
    after_help = "--model may also be a config.json: that model begins with random weights, and --tokenizer must be given."
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// End after this many steps
    #[arg(long, value_name = "N")]
    max_steps: NonZeroU64,
    #[command(flatten)]
    pub run: RunArgs,
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

/// When a run is validated, saved and logged.
#[derive(clap::Args)]
#[command(next_help_heading = "Validation, checkpoints and logs")]
struct ValidationArgs {
    /// Compute the loss of what is held out every N steps [default: 1000]; always at the end
    #[arg(long, value_name = "N")]
    eval_every: Option<NonZeroU64>,
    /// Write last/ every N steps [default: after every validation]; always at the end
    #[arg(long, value_name = "N")]
    save_every: Option<NonZeroU64>,
    /// End after N validations in a row without a better one
    #[arg(long, value_name = "N")]
    early_stopping_patience: Option<NonZeroU64>,
    /// Write TensorBoard event files [default folder: tensorboard/ in the output folder]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    tensorboard: Option<Option<PathBuf>>,
}

/// Steps between validations.
const EVAL_EVERY: u64 = 1000;
/// Examples of the stream that the page shows the lengths of.
const SAMPLE: usize = 64;

/// Trains, saves, and says where.
pub fn run(args: Args) -> Result<()> {
    let options = args.options()?;
    let resume = args.run.check_output(&args.model)?;
    if resume {
        check_resume(&args.run.output, &options, args.run.threads())?;
    }
    let lora = args.lora.lora_rank.is_some();
    let devices = args.run.devices(&options)?;
    let loaded = args.run.open_model(&args.model, lora, resume)?;
    let files = TrainingFiles::new(&loaded, &Trained::default(), training::decoded(&options))?;
    let copied = if lora { &files.fixed[..] } else { &files.all };
    let Pipeline { model, tokenizer, pool, .. } = loaded;
    let most_tokens = model.config().most_tokens();
    let (objective, stream) = args.data.stream(most_tokens, options.batch_size, args.run.seed)?;
    let prepared = objective.prepare(&tokenizer, stream.budget).map_err(t5kit_train::Error::from)?;
    let called = format!("{objective:?}");
    let documents = |stream: &t5kit_train::StreamOptions| {
        Documents::new(stream.clone(), &prepared, &called, &tokenizer, &pool)
    };
    let mut monitor = Monitor::default();
    let valid = match stream.held_out > 0.0 {
        true => Some(held_out_examples(
            &stream,
            &prepared,
            &tokenizer,
            &pool,
            args.data.held_out_examples.get(),
            &mut monitor,
        )?),
        false => None,
    };
    // Of few documents none may be held out.
    let valid = valid.filter(|valid| !valid.is_empty());
    let sample = sample(&mut documents(&stream), &mut monitor)?;
    monitor.clear();
    for examples in [Some(&sample), valid.as_ref()].into_iter().flatten() {
        examples.check_ids(tokenizer.vocab_size(), model.rows())?;
    }
    if let Some(valid) = &valid {
        told!(held_out_examples, n = count(valid.len()));
    }
    let tensorboard = args.validation.tensorboard.as_ref();
    let tensorboard =
        tensorboard.map(|folder| folder.clone().unwrap_or_else(|| args.run.output.join("tensorboard")));
    args.run.check_events(tensorboard.as_deref())?;
    let (shown, bytes_share) = report::seen(&tokenizer, &sample);
    let names: Vec<PathBuf> = args.data.data.iter().map(PathBuf::from).collect();
    let page = Page {
        lang: lang(),
        folder: &args.run.output,
        model: &args.model.model,
        train: &names,
        command: typed::command_line(&args.command_line()),
        parameters: model.params().elements(),
        options: &options,
        settings: args.settings(objective.name(), pool.threads()),
        lengths: [stream.budget.source, stream.budget.target],
        examples: &sample,
        sampled: true,
        valid: valid.as_ref(),
        shown,
        bytes_share,
        date: typed::now(),
        punctuation: Punctuation::Keep,
        permitted: Permitted::default(),
    };
    let mut display = Display::default();
    display.page = Some(page);
    let setup = Setup {
        devices: devices.as_ref(),
        pool: &pool,
        valid: valid.as_ref(),
        options: &options,
        folder: &args.run.output,
        tokenizer_files: copied,
        decoding: None,
        tensorboard: tensorboard.as_deref(),
        base: &args.model.model,
        resume,
    };
    let outcome = train(model, Data::Stream(Box::new(documents(&stream))), setup, &mut display)?;
    display.finish();
    training::ended(&outcome, &args.run.output, &options, &display, |page| {
        page.write(RunState::Ended, outcome.best.as_ref(), &[])
    })
}

/// The first examples of a stream.
fn sample(documents: &mut Documents<'_>, monitor: &mut Monitor) -> Result<Examples> {
    let mut pairs: Vec<[Vec<u32>; 2]> = Vec::new();
    while pairs.len() < SAMPLE {
        let batch = documents.batch(monitor)?;
        pairs.extend((0..batch.len()).map(|i| [batch.source(i).to_vec(), batch.target(i).to_vec()]));
    }
    let mut sample = Examples::from_ids(pairs.iter().map(|[source, target]| (&source[..], &target[..])));
    for (side, longest) in sample.facts.longest.iter_mut().enumerate() {
        *longest = pairs.iter().map(|pair| pair[side].len()).max().unwrap_or(0);
    }
    Ok(sample)
}

impl Args {
    /// The settings that decide what the run computes.
    pub fn options(&self) -> Result<TrainOptions> {
        let options = self.lora.apply(self.optimization.options(self.lora.lora_rank.is_some())?);
        let every = self.validation.eval_every.map_or(EVAL_EVERY, NonZeroU64::get);
        if options.batch_tokens.is_some() {
            let why = "every example fills its lengths here; give --batch-size";
            return Err(crate::errors::usage(format!("--batch-tokens: {why}")));
        }
        Ok(TrainOptions {
            epochs: 1,
            max_steps: Some(self.max_steps.get()),
            seed: self.run.seed,
            validation: ValidationOptions {
                eval_every: Some(every),
                save_every: self.validation.save_every.map(NonZeroU64::get),
                early_stopping_patience: self.validation.early_stopping_patience.map(NonZeroU64::get),
                num_beams: 1,
                max_new_tokens: self.data.max_target_length.map_or(128, NonZeroUsize::get),
                ..ValidationOptions::default()
            },
            ..options
        })
    }

    /// Tokens of a source and of a target, at most.
    pub fn lengths(&self) -> Result<[usize; 2]> {
        let Budget { source, target } = self.data.budget(&self.data.objective()?);
        Ok([source, target])
    }

    /// The command line from the subcommand on.
    fn command_line(&self) -> Vec<String> {
        if self.command.is_empty() { std::env::args().skip(1).collect() } else { self.command.clone() }
    }

    /// What the report says of the run beside its options.
    fn settings(&self, objective: &str, threads: usize) -> Vec<(&'static str, String)> {
        vec![
            ("model", self.model.model.clone()),
            ("data", self.data.data.join(", ")),
            ("objective", objective.to_owned()),
            ("threads", threads.to_string()),
        ]
    }
}
