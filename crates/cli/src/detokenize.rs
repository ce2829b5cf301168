//! `t5kit detokenize`: lines of ids to lines of text.

use crate::table_flags::{Announced, TextFlags, spoken};
use crate::vocab_flags::VocabFlags;
use anyhow::{Context, Result, anyhow};
use std::borrow::Cow;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use t5kit_tokenizer::{restore_punctuation, stream};

/// The flags of `t5kit detokenize`.
#[derive(clap::Args)]
pub struct Args {
    /// Tokenizer file, a directory that holds one, or a name on the hub
    #[arg(long, value_name = "FILE|DIR|NAME")]
    tokenizer: PathBuf,
    #[command(flatten)]
    vocab: VocabFlags,
    /// Ids: those of a text a line
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// What to print for each line
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Give Chinese text its full-width ，！？：；（） back
    #[arg(long)]
    restore_punctuation: bool,
    #[command(flatten)]
    text: TextFlags,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// The text; a newline inside it is printed as a space
    Text,
    /// {"text":"…"}, newlines kept
    Json,
}

/// Turns lines of ids, or of `tokenize --output json`, into text on standard output.
pub fn run(args: Args) -> Result<()> {
    let tokenizer = args.vocab.load(&args.tokenizer)?;
    let threads = args.threads.map_or_else(std::thread::available_parallelism, Ok)?;
    let work = |block: &stream::Block, out: &mut Vec<u8>| -> Result<()> {
        let mut ids = Vec::new();
        for (number, line) in block.lines() {
            ids.clear();
            parse_ids(line, tokenizer.vocab_size(), &mut ids)
                .with_context(|| format!("{}, line {number}", spoken(&args.input)))?;
            let text = tokenizer.decode(&ids);
            let text =
                if args.restore_punctuation { restore_punctuation(&text) } else { Cow::Borrowed(&*text) };
            match args.output {
                Output::Text => {
                    let start = out.len();
                    out.extend_from_slice(text.as_bytes());
                    out[start..].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
                }
                Output::Json => serde_json::to_writer(&mut *out, &serde_json::json!({ "text": text }))?,
            }
            out.push(b'\n');
        }
        Ok(())
    };
    let mut stdout = std::io::stdout().lock();
    let lines = Announced::open(&args.input, args.text.encoding)?;
    stream::map_blocks(lines, &mut stdout, threads, work).context("detokenizing")?;
    stdout.flush()?;
    Ok(())
}

/// Reads `17 4 1`, or a JSON object with `ids`; every id has to be below `vocab_size`.
fn parse_ids(line: &[u8], vocab_size: usize, ids: &mut Vec<u32>) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Line {
        ids: Vec<u32>,
    }
    if line.trim_ascii_start().starts_with(b"{") {
        let parsed: Line =
            serde_json::from_slice(line).context("no JSON object with a list of ids in \"ids\"")?;
        ids.extend(parsed.ids);
    } else {
        for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            let id = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
            let id = id.ok_or_else(|| anyhow!("{:?} is no id", String::from_utf8_lossy(word)))?;
            ids.push(id);
        }
    }
    match ids.iter().find(|&&id| id as usize >= vocab_size) {
        Some(id) => Err(anyhow!(
            "id {id} is outside of the vocabulary of {vocab_size} pieces: were these ids made with another tokenizer?"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_ids;

    #[test]
    fn ids_are_read_or_refused() {
        let parse = |line: &str| {
            let mut ids = Vec::new();
            parse_ids(line.as_bytes(), 100, &mut ids).map(|()| ids).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(parse("").unwrap(), [0u32; 0]);
        assert_eq!(parse(" 1  99\t0\r").unwrap(), [1, 99, 0]);
        assert_eq!(parse("{\"pieces\":[\"a\"],\"ids\":[5,6]}").unwrap(), [5, 6]);
        assert!(parse("1 100").unwrap_err().contains("id 100 is outside of the vocabulary of 100 pieces"));
        assert!(parse("1 -1").unwrap_err().contains("\"-1\" is no id"));
        assert!(parse("99999999999").unwrap_err().contains("is no id"));
        assert!(parse("{\"ids\":7}").unwrap_err().contains("no JSON object"));
    }
}
