//! The examples of `t5kit finetune`: flags, and reading them.

use anyhow::Result;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use t5kit_formats::lang::fill;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::ColumnRef;
use t5kit_formats::trained::Trained;
use t5kit_tensor::Pool;
use t5kit_tokenizer::{Punctuation, PunctuationCount, Tokenizer};
use t5kit_train::{
    DataOptions, Examples, Facts, Lengths, PairColumns, Placement, Prompts, ReadWatch, Understood,
};

use crate::lang::lang;
use crate::lengths::notice_missed;
use crate::progress::Monitor;
use crate::say::{Side, count, counted, notice_cut};
use crate::table_flags::{TableFlags, said, spoken, understood};

/// Which examples, and how they are read.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Training examples: TSV, CSV, JSON, JSON lines, Parquet or a workbook (.xlsx), plain, .gz or .zst
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "mixture")]
    pub train: Vec<PathBuf>,
    /// Instead of --train: several tasks, each with its files, templates and metrics, as a TOML file describes them
    #[arg(long, value_name = "FILE", group = "validating", conflicts_with_all = ["train", "valid", "valid_split", "source", "target", "prompt"])]
    pub mixture: Option<PathBuf>,
    /// Validation examples: they decide which checkpoint is the best
    #[arg(long, value_name = "FILE", num_args = 1.., group = "validating")]
    pub valid: Vec<PathBuf>,
    /// Set this share of the training examples aside for validation, such as 0.05: by the seed, and none whose source
    /// is trained on
    #[arg(long, value_name = "SHARE", group = "validating", value_parser = share)]
    valid_split: Option<f64>,
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
    /// Text put before every source as it stands
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    source_prefix: String,
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
    #[command(flatten)]
    tables: TableFlags,
}

