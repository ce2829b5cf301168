//! `t5kit demo`: the whole story in about a minute, offline: count, trim, fine-tune, generate, compare.
//!
//! The data are news sentences and headlines from a grammar, the model starts from random weights. Each
//! step that writes files is the subcommand itself, run in this process and printed as one would type it.

mod data;
mod grammar;
pub mod vocabulary;

use crate::errors::Interrupted;
use crate::inside;
use crate::interrupt;
use crate::lang::lang;
use crate::model_args::ModelArgs;
use crate::progress::Monitor;
use anyhow::{Context, Result, bail};
use console::style;
use data::Data;
use grammar::Pair;
use std::fmt::Display;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use t5kit_eval::{Accumulator, Scores};
use t5kit_formats::lang::fill;
use t5kit_formats::output::AtomicDir;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_generate::generate;
use t5kit_model::{Architecture, Config};

/// Tokens that the longest headlines stay under, `</s>` included.
const MAX_NEW_TOKENS: usize = 32;
/// Rows of the embedding are a multiple of this; those beyond the pieces are padding, as in mT5.
const ROW_MULTIPLE: usize = 64;
/// Pairs that are generated for.
const TEST_PAIRS: usize = 200;
/// Pairs whose loss is watched while training.
const VALID_PAIRS: usize = 100;
/// Test pairs that are shown.
const SHOWN: usize = 5;

/// The flags of `t5kit demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Folder for all files, new or empty [default: t5kit-demo, with a number if there is one already]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Pairs to learn from
    #[arg(long, value_name = "N", default_value = "8000")]
    pairs: NonZeroUsize,
    /// Times through the pairs; more make better headlines
    #[arg(long, value_name = "N", default_value = "5")]
    epochs: NonZeroUsize,
    /// Decides data, weights and order
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Tells the story on standard error, prints the table and the samples on standard output.
pub fn run(args: Args) -> Result<()> {
    let (start, t) = (Instant::now(), &lang().texts().terminal);
    let folder = Folder::open(args.output.as_deref())?;
    // The commands are shown, and run, as one would type them in the folder.
    let home = std::env::current_dir().context("the working directory is gone")?;
    std::env::set_current_dir(folder.path())
        .with_context(|| format!("cannot enter {}", folder.path().display()))?;
    let told = tell(&args);
    std::env::set_current_dir(home).context("the working directory is gone")?;
    told?;
    let folder = folder.keep()?;
    let mut out = std::io::stdout().lock();
    let seconds = format!("{:.0}", start.elapsed().as_secs_f64());
    writeln!(out, "\n{}", fill(t.demo_took, &[("seconds", &seconds)]))?;
    writeln!(out, "{}", fill(t.demo_folder, &[("folder", &folder.display())]))?;
    let page = folder.join("run").join(t5kit_train::REPORT);
    writeln!(out, "{}", fill(t.demo_page, &[("page", &style(page.display()).underlined())]))?;
    let model = folder.join("run");
    writeln!(out, "{}\n", t.demo_try)?;
    let try_it =
        format!("t5kit generate --model {} 昨日，武汉地铁8号线正式开通，全长39公里。", model.display());
    writeln!(out, "  {}\n", style(try_it).bold())?;
    writeln!(out, "{}\n{NEXT}", t.demo_next)?;
    Ok(())
}

const NEXT: &str = "
  t5kit trim     --model mt5-small --counts zh --min-count 1000 --output mt5-zh
  t5kit finetune --model mt5-zh --train train.tsv --valid valid.tsv --output run
  t5kit generate --model run < sources.txt > predictions.txt
  t5kit metrics  --predictions predictions.txt --references references.txt --preset csl";

