//! `t5kit evaluate`: models on a table of examples: figures, speed, memory, and the page that shows them.

mod kept;
mod table;
mod tasks;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_eval::{Bootstrap, Metric};
use t5kit_evaluate::{
    Asked, Evaluation, Examples, ModelFigures, Outputs, SpeedOptions, begin_peak, outputs, page, peak_bytes,
};
use t5kit_formats::output::AtomicDir;
use t5kit_formats::table::{Format, TableWriter};
use t5kit_generate::BatchLimits;
use t5kit_pipeline::{Constrain, Form};
use t5kit_tensor::DType;
use t5kit_tokenizer::Punctuation;

use crate::constrain::{of_references, say_unfinished};
use crate::device::{DeviceArgs, on_device};
use crate::errors::{Interrupted, usage};
use crate::form::{FormArgs, settle, warn_prompt};
use crate::generate::options::{OptionArgs, say};
use crate::interrupt;
use crate::lang::lang;
use crate::lengths::limits;
use crate::metrics::metric;
use crate::model_args::{ModelArgs, storage_type};
use crate::pairs::PairFlags;
use crate::progress::Monitor;
use crate::punctuation::PunctuationFlag;
use crate::say::{Side, notice_cut};
use crate::typed;

/// The flags of `t5kit evaluate`.
#[derive(clap::Args)]
#[command(mut_arg("target", |target| target.help(
    "Column of the right texts, by name or by number from 1; several times where each source has several [default: the \
     one whose name says so, or without a header the second of two]"
)))]
pub struct Args {
    /// Models: folders, training runs, TensorFlow checkpoints, adapters, or names on the hub. The others are compared
    /// with the first
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    model: Vec<String>,
    /// What the models are called in tables and on the page, in their order [default: the last part of their paths]
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    name: Vec<String>,
    /// Table of examples: sources and the right texts for them
    #[arg(long, visible_alias = "input", value_name = "FILE", required_unless_present = "mixture")]
    data: Option<PathBuf>,
    #[command(flatten)]
    tasks: tasks::TaskArgs,
    #[command(flatten)]
    pairs: PairFlags,
    /// Examples taken, the first; others are left out [default: all]
    #[arg(long, value_name = "N")]
    max_examples: Option<NonZeroUsize>,
    /// Folder to write: evaluation.json, predictions.tsv, evaluation.html
    #[arg(long, short, value_name = "DIR", default_value = "evaluation")]
    output: PathBuf,
    /// Replace the folder if it is there
    #[arg(long)]
    force: bool,
    /// Go on with an interrupted evaluation: models that were finished are not asked again
    #[arg(long)]
    resume: bool,
    /// Metrics: csl, rouge_score:char, sacrebleu:zh, chrf, squad, cmrc, accuracy, … (see t5kit metrics --help)
    /// [default: csl]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = metric)]
    metric: Vec<Metric>,
    /// Bootstrap samples for the 95 % confidence intervals; 0: none
    #[arg(long, value_name = "N", default_value = "1000")]
    bootstrap: usize,
    /// Decides the bootstrap samples
    #[arg(long, value_name = "N", default_value = "12345")]
    bootstrap_seed: u64,
    /// Print evaluation.json instead of the table
    #[arg(long)]
    json: bool,
    /// What happens to half-width punctuation in generated Chinese: auto restores ，！？：；（） where the tokenizer has
    /// made them half-width and the text is Chinese [default: what the model was trained with, else auto]
    #[arg(long, value_enum)]
    punctuation: Option<PunctuationFlag>,
    #[command(flatten)]
    options: OptionArgs,
    #[command(flatten)]
    form: FormArgs,
    /// Sources by which speed is measured, the first; 0: it is not
    #[arg(long, value_name = "N", default_value = "64", help_heading = "Speed")]
    speed_sources: usize,
    /// Sources in a batch while speed is measured
    #[arg(long, value_name = "N", default_value = "16", help_heading = "Speed")]
    speed_batch_size: NonZeroUsize,
    /// Times that speed is measured, after one to warm up; the median counts
    #[arg(long, value_name = "N", default_value = "3", help_heading = "Speed")]
    speed_rounds: NonZeroUsize,
    /// Sources worked on together, at most [default: 32, or 64 hypotheses of a beam]
    #[arg(long, value_name = "N", help_heading = "Work")]
    batch_size: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Work")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Hold the weights as this; sums are always f32 [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_parser = storage_type(), help_heading = "Work")]
    dtype: Option<DType>,
    /// Tokenizer of the model; only where there is one model [default: the model's folder]
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    tokenizer: Option<PathBuf>,
    /// The command line from the subcommand on, where it is not the process's own.
    #[arg(skip)]
    pub command: Vec<String>,
}

