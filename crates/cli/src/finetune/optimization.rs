//! The flags of `t5kit finetune` that decide how a step changes the model, and the presets.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::ValueEnum;
use t5kit_model::Part;
use t5kit_train::{OptimizerKind, PRECISIONS, Schedule, TrainOptions};

use crate::errors::usage;

/// How parameters are changed.
#[derive(clap::Args)]
#[command(next_help_heading = "Optimization")]
pub struct Optimization {
    /// Settings of a known recipe; flags given beside it win
    #[arg(long, value_name = "NAME")]
    preset: Option<Preset>,
    /// Examples a batch [default: 16]
    #[arg(long, value_name = "N", conflicts_with = "batch_tokens")]
    batch_size: Option<NonZeroUsize>,
    /// Instead of --batch-size: as many examples as have so many source and target tokens
    #[arg(long, value_name = "N")]
    batch_tokens: Option<NonZeroUsize>,
    /// Batches a step: the step is that of one batch so many times as big, the memory that of one
    #[arg(long, value_name = "N", default_value = "1")]
    gradient_accumulation: NonZeroUsize,
    /// How gradients change parameters [default: adamw]
    #[arg(long, value_name = "NAME", value_parser = names(OptimizerKind::ALL.map(OptimizerKind::name)))]
    optimizer: Option<String>,
    /// Learning rate [default: 2e-4]
    #[arg(long, value_name = "X")]
    learning_rate: Option<f64>,
    /// How the learning rate changes after warm-up; linear and cosine end at 0 [default: constant]
    #[arg(long, value_name = "NAME", value_parser = names(Schedule::ALL.map(Schedule::name)))]
    schedule: Option<String>,
    /// Steps in which the learning rate rises from 0 [default: 0]
    #[arg(long, value_name = "N")]
    warmup_steps: Option<u64>,
    /// Weight decay: decoupled, or with adam added to the gradient [default: 0]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Adafactor: multiply the learning rate by the size of each parameter [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    scale_parameter: Option<bool>,
    /// adamw, adam, lion: leave rows of the input embedding alone that a step does not use (not the exact optimizer)
    #[arg(long)]
    lazy_embeddings: bool,
    /// Scale gradients down to this norm; 0: never [default: 1]
    #[arg(long, value_name = "X")]
    max_grad_norm: Option<f64>,
    /// Dropout probability [default: 0.1]
    #[arg(long, value_name = "X")]
    dropout: Option<f32>,
    /// Share of a target's probability that is spread evenly over all rows
    #[arg(long, value_name = "X", default_value = "0")]
    label_smoothing: f32,
    /// Weight of the squared logarithm of the softmax's denominator in the loss; T5 was pre-trained with 1e-4
    #[arg(long, value_name = "X", default_value = "0")]
    z_loss: f32,
    /// Parts to train, separated by commas; the others are frozen [default: all of them]
    #[arg(long, value_name = "PART,…", value_delimiter = ',', value_parser = names(Part::ALL.map(Part::name)))]
    train_parts: Vec<String>,
    /// In what products are computed; bf16 needs AMX or AVX-512 BF16, weights and moments stay in f32
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = names(PRECISIONS.map(|(name, _)| name)))]
    precision: String,
    /// Compute layers again on the way back instead of keeping their activations: less memory, a third more time
    #[arg(long)]
    recompute: bool,
}

/// Recipes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Fine-tuning as in the papers on T5 and mT5: adafactor at 1e-3, constant, scaled by parameter, no clipping by norm
    Mt5,
    /// The blog post kexue.fm/archives/7867 (CSL titles with mT5): adam at 2e-4, constant, batches of 16, no clipping
    Bojone,
    /// Hugging Face's advice for T5: adafactor at 1e-3, constant, not scaled by parameter, clipped at norm 1
    Huggingface,
}