fn tell(args: &Args) -> Result<()> {
    let seed = args.seed.to_string();
    let threads = args.threads.map(|n| n.to_string());
    let threads = threads.as_deref().map_or(Vec::new(), |n| vec!["--threads", n]);

    let t = &lang().texts().terminal;
    heading(1, t.demo_data)?;
    let grammar = data::grammar()?;
    let data = Data::draw(&grammar, args.seed, args.pairs.get(), VALID_PAIRS, TEST_PAIRS)?;
    write_data(&data)?;
    say(fill(t.demo_pairs, &[("train", &args.pairs), ("valid", &VALID_PAIRS), ("test", &TEST_PAIRS)]));
    say(format!("  {}\n  → {}", data.train[0].sentence, data.train[0].headline));

    heading(2, t.demo_vocabulary)?;
    let (pieces, parameters) = make_full_model(&grammar, &data, args.seed)?;
    command(
        &[&["count", "--tokenizer", "full", "--output", "counts.tsv", "corpus.txt"], &threads[..]].concat(),
    )?;
    command(&[
        "trim",
        "--tokenizer",
        "full",
        "--counts",
        "counts.tsv",
        "--min-count",
        "1",
        "--model",
        "full",
        "--output",
        "small",
    ])?;
    let small = ModelArgs::at("small").open(Some(NonZeroUsize::MIN))?;
    let (kept, left) = (small.tokenizer.vocab_size(), small.model.params().elements());
    let all: [(&str, &dyn Display); 4] =
        [("pieces", &pieces), ("kept", &kept), ("parameters", &parameters), ("left", &left)];
    say(fill(t.demo_cut, &all));

    heading(3, t.demo_before)?;
    let before = evaluate("small", &data.test, args.threads)?;
    say(format!("  {}\n  → {}", data.test[0].sentence, shorten(&before.texts[0])));

    heading(4, t.demo_training)?;
    let epochs = args.epochs.to_string();
    let finetune = [
        "finetune",
        "--model",
        "small",
        "--train",
        "train.tsv",
        "--valid",
        "valid.tsv",
        "--output",
        "run",
        "--epochs",
        &epochs,
        "--batch-size",
        "16",
        "--learning-rate",
        "1e-3",
        "--dropout",
        "0",
        "--seed",
        &seed,
    ];
    command(&[&finetune, &threads[..]].concat())?;

    heading(5, t.demo_after)?;
    let after = evaluate("run", &data.test, args.threads)?;
    report(&data.test, &before, &after)
}

