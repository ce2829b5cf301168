//! One trim from start to end: choose, cut tokenizer and weights, report.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_formats::lang::Lang;
use t5kit_formats::output::AtomicDir;
use t5kit_formats::progress::Watch;
use t5kit_formats::spiece::SpieceModel;
use t5kit_formats::table::{Columns, TableOptions};
use t5kit_model::{Architecture, Config, Uncut};
use t5kit_pipeline::files::{CutTokenizer, copy_trained, write_generation_config};
use t5kit_pipeline::settle_ids;
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::builtin::{Builtin, ZH};
use crate::choice::{Choice, by_frequency, choose, is_indispensable};
use crate::counts::Counts;
use crate::pieces::Pieces;
use crate::record::program;
use crate::report::{ChoiceRecord, CountsFile, Coverage, File, ModelSizes, Report, Vocabulary};
use crate::required::Required;
use crate::rows::{Layout, keep_tokens_json, read_keep_tokens};
use crate::sample::{file_name, sample};
use t5kit_formats::inputs::Input;

/// What to trim, and how.
#[derive(Debug, Clone)]
pub struct TrimOptions {
    /// The tokenizer to cut: a file, or a directory that holds one.
    pub tokenizer: PathBuf,
    /// Counts of its pieces, where pieces are chosen by counts; for the report's sake otherwise. Files, or names of
    /// [`Builtin`] counts; several are added up.
    pub counts: Vec<PathBuf>,
    /// Whether the pieces that are left may make up less than [`LEAST_COVERAGE`] of the counted tokens.
    pub allow_low_coverage: bool,
    /// How to choose.
    pub choice: Chooser,
    /// Names of built-in sets, or files of characters and pieces to keep besides.
    pub require: Vec<String>,
    /// The model to cut with the tokenizer: whatever [`t5kit_formats::Checkpoint::open`] opens, with its configuration beside.
    pub model: Option<PathBuf>,
    /// Held-out text to report on, and how to read it.
    pub sample: Option<(Input, Columns, TableOptions)>,
    /// The folder to write.
    pub output: PathBuf,
    /// Whether a folder that is not empty may be replaced.
    pub force: bool,
    /// How the page words what was asked for: makes of the fields' names, which stand between backticks, what its
    /// readers write; [`str::to_owned`] leaves them.
    pub words: fn(&str) -> String,
    /// The language of the page.
    pub lang: Lang,
}

/// The share of the counted tokens that the pieces that are left have to make up: what is not covered becomes bytes or
/// smaller pieces, several for each token, and a model that has to write them learns little else.
pub const LEAST_COVERAGE: f64 = 0.99;

/// How pieces are chosen: by counts, or by the rows listed in a file.
#[derive(Debug, Clone)]
pub enum Chooser {
    /// By counts ([`Choice::Rows`] too, where the rows are at hand).
    By(Choice),
    /// The rows in this file.
    KeepTokens(PathBuf),
}

