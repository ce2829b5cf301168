//! `t5kit inspect`: what a model is, before its weights are read.

use anyhow::Result;
use std::io::Write;
use t5kit_generate::generation_bytes;
use t5kit_model::memory::{Work, available_bytes};
use t5kit_model::t5::widths;
use t5kit_model::{Architecture, Inventory};
use t5kit_tensor::{DType, Pool};
use t5kit_train::TrainOptions;

use crate::errors::in_flags;
use crate::model_args::{ModelArgs, storage_type};
use crate::say::bytes;

/// The batch that memory is estimated for; for inference one source alone, too.
const WORK: Work = Work { sequences: 16, source_tokens: 256, target_tokens: 32 };

/// The flags of `t5kit inspect`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Say what the model takes with weights held as this type [default: the file's]
    #[arg(long, value_name = "TYPE", value_parser = storage_type())]
    dtype: Option<DType>,
}

/// Prints family, sizes, parameters by part, and memory.
pub fn run(args: Args) -> Result<()> {
    let model = args.model.prepare(args.dtype, None)?;
    let plan = &model.plan;
    let (inventory, config) = (Inventory::of(plan), &plan.config);
    let mut out = std::io::stdout().lock();
    let mut line = |name: &str, value: String| writeln!(out, "{name:<22}{value}");
    line("model", plan.path().display().to_string())?;
    line("format", plan.format().to_string())?;
    line("family", inventory.family.to_string())?;
    for (name, value) in config.facts() {
        line(name, value)?;
    }
    line(
        "tokenizer",
        match model.tokenizer() {
            Ok((tokenizer, _)) => format!("{} pieces", tokenizer.vocab_size()),
            Err(error) => format!("none ({})", in_flags(&error.to_string())),
        },
    )?;
    line("stored as", inventory.storage.join(", "))?;
    line("parameters", format!("{:>13}  {:>9}", inventory.parameters(), bytes(inventory.bytes())))?;
    for part in &inventory.parts {
        let name = format!("  {}", part.part.name());
        line(&name, format!("{:>13}  {:>9}", part.parameters, bytes(part.bytes)))?;
    }
    let loading = plan.loading_bytes();
    if loading > inventory.bytes() {
        line("memory, loading", format!("{} (weights change their type)", bytes(loading)))?;
    }
    let Work { sequences, source_tokens, target_tokens } = WORK;
    let batch = format!("{sequences} sources of {source_tokens} tokens, targets of {target_tokens}");
    let alone = format!("1 source of {source_tokens} tokens, target of {target_tokens}");
    let threads = Pool::default_threads();
    let apart = format!("on each of {threads} threads {batch}: many sources");
    let mut inferences = vec![(1, 1, &alone), (1, sequences, &batch)];
    if threads > 1 {
        inferences.push((threads, sequences, &apart));
    }
    for (sessions, sequences, batch) in inferences {
        let inference = bytes(generation_bytes(&widths(config), Work { sequences, ..WORK }, 1, sessions));
        line("memory, inference", format!("{} (weights) + {inference} ({batch})", bytes(inventory.bytes())))?;
    }
    let (sources, targets) = (sequences * source_tokens, sequences * target_tokens);
    let training = t5kit_train::predict(config, &TrainOptions::default(), None, (sources, targets), None);
    line(
        "memory, training",
        format!(
            "{} (weights, gradients, moments) + {} ({batch})",
            bytes(training.parameters),
            bytes(training.activations)
        ),
    )?;
    if let Some(available) = available_bytes() {
        line("memory, to be had", bytes(available))?;
    }
    Ok(())
}
