//! `t5kit score`: how probable a model finds given targets.

use anyhow::Result;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use t5kit_formats::progress::Progress;
use t5kit_formats::table::{self, ColumnRef, Format, TableOptions};
use t5kit_generate::{BatchLimits, Score, score};
use t5kit_pipeline::Encoder;
use t5kit_tensor::DType;

use crate::lengths::{OnLong, finish, limits};
use crate::model_args::{ModelArgs, storage_type};
use crate::progress::Monitor;

/// The flags of `t5kit score`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pairs: source, tab, target on each line
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
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
}

/// Prints for each line the target's log-probability (natural, </s> included), a tab, and its number of tokens.
pub fn run(args: Args) -> Result<()> {
    let model = args.model.prepare(args.dtype, args.threads)?.load()?;
    let options = TableOptions { format: Some(Format::Tsv), ..TableOptions::default() };
    let columns = [ColumnRef::Number(1), ColumnRef::Number(2)];
    let rows = table::open(&args.input, &columns, &options)?.collect::<Result<Vec<_>, _>>()?;
    let encode = |what, column: usize, most: NonZeroUsize| -> Result<Vec<Vec<u32>>> {
        let mut encoder = Encoder::new(&model, what, most.get(), args.on_long.into());
        let ids = rows.iter().map(|row| encoder.encode(&row.values[column])).collect::<Result<_, _>>()?;
        finish(encoder);
        Ok(ids)
    };
    let sources = encode("source", 0, args.max_source_length)?;
    let targets = encode("target", 1, args.max_target_length)?;
    let limits = limits(args.batch_size, args.batch_tokens, BatchLimits::default());
    let mut monitor = Monitor::default();
    let mut scores = vec![Score::default(); rows.len()];
    let mut done = 0;
    score(&model.model, &model.pool, &sources, &targets, limits, |i, score| {
        scores[i] = score;
        done += 1;
        monitor.show(Progress::items("scoring", "pairs", done, Some(rows.len())));
        ControlFlow::Continue(())
    })?;
    monitor.clear();
    let mut out = std::io::stdout().lock();
    for score in scores {
        write!(out, "{:.6}\t{}", score.log_prob(), score.tokens.len())?;
        if args.tokens {
            for (i, token) in score.tokens.iter().enumerate() {
                write!(out, "{}{token:.6}", if i == 0 { '\t' } else { ' ' })?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
