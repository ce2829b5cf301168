//! `t5kit inspect`: what a model is, before its weights are read.

use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write;
use t5kit_generate::generation_bytes;
use t5kit_model::memory::{Work, available_bytes};
use t5kit_model::t5::widths;
use t5kit_model::{Architecture, Inventory, T5Config};
use t5kit_pipeline::Prepared;
use t5kit_tensor::{DType, Pool};
use t5kit_train::{Memory, TrainOptions};

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
    /// Print a JSON object; its keys are described in docs/formats.md
    #[arg(long)]
    json: bool,
}

/// Prints family, sizes, parameters by part, and memory.
pub fn run(args: Args) -> Result<()> {
    let model = args.model.prepare(args.dtype, None)?;
    if args.json {
        writeln!(std::io::stdout().lock(), "{}", object(&model))?;
        return Ok(());
    }
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
            Ok((tokenizer, _)) => match model.check(&tokenizer) {
                Ok(()) => format!("{} pieces", tokenizer.vocab_size()),
                Err(error) => {
                    format!("{} pieces ({})", tokenizer.vocab_size(), in_flags(&error.to_string()))
                }
            },
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
    for (sessions, sequences) in inferences() {
        let what = match (sessions, sequences) {
            (1, 1) => format!("1 source of {source_tokens} tokens, target of {target_tokens}"),
            (1, _) => batch.clone(),
            (threads, _) => format!("on each of {threads} threads {batch}: many sources"),
        };
        let inference = bytes(generation_bytes(&widths(config), Work { sequences, ..WORK }, 1, sessions));
        line("memory, inference", format!("{} (weights) + {inference} ({what})", bytes(inventory.bytes())))?;
    }
    let training = training(config);
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

/// The same as an object for programs; keys are added, never changed.
fn object(model: &Prepared) -> Value {
    let plan = &model.plan;
    let (inventory, config) = (Inventory::of(plan), &plan.config);
    let parts = inventory
        .parts
        .iter()
        .map(|part| json!({"name": part.part.name(), "parameters": part.parameters, "bytes": part.bytes}));
    let Work { sequences, source_tokens, target_tokens } = WORK;
    let inference = inferences().into_iter().map(|(sessions, sequences)| {
        json!({
            "sessions": sessions, "sequences": sequences, "source_tokens": source_tokens,
            "target_tokens": target_tokens,
            "bytes": generation_bytes(&widths(config), Work { sequences, ..WORK }, 1, sessions),
        })
    });
    let training = training(config);
    json!({
        "model": plan.path(),
        "format": plan.format().to_string(),
        "family": inventory.family,
        "config": {
            "d_model": config.d_model, "d_kv": config.d_kv, "num_heads": config.num_heads, "d_ff": config.d_ff,
            "feed_forward_proj": config.feed_forward_proj.to_string(),
            "num_layers": config.num_layers, "num_decoder_layers": config.num_decoder_layers,
            "vocab_size": config.vocab_size, "tie_word_embeddings": config.tie_word_embeddings,
        },
        "tokenizer": model.tokenizer().ok().map(|(tokenizer, _)| json!({"pieces": tokenizer.vocab_size()})),
        "storage": inventory.storage,
        "parameters": inventory.parameters(),
        "bytes": inventory.bytes(),
        "parts": parts.collect::<Vec<_>>(),
        "memory": {
            "loading": plan.loading_bytes(),
            "inference": inference.collect::<Vec<_>>(),
            "training": {
                "sequences": sequences, "source_tokens": source_tokens, "target_tokens": target_tokens,
                "parameters": training.parameters, "activations": training.activations,
            },
            "available": available_bytes(),
        },
    })
}

/// Sessions and sources of each that memory is told for.
fn inferences() -> Vec<(usize, usize)> {
    let threads = Pool::default_threads();
    let many = (threads > 1).then_some((threads, WORK.sequences));
    [(1, 1), (1, WORK.sequences)].into_iter().chain(many).collect()
}

/// The memory of training with the usual settings.
fn training(config: &T5Config) -> Memory {
    let Work { sequences, source_tokens, target_tokens } = WORK;
    let tokens = (sequences * source_tokens, sequences * target_tokens);
    t5kit_train::predict(config, &TrainOptions::default(), None, tokens, None)
}