/// Evaluates all models, writes the folder, and prints the table.
pub fn run(args: Args) -> Result<()> {
    if args.tasks.suite.is_some() || args.tasks.mixture.is_some() {
        return args.check_tasks().and_then(|()| tasks::run(&args));
    }
    let mut asked = args.asked()?;
    let names = args.names()?;
    if args.tokenizer.is_some() && args.model.len() > 1 {
        return Err(usage("--tokenizer goes with one model; of several each has its own"));
    }
    let folder = AtomicDir::create(&args.output, args.force)?;
    let (sources, references) = args.read(&Form::default(), true)?;
    of_references(&mut asked.wishes.constrain, references.iter().flatten());
    let mut evaluation = Evaluation {
        data: args.table().file_name().unwrap_or(args.table().as_os_str()).to_string_lossy().into_owned(),
        examples: Examples { sources, references },
        models: Vec::new(),
    };
    let bootstrap = Bootstrap { samples: args.bootstrap, seed: args.bootstrap_seed };
    let csl = [Metric::RougeL, Metric::Rouge1, Metric::Rouge2, Metric::Bleu];
    let metrics = if args.metric.is_empty() { &csl[..] } else { &args.metric };
    let kept = kept::Kept::begin(&args.output, args.resume, args.force, args.model.len() > 1)?;
    for (number, (model, name)) in args.model.iter().zip(&names).enumerate() {
        let settings = args.settings(model, &evaluation);
        let (found, peak) = match kept.get(number, &settings)? {
            Some(found) => {
                told!(from_interrupted, model = name);
                found
            }
            None => {
                let found = args.of_model(model, name, &asked)?;
                kept.put(number, &settings, &found)?;
                found
            }
        };
        evaluation.add(name.clone(), found, peak, settings, metrics, bootstrap)?;
    }
    if evaluation.has_different_pieces() {
        told!(pieces_differ);
    }
    args.write(&evaluation, folder.path())?;
    folder.commit()?;
    kept.done();
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{:#}", evaluation.to_json())?,
        false => out.write_all(table::of(&evaluation).as_bytes())?,
    }
    told!(see_page, page = args.output.join("evaluation.html").display());
    Ok(())
}

impl Args {
    /// The table of examples.
    fn table(&self) -> &Path {
        self.data.as_deref().expect("clap asks for it where there are no tasks")
    }

    /// The command line that repeats the evaluation.
    fn typed(&self) -> String {
        let typed: Vec<String> = match self.command.is_empty() {
            true => std::env::args().skip(1).collect(),
            false => self.command.clone(),
        };
        typed::command_line(&typed)
    }

    /// Examples taken at most.
    fn most(&self) -> usize {
        self.max_examples.map_or(usize::MAX, NonZeroUsize::get)
    }

    /// Whether labels are to be scored, whichever they are.
    fn constrains_labels(&self) -> Result<bool> {
        Ok(
            matches!(self.options.wishes(false)?.constrain, Some(Constrain::Labels(labels)) if labels.is_empty()),
        )
    }

    /// Flags that mean nothing where tasks say what is measured.
    fn check_tasks(&self) -> Result<()> {
        let (source, target, prompt) = self.pairs.columns();
        let columns =
            [("--source", source.is_some()), ("--target", target.is_some()), ("--prompt", prompt.is_some())];
        let given =
            columns.into_iter().chain([("--metric", !self.metric.is_empty())]).find(|(_, given)| *given);
        match given {
            Some((flag, _)) => Err(usage(format!("{flag}: tasks have their own; leave it out"))),
            None if self.tokenizer.is_some() && self.model.len() > 1 => {
                Err(usage("--tokenizer goes with one model; of several each has its own"))
            }
            None => Ok(()),
        }
    }

    /// How every model is asked.
    fn asked(&self) -> Result<Asked> {
        let wishes = self.options.wishes(false)?;
        wishes.check()?;
        let speed = (self.speed_sources > 0).then_some(SpeedOptions {
            sources: self.speed_sources,
            batch_size: self.speed_batch_size.get(),
            rounds: self.speed_rounds.get(),
        });
        Ok(Asked {
            wishes,
            max_source_length: 0,
            punctuation: Punctuation::default(),
            asks_punctuation: self.punctuation.is_some(),
            limits: self.batch_size.map(|size| limits(Some(size), None, BatchLimits::default())),
            speed,
        })
    }

