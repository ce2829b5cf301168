//! `t5kit finetune`: examples to a trained model.

mod data;
pub mod mixture;
pub mod presets;
mod validation;

use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use t5kit_model::Architecture;
use t5kit_pipeline::Pipeline;
use t5kit_pipeline::files::TrainingFiles;
use t5kit_train::{Data, Setup, TrainOptions, check_resume, train};

use crate::errors::usage;
use crate::lang::lang;
use crate::model_args::ModelArgs;
use crate::new_tokens;
use crate::training::display::Display;
use crate::training::lora::LoraArgs;
use crate::training::optimization::Optimization;
use crate::training::report::{self, Page};
use crate::training::{self, RunArgs};
use crate::typed;
use data::DataArgs;
pub use data::OnError;
use presets::Preset;
use validation::ValidationArgs;

/// The flags of `t5kit finetune`.
#[derive(clap::Args)]
#[command(
    after_help = "--model may also be a config.json: that model begins with random weights, and --tokenizer must be given."
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Times through the examples
    #[arg(long, value_name = "N", default_value = "3")]
    epochs: u64,
    /// End after this many steps, if the epochs have more
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Words that become tokens of their own, one a line; their rows begin as the mean of those of the pieces that they
    /// were before
    #[arg(long, value_name = "FILE")]
    add_tokens: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
    /// Settings of a known recipe; flags given beside it win
    #[arg(long, help_heading = "Optimization", value_name = "NAME")]
    preset: Option<Preset>,
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
    let resume = args.run.check_output(&args.model)?;
    if resume {
        check_resume(&args.run.output, &options, args.run.threads())?;
    }
    let devices = args.run.devices(&options)?;
    let mut loaded = args.open_model(resume)?;
    new_tokens::add(&mut loaded, args.add_tokens.as_deref())?;
    let (rows, most_tokens) = (loaded.model.rows(), loaded.model.config().most_tokens());
    let (examples, valid, prompt) = args.data.read(
        &loaded.tokenizer,
        &loaded.pool,
        &args.run.output,
        rows,
        most_tokens,
        args.run.seed,
    )?;
    let punctuation = args.validation.punctuation.into();
    let mixture = args.data.mixture()?;
    let most = options.validation.max_new_tokens;
    let permitted = args.validation.permitted(&loaded, valid.as_ref(), mixture.as_ref(), most)?;
    let decoding = loaded.generate_options();
    let trained = args.data.trained(&examples, valid.as_ref(), prompt, punctuation);
    // They are copied into every checkpoint, a tokenizer that was cut for this run among them.
    let files = TrainingFiles::new(&loaded, &trained, training::decoded(&options))?;
    let copied = if args.lora.lora_rank.is_some() { &files.fixed[..] } else { &files.all };
    let Pipeline { model, tokenizer, pool, .. } = loaded;
    let tensorboard = args.validation.tensorboard(&args.run.output);
    args.run.check_events(tensorboard.as_deref())?;
    let (shown, bytes_share) = report::seen(&tokenizer, &examples);
    let page = Page {
        lang: lang(),
        folder: &args.run.output,
        model: &args.model.model,
        train: args.data.files(),
        command: typed::command_line(&args.command_line()),
        parameters: model.params().elements(),
        options: &options,
        settings: args.settings(pool.threads()),
        lengths: args.lengths(),
        examples: &examples,
        sampled: false,
        valid: valid.as_ref(),
        shown,
        bytes_share,
        date: typed::now(),
        punctuation,
        permitted: permitted.clone(),
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
        decoding: Some(permitted.decoding(&tokenizer, decoding, punctuation)),
        tensorboard: tensorboard.as_deref(),
        base: &args.model.model,
        resume,
    };
    let outcome = train(model, Data::Examples(&examples), setup, &mut display)?;
    display.finish();
    training::ended(&outcome, &args.run.output, &options, &display, |page| {
        page.finish(&args.trained()?, &pool, outcome.best.as_ref())
    })
}

impl Args {
    /// The settings that decide what the run computes.
    pub fn options(&self) -> Result<TrainOptions> {
        let options = self.lora.apply(self.optimization.options(self.lora.lora_rank.is_some())?);
        let mixture = self.data.mixture()?;
        let validation = self.validation.options(self.data.max_target_length.get(), mixture.as_ref())?;
        Ok(TrainOptions {
            epochs: self.epochs,
            max_steps: self.max_steps,
            seed: self.run.seed,
            validation,
            ..options
        })
    }

    /// Tokens of a source and of a target, at most.
    pub fn lengths(&self) -> [usize; 2] {
        [self.data.max_source_length.get(), self.data.max_target_length.get()]
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
        let settings = [
            ("model", self.model.model.clone()),
            ("train", files(&self.data.train)),
            ("mixture", files(self.data.mixture.as_slice())),
            ("valid", files(&self.data.valid)),
            ("threads", threads.to_string()),
        ];
        settings.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The run's best model, else its last.
    fn trained(&self) -> Result<Pipeline> {
        match self.lora.lora_rank {
            Some(_) => ModelArgs { adapter: Some(self.run.output.clone()), ..self.model.clone() },
            None => ModelArgs::at(self.run.output.to_string_lossy()),
        }
        .open(Some(NonZeroUsize::MIN))
    }

    fn open_model(&self, resume: bool) -> Result<Pipeline> {
        let lora = self.lora.lora_rank.is_some();
        if lora && self.add_tokens.is_some() {
            let what = "--add-tokens with --lora-rank: an adapter holds no rows for new tokens; add them with t5kit \
                        convert first";
            return Err(usage(what.to_owned()));
        }
        self.run.open_model(&self.model, lora, resume)
    }
}
