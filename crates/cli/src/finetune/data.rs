//! The examples of `t5kit finetune`: flags, and reading them.

use anyhow::Result;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::ColumnRef;
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{DataOptions, Error, Examples, Facts, Lengths, PairColumns, Placement, ReadWatch};

use crate::progress::Monitor;
use crate::say::notice_cut;

/// Which examples, and how they are read.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Training examples: TSV, CSV, JSON lines or Parquet, plain, .gz or .zst
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub train: Vec<PathBuf>,
    /// Validation examples: they decide which checkpoint is the best
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub valid: Vec<PathBuf>,
    /// Column of the sources, by name or by number from 1 [default: source, or the first of two]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: target, or the second of two]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Column of what is to be done, by name or number: the model reads "prompt: source"
    #[arg(long, value_name = "COLUMN")]
    prompt: Option<String>,
    /// Text put before every source as it stands
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    source_prefix: String,
    /// Whether TSV and CSV files begin with a header [default: they do if a column is given by name, or if the first
    /// row says source and target]
    #[arg(long, value_name = "true|false")]
    header: Option<bool>,
    /// What to do about a row that cannot be used
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_error: OnError,
    /// Longer sources are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    pub max_source_length: NonZeroUsize,
    /// Longer targets are cut to this many tokens, </s> included
    #[arg(long, value_name = "N", default_value = "128")]
    pub max_target_length: NonZeroUsize,
    /// Where the tokens are kept: on disk in a file that vanishes with the program
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    data_cache: Cache,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    /// End at the first one
    Fail,
    /// Report it, count it and go on
    Skip,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Cache {
    /// On disk where they would take more than a quarter of the free memory
    Auto,
    /// In memory
    Memory,
    /// In a file on the disk of the output folder
    Disk,
}

impl DataArgs {
    /// Reads the training and the validation examples for a model of so many rows.
    pub fn read(
        &self,
        tokenizer: &Tokenizer,
        pool: &Pool,
        output: &Path,
        rows: usize,
    ) -> Result<(Examples, Option<Examples>)> {
        let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
        let lengths = Lengths { source: self.max_source_length.get(), target: self.max_target_length.get() };
        let options = DataOptions {
            columns: PairColumns {
                source: column(&self.source),
                target: column(&self.target),
                prompt: column(&self.prompt),
            },
            source_prefix: self.source_prefix.clone(),
            has_header: self.header,
            lengths,
            placement: self.placement(output),
            references: false,
        };
        let read = |paths: &[PathBuf], references, part| -> Result<Examples> {
            let skip = self.on_error == OnError::Skip;
            let options = DataOptions { references, ..options.clone() };
            let mut reading = Reading { skip, monitor: Monitor::default() };
            let examples = Examples::read(paths, tokenizer, pool, &options, &mut reading);
            reading.monitor.clear();
            let examples = examples?;
            examples.check_ids(tokenizer.vocab_size(), rows)?;
            let Facts { cut, skipped, .. } = examples.facts;
            notice_cut("source", cut[0], examples.len(), lengths.source, part);
            notice_cut("target", cut[1], examples.len(), lengths.target, part);
            if skipped > 0 {
                eprintln!(
                    "t5kit: {skipped} bad row{} left out",
                    if skipped == 1 { " was" } else { "s were" }
                );
            }
            if examples.on_disk() {
                eprintln!("t5kit: the tokens are kept on disk");
            }
            Ok(examples)
        };
        let train = read(&self.train, false, " (training)")?;
        let valid = (!self.valid.is_empty()).then(|| read(&self.valid, true, " (validation)")).transpose()?;
        Ok((train, valid))
    }

    fn placement(&self, output: &Path) -> Placement {
        let from = match self.data_cache {
            Cache::Memory => return Placement::Memory,
            Cache::Disk => 0,
            Cache::Auto => match t5kit_model::memory::available_bytes() {
                Some(bytes) => usize::try_from(bytes / 4).unwrap_or(usize::MAX),
                None => return Placement::Memory,
            },
        };
        // The output folder itself may not be there yet.
        let folder = output.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        Placement::Disk { folder: folder.to_path_buf(), from }
    }
}

/// Shows the reading and decides about bad rows.
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
    fn bad_row(&mut self, error: &Error) -> ControlFlow<()> {
        if !self.skip {
            return ControlFlow::Break(());
        }
        self.monitor.left_out(error);
        ControlFlow::Continue(())
    }
}
