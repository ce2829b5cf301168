//! `t5kit split`: a table of examples into parts for training, validation and testing.

use anyhow::Result;
use std::ops::ControlFlow;
use std::path::PathBuf;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::ColumnRef;
use t5kit_recipe::{PARTS, Part, SplitOptions, split};
use t5kit_train::{PairColumns, ReadWatch, Understood};

use crate::errors::usage;
use crate::finetune::OnError;
use crate::lang::lang;
use crate::progress::Monitor;
use crate::say::{count, counted};
use crate::table_flags::{TableFlags, said, spoken, understood};

/// The flags of `t5kit split`.
#[derive(clap::Args)]
#[command(
    after_help = "The parts are train.tsv, valid.tsv and test.tsv with columns source and target, beside \
    split.json. Rows of the same source are always in the same part, and the same seed gives the same parts."
)]
pub struct Args {
    /// Examples that the parts are taken from: any table, plain, .gz or .zst
    #[arg(long, value_name = "FILE", num_args = 1..)]
    input: Vec<PathBuf>,
    /// Training examples: so many rows of the input, this share of them, or files of their own [default: the rest]
    #[arg(long, value_name = "N|SHARE|FILE", num_args = 1..)]
    train: Vec<String>,
    /// Validation examples, likewise [default: none]
    #[arg(long, value_name = "N|SHARE|FILE", num_args = 1..)]
    valid: Vec<String>,
    /// Test examples, likewise [default: none]
    #[arg(long, value_name = "N|SHARE|FILE", num_args = 1..)]
    test: Vec<String>,
    /// Decides which rows go where
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Folder to write
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Replace the folder if it is not empty
    #[arg(long)]
    force: bool,
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so, or without a header
    /// the first of two]
    #[arg(long, value_name = "COLUMN", help_heading = "Examples")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: likewise, the second of two]
    #[arg(long, value_name = "COLUMN", help_heading = "Examples")]
    target: Option<String>,
    /// Column of what is to be done, by name or number: the source becomes "prompt: source"
    #[arg(long, value_name = "COLUMN", help_heading = "Examples")]
    prompt: Option<String>,
    /// A target and what is written in its place, such as 1=正面; given several times. Other targets are refused then
    #[arg(long, value_name = "OLD=NEW", value_parser = label, help_heading = "Examples")]
    label: Vec<(String, String)>,
    /// What to do about a row that cannot be used
    #[arg(long, value_name = "WHAT", default_value = "fail", help_heading = "Examples")]
    on_error: OnError,
    #[command(flatten)]
    tables: TableFlags,
}

/// A target and its word, for clap.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.trim().is_empty() && !new.trim().is_empty() => {
            Ok((old.trim().to_owned(), new.trim().to_owned()))
        }
        _ => Err("is given as OLD=NEW, such as 1=正面".into()),
    }
}

impl Args {
    /// As the library has them.
    pub fn options(&self) -> Result<SplitOptions> {
        let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
        let mut parts: [Option<Part>; 3] = Default::default();
        for (i, values) in [&self.train, &self.valid, &self.test].into_iter().enumerate() {
            if !values.is_empty() {
                let part = Part::parse(values)
                    .map_err(|why| usage(format!("--{} {}: {why}", PARTS[i], values.join(" "))))?;
                parts[i] = Some(part);
            }
        }
        if parts[0].is_none() && !self.input.is_empty() {
            parts[0] = Some(Part::Rest);
        }
        Ok(SplitOptions {
            input: self.input.clone(),
            parts,
            seed: self.seed,
            columns: PairColumns {
                source: column(&self.source),
                target: column(&self.target),
                prompt: column(&self.prompt),
            },
            labels: self.label.clone(),
            table: self.tables.options(),
        })
    }
}

/// Splits, and says what came of it.
pub fn run(args: Args) -> Result<()> {
    let options = args.options()?;
    let skip = args.on_error == OnError::Skip;
    let mut reading = Reading { skip, monitor: Monitor::default() };
    let record = split(&options, &args.output, args.force, &mut reading)?;
    reading.monitor.clear();
    for part in &record.parts {
        told!(
            split_part,
            part = part.name,
            n = count(part.rows),
            mean = format!("{:.0}", part.source.mean),
            p95 = part.source.p95,
            target_mean = format!("{:.0}", part.target.mean),
            target_p95 = part.target.p95,
        );
        if part.repeated > 0 {
            told!(split_repeated, part = part.name, n = count(part.repeated));
        }
    }
    if record.left > 0 {
        told!(split_left, n = count(record.left));
    }
    let t = &lang().texts().terminal;
    if let Some(said) = counted(record.skipped, t.one_bad_row, t.several_bad_rows) {
        eprintln!("t5kit: {said}");
    }
    told!(written, place = args.output.display());
    Ok(())
}

/// Shows the reading, decides about bad rows, and says what files were understood as.
struct Reading {
    skip: bool,
    monitor: Monitor,
}

impl Watch for Reading {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self.monitor.progress(at)
    }
}

impl ReadWatch for Reading {
    fn bad_row(&mut self, error: &dyn std::fmt::Display) -> ControlFlow<()> {
        if !self.skip {
            return ControlFlow::Break(());
        }
        self.monitor.left_out(error);
        ControlFlow::Continue(())
    }

    fn understood(&mut self, file: &Understood) {
        let Understood { path, head, roles } = file;
        self.monitor.println(format!(
            "t5kit: {}: {}{}",
            spoken(path),
            said(head, *roles, &[]),
            understood(head)
        ));
    }
}
