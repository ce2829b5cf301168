//! `t5kit count`: how often each piece of a tokenizer occurs in a corpus.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use t5kit_formats::inputs::Input;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{self, ColumnRef, Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;
use t5kit_trim::{Corpus, CountOptions, CountWatch, Counts, OnError, Record, State, Tally, Unfinished};

use crate::errors;
use crate::model_args::locate_tokenizer;
use crate::progress::Monitor;
use crate::table_flags::{TableFlags, encoding_line};

/// The flags of `t5kit count`.
#[derive(clap::Args)]
pub struct Args {
    /// Tokenizer file, a directory that holds one, or a name on the hub
    #[arg(long, value_name = "FILE|DIR|NAME")]
    tokenizer: PathBuf,
    /// Where the counts go: JSON ({piece: count}) if the name ends in .json, else TSV
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Corpus: files, folders, patterns, or - for standard input. Text (a text a line), TSV, CSV,
    /// JSON, Parquet or a workbook by the name's ending; each also gzipped or Zstandard-compressed
    #[arg(value_name = "INPUT", required_unless_present = "merge")]
    inputs: Vec<String>,
    /// Column or key that holds the text, by name or by number from 1; may be given several times
    /// [default: "text", else the only one that holds text]
    #[arg(long, visible_alias = "column", value_name = "NAME|N")]
    field: Vec<String>,
    /// What to do about a row or file that cannot be read
    #[arg(long, value_enum, default_value_t = OnBad::Fail)]
    on_error: OnBad,
    /// Go on with an interrupted count (from the beginning where there is none)
    #[arg(long)]
    resume: bool,
    /// Add counts made elsewhere with the same tokenizer
    #[arg(long, value_name = "FILE", num_args = 1..)]
    merge: Vec<PathBuf>,
    /// Threads to tokenize on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Replace the output if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tables: TableFlags,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnBad {
    /// End at the first one
    Fail,
    /// Report it, count it and go on
    Skip,
}

/// Counts the inputs, adds what is to be merged, and writes the output.
pub fn run(args: Args) -> Result<()> {
    let kept = Unfinished::path_of(&args.output);
    if args.output.exists() && !args.force {
        if args.resume && !kept.exists() {
            eprintln!("{} is complete: nothing to resume", args.output.display());
            return Ok(());
        }
        return Err(t5kit_formats::Error::Exists { path: args.output }.into());
    }
    if kept.exists() && !args.resume && !args.force {
        let kept = kept.display();
        return Err(errors::usage(format_args!(
            "an interrupted count is kept in {kept}: go on with --resume, or begin anew with --force"
        )));
    }
    // Before hours of counting it is found out whether the output can be written.
    drop(t5kit_formats::output::AtomicFile::create(&args.output, args.force)?);
    let tokenizer = Tokenizer::load(&locate_tokenizer(&args.tokenizer)?)?;
    let mut counts = vec![0; tokenizer.vocab_size()];
    let mut corpora = Vec::new();
    for path in &args.merge {
        merge(&tokenizer, path, &mut counts, &mut corpora)?;
    }
    if !args.inputs.is_empty() {
        let options = options(&args);
        let inputs = t5kit_formats::inputs::expand(&args.inputs)?;
        let tally = count(&tokenizer, &inputs, &options, &args, &kept, &mut counts)?;
        corpora.push(Corpus::new(&args.inputs, &inputs, &options, tally));
    }
    let record = Record::new(&tokenizer, &counts, corpora);
    let Tally { lines, tokens, bad_rows, bad_files, forced_cuts, .. } = record.total;
    let distinct = record.distinct_pieces;
    Counts::new(&tokenizer, &counts, record).write(&args.output, args.force)?;
    if kept.exists() {
        std::fs::remove_file(&kept).with_context(|| format!("{}: cannot be removed", kept.display()))?;
    }
    told!(
        count_done,
        file = args.output.display(),
        tokens = tokens,
        lines = lines,
        distinct = distinct,
        pieces = tokenizer.vocab_size(),
    );
    if bad_rows + bad_files > 0 {
        told!(count_left_out, rows = bad_rows, files = bad_files);
    }
    if forced_cuts > 0 {
        told!(count_cuts, n = forced_cuts);
    }
    Ok(())
}

