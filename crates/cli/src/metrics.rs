//! `t5kit metrics`: scores of generated text against references.

use anyhow::Result;
use std::io::Write;
use std::path::PathBuf;
use t5kit_eval::{Metric, Scorer, lines};

use crate::errors::usage;

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
    #[arg(long, value_enum, default_value_t = Preset::Csl, conflicts_with = "metric")]
    preset: Preset,
    /// These metrics instead: bleu, rouge-1, rouge-2, rouge-l, chrf, accuracy, macro-f1, exact-match, f1
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
}

/// The metric of that name, for clap.
pub fn metric(name: &str) -> Result<Metric> {
    Metric::by_name(name)
        .ok_or_else(|| usage(format!("there is {}", Metric::ALL.map(Metric::name).join(", "))))
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// ROUGE-1, ROUGE-2, ROUGE-L (F) and sentence BLEU by lower-cased characters, as the CSL title task has them
    Csl,
}

/// Prints a JSON object of the mean scores on standard output.
pub fn run(args: Args) -> Result<()> {
    let Preset::Csl = args.preset;
    let csl = [Metric::Rouge1, Metric::Rouge2, Metric::RougeL, Metric::Bleu];
    let mut scorer = Scorer::new(if args.metric.is_empty() { &csl } else { &args.metric });
    lines::for_each_pair(&args.predictions, &args.references, |p, r| scorer.add(p, r))?;
    let scores = scorer.scores().into_iter().map(|(metric, score)| (metric.name().into(), score.into()));
    let object: serde_json::Map<String, serde_json::Value> = scores.collect();
    writeln!(std::io::stdout().lock(), "{}", serde_json::Value::from(object))?;
    Ok(())
}
