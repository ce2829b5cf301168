//! `t5kit inspect`: what a model is, before its weights are read.

use anyhow::Result;
use serde_json::{Map, Value, json};
use std::io::Write;
use t5kit_formats::generation_config::GenerationConfig;
use t5kit_formats::json::read as read_json;
use t5kit_generate::generation_bytes;
use t5kit_model::memory::{Work, available_bytes};
use t5kit_model::{Architecture, Config, Inventory};
use t5kit_pipeline::Prepared;
use t5kit_tensor::{DType, Pool};
use t5kit_train::{Extent, Memory, TrainOptions};

use crate::errors::in_flags;
use crate::model_args::{ModelArgs, storage_type};
use crate::say::bytes;

/// The batch that memory is estimated for; for inference one source alone, too.
const WORK: Work = Work { sequences: 16, source_tokens: 256, target_tokens: 32, kept: 4 };

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
        writeln!(std::io::stdout().lock(), "{}", object(&model)?)?;
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
    for (name, value) in fixed(&model)? {
        line(name, shown(&value))?;
    }
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
    let Work { sequences, source_tokens, target_tokens, .. } = WORK;
    let batch = format!("{sequences} sources of {source_tokens} tokens, targets of {target_tokens}");
    for (sessions, sequences) in inferences() {
        let what = match (sessions, sequences) {
            (1, 1) => format!("1 source of {source_tokens} tokens, target of {target_tokens}"),
            (1, _) => batch.clone(),
            (threads, _) => format!("on each of {threads} threads {batch}: many sources"),
        };
        let work = Work { sequences, kept: inventory.kept(), ..WORK };
        let inference = bytes(generation_bytes(&config.widths(), work, 1, 0, sessions));
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
fn object(model: &Prepared) -> Result<Value> {
    let plan = &model.plan;
    let (inventory, config) = (Inventory::of(plan), &plan.config);
    let parts = inventory
        .parts
        .iter()
        .map(|part| json!({"name": part.part.name(), "parameters": part.parameters, "bytes": part.bytes}));
    let Work { sequences, source_tokens, target_tokens, .. } = WORK;
    let inference = inferences().into_iter().map(|(sessions, sequences)| {
        json!({
            "sessions": sessions, "sequences": sequences, "source_tokens": source_tokens,
            "target_tokens": target_tokens,
            "bytes": generation_bytes(
                &config.widths(),
                Work { sequences, kept: inventory.kept(), ..WORK },
                1,
                0,
                sessions,
            ),
        })
    });
    let training = training(config);
    let fixed: Map<String, Value> =
        fixed(model)?.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
    Ok(json!({
        "model": plan.path(),
        "format": plan.format().to_string(),
        "family": inventory.family,
        "config": sizes(config),
        "tokenizer": model.tokenizer().ok().map(|(tokenizer, _)| json!({"pieces": tokenizer.vocab_size()})),
        "trained": fixed.get("trained_with"),
        "generation": fixed.get("generates_with"),
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
    }))
}

/// What a model's own files say about its use: what training fixed, and how it generates; ids are left out.
fn fixed(model: &Prepared) -> Result<Vec<(&'static str, Value)>> {
    let mut all = Vec::new();
    if let Some(file) = model.trained()? {
        let said = file.values.said().into_iter().map(|(name, value)| (name.to_owned(), value));
        all.push(("trained with", Value::Object(said.collect())));
    }
    if let Some(file) = model.generation_config() {
        // What is no value is an error where it would be used, and so here.
        GenerationConfig::read(&file)?;
        let mut map: Map<String, Value> = read_json(&file, "generation configuration")?;
        map.retain(|name, value| {
            !name.starts_with('_')
                && !name.ends_with("_token_id")
                && name != "transformers_version"
                && !value.is_null()
        });
        if !map.is_empty() {
            all.push(("generates with", Value::Object(map)));
        }
    }
    Ok(all)
}

/// `name value, …`.
fn shown(values: &Value) -> String {
    let each = values.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {value}"));
    each.collect::<Vec<_>>().join(", ")
}

/// A configuration's sizes by Hugging Face's names.
fn sizes(config: &Config) -> Value {
    match config {
        Config::T5(c) => json!({
            "d_model": c.d_model, "d_kv": c.d_kv, "num_heads": c.num_heads, "d_ff": c.d_ff,
            "feed_forward_proj": c.feed_forward_proj.to_string(), "architecture": c.architecture.name(),
            "num_layers": c.num_layers, "num_decoder_layers": c.num_decoder_layers,
            "vocab_size": c.vocab_size, "tie_word_embeddings": c.tie_word_embeddings,
        }),
        Config::Bert(c) => json!({
            "hidden_size": c.hidden_size, "num_attention_heads": c.num_attention_heads,
            "intermediate_size": c.intermediate_size, "hidden_act": c.hidden_act,
            "num_hidden_layers": c.num_hidden_layers, "vocab_size": c.vocab_size,
            "max_position_embeddings": c.max_position_embeddings, "model_type": c.model_type,
        }),
    }
}

/// Sessions and sources of each that memory is told for.
fn inferences() -> Vec<(usize, usize)> {
    let threads = Pool::default_threads();
    let many = (threads > 1).then_some((threads, WORK.sequences));
    [(1, 1), (1, WORK.sequences)].into_iter().chain(many).collect()
}

/// The memory of training with the usual settings.
fn training(config: &Config) -> Memory {
    let Work { sequences, source_tokens, target_tokens, .. } = WORK;
    let tokens = (sequences * source_tokens, sequences * target_tokens);
    t5kit_train::predict(config, &TrainOptions::default(), Extent { tokens, ..Extent::default() })
}