/// Trims as `job` says; `watch` sees the bytes of weights as they are cut.
///
/// The folder is written beside its place and appears when it is complete: `spiece.model` (or `vocab.txt`, or
/// `tokenizer.json`, whichever the tokenizer is),
/// `keep_tokens.json`, `tokenizer.json` (where the tokenizer has the usual shape), `tokenizer_config.json`,
/// `special_tokens_map.json`, `trim_report.json`, `trim_report.html`, and with a model `config.json`,
/// `model.safetensors` and, as far as the model has them, `generation_config.json` and `t5kit.json`.
///
/// # Errors
/// Whatever is wrong with the inputs or their fit, before anything is written where that can be known.
pub fn trim(job: &TrimOptions, watch: &mut dyn Watch) -> Result<Report, Error> {
    let out = AtomicDir::create(&job.output, job.force)?;
    let whole = Tokenizer::load(&job.tokenizer)?;
    let Pieces { file, bytes, tokenizer, model } = Pieces::of(&whole, &job.tokenizer)?;

    let mut uncut = job.model.as_deref().map(Uncut::<Config>::open).transpose()?;
    if let Some(uncut) = &mut uncut {
        settle_ids(&mut uncut.config, &whole);
    }
    let layout = Layout::new(&model, &whole, uncut.as_ref().map(|uncut| uncut.config.rows()))?;
    let before = uncut.as_ref().map(Uncut::sizes).transpose()?;

    let counted = job.counts.iter().map(|path| Counted::read(path, &whole, model.pieces.len()));
    let counted = counted.collect::<Result<Vec<Counted>, Error>>()?;
    let counts = sum(&counted)?;
    let (choice, list) = match &job.choice {
        Chooser::By(choice) => (choice.clone(), None),
        Chooser::KeepTokens(path) => {
            let rows = read_keep_tokens(path, &layout)?;
            let bytes = fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
            (Choice::Rows(rows), Some(File::of(file_name(path), &bytes)))
        }
    };
    if counts.is_none() && !matches!(choice, Choice::Rows(_)) {
        return Err(Error::Mismatch(
            "pieces are to be chosen by their counts, but no counts are given".into(),
        ));
    }
    let with_counts = counted.iter().filter_map(|counted| counted.require).map(String::from);
    let mut required: Vec<Required> = with_counts
        .chain(job.require.iter().cloned())
        .map(|name| Required::new(&tokenizer, &name))
        .collect::<Result<_, _>>()?;
    // A list of rows says itself what is needed.
    if let (Some(counts), false) = (&counts, matches!(choice, Choice::Rows(_))) {
        required.extend(Required::reachable(&tokenizer, counts));
    }
    let required_ids: Vec<u32> = required.iter().flat_map(|r| r.ids.iter().copied()).collect();
    let zeros = vec![0; model.pieces.len()];
    let kept = choose(&model, counts.as_deref().unwrap_or(&zeros), &choice, &required_ids)?;
    let piece = |id: u32| model.pieces[id as usize].text.clone();
    let coverage = counts.as_ref().map(|counts| Coverage::new(counts, &kept.ids, piece));
    if let (Some(counts), Some(coverage)) = (&counts, &coverage)
        && coverage.share < LEAST_COVERAGE
        && !job.allow_low_coverage
    {
        return Err(low_coverage(&model, counts, coverage, &kept.ids, &required_ids));
    }
    let rows = layout.kept_rows(&kept.ids);

    let folders: Vec<&Path> = uncut.iter().map(Uncut::folder).chain([job.tokenizer.as_path()]).collect();
    let cut = CutTokenizer::new(&whole, &rows, layout.rows)?;
    let cut_bytes = cut.write(&folders, out.path())?;
    let cut_tokenizer = match cut.main_file() {
        // The pieces alone, as those that they are compared with.
        spiece @ "spiece.model" => Tokenizer::load(&out.path().join(spiece))?,
        _ => Tokenizer::load(out.path())?,
    };
    write(&out.path().join("keep_tokens.json"), keep_tokens_json(&rows).as_bytes())?;

    let model_sizes = match (&mut uncut, before) {
        (Some(uncut), Some(before)) => {
            uncut.config.with_rows(&rows)?.write(&out.path().join("config.json"), false)?;
            write_generation_config(uncut.folder(), Some(&rows), out.path())?;
            copy_trained(uncut.folder(), out.path())?;
            let after = uncut.cut(&rows, &out.path().join("model.safetensors"), watch)?;
            Some(ModelSizes { before, after })
        }
        _ => None,
    };
    let sample = match &job.sample {
        Some((input, columns, options)) => {
            Some(sample(&tokenizer, &cut_tokenizer, &kept.ids, input, columns, options)?)
        }
        None => None,
    };
    let vocabulary = Vocabulary {
        rows_before: before.map(|before| before.rows),
        rows_after: rows.len() as u64,
        tokenizer_bytes_before: bytes.len() as u64,
        tokenizer_bytes_after: cut_bytes,
        ..Vocabulary::new(&kept, model.pieces.len())
    };
    let report = Report {
        version: REPORT_VERSION,
        program: program(),
        tokenizer: File::of(file_name(&file), &bytes),
        counts: counted.into_iter().map(|counted| counted.file).collect(),
        choice: ChoiceRecord::new(&choice, list),
        required,
        vocabulary,
        coverage,
        model: model_sizes,
        sample,
    };
    write_json(
        &out.path().join("trim_report.json"),
        &serde_json::to_value(&report).map_err(unserializable)?,
    )?;
    write(&out.path().join("trim_report.html"), crate::html::page(&report, job.words, job.lang).as_bytes())?;
    out.commit()?;
    Ok(report)
}

