//! `t5kit score`: how probable a model finds given targets.

use anyhow::Result;
use serde_json::json;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use t5kit_formats::output::AtomicFile;
use t5kit_formats::progress::Progress;
use t5kit_formats::table::{ColumnRef, Head, ResultWriter, Table, WholeRow, format_to_write};
use t5kit_generate::{BatchLimits, Score, score};
use t5kit_pipeline::Encoder;
use t5kit_tensor::DType;
use t5kit_train::{PairColumns, with_prompt};

use crate::lengths::{OnLong, finish, limits};
use crate::model_args::{ModelArgs, storage_type};
use crate::progress::Monitor;
use crate::table_flags::{TableFlags, said, spoken, understood};

/// The flags of `t5kit score`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pairs: source, tab, target on each line, or any table with such columns; - is standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so, or without a header
    /// the first of two]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: likewise, the second of two]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Column of what is to be done, by name or number: the model reads "prompt: source"
    #[arg(long, value_name = "COLUMN")]
    prompt: Option<String>,
    /// Write the table with the columns log_prob and tokens beside its rows: .tsv, .csv, .jsonl, .parquet, or - for
    /// standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "tokens")]
    output: Option<PathBuf>,
    /// Replace the output if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Print each token's log-probability too, separated by spaces, after another tab
    #[arg(long)]
    tokens: bool,
    /// Longest source in tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Longest target in tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_target_length: NonZeroUsize,
    /// What happens to a longer source or target
    #[arg(long, value_name = "WHAT", default_value = "cut")]
    on_long: OnLong,
    /// Pairs worked on together, at most
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Tokens of source and target worked on together, at most; a longer pair is worked on alone
    #[arg(long, value_name = "N")]
    batch_tokens: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Hold the weights as this; sums are always f32 [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_parser = storage_type())]
    dtype: Option<DType>,
    #[command(flatten)]
    tables: TableFlags,
}

/// Prints for each line the target's log-probability (natural, </s> included), a tab, and its number of tokens.
pub fn run(args: Args) -> Result<()> {
    let format = args.output.as_deref().map(format_to_write).transpose()?;
    let output = match args.output.as_deref().filter(|path| path.as_os_str() != "-") {
        Some(path) => Some(AtomicFile::create(path, args.force)?),
        None => None,
    };
    let model = args.model.prepare(args.dtype, args.threads)?.load()?;
    let (head, rows, texts) = args.read()?;
    let encode = |what, column: usize, most: NonZeroUsize| -> Result<Vec<Vec<u32>>> {
        let mut encoder = Encoder::new(&model, what, most.get(), args.on_long.into());
        let ids = texts.iter().map(|pair| encoder.encode(&pair[column])).collect::<Result<_, _>>()?;
        finish(encoder);
        Ok(ids)
    };
    let sources = encode("source", 0, args.max_source_length)?;
    let targets = encode("target", 1, args.max_target_length)?;
    let limits = limits(args.batch_size, args.batch_tokens, BatchLimits::default());
    let mut monitor = Monitor::default();
    let mut scores = vec![Score::default(); texts.len()];
    let mut done = 0;
    score(&model.model, &model.pool, &sources, &targets, limits, |i, score| {
        scores[i] = score;
        done += 1;
        monitor.show(Progress::items("scoring", "pairs", done, Some(texts.len())));
        ControlFlow::Continue(())
    })?;
    monitor.clear();
    let results = scores.iter().map(|score| vec![json!(score.log_prob()), json!(score.tokens.len())]);
    let added = ["log_prob".to_owned(), "tokens".to_owned()];
    match (output, format) {
        (Some(file), Some(format)) => {
            let mut writer = ResultWriter::new(file, format, &head, &added)?;
            rows.iter().zip(results).try_for_each(|(row, results)| writer.row(row, results))?;
            writer.finish()?.commit()?;
        }
        (None, Some(format)) => {
            let mut writer = ResultWriter::new(std::io::stdout(), format, &head, &added)?;
            rows.iter().zip(results).try_for_each(|(row, results)| writer.row(row, results))?;
            writer.finish()?.flush()?;
        }
        _ => print(&scores, args.tokens)?,
    }
    Ok(())
}

/// Prints a line for each pair.
fn print(scores: &[Score], tokens: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for score in scores {
        write!(out, "{:.6}\t{}", score.log_prob(), score.tokens.len())?;
        if tokens {
            for (i, token) in score.tokens.iter().enumerate() {
                write!(out, "{}{token:.6}", if i == 0 { '\t' } else { ' ' })?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

impl Args {
    /// The table as it was understood, its rows, and the source and the target of each.
    fn read(&self) -> Result<(Head, Vec<WholeRow>, Vec<[String; 2]>)> {
        let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
        let columns = PairColumns {
            source: column(&self.source),
            target: column(&self.target),
            prompt: column(&self.prompt),
        };
        let mut table = Table::open(&self.input, &self.tables.options())?;
        if table.head().columns.is_empty() {
            return Ok((table.head().clone(), Vec::new(), Vec::new()));
        }
        let roles = columns.choose(&mut table)?;
        let head = table.head().clone();
        eprintln!("t5kit: {}: {}{}", spoken(&self.input), said(&head, roles), understood(&head));
        let rows = table.whole_rows()?.collect::<Result<Vec<_>, _>>()?;
        let text = |row: &WholeRow, place: usize| row.text(place, &head.columns[place].name);
        let pair = |row: &WholeRow| {
            let source = text(row, roles.source);
            let source = match roles.prompt {
                Some(prompt) => with_prompt(&text(row, prompt), &source),
                None => source,
            };
            [source, text(row, roles.target)]
        };
        let texts = rows.iter().map(pair).collect();
        Ok((head, rows, texts))
    }
}