/// The corpus, the three parts, and the test part as `t5kit generate` and `t5kit metrics` read it.
fn write_data(data: &Data) -> Result<()> {
    let lines = |texts: Vec<&str>| texts.into_iter().flat_map(|text| [text, "\n"]).collect::<String>();
    let corpus =
        data.train.iter().flat_map(|pair| [pair.sentence.as_str(), pair.headline.as_str()]).collect();
    for (name, content) in [
        ("corpus.txt", lines(corpus)),
        ("train.tsv", data::tsv(&data.train)),
        ("valid.tsv", data::tsv(&data.valid)),
        ("test.tsv", data::tsv(&data.test)),
        ("sources.txt", lines(data.test.iter().map(|pair| pair.sentence.as_str()).collect())),
        ("references.txt", lines(data.test.iter().map(|pair| pair.headline.as_str()).collect())),
    ] {
        std::fs::write(name, content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// A small model of mT5's shape with random weights and its tokenizer, in `full`; pieces and parameters.
fn make_full_model(grammar: &grammar::Grammar, data: &Data, seed: u64) -> Result<(usize, usize)> {
    let folder = Path::new("full");
    std::fs::create_dir(folder).context("cannot make the folder full")?;
    let spiece = folder.join("spiece.model");
    let pieces = vocabulary::build(grammar, &data.train, &spiece)?.vocab_size();
    let config = serde_json::json!({
        "architectures": ["MT5ForConditionalGeneration"],
        "model_type": "mt5",
        "vocab_size": pieces.next_multiple_of(ROW_MULTIPLE),
        "d_model": 128, "d_kv": 16, "num_heads": 8, "d_ff": 256, "num_layers": 2, "num_decoder_layers": 2,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false,
        "tokenizer_class": "T5Tokenizer",
    });
    let path = folder.join("config.json");
    std::fs::write(&path, config.to_string()).context("cannot write full/config.json")?;
    let model = Config::from_file(&path)?.random(seed)?;
    t5kit_model::save(&*model, &[], folder)?;
    Ok((pieces, model.params().elements()))
}

/// Runs a subcommand in this process, after printing it as one would type it.
fn command(args: &[&str]) -> Result<()> {
    inside::run(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
}

/// What a model makes of the test part.
struct Evaluation {
    texts: Vec<String>,
    scores: Scores,
    per_second: f64,
}

fn evaluate(model: &str, test: &[Pair], threads: Option<NonZeroUsize>) -> Result<Evaluation> {
    let loaded = ModelArgs::at(model).open(threads)?;
    let mut options = loaded.generate_options();
    options.max_new_tokens = MAX_NEW_TOKENS;
    let (mut monitor, mut done) = (Monitor::default(), 0);
    let start = Instant::now();
    let sources: Vec<_> = test.iter().map(|pair| loaded.encode(&pair.sentence, usize::MAX).0).collect();
    let mut texts = vec![String::new(); test.len()];
    generate(&*loaded.model, &loaded.pool, &sources, &options, |i, targets| {
        texts[i] = targets.first().map(|t| loaded.tokenizer.decode(&t.ids)).unwrap_or_default();
        done += 1;
        monitor.progress(Progress::items("generating", "headlines", done, Some(test.len())))
    })?;
    let per_second = test.len() as f64 / start.elapsed().as_secs_f64();
    monitor.clear();
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    let mut scores = Accumulator::default();
    for (text, pair) in texts.iter().zip(test) {
        scores.add(text, &pair.headline);
    }
    Ok(Evaluation { texts, scores: scores.mean(), per_second })
}

/// The table and the samples.
fn report(test: &[Pair], before: &Evaluation, after: &Evaluation) -> Result<()> {
    let (mut out, t) = (std::io::stdout().lock(), &lang().texts().terminal);
    write!(out, "\n{}", padded("", 18))?;
    for (name, _) in before.scores.entries() {
        write!(out, "{:>9}", name.to_uppercase())?;
    }
    writeln!(out, "{:>12}", "samples/s")?;
    for (name, evaluation) in [(t.before_training, before), (t.after_training, after)] {
        write!(out, "{}", padded(name, 18))?;
        for (_, score) in evaluation.scores.entries() {
            write!(out, "{:>9.1}", 100.0 * score)?;
        }
        writeln!(out, "{:>12.0}", evaluation.per_second)?;
    }
    for (i, pair) in test.iter().enumerate().take(SHOWN) {
        let after = &after.texts[i];
        let right = *after == pair.headline;
        writeln!(out, "\n{}{}", padded(t.sentence, 17), pair.sentence)?;
        writeln!(out, "{}{}", padded(t.headline, 17), pair.headline)?;
        writeln!(out, "{}{}", padded(t.before_training, 17), style(shorten(&before.texts[i])).dim())?;
        let after = if right { style(after).green() } else { style(after).bold() };
        writeln!(out, "{}{after}", padded(t.after_training, 17))?;
    }
    Ok(())
}

/// A text and blanks up to this width on a terminal.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(console::measure_text_width(text))))
}

/// The beginning of what random weights produce, on one line.
fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(30).collect();
    if text.chars().nth(30).is_some() {
        shown.push('…');
    }
    shown
}

/// Where the demo works.
enum Folder {
    /// A folder that the user has named.
    Named(PathBuf),
    /// One of our own, and the place where it is to be; removed where the story is not told to its end.
    New(AtomicDir, PathBuf),
}

/// Name of the folder where none is given.
const FOLDER: &str = "t5kit-demo";

impl Folder {
    fn open(output: Option<&Path>) -> Result<Folder> {
        let Some(output) = output else {
            let names = std::iter::once(FOLDER.to_owned()).chain((2..).map(|n| format!("{FOLDER}-{n}")));
            let home = std::env::current_dir().context("the working directory is gone")?;
            let mut places = names.map(|name| home.join(name));
            let place = places.find(|place| !place.exists()).context("there are too many demos here")?;
            return Ok(Folder::New(AtomicDir::create(&place, false)?, place));
        };
        std::fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
        let path = output.canonicalize().with_context(|| format!("cannot read {}", output.display()))?;
        let mut entries = path.read_dir().with_context(|| format!("cannot read {}", path.display()))?;
        if entries.next().is_some() {
            bail!("{} is not empty; name a new folder", output.display());
        }
        Ok(Folder::Named(path))
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Named(path) => path,
            Folder::New(folder, _) => folder.path(),
        }
    }

    /// Leaves everything where it is to stay; returns where that is.
    fn keep(self) -> Result<PathBuf> {
        match self {
            Folder::Named(path) => Ok(path),
            Folder::New(folder, place) => {
                folder.commit()?;
                // As one would type it from here.
                Ok(place.file_name().map(PathBuf::from).unwrap_or(place))
            }
        }
    }
}

/// Announces a step, or ends where the user has asked for it.
fn heading(number: u32, text: &str) -> Result<()> {
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    say(style(format!("\n{number}. {text}")).for_stderr().cyan().bold().to_string());
    Ok(())
}

fn say(line: impl AsRef<str>) {
    eprintln!("{}", line.as_ref());
}
