//! `t5kit metrics`: scores of generated text against references.

use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;
use t5kit_eval::{Accumulator, lines};

/// The flags of `t5kit metrics`.
#[derive(clap::Args)]
pub struct Args {
    /// Generated texts, one a line
    #[arg(long, value_name = "FILE")]
    predictions: PathBuf,
    /// Right texts, on the same lines
    #[arg(long, value_name = "FILE")]
    references: PathBuf,
    /// Which metrics, and how texts become tokens
    #[arg(long, value_enum, default_value_t = Preset::Csl)]
    preset: Preset,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// ROUGE-1, ROUGE-2, ROUGE-L (F) and sentence BLEU by lower-cased characters, as the CSL title task has them
    Csl,
}

/// Prints a JSON object of the mean scores on standard output.
pub fn run(args: Args) -> Result<()> {
    let Preset::Csl = args.preset;
    let mut scores = Accumulator::default();
    lines::for_each_pair(&args.predictions, &args.references, |p, r| scores.add(p, r))?;
    let object: serde_json::Map<String, serde_json::Value> =
        scores.mean().entries().into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    writeln!(std::io::stdout().lock(), "{}", serde_json::Value::from(object))?;
    Ok(())
}
