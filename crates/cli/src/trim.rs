//! `t5kit trim`: cut the vocabulary of a tokenizer, and of its model, to the pieces worth keeping.

use std::path::PathBuf;

use anyhow::Result;
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::table::{ColumnRef, Columns, TableOptions};
use t5kit_trim::{Choice, Chooser, Report, TrimOptions};

use crate::errors;
use crate::model_args::{locate, locate_tokenizer};
use crate::progress::Monitor;

/// The flags of `t5kit trim`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("choice").required(true))]
#[command(after_long_help = "Control, unknown, byte and user-defined pieces and sentinels are always kept.")]
pub struct Args {
    /// Tokenizer to cut: a spiece.model, a directory that holds one, or a name on the hub
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "model")]
    tokenizer: Option<PathBuf>,
    /// Counts of its pieces, as `t5kit count` writes them, or JSON {piece: count}; or zh: mT5's pieces in tens of
    /// gigabytes of Chinese text, which come with this program; or zh+en: these, and all pieces of ASCII kept. Given
    /// several times they are added up
    #[arg(long, value_name = "FILE|zh|zh+en", required_unless_present = "keep_tokens")]
    counts: Vec<PathBuf>,
    /// Keep pieces that occur at least N times
    #[arg(long, value_name = "N", group = "choice")]
    min_count: Option<u64>,
    /// Keep the N most frequent pieces, and those that are always kept
    #[arg(long, value_name = "N", group = "choice")]
    top: Option<usize>,
    /// Keep the fewest pieces that make up this share of all tokens, such as 0.9999
    #[arg(long, value_name = "SHARE", group = "choice")]
    coverage: Option<f64>,
    /// Keep the rows listed in a keep_tokens.json
    #[arg(long, value_name = "FILE", group = "choice")]
    keep_tokens: Option<PathBuf>,
    /// Cut even where the pieces that are left make up less than 0.99 of the counted text
    #[arg(long)]
    allow_low_coverage: bool,
    /// Keep these besides: hanzi-common, hanzi-gb2312, punctuation-zh, ascii, ascii-pieces, or a file with a piece, or
    /// characters, a line; may be given several times
    #[arg(long, value_name = "SET|FILE")]
    require: Vec<String>,
    /// Model to cut with the tokenizer: a Hugging Face directory, the folder of a training run, a file of weights, a
    /// TensorFlow checkpoint by its folder or prefix (`…/model.ckpt-1000000`), or a name on the hub such as
    /// google/mt5-small
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Branch, tag or commit of a model of the hub [default: main]
    #[arg(long, value_name = "REV", requires = "model")]
    revision: Option<String>,
    /// Held-out text, of which the report says what becomes of it
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    /// Column or key of the held-out text, by name or by number from 1; may be given several times
    /// [default: "text", else the only one that holds text]
    #[arg(long, visible_alias = "column", value_name = "NAME|N", requires = "sample")]
    field: Vec<String>,
    /// Folder to write
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Replace the folder if it is not empty
    #[arg(long)]
    force: bool,
}

/// Trims, and says on standard error what became of it.
pub fn run(args: Args) -> Result<()> {
    let choice = match (args.min_count, args.top, args.coverage, args.keep_tokens) {
        (Some(n), ..) => Chooser::By(Choice::MinCount(n)),
        (_, Some(n), ..) => Chooser::By(Choice::Top(n)),
        (_, _, Some(share), _) => Chooser::By(Choice::Coverage(share)),
        (_, _, _, Some(file)) => Chooser::KeepTokens(file),
        (None, None, None, None) => unreachable!("clap asks for one of them"),
    };
    let model = match &args.model {
        Some(model) => {
            let path = locate(model, args.revision.as_deref())?;
            Some(t5kit_model::model_folder(&path).unwrap_or(path))
        }
        None => None,
    };
    let checkpoint = model.as_deref().map(Checkpoint::open).transpose()?;
    for (checkpoint, note) in checkpoint.iter().flat_map(|c| c.notes().iter().map(move |note| (c, note))) {
        eprintln!("t5kit: {}: {note}", checkpoint.path().display());
    }
    let tokenizer = match (args.tokenizer, &checkpoint) {
        (Some(tokenizer), _) => locate_tokenizer(&tokenizer)?,
        (None, Some(checkpoint)) => checkpoint.folder().to_path_buf(),
        (None, None) => unreachable!("clap asks for one of them"),
    };
    drop(checkpoint);
    let sample = match args.sample {
        Some(path) => {
            let mut inputs = t5kit_formats::inputs::expand(&[path.to_string_lossy().into_owned()])?;
            anyhow::ensure!(inputs.len() == 1, "--sample {}: give a single file", path.display());
            let columns = match &args.field[..] {
                [] => Columns::Text,
                list => Columns::These(list.iter().map(|field| ColumnRef::parse(field)).collect()),
            };
            Some((inputs.remove(0), columns, TableOptions::default()))
        }
        None => None,
    };
    let job = TrimOptions {
        tokenizer,
        counts: args.counts,
        allow_low_coverage: args.allow_low_coverage,
        choice,
        require: args.require,
        model,
        sample,
        output: args.output,
        force: args.force,
        words: errors::in_flags,
        lang: crate::lang::lang(),
    };
    let mut monitor = Monitor::default();
    let report = t5kit_trim::trim(&job, &mut monitor).map_err(|error| match error {
        low @ t5kit_trim::Error::LowCoverage { .. } => anyhow::anyhow!(
            "{low}; for Chinese begin with the published counts (--counts zh --counts FILE adds your own), count more \
             text, or give --allow-low-coverage"
        ),
        other => other.into(),
    })?;
    monitor.finish();
    say(&report);
    told!(trim_written, folder = job.output.display());
    Ok(())
}

/// The report in a few lines.
fn say(report: &Report) {
    let v = &report.vocabulary;
    told!(
        trim_kept,
        kept = v.pieces_after,
        all = v.pieces_before,
        indispensable = v.indispensable,
        chosen = v.chosen,
        required = v.required,
        rows = v.rows_after,
    );
    if let Some(coverage) = &report.coverage {
        told!(trim_covers, share = format!("{:.6}", coverage.share), tokens = coverage.tokens);
    }
    for required in report.required.iter().filter(|required| !required.missing.is_empty()) {
        told!(trim_without_piece, name = required.name, n = required.missing.len());
    }
    if let Some(sizes) = &report.model {
        let [mb, mb_before] =
            [&sizes.after, &sizes.before].map(|sizes| format!("{:.1}", sizes.bytes as f64 / 1e6));
        let (after, before) = (sizes.after.parameters, sizes.before.parameters);
        told!(trim_sizes, after = after, before = before, mb = mb, mb_before = mb_before);
    }
    if let Some(sample) = &report.sample {
        told!(
            trim_held_out,
            changed = sample.texts_changed,
            texts = sample.texts,
            after = sample.tokens.after,
            before = sample.tokens.before,
            bytes = sample.byte_characters.after,
            bytes_before = sample.byte_characters.before,
        );
    }
}