    /// What a model reads in this form, and the right texts, a list for each column of them; `says` what the table was
    /// understood as.
    fn read(&self, form: &Form, says: bool) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        let nothing = || usage(format!("{}: holds no example", self.table().display()));
        let pairs = self.pairs.open_all(self.table(), form)?.ok_or_else(nothing)?;
        match says {
            true => pairs.say(),
            false => warn_prompt(form, pairs.roles.prompt.is_some()),
        }
        let (mut sources, mut references) = pairs.references()?;
        let most = self.most();
        std::iter::once(&mut sources).chain(&mut references).for_each(|texts| texts.truncate(most));
        if sources.is_empty() {
            return Err(nothing());
        }
        Ok((sources, references))
    }

    /// What the models are called; each otherwise.
    fn names(&self) -> Result<Vec<String>> {
        if !self.name.is_empty() && self.name.len() != self.model.len() {
            let (names, models) = (self.name.len(), self.model.len());
            return Err(usage(format!("--name gives {names} names for {models} models; give one for each")));
        }
        let last = |path: &String| -> String {
            let parts: Vec<&str> = path.trim_end_matches('/').rsplit('/').take(2).collect();
            match parts[..] {
                // Of a run its name says more.
                ["best" | "last", run] => run.to_owned(),
                [last, ..] => last.to_owned(),
                [] => path.clone(),
            }
        };
        let mut names: Vec<String> = match self.name.is_empty() {
            true => self.model.iter().map(last).collect(),
            false => self.name.clone(),
        };
        for i in 1..names.len() {
            let wanted = names[i].clone();
            let mut number = 1;
            while names[..i].contains(&names[i]) {
                number += 1;
                names[i] = format!("{wanted} ({number})");
            }
        }
        Ok(names)
    }

    /// What a model's outputs depend on, by the names of the flags; also in evaluation.json.
    fn settings(&self, model: &str, evaluation: &Evaluation) -> Map<String, Value> {
        let settings = json!({
            "model": model,
            "data": self.data,
            "examples": evaluation.examples.sources.len(),
            "source": self.pairs.columns().0,
            "prompt": self.pairs.columns().2,
            "form": format!("{:?}", self.form),
            "punctuation": self.punctuation.map(|flag| Punctuation::from(flag).name()),
            "options": format!("{:?}", self.options.wishes(false).unwrap_or_default()),
            "dtype": self.dtype.map(DType::name),
            "threads": self.threads,
        });
        match settings {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// What one model makes of the sources, and the most memory while it did.
    fn of_model(&self, model: &str, name: &str, asked: &Asked) -> Result<(Outputs, Option<u64>)> {
        // What models before this one have left is not this one's.
        t5kit_tensor::release_cached();
        let begun = begin_peak();
        let named = ModelArgs { tokenizer: self.tokenizer.clone(), ..ModelArgs::at(model) };
        let device = self.device.open()?;
        let pipeline = on_device(named.prepare(self.dtype, self.threads)?.load()?, device.as_ref())?;
        let settled = pipeline.settle(&asked.wishes)?;
        say(&settled);
        let names = ["source_prefix", "max_source_length", "punctuation"];
        let form = settle(&pipeline, &self.form.wishes(self.punctuation), &names);
        let (sources, _) = self.read(&form, false)?;
        let (max_source_length, punctuation) = (form.max_source_length, form.punctuation);
        let asked = Asked { max_source_length, punctuation, ..asked.clone() };
        let mut monitor = Monitor::default();
        let found = outputs(&pipeline, &sources, &asked, &settled, &mut monitor);
        monitor.clear();
        if interrupt::requested() {
            return Err(Interrupted.into());
        }
        let found = found?;
        let peak = peak_bytes().filter(|_| begun);
        say_unfinished(found.unfinished);
        notice_cut(Side::Source, found.cut, sources.len(), asked.max_source_length, &format!(" ({name})"));
        Ok((found, peak))
    }

    /// Writes the three files.
    fn write(&self, evaluation: &Evaluation, folder: &Path) -> Result<()> {
        let json = format!("{:#}\n", evaluation.to_json());
        let html = page(evaluation, lang(), &typed::now(), self.bootstrap, &[self.typed()]);
        for (name, text) in [("evaluation.json", json), ("evaluation.html", html)] {
            std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        let file =
            std::fs::File::create(folder.join("predictions.tsv")).context("cannot write predictions.tsv")?;
        let more = (2..=evaluation.examples.references.len()).map(|n| format!("reference {n}"));
        let mut columns = vec!["source".to_owned(), "reference".to_owned()];
        columns.extend(more);
        // A label's probability goes behind it: `probability` where there is one model.
        let labels = |model: &ModelFigures| !model.outputs.probabilities.is_empty();
        for model in &evaluation.models {
            columns.push(model.name.clone());
            let one = evaluation.models.len() == 1;
            let name = if one { "probability".into() } else { format!("{} probability", model.name) };
            columns.extend(labels(model).then_some(name));
        }
        let mut writer = TableWriter::new(Format::Tsv, std::io::BufWriter::new(file), &columns, true, false)?;
        for i in 0..evaluation.examples.sources.len() {
            let given = std::iter::once(&evaluation.examples.sources).chain(&evaluation.examples.references);
            let mut row: Vec<Value> = given.map(|texts| Value::from(texts[i].as_str())).collect();
            for model in &evaluation.models {
                row.push(Value::from(model.outputs.texts[i].as_str()));
                row.extend(model.outputs.probabilities.get(i).map(|&probability| json!(probability)));
            }
            writer.row(&row)?;
        }
        writer.finish()?.flush()?;
        Ok(())
    }
}
