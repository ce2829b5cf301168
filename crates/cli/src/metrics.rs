//! `t5kit metrics`: scores of generated text against references.

mod json;
mod marks;
mod table;
mod texts;

use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use t5kit_eval::{Bootstrap, Error, Metric, Report, Texts, compute};
use t5kit_formats::lang::fill;

use crate::errors::usage;
use crate::lang::lang;
use crate::punctuation::PunctuationFlag;
use crate::table_flags::TableFlags;

/// The flags of `t5kit metrics`.
#[derive(clap::Args)]
#[command(
    after_help = "The figures are a table on a terminal, else JSON as with --json: \"metrics\" holds each figure by its \
                        name with \"value\", \"low\", \"high\" (95 %) and \"signature\", beside it are \"examples\" and \
                        what else was found. Values are as the packages give them: sacreBLEU's (sacrebleu, chrf, \
                        chrf++, ter) up to 100, the others up to 1."
)]
pub struct Args {
    /// Generated texts: a text a line, or a table with a column of them
    #[arg(long, visible_alias = "input", value_name = "FILE")]
    predictions: PathBuf,
    /// Right texts, in the same order; several files where each prediction has several [default: the file of the
    /// predictions, with --reference]
    #[arg(long, value_name = "FILE", num_args = 1.., action = clap::ArgAction::Append)]
    references: Vec<PathBuf>,
    /// What the texts were generated from, for the metric copy [default: the file of the predictions, with --source]
    #[arg(long, value_name = "FILE")]
    sources: Option<PathBuf>,
    /// Another system's texts, to compare with: a paired bootstrap test says what may be chance
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Column of the generated texts, by name or by number from 1 [default: generated, prediction or output]
    #[arg(long, value_name = "COLUMN")]
    prediction: Option<String>,
    /// Column of the right texts, by name or by number from 1; several where there are several [default: reference or
    /// target, else the one whose name says so]
    #[arg(long, value_name = "COLUMN", action = clap::ArgAction::Append)]
    reference: Vec<String>,
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Which metrics, and how texts become tokens
    #[arg(long, value_enum, default_value_t = Preset::Csl, conflicts_with = "metric")]
    preset: Preset,
    /// These metrics instead: csl, sacrebleu:zh|13a|char|intl, chrf, chrf++, ter, rouge_score:char|jieba|default,
    /// squad, mlqa:LANG, cmrc, accuracy, macro-f1, micro-f1, matthews, pearson, spearman, distinct:N, copy, length;
    /// csl's alone are bleu, rouge-1, rouge-2, rouge-l; exact-match and f1 suit every language; several with commas
    #[arg(long, value_name = "NAME[:TOKENS]", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// Samples that confidence intervals and the test against another system are made of; 0: neither
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().samples,
        visible_aliases = ["confidence-n", "paired-bs-n"])]
    bootstrap: usize,
    /// Seed of the samples; the same seed draws what sacreBLEU draws
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().seed)]
    seed: u64,
    /// What happens to the punctuation of generated Chinese: keep compares the texts as they are, as the packages do;
    /// restore makes it full-width (，！？：；（）); auto makes it as the references have it
    #[arg(long, value_enum, default_value_t = PunctuationFlag::Keep)]
    punctuation: PunctuationFlag,
    /// Print a JSON object, on a terminal too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: TableFlags,
}

/// The metric of that name, for clap.
pub fn metric(name: &str) -> Result<Metric> {
    name.parse().map_err(usage)
}

/// A metric that can tell the better of two checkpoints.
pub fn metric_of_a_run(name: &str) -> Result<Metric> {
    let metric = metric(name)?;
    if metric.needs_sources() || !metric.more_is_better() {
        return Err(usage(format!("more {metric} is not better: a run is validated by other metrics")));
    }
    Ok(metric)
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// ROUGE-1, ROUGE-2, ROUGE-L (F) and sentence BLEU by lower-cased characters, as the CSL title task has them
    Csl,
}

/// What is shown beside the figures.
struct Shown {
    report: Report,
    bootstrap: Bootstrap,
    /// What was done to the punctuation of the texts.
    punctuation: marks::Done,
    /// The other system's texts are the same, line by line.
    same: bool,
}

/// Prints the figures on standard output.
pub fn run(args: Args) -> Result<()> {
    let Preset::Csl = args.preset;
    let metrics = if args.metric.is_empty() { &[Metric::Csl][..] } else { &args.metric };
    let mut texts = texts::read(&args, metrics)?;
    let punctuation = marks::settle(&mut texts, args.punctuation);
    let bootstrap = Bootstrap { samples: args.bootstrap, seed: args.seed };
    let compared = Texts {
        predictions: &texts.predictions,
        references: &texts.references,
        sources: texts.sources.as_deref(),
        against: texts.against.as_deref(),
    };
    let mut report = compute(metrics, compared, bootstrap).map_err(|error| match error {
        Error::NoNumber { .. } | Error::Lines { .. } => error.into(),
        wrong => usage(wrong),
    })?;
    for figure in &mut report.figures {
        figure.signature += punctuation.signature();
    }
    let same = texts.against.as_ref().is_some_and(|against| *against == texts.predictions);
    let shown = Shown { report, bootstrap, punctuation, same };
    shown.warn();
    let mut out = std::io::stdout().lock();
    if args.json || !out.is_terminal() {
        writeln!(out, "{}", json::object(&shown))?;
    } else {
        write!(out, "{}", table::table(&shown))?;
    }
    Ok(())
}

impl Shown {
    /// Says what may have spoilt the figures.
    fn warn(&self) {
        let (report, t) = (&self.report, &lang().texts().terminal);
        for (count, text) in [
            (report.empty_predictions, t.predictions_empty),
            (report.empty_references, t.references_empty),
            (report.no_numbers, t.predictions_no_numbers),
        ] {
            if count > 0 {
                eprintln!("t5kit: {}", fill(text, &[("n", &count), ("all", &report.examples)]));
            }
        }
    }

    /// All figures in a line to quote.
    fn signature(&self) -> String {
        let names: Vec<&str> = self.report.figures.iter().map(|figure| figure.name.as_str()).collect();
        let (names, examples, done) = (names.join("+"), self.report.examples, self.punctuation.name());
        format!("{names}|n:{examples}|punctuation:{done}|t5kit:{}", env!("CARGO_PKG_VERSION"))
    }
}
