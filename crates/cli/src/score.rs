//! `t5kit score`: how probable a model finds given targets.

use anyhow::Result;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use t5kit_formats::progress::Progress;
use t5kit_generate::{BatchLimits, Score, score};
use t5kit_model::Architecture;
use t5kit_pipeline::{Encoder, Form};
use t5kit_tensor::DType;

use crate::device::{DeviceArgs, on_device};
use crate::form::{FormArgs, settle, warn_prompt};
use crate::lengths::{OnLong, finish, limits};
use crate::model_args::{ModelArgs, storage_type};
use crate::pairs::PairFlags;
use crate::progress::Monitor;
use crate::results::{Overwriting, Results};

/// The flags of `t5kit score`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Pairs: source, tab, target on each line, or any table with such columns; - is standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    pairs: PairFlags,
    /// Write the table with the columns log_prob and tokens beside its rows: .tsv, .csv, .jsonl, .parquet, or - for
    /// standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "tokens")]
    output: Option<PathBuf>,
    /// Go on with an interrupted run (from the beginning where there is none)
    #[arg(long, requires = "output")]
    resume: bool,
    /// Replace the output if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Print each token's log-probability too, separated by spaces, after another tab
    #[arg(long)]
    tokens: bool,
    #[command(flatten)]
    form: FormArgs,
    /// Longest target in tokens, </s> included [default: what the model was trained with, else 512]
    #[arg(long, value_name = "N")]
    max_target_length: Option<NonZeroUsize>,
    /// What happens to a longer source or target
    #[arg(long, value_name = "WHAT", default_value = "cut")]
    on_long: OnLong,
    /// Pairs worked on together, at most
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Tokens of source and target worked on together, at most; a longer pair is worked on alone
    #[arg(long, value_name = "N")]
    batch_tokens: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Hold the weights as this; sums are always f32 [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_parser = storage_type())]
    dtype: Option<DType>,
}

/// Pairs that are scored at a time, of a table with results: several batches, so that they are of like lengths.
const WINDOW: usize = 2048;

/// Prints for each line the target's log-probability (natural, </s> included), a tab, and its number of tokens.
pub fn run(args: Args) -> Result<()> {
    let results = args.results()?;
    if let Some(results) = &results
        && results.complete()?
    {
        return Ok(());
    }
    let device = args.device.open()?;
    let model = on_device(args.model.prepare(args.dtype, args.threads)?.load()?, device.as_ref())?;
    let mut wishes = args.form.wishes(None);
    wishes.max_target_length = args.max_target_length.map(NonZeroUsize::get);
    let form = settle(&model, &wishes, &["source_prefix", "max_source_length", "max_target_length"]);
    let most = [form.max_source_length, form.max_target_length];
    let mut encoders = [("source", most[0]), ("target", most[1])]
        .map(|(what, most)| Encoder::new(&model, what, most, args.on_long.into()));
    let limits = limits(args.batch_size, args.batch_tokens, BatchLimits::default());
    let mut scored = |pairs: &[[String; 2]], watch: &mut dyn FnMut(usize)| -> Result<Vec<Score>> {
        let mut encode = |side: usize| -> Result<Vec<Vec<u32>>> {
            Ok(pairs.iter().map(|pair| encoders[side].encode(&pair[side])).collect::<Result<_, _>>()?)
        };
        let (mut sources, mut targets) = (encode(0)?, encode(1)?);
        // Where both together have more tokens than the model has positions, the longer is cut.
        if let Some(positions) = model.model.config().most_tokens() {
            for (i, [source, target]) in pairs.iter().enumerate() {
                if sources[i].len() + targets[i].len() > positions {
                    [sources[i], targets[i]] = model.encode_pair(source, target, most);
                }
            }
        }
        let mut scores = vec![Score::default(); pairs.len()];
        let mut done = 0;
        score(&*model.model, &model.pool, &sources, &targets, limits, |i, score| {
            scores[i] = score;
            done += 1;
            watch(done);
            ControlFlow::Continue(())
        })?;
        Ok(scores)
    };
    let Some(mut pairs) = args.pairs.open(&args.input, &form)? else { return Ok(()) };
    pairs.say();
    if results.is_some() {
        pairs.count()?;
    }
    warn_prompt(&form, pairs.roles.prompt.is_some());
    match results {
        Some(results) => results.write(pairs, WINDOW, args.settings(&form), |pairs, _, give| {
            let scores = scored(pairs, &mut |_| {})?;
            scores.iter().try_for_each(|score| give(vec![json!(score.log_prob()), json!(score.tokens.len())]))
        })?,
        None => {
            let texts = pairs.all()?;
            let mut monitor = Monitor::default();
            let scores = scored(&texts, &mut |done| {
                monitor.show(Progress::items("scoring", "pairs", done, Some(texts.len())));
            })?;
            monitor.clear();
            print(&scores, args.tokens)?;
        }
    }
    encoders.into_iter().for_each(finish);
    Ok(())
}

/// Prints a line for each pair.
fn print(scores: &[Score], tokens: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for score in scores {
        write!(out, "{:.6}\t{}", score.log_prob(), score.tokens.len())?;
        if tokens {
            for (i, token) in score.tokens.iter().enumerate() {
                write!(out, "{}{token:.6}", if i == 0 { '\t' } else { ' ' })?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

impl Args {
    /// Where results go beside the table's rows; `None` where they are printed.
    fn results(&self) -> Result<Option<Results>> {
        let Some(output) = self.output.clone() else { return Ok(None) };
        let added = vec!["log_prob".to_owned(), "tokens".to_owned()];
        let over = Overwriting { resume: self.resume, force: self.force };
        Ok(Some(Results::new(&self.input, self.pairs.tables.options(), output, added, over, "scoring")?))
    }

    /// What a run that goes on must have in common with its beginning.
    fn settings(&self, form: &Form) -> Map<String, Value> {
        let bytes = std::fs::metadata(&self.input).map_or(0, |metadata| metadata.len());
        let settings = [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("model", json!(self.model.model)),
            ("adapter", json!(self.model.adapter)),
            ("input", json!(self.input)),
            ("input size", json!(bytes)),
            ("columns", json!(format!("{:?}", self.pairs.columns()))),
            ("tables", json!(format!("{:?}", self.pairs.tables))),
            ("source_prefix", json!(form.source_prefix)),
            ("prompt_text", json!(form.prompt_text)),
            ("max_source_length", json!(form.max_source_length)),
            ("max_target_length", json!(form.max_target_length)),
            ("dtype", json!(self.dtype.map(DType::name))),
        ];
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
