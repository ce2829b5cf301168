//! `t5kit metrics`: scores of generated text against references.

use anyhow::Result;
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use t5kit_eval::Metric;
use t5kit_formats::table::{ColumnRef, Texts, for_each_pair};

use crate::errors::usage;
use crate::figures::{Compared, PunctuationFlag};
use crate::table_flags::{TableFlags, say_encoding, spoken};

/// The flags of `t5kit metrics`.
#[derive(clap::Args)]
#[command(
    after_help = "The figures are a table in percent on a terminal, else JSON as with --json: each metric by its \
                        name, from 0 to 1, then \"examples\" and \"signature\"."
)]
pub struct Args {
    /// Generated texts: a text a line, or a table with a column of them
    #[arg(long, visible_alias = "input", value_name = "FILE")]
    predictions: PathBuf,
    /// Right texts, in the same order [default: the file of the predictions, with --reference]
    #[arg(long, value_name = "FILE", required_unless_present = "reference")]
    references: Option<PathBuf>,
    /// Column of the generated texts, by name or by number from 1 [default: generated, prediction or output]
    #[arg(long, value_name = "COLUMN")]
    prediction: Option<String>,
    /// Column of the right texts, by name or by number from 1 [default: reference or target, else the one whose name
    /// says so]
    #[arg(long, value_name = "COLUMN")]
    reference: Option<String>,
    /// Which metrics, and how texts become tokens
    #[arg(long, value_enum, default_value_t = Preset::Csl, conflicts_with = "metric")]
    preset: Preset,
    /// These metrics instead: bleu, rouge-1, rouge-2, rouge-l, chrf, accuracy, macro-f1, exact-match, f1
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// What happens to the punctuation of generated Chinese: auto makes it full-width (，！？：；（）) or half-width as the
    /// references have it
    #[arg(long, value_enum, default_value_t = PunctuationFlag::Auto)]
    punctuation: PunctuationFlag,
    /// Print a JSON object, on a terminal too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tables: TableFlags,
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

/// Names of columns of generated texts, and of right ones.
const PREDICTIONS: [&str; 5] = ["generated", "prediction", "predictions", "predicted", "output"];
const REFERENCES: [&str; 9] =
    ["reference", "references", "target", "label", "summary", "answer", "标题", "答案", "译文"];

/// Prints the mean scores on standard output.
pub fn run(args: Args) -> Result<()> {
    let Preset::Csl = args.preset;
    let csl = [Metric::Rouge1, Metric::Rouge2, Metric::RougeL, Metric::Bleu];
    let metrics = if args.metric.is_empty() { &csl[..] } else { &args.metric };
    let (left, right) = (&args.predictions, args.references.as_ref().unwrap_or(&args.predictions));
    if left == right && left.as_os_str() == "-" {
        return Err(usage("standard input can be read once: give a file, or two"));
    }
    let predictions = args.open(left, &args.prediction, &PREDICTIONS)?;
    let references = args.open(right, &args.reference, &REFERENCES)?;
    let mut compared = Compared::new(metrics, args.punctuation.into());
    for_each_pair(predictions, references, |prediction, reference| compared.add(prediction, reference))?;
    let mut out = std::io::stdout().lock();
    if args.json || !out.is_terminal() {
        let mut object = Map::new();
        for (metric, score) in compared.scores() {
            object.insert(metric.name().into(), score.into());
        }
        object.insert("examples".into(), compared.examples().into());
        object.insert("signature".into(), json!(compared.signature()));
        writeln!(out, "{}", Value::from(object))?;
        return Ok(());
    }
    write!(out, "{}", compared.table())?;
    Ok(())
}

impl Args {
    /// The texts of a file; of plain text its lines, else a column, which is said.
    fn open(&self, path: &Path, column: &Option<String>, usual: &[&str]) -> Result<Texts> {
        let mut options = self.tables.options();
        // Lines with tabs are lines, unless a column of them is wanted.
        options.text_as_table = column.is_some();
        let column = column.as_deref().map(ColumnRef::parse);
        let texts = Texts::open(path, column.as_ref(), usual, &options)?;
        match texts.column() {
            Some(name) => eprintln!(
                "t5kit: {}: column {name}, encoding: {}",
                spoken(path),
                texts.encoding().unwrap_or("its own")
            ),
            None => say_encoding(path, texts.encoding()),
        }
        Ok(texts)
    }
}
