//! `t5kit score`: how probable a model finds given targets.

use anyhow::Result;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use t5kit_formats::table::{self, ColumnRef, Format, TableOptions};
use t5kit_generate::{BatchLimits, score};

use crate::loaded::{Loaded, pool};
use crate::model_args::ModelArgs;
use crate::progress::{Progress, Style, Unit};

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
    /// Longer sources are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Longer targets are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_target_length: NonZeroUsize,
    /// Pairs worked on together, at most
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Prints for each line the target's log-probability (natural, </s> included), a tab, and its number of tokens.
pub fn run(args: Args) -> Result<()> {
    let loaded = Loaded::open(&args.model)?;
    let options = TableOptions { format: Some(Format::Tsv), ..TableOptions::default() };
    let columns = [ColumnRef::Number(1), ColumnRef::Number(2)];
    let rows = table::open(&args.input, &columns, &options)?.collect::<Result<Vec<_>, _>>()?;
    let texts = |column: usize| rows.iter().map(move |row| row.values[column].as_str());
    let sources = loaded.encode_all("source", texts(0), args.max_source_length);
    let targets = loaded.encode_all("target", texts(1), args.max_target_length);
    let limits = match args.batch_size {
        Some(size) => BatchLimits { sequences: size.get(), tokens: usize::MAX },
        None => BatchLimits::default(),
    };
    let progress = Progress::new(Some(rows.len() as u64), Style::new("scoring", Unit::Items("pairs")));
    let scores = score(&loaded.model, &pool(args.threads), &sources, &targets, limits, |done| {
        progress.set_position(done as u64);
    })?;
    progress.clear();
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
