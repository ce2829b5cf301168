//! The flags of `t5kit finetune` that decide how a step changes the model.

use std::num::NonZeroUsize;

use anyhow::Result;
use t5kit_model::Part;
use t5kit_train::{OptimizerKind, PRECISIONS, Schedule, TrainOptions};

use crate::errors::usage;

/// How parameters are changed.
#[derive(clap::Args)]
#[command(next_help_heading = "Optimization")]
pub struct Optimization {
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
    /// Learning rate [default: 2e-4; with --lora-rank 1e-3]
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
    /// In what products are computed; bf16 needs AMX or AVX-512 BF16, or a GPU from Ampere on, as does tf32; weights and
    /// moments stay in f32
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = names(PRECISIONS.map(|(name, _)| name)))]
    precision: String,
    /// Compute layers again on the way back instead of keeping their activations: less memory, a third more time
    #[arg(long)]
    recompute: bool,
}

/// The learning rate of adapters where nobody gives one: adapters want several times the rate of the whole model.
const LORA_RATE: f64 = 1e-3;

/// A parser that knows and lists these names.
pub fn names<const N: usize>(names: [&'static str; N]) -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(names)
}

impl Optimization {
    /// The settings; what these flags do not decide is the default's. `lora`: whether adapters are trained, which learn
    /// at a rate of their own.
    pub fn options(&self, lora: bool) -> Result<TrainOptions> {
        let usual = match lora {
            true => TrainOptions { learning_rate: LORA_RATE, ..TrainOptions::default() },
            false => TrainOptions::default(),
        };
        let optimizer = self
            .optimizer
            .as_deref()
            .and_then(|name| OptimizerKind::ALL.into_iter().find(|kind| kind.name() == name));
        let kind = optimizer.unwrap_or(usual.optimizer);
        let schedule = self
            .schedule
            .as_deref()
            .and_then(|name| Schedule::ALL.into_iter().find(|schedule| schedule.name() == name));
        let dropout = self.dropout.unwrap_or(usual.dropout);
        // In the model's order and each once, so that the same parts are the same settings.
        let parts =
            Part::ALL.map(Part::name).into_iter().filter(|name| self.train_parts.iter().any(|p| p == name));
        let options = TrainOptions {
            precision: PRECISIONS
                .into_iter()
                .find(|(name, _)| *name == self.precision)
                .map_or(usual.precision, |(_, precision)| precision),
            recompute: self.recompute,
            batch_size: self.batch_size.map_or(usual.batch_size, NonZeroUsize::get),
            batch_tokens: self.batch_tokens.map(NonZeroUsize::get),
            gradient_accumulation: self.gradient_accumulation.get(),
            optimizer: kind,
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            schedule: schedule.unwrap_or(usual.schedule),
            warmup_steps: self.warmup_steps.unwrap_or(usual.warmup_steps),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            scale_parameter: kind == OptimizerKind::Adafactor
                && self.scale_parameter.unwrap_or(usual.scale_parameter),
            lazy_embeddings: self.lazy_embeddings,
            max_grad_norm: self.max_grad_norm.unwrap_or(usual.max_grad_norm),
            dropout,
            label_smoothing: self.label_smoothing,
            z_loss: self.z_loss,
            train_parts: match self.train_parts.is_empty() {
                true => usual.train_parts.clone(),
                false => parts.map(String::from).collect(),
            },
            ..usual
        };
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