impl Preset {
    /// What it says; dropout is T5's in each.
    fn options(self) -> TrainOptions {
        let base = TrainOptions { dropout: 0.1, batch_size: 16, ..TrainOptions::default() };
        match self {
            Preset::Mt5 => TrainOptions {
                optimizer: OptimizerKind::Adafactor,
                learning_rate: 1e-3,
                scale_parameter: true,
                max_grad_norm: 0.0,
                ..base
            },
            Preset::Bojone => TrainOptions {
                optimizer: OptimizerKind::Adam,
                learning_rate: 2e-4,
                max_grad_norm: 0.0,
                ..base
            },
            Preset::Huggingface => TrainOptions {
                optimizer: OptimizerKind::Adafactor,
                learning_rate: 1e-3,
                max_grad_norm: 1.0,
                ..base
            },
        }
    }
}

/// A parser that knows and lists these names.
pub fn names<const N: usize>(names: [&'static str; N]) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(names)
}

impl Optimization {
    /// The settings, with those of the preset and then the defaults where no flag was given; what these flags do not
    /// decide is the default's.
    pub fn options(&self) -> Result<TrainOptions> {
        let preset = self.preset.map_or_else(TrainOptions::default, Preset::options);
        let optimizer = self
            .optimizer
            .as_deref()
            .and_then(|name| OptimizerKind::ALL.into_iter().find(|kind| kind.name() == name));
        let kind = optimizer.unwrap_or(preset.optimizer);
        let schedule = self
            .schedule
            .as_deref()
            .and_then(|name| Schedule::ALL.into_iter().find(|schedule| schedule.name() == name));
        let dropout = self.dropout.unwrap_or(preset.dropout);
        // In the model's order and each once, so that the same parts are the same settings.
        let parts =
            Part::ALL.map(Part::name).into_iter().filter(|name| self.train_parts.iter().any(|p| p == name));
        let options = TrainOptions {
            precision: PRECISIONS
                .into_iter()
                .find(|(name, _)| *name == self.precision)
                .map_or(preset.precision, |(_, precision)| precision),
            recompute: self.recompute,
            batch_size: self.batch_size.map_or(preset.batch_size, NonZeroUsize::get),
            batch_tokens: self.batch_tokens.map(NonZeroUsize::get),
            gradient_accumulation: self.gradient_accumulation.get(),
            optimizer: kind,
            learning_rate: self.learning_rate.unwrap_or(preset.learning_rate),
            schedule: schedule.unwrap_or(preset.schedule),
            warmup_steps: self.warmup_steps.unwrap_or(preset.warmup_steps),
            weight_decay: self.weight_decay.unwrap_or(preset.weight_decay),
            scale_parameter: kind == OptimizerKind::Adafactor
                && self.scale_parameter.unwrap_or(preset.scale_parameter),
            lazy_embeddings: self.lazy_embeddings,
            max_grad_norm: self.max_grad_norm.unwrap_or(preset.max_grad_norm),
            dropout,
            label_smoothing: self.label_smoothing,
            z_loss: self.z_loss,
            train_parts: match self.train_parts.is_empty() {
                true => preset.train_parts.clone(),
                false => parts.map(String::from).collect(),
            },
            ..preset
        };
        let not_negative = |name: &str, value: f64| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(usage(format!("{name} {value}: give a number that is not negative"))),
        };
        let share = |name: &str, value: f32| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => Err(usage(format!("{name} {value}: give a probability from 0 up to, not including, 1"))),
        };
        let rate = options.learning_rate;
        if !(rate.is_finite() && rate > 0.0) {
            return Err(usage(format!("--learning-rate {rate}: give a number above 0")));
        }
        not_negative("--weight-decay", options.weight_decay)?;
        not_negative("--max-grad-norm", options.max_grad_norm)?;
        not_negative("--z-loss", options.z_loss.into())?;
        share("--dropout", options.dropout)?;
        share("--label-smoothing", options.label_smoothing)?;
        if self.scale_parameter == Some(true) && kind != OptimizerKind::Adafactor {
            let name = kind.name();
            return Err(usage(format!("--scale-parameter: {name} has no such setting; it is adafactor's")));
        }
        if options.lazy_embeddings && kind == OptimizerKind::Adafactor {
            let why = "adafactor's exact step costs no more than the rows that are used; leave it out";
            return Err(usage(format!("--lazy-embeddings: {why}")));
        }
        Ok(options)
    }
}