/// Version of the report's form.
const REPORT_VERSION: u32 = 2;

/// One of the counts that pieces are chosen by.
struct Counted {
    file: CountsFile,
    /// By id; of the file's pieces alone, without sentinels behind them.
    counts: Vec<u64>,
    /// What is required with them.
    require: Option<&'static str>,
}

impl Counted {
    /// Reads counts of `tokenizer`, the first `pieces` ids of which are asked for.
    fn read(path: &Path, tokenizer: &Tokenizer, pieces: usize) -> Result<Self, Error> {
        let builtin = Builtin::named(path);
        if let Some(Builtin { name, what, .. }) = builtin.filter(|_| tokenizer.pre_tokenize().is_some()) {
            return Err(Error::Mismatch(format!(
                "the counts {name} are of {what}, and this tokenizer is a vocab.txt with pieces of its own: count them in \
                 a corpus by `t5kit count`, and give that file by `counts`"
            )));
        }
        let (read, file) = match builtin {
            Some(builtin) => (Counts::builtin(builtin)?, File::of(builtin.name.to_owned(), ZH)),
            None => {
                let counts = Counts::read(path)?;
                let bytes = fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
                (counts, File::of(file_name(path), &bytes))
            }
        };
        let mut counts = read.by_id(tokenizer)?;
        counts.truncate(pieces);
        let file = CountsFile { file, record: read.record };
        Ok(Self { file, counts, require: builtin.and_then(|builtin| builtin.require) })
    }
}

/// The counts added up; `None` where there are none.
fn sum(counted: &[Counted]) -> Result<Option<Vec<u64>>, Error> {
    let Some((first, others)) = counted.split_first() else { return Ok(None) };
    let mut sum = first.counts.clone();
    let mut total: u64 = 0;
    for other in others {
        for (sum, n) in sum.iter_mut().zip(&other.counts) {
            *sum = sum.saturating_add(*n);
        }
    }
    for &n in &sum {
        total = total.checked_add(n).ok_or_else(|| {
            Error::Mismatch("the counts of all files together add up to more than 2^64".into())
        })?;
    }
    Ok(Some(sum))
}

/// Says what would cover enough: the largest least count that does.
fn low_coverage(
    model: &SpieceModel,
    counts: &[u64],
    coverage: &Coverage,
    kept: &[u32],
    required: &[u32],
) -> Error {
    let mut in_any_case: Vec<bool> = (0..counts.len() as u32).map(|id| is_indispensable(model, id)).collect();
    required.iter().for_each(|&id| in_any_case[id as usize] = true);
    let mut covered: u128 = (0..)
        .zip(&in_any_case)
        .filter(|(_, any)| **any)
        .map(|(id, _): (usize, _)| u128::from(counts[id]))
        .sum();
    let wanted = coverage.tokens as f64 * LEAST_COVERAGE;
    let mut min_count = 1;
    for id in by_frequency(counts) {
        if covered as f64 >= wanted {
            break;
        }
        let id = id as usize;
        min_count = counts[id];
        covered += if in_any_case[id] { 0 } else { u128::from(counts[id]) };
    }
    let pieces = (0..counts.len()).filter(|&id| in_any_case[id] || counts[id] >= min_count).count();
    Error::LowCoverage {
        share: coverage.share,
        tokens: coverage.tokens,
        kept: kept.len(),
        of: counts.len(),
        min_count,
        pieces,
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(fs::write(path, bytes).map_err(t5kit_formats::Error::io(path, "write"))?)
}

fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(unserializable)?;
    text.push('\n');
    write(path, text.as_bytes())
}

fn unserializable(error: serde_json::Error) -> Error {
    Error::Mismatch(format!("cannot be written as JSON: {error}"))
}