/// A share of the examples, for clap.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if 0.0 < share && share < 1.0 => Ok(share),
        _ => Err("a share between 0 and 1, such as 0.05".into()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnError {
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
    /// Reads the training and the validation examples for a model of so many rows, and of so many positions where they
    /// end.
    pub fn read(
        &self,
        tokenizer: &Tokenizer,
        pool: &Pool,
        output: &Path,
        rows: usize,
        most_tokens: Option<usize>,
        seed: u64,
    ) -> Result<(Examples, Option<Examples>, Option<String>)> {
        if let Some(mixture) = self.mixture()? {
            let (train, valid) =
                self.read_mixture(&mixture, tokenizer, pool, output, rows, most_tokens, seed)?;
            return Ok((train, valid, None));
        }
        let t = lang().texts();
        let column = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
        let options = DataOptions {
            columns: PairColumns {
                source: column(&self.source),
                target: column(&self.target),
                prompt: column(&self.prompt),
            },
            ..self.options(output, most_tokens)
        };
        let lengths = options.lengths;
        let mut prompt = None;
        let mut read = |paths: &[PathBuf], references, part| -> Result<Examples> {
            let options = DataOptions { references, ..options.clone() };
            let mut reading = Reading::new(self.skips());
            let examples = Examples::read(paths, tokenizer, pool, &options, &mut reading);
            reading.clear();
            prompt = prompt.take().or(reading.prompt);
            let examples = examples?;
            examples.check_ids(tokenizer.vocab_size(), rows)?;
            say_facts(&examples.facts, lengths, &fill(t.terminal.of_part, &[("part", &part)]));
            notice_missed(Side::Source, examples.facts.missed_sentinels[0], tokenizer);
            notice_missed(Side::Target, examples.facts.missed_sentinels[1], tokenizer);
            if examples.on_disk() {
                eprintln!("t5kit: {}", t.terminal.tokens_on_disk);
            }
            Ok(examples)
        };
        let train = read(&self.train, self.valid_split.is_some(), t.pages.part_training)?;
        say_first(&train, tokenizer);
        if let Some(share) = self.valid_split {
            let all = train.len();
            let (train, valid) = train.split(share, seed, &options.placement)?;
            let said = fill(t.terminal.set_aside, &[("n", &count(valid.len())), ("all", &count(all))]);
            eprintln!("t5kit: {said}");
            return Ok((train, Some(valid), prompt));
        }
        let valid =
            (!self.valid.is_empty()).then(|| read(&self.valid, true, t.pages.part_validation)).transpose()?;
        Ok((train, valid, prompt))
    }

    /// The files to train on, or the mixture's.
    pub fn files(&self) -> &[PathBuf] {
        if self.train.is_empty() { self.mixture.as_slice() } else { &self.train }
    }

    /// Whether bad rows are left out.
    pub(super) fn skips(&self) -> bool {
        self.on_error == OnError::Skip
    }

    pub(super) fn options(&self, output: &Path, most_tokens: Option<usize>) -> DataOptions {
        let (source, target) = (self.max_source_length.get(), self.max_target_length.get());
        DataOptions {
            columns: PairColumns::default(),
            source_prefix: self.source_prefix.clone(),
            table: self.tables.options(),
            lengths: Lengths { source, target, pair: most_tokens },
            placement: self.placement(output),
            references: false,
        }
    }

    /// What training fixes about the texts, where its examples are these.
    pub fn trained(
        &self,
        examples: &Examples,
        valid: Option<&Examples>,
        prompt: Option<String>,
        punctuation: Punctuation,
    ) -> Trained {
        let same = match &examples.facts.prompts {
            Prompts::Same(text) => Some(text.clone()),
            Prompts::None | Prompts::Several => None,
        };
        // As validation has done it, by its references.
        let mut marks = PunctuationCount::default();
        valid.into_iter().flat_map(|valid| &valid.references).for_each(|text| marks.add(text));
        let punctuation = match punctuation {
            Punctuation::Auto if marks.is_full_width() => Punctuation::Restore,
            Punctuation::Auto if marks.is_half_width() => Punctuation::Keep,
            other => other,
        };
        Trained {
            source_prefix: Some(self.source_prefix.clone()),
            prompt,
            prompt_text: same,
            max_source_length: Some(self.max_source_length.get()),
            max_target_length: Some(self.max_target_length.get()),
            punctuation: Some(punctuation.name().to_owned()),
        }
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
pub(super) struct Reading {
    skip: bool,
    monitor: Monitor,
    /// The name of the prompts' column, empty where it has none.
    prompt: Option<String>,
}

impl Reading {
    pub(super) fn new(skip: bool) -> Self {
        Reading { skip, monitor: Monitor::default(), prompt: None }
    }

    /// Takes the display away.
    pub(super) fn clear(&mut self) {
        self.monitor.clear();
    }
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
        let column = roles.prompt.map(|place| match head.header {
            Some(false) => String::new(),
            _ => head.columns[place].name.clone(),
        });
        self.prompt = self.prompt.take().or(column);
        let line = format!("t5kit: {}: {}{}", spoken(path), said(head, *roles, &[]), understood(head));
        self.monitor.println(line);
    }
}

/// Says how long the texts are, and what became of rows that are no examples.
pub(super) fn say_facts(facts: &Facts, lengths: Lengths, part: &str) {
    let t = lang().texts();
    for (side, what, most) in [(0, Side::Source, lengths.source), (1, Side::Target, lengths.target)] {
        let counts = &facts.lengths[side];
        notice_cut(what, facts.cut[side], counts.total(), most, part);
        let share = format!("{:.1}", 100.0 * facts.cut[side] as f64 / counts.total().max(1) as f64);
        let cut = match facts.cut[side] {
            0 => t.terminal.cut_none.to_owned(),
            cut => fill(t.terminal.cut_some, &[("n", &count(cut)), ("share", &share)]),
        };
        let other = if side == 0 { Side::Target } else { Side::Source };
        let length = match lengths.pair.filter(|&pair| pair < lengths.source + lengths.target) {
            Some(pair) => fill(
                t.terminal.or_with_the_other,
                &[("n", &most), ("pair", &pair), ("other", &other.called(1))],
            ),
            None => most.to_string(),
        };
        let said = fill(
            t.terminal.lengths_that_fit,
            &[
                ("n", &count(counts.total())),
                ("what", &what.called(counts.total())),
                ("part", &part),
                ("cut", &cut),
                ("length", &length),
                ("p95", &counts.fits(0.95)),
                ("p99", &counts.fits(0.99)),
            ],
        );
        eprintln!("t5kit: {said}");
    }
    for said in [
        counted(facts.skipped as u64, t.terminal.one_bad_row, t.terminal.several_bad_rows),
        counted(facts.blank as u64, t.terminal.one_empty_row, t.terminal.several_empty_rows),
        counted(facts.replaced, t.terminal.one_surrogate, t.terminal.several_surrogates),
    ]
    .into_iter()
    .flatten()
    {
        eprintln!("t5kit: {said}");
    }
}

/// Shows the first example as text and as the pieces that the model gets.
fn say_first(examples: &Examples, tokenizer: &Tokenizer) {
    const SHOWN: usize = 60;
    let t = lang().texts();
    let Some(texts) = examples.facts.first.as_ref().filter(|_| !examples.is_empty()) else { return };
    for (what, text, ids) in
        [(t.pages.source, &texts[0], examples.source(0)), (t.pages.target, &texts[1], examples.target(0))]
    {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut shown: String = line.chars().take(SHOWN).collect();
        if shown.len() < line.len() {
            shown.push('…');
        }
        let piece = |&id: &u32| tokenizer.piece(id).unwrap_or("?").to_owned();
        let mut pieces: Vec<String> = ids.iter().take(SHOWN / 2).map(piece).collect();
        if ids.len() > pieces.len() {
            pieces.push("…".into());
        }
        let pieces = pieces.join(" ");
        eprintln!(
            "t5kit: {}",
            fill(t.terminal.first_example, &[("what", &what), ("text", &shown), ("pieces", &pieces)])
        );
    }
}