/// How to count, by the flags.
fn options(args: &Args) -> CountOptions {
    let mut options = CountOptions {
        on_error: if args.on_error == OnBad::Skip { OnError::Skip } else { OnError::Fail },
        threads: args.threads.map_or(0, NonZeroUsize::get),
        ..CountOptions::default()
    };
    if !args.field.is_empty() {
        options.columns = Columns::These(args.field.iter().map(|field| ColumnRef::parse(field)).collect());
    }
    // A line of plain text is a text, tabs or not.
    options.table = TableOptions { text_as_table: false, ..args.tables.options() };
    options
}

/// Adds a file of counts.
fn merge(tokenizer: &Tokenizer, path: &Path, sums: &mut [u64], corpora: &mut Vec<Corpus>) -> Result<()> {
    let read = Counts::read(path)?;
    for (sum, n) in sums.iter_mut().zip(read.by_id(tokenizer)?) {
        *sum = sum.checked_add(n).with_context(|| format!("{}: the sum overflows", path.display()))?;
    }
    match read.record {
        Some(record) => corpora.extend(record.corpora),
        None => {
            told!(count_unrecorded, file = path.display());
            corpora.push(Corpus::unrecorded(path, read.pieces.iter().map(|(_, n)| n).sum()));
        }
    }
    Ok(())
}

/// Counts the inputs, from where an interrupted count ended if that is wanted, and adds to `sums`.
fn count(
    tokenizer: &Tokenizer,
    inputs: &[Input],
    options: &CountOptions,
    args: &Args,
    kept: &Path,
    sums: &mut [u64],
) -> Result<Tally> {
    let mut unfinished = Unfinished::new(tokenizer, inputs, options, &args.merge)?;
    if args.resume && kept.exists() {
        unfinished.take_over(kept, tokenizer)?;
        told!(count_goes_on, lines = unfinished.state.tally().lines);
    }
    let regular = inputs.iter().all(Input::is_regular);
    let resumable = regular.then_some(&unfinished);
    let mut keeper = Keeper { monitor: Monitor::default(), unfinished: resumable, kept };
    let started = Instant::now();
    let counted = t5kit_trim::count(tokenizer, inputs, options, &unfinished.state, &mut keeper);
    let counted = counted.inspect_err(|_| keeper.monitor.clear())?;
    keeper.monitor.finish();
    if !counted.complete {
        let lines = counted.tally.lines;
        if regular {
            told!(count_stopped, lines = lines);
        } else {
            told!(count_stopped_pipe, lines = lines);
        }
        return Err(errors::Interrupted.into());
    }
    let text_bytes = counted.tally.text_bytes - unfinished.state.tally().text_bytes;
    let seconds = started.elapsed().as_secs_f64();
    let mb = text_bytes as f64 / 1e6;
    let [mb, seconds, rate] = [mb, seconds, mb / seconds].map(|x| format!("{x:.1}"));
    told!(count_speed, mb = mb, seconds = seconds, rate = rate);
    for (sum, n) in sums.iter_mut().zip(&counted.counts) {
        *sum = sum.checked_add(*n).context("the sum of the counts overflows")?;
    }
    Ok(counted.tally)
}

/// Shows a count's progress and keeps its state.
struct Keeper<'a> {
    monitor: Monitor,
    /// None where the inputs cannot be read from the middle.
    unfinished: Option<&'a Unfinished>,
    kept: &'a Path,
}

impl Watch for Keeper<'_> {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self.monitor.progress(at)
    }
}

impl CountWatch for Keeper<'_> {
    fn opened(&mut self, path: &Path, encoding: Option<&str>) {
        if let Some(line) = encoding_line(path, encoding) {
            self.monitor.println(line);
        }
    }

    fn bad(&mut self, error: &table::Error) {
        self.monitor.left_out(error);
    }

    fn save(&mut self, state: &State) -> Result<(), t5kit_trim::Error> {
        match self.unfinished {
            Some(unfinished) => unfinished.write(self.kept, state),
            None => Ok(()),
        }
    }
}
