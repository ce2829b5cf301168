//! `t5kit generate`: sources to generated text.

use anyhow::Result;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use t5kit_generate::{BatchLimits, Generated, generate};

use crate::errors::Interrupted;
use crate::interrupt;
use crate::loaded::{Loaded, pool};
use crate::model_args::ModelArgs;

/// The flags of `t5kit generate`.
#[derive(clap::Args)]
pub struct Args {
    /// Sources; without any, one a line of standard input
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Print a JSON object for each source: {"outputs": [{"text", "ids", "score"}]}
    #[arg(long)]
    json: bool,
    /// Longer sources are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Tokens generated at most, </s> included
    #[arg(long, value_name = "N", default_value = "64")]
    max_new_tokens: NonZeroUsize,
    /// No </s> before this many tokens
    #[arg(long, value_name = "N", default_value = "0")]
    min_new_tokens: usize,
    /// Sources worked on together, at most
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Prints a generated text a line, in the order of the sources.
pub fn run(args: Args) -> Result<()> {
    let loaded = Loaded::open(&args.model)?;
    let pool = pool(args.threads);
    let mut options = loaded.generate_options();
    options.max_new_tokens = args.max_new_tokens.get();
    options.min_new_tokens = args.min_new_tokens;
    options.scores = args.json;
    if let Some(size) = args.batch_size {
        options.limits = BatchLimits { sequences: size.get(), tokens: usize::MAX };
    }
    let texts = if args.texts.is_empty() { read_lines()? } else { args.texts };
    let sources = loaded.encode_all("source", texts.iter().map(String::as_str), args.max_source_length);

    // Sources are worked on by length; outputs wait for their turn.
    let mut waiting: Vec<Option<Generated>> = vec![None; sources.len()];
    let mut printed = 0;
    let mut out = std::io::stdout().lock();
    let mut failed = None;
    generate(&loaded.model, &pool, &sources, &options, |i, generated| {
        waiting[i] = Some(generated);
        while let Some(generated) = waiting.get_mut(printed).and_then(Option::take) {
            if let Err(error) = print(&mut out, &loaded, &generated, args.json) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            printed += 1;
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None if interrupt::requested() => Err(Interrupted.into()),
        None => Ok(()),
    }
}

fn print(out: &mut impl Write, loaded: &Loaded, generated: &Generated, as_json: bool) -> std::io::Result<()> {
    let text = loaded.tokenizer.decode(&generated.ids);
    if as_json {
        let output = json!({"text": text, "ids": generated.ids, "score": generated.score});
        writeln!(out, "{}", json!({"outputs": [output]}))
    } else {
        // A line stays a line.
        writeln!(out, "{}", text.replace(['\n', '\r'], " "))
    }
}

/// The lines of standard input.
pub fn read_lines() -> Result<Vec<String>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("t5kit: reading sources from the terminal, one a line; end with Ctrl-D");
    }
    let mut lines = Vec::new();
    for (number, line) in input.lock().split(b'\n').enumerate() {
        let mut line = line?;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let line = String::from_utf8(line)
            .map_err(|_| anyhow::anyhow!("standard input, line {}: not UTF-8", number + 1))?;
        lines.push(line);
    }
    Ok(lines)
}
