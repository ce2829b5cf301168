//! `t5kit inspect`: what a model is.

use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;
use t5kit_model::Summary;
use t5kit_tokenizer::Tokenizer;

use crate::loaded::bytes;

/// Tokens of the batch that the training estimate is for: 16 sources of 256, 16 targets of 32.
const BATCH: (usize, usize) = (16 * 256, 16 * 32);

/// The flags of `t5kit inspect`.
#[derive(clap::Args)]
pub struct Args {
    /// Hugging Face directory, or the folder of a training run (its best/, else its last/)
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
}

/// Prints family, sizes, parameters by part, and memory.
pub fn run(args: Args) -> Result<()> {
    let folder = t5kit_model::model_folder(&args.model)?;
    let model = t5kit_model::load(&folder)?;
    let (summary, config) = (Summary::of(&model), &model.config);
    let mut out = std::io::stdout().lock();
    let mut line = |name: &str, value: String| writeln!(out, "{name:<22}{value}");
    line("model", folder.display().to_string())?;
    line("family", summary.family.to_string())?;
    line("d_model", config.d_model.to_string())?;
    line("d_kv × num_heads", format!("{} × {}", config.d_kv, config.num_heads))?;
    line("d_ff", format!("{} ({})", config.d_ff, config.feed_forward_proj))?;
    line("layers", format!("{} encoder, {} decoder", config.num_layers, config.num_decoder_layers))?;
    let tied = if config.tie_word_embeddings { "softmax shares the embedding" } else { "separate softmax" };
    line("vocabulary rows", format!("{} ({tied})", config.vocab_size))?;
    line(
        "tokenizer",
        match Tokenizer::load(&folder) {
            Ok(tokenizer) => format!("{} pieces", tokenizer.vocab_size()),
            Err(error) => format!("none ({error})"),
        },
    )?;
    line("stored as", summary.storage.join(", "))?;
    line("parameters", format!("{:>13}  {:>9}", summary.parameters(), bytes(summary.bytes())))?;
    for part in &summary.parts {
        let name = format!("  {}", part.part.name());
        line(&name, format!("{:>13}  {:>9}", part.parameters, bytes(part.bytes)))?;
    }
    let training = t5kit_train::predict(&model, BATCH.0, BATCH.1);
    line("memory, inference", format!("{} of weights, mapped from the file", bytes(summary.bytes())))?;
    line(
        "memory, training",
        format!(
            "{} (weights, gradients, moments) + {} (16 sources of 256 tokens, targets of 32)",
            bytes(training.parameters),
            bytes(training.activations)
        ),
    )?;
    Ok(())
}
