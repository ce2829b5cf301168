//! `t5kit tokenize`: lines of text to lines of ids.

use crate::vocab_flags::VocabFlags;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use t5kit_tokenizer::stream;

/// The flags of `t5kit tokenize`.
#[derive(clap::Args)]
pub struct Args {
    /// Tokenizer file, or a directory that holds one
    #[arg(long, value_name = "FILE|DIR")]
    tokenizer: PathBuf,
    #[command(flatten)]
    vocab: VocabFlags,
    /// What to print for each line
    #[arg(long, value_enum, default_value_t = Output::Ids)]
    output: Output,
    /// End every line with the end-of-text token
    #[arg(long)]
    eos: bool,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Ids with one space between
    Ids,
    /// Pieces with one space between, ▁ for a space in the text
    Pieces,
    /// {"ids":[…],"pieces":[…]}
    Json,
}

/// Tokenizes standard input line by line onto standard output.
pub fn run(args: Args) -> Result<()> {
    let tokenizer = args.vocab.load(&args.tokenizer)?;
    let eos = match (args.eos, tokenizer.eos()) {
        (true, None) => bail!("{}: --eos: this tokenizer has no end-of-text token", args.tokenizer.display()),
        (true, eos) => eos,
        (false, _) => None,
    };
    let threads = args.threads.map_or_else(std::thread::available_parallelism, Ok)?;
    let printer = tokenizer.id_printer();
    let work = |block: &stream::Block, out: &mut Vec<u8>| -> Result<()> {
        let mut ids = Vec::new();
        for (_, line) in block.lines() {
            ids.clear();
            match args.output {
                Output::Ids => {
                    tokenizer.encode_into(line, &mut ids);
                    ids.extend(eos);
                    printer.print(&ids, out);
                }
                Output::Pieces | Output::Json => {
                    let mut pieces = tokenizer.encode_pieces(line, &mut ids);
                    if let Some(eos) = eos {
                        ids.push(eos);
                        pieces.push(tokenizer.piece(eos).unwrap_or_default().to_owned());
                    }
                    if args.output == Output::Pieces {
                        out.extend_from_slice(pieces.join(" ").as_bytes());
                    } else {
                        let object = serde_json::json!({ "ids": ids, "pieces": pieces });
                        serde_json::to_writer(&mut *out, &object)?;
                    }
                }
            }
            out.push(b'\n');
        }
        Ok(())
    };
    let mut stdout = std::io::stdout().lock();
    stream::map_blocks(std::io::stdin(), &mut stdout, threads, work).context("tokenizing standard input")?;
    stdout.flush()?;
    Ok(())
}
