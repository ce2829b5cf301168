//! `t5kit tokenize`: lines of text, or a column of a table, to lines of ids.

use crate::lengths::notice_missed;
use crate::say::Side;
use crate::table_flags::{Announced, TableFlags, column_said, spoken};
use crate::vocab_flags::VocabFlags;
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use t5kit_formats::table::{ColumnRef, Format, Texts};
use t5kit_tokenizer::stream;

/// The flags of `t5kit tokenize`.
#[derive(clap::Args)]
pub struct Args {
    /// Tokenizer file, a directory that holds one, or a name on the hub
    #[arg(long, value_name = "FILE|DIR|NAME")]
    tokenizer: PathBuf,
    #[command(flatten)]
    vocab: VocabFlags,
    /// Texts: a text a line, or a table with a column of them
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Column of the texts, by name or by number from 1 [default: text, else the only one whose name says so]
    #[arg(long, visible_aliases = ["column", "source"], value_name = "COLUMN")]
    field: Option<String>,
    /// What to print for each line
    #[arg(long, value_enum, default_value_t = Output::Ids)]
    output: Output,
    /// End every line with the end-of-text token
    #[arg(long)]
    eos: bool,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    tables: TableFlags,
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

/// Tokenizes line by line, or text by text, onto standard output.
pub fn run(args: Args) -> Result<()> {
    let tokenizer = args.vocab.load(&args.tokenizer)?;
    let eos = match (args.eos, tokenizer.eos()) {
        (true, None) => bail!("{}: --eos: this tokenizer has no end-of-text token", args.tokenizer.display()),
        (true, eos) => eos,
        (false, _) => None,
    };
    let threads = args.threads.map_or_else(std::thread::available_parallelism, Ok)?;
    let printer = tokenizer.id_printer();
    let missed = AtomicUsize::new(0);
    let print = |text: &[u8], ids: &mut Vec<u32>, out: &mut Vec<u8>| -> Result<()> {
        ids.clear();
        match args.output {
            Output::Ids => {
                tokenizer.encode_into(text, ids);
                ids.extend(eos);
                printer.print(ids, out);
            }
            Output::Pieces | Output::Json => {
                let mut pieces = tokenizer.encode_pieces(text, ids);
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
        if tokenizer.misses_sentinel(text, ids) {
            missed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let mut stdout = std::io::stdout().lock();
    let options = args.tables.options();
    if options.format_of(&args.input) == Format::Text && args.field.is_none() {
        let lines = Announced::open(&args.input, options.encoding)?;
        let work = |block: &stream::Block, out: &mut Vec<u8>| -> Result<()> {
            let mut ids = Vec::new();
            block.lines().try_for_each(|(_, line)| print(line, &mut ids, out))
        };
        stream::map_blocks(lines, &mut stdout, threads, work)
            .with_context(|| format!("tokenizing {}", spoken(&args.input)))?;
    } else {
        let mut texts = args.texts(&args.input)?;
        while let Some(printed) = next_window(&mut texts, threads, &print)? {
            stdout.write_all(&printed)?;
        }
    }
    stdout.flush()?;
    notice_missed(Side::Text, missed.into_inner(), &tokenizer);
    Ok(())
}

impl Args {
    /// The column of a table, which is said.
    fn texts(&self, path: &Path) -> Result<Texts> {
        let column = self.field.as_deref().map(ColumnRef::parse);
        let texts = Texts::open(path, column.as_ref(), &[], &self.tables.options())?;
        eprintln!("t5kit: {}: {}", spoken(path), column_said(texts.column(), texts.encoding()));
        Ok(texts)
    }
}

/// Prints a text's ids; the first buffer is for them.
type Print<'a> = dyn Fn(&[u8], &mut Vec<u32>, &mut Vec<u8>) -> Result<()> + Sync + 'a;

/// Texts that are worked on together.
const WINDOW: usize = 4096;

/// What is printed for the next texts, in order; nothing at their end.
fn next_window(texts: &mut Texts, threads: NonZeroUsize, print: &Print<'_>) -> Result<Option<Vec<u8>>> {
    let window: Vec<String> = texts.take(WINDOW).collect::<Result<_, _>>()?;
    if window.is_empty() {
        return Ok(None);
    }
    let shares: Vec<_> = (window.chunks(window.len().div_ceil(threads.get())))
        .map(|share| Mutex::new((share, Vec::new(), Ok(()))))
        .collect();
    std::thread::scope(|scope| {
        for share in &shares {
            scope.spawn(move || {
                let (texts, out, done) = &mut *share.lock().unwrap_or_else(|e| e.into_inner());
                let mut ids = Vec::new();
                *done = texts.iter().try_for_each(|text| print(text.as_bytes(), &mut ids, out));
            });
        }
    });
    let mut printed = Vec::new();
    for share in shares {
        let (_, out, done) = share.into_inner().unwrap_or_else(|e| e.into_inner());
        done?;
        printed.extend_from_slice(&out);
    }
    Ok(Some(printed))
}
