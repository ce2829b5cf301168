//! `t5kit evaluate` on several tasks: a suite's in its folder, or a mixture's.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use t5kit_eval::Bootstrap;
use t5kit_evaluate::{Asked, Evaluation, Examples, Judge, Part, TaskEvaluation, outputs, tasks_page};
use t5kit_formats::output::AtomicDir;
use t5kit_formats::table::TableOptions;
use t5kit_pipeline::Constrain;
use t5kit_tasks::mixture::Form;
use t5kit_tasks::suite::{self, Split, SuiteExample, SuiteTask};

use super::{Args, kept::Kept};
use crate::columns::aligned;
use crate::device::on_device;
use crate::errors::{Interrupted, usage};
use crate::finetune::mixture;
use crate::form::say_form;
use crate::generate::options::say;
use crate::interrupt;
use crate::lang::lang;
use crate::metrics::metric;
use crate::model_args::ModelArgs;
use crate::progress::Monitor;
use crate::say::{Side, notice_cut};
use crate::typed;

/// Which tasks.
#[derive(clap::Args)]
pub struct TaskArgs {
    /// Instead of a table: all tasks of a suite, in the papers' text form and figures; --data is the folder of its files
    #[arg(long, value_name = "NAME", help_heading = "Tasks", value_parser = clap::builder::PossibleValuesParser::new(suite::NAMES))]
    pub suite: Option<String>,
    /// Instead of a table: the validation examples of a mixture's tasks, by their metrics
    #[arg(long, value_name = "FILE", help_heading = "Tasks", conflicts_with_all = ["suite", "data"])]
    pub mixture: Option<std::path::PathBuf>,
    /// Only these tasks, separated by commas [default: all]
    #[arg(long, value_name = "NAME,…", help_heading = "Tasks", value_delimiter = ',')]
    task: Vec<String>,
    /// Only these languages of a suite's tasks, separated by commas [default: all]
    #[arg(long, value_name = "CODE,…", help_heading = "Tasks", value_delimiter = ',', requires = "suite")]
    language: Vec<String>,
    /// Which part of a suite's tasks: train, validation or test [default: the one that the paper reports]
    #[arg(long, value_name = "NAME", help_heading = "Tasks", requires = "suite")]
    split: Option<String>,
}

/// What is measured, and in which tables' names.
fn parts(args: &Args) -> Result<(String, Vec<Part>)> {
    match (&args.tasks.suite, &args.tasks.mixture) {
        (Some(name), _) => {
            let suite = suite::by_name(name).expect("clap knows the names");
            let folder = args.data.as_deref().expect("clap asks for it");
            let names: Vec<&str> = suite.tasks().iter().map(|task| task.name).collect();
            check_names(&args.tasks.task, &names)?;
            let mut parts = Vec::new();
            for task in suite.tasks().iter().filter(|task| wanted(&args.tasks.task, task.name)) {
                parts.extend(of_suite(args, folder, task)?);
            }
            if parts.is_empty() {
                let languages = args.tasks.language.join(", ");
                return Err(usage(format!("--language {languages}: no task of {name} is there in it")));
            }
            Ok((name.clone(), parts))
        }
        (None, Some(path)) => Ok((
            path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            of_mixture(args, path)?,
        )),
        (None, None) => unreachable!("one of them was asked for"),
    }
}

fn wanted(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|wanted| wanted == name)
}

fn check_names(wanted: &[String], known: &[&str]) -> Result<()> {
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            Err(usage(format!("--task {name}: there is no such task; there are {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// A task's examples, a part for each language.
fn of_suite(args: &Args, folder: &Path, task: &'static SuiteTask) -> Result<Vec<Part>> {
    let split = match &args.tasks.split {
        None => task.reported,
        Some(name) => Split::by_name(name)
            .ok_or_else(|| usage(format!("--split {name}: there are train, validation and test")))?,
    };
    let several = task.languages.len() > 1;
    let languages: Vec<Option<&str>> = match several {
        true => {
            task.languages.iter().copied().filter(|l| wanted(&args.tasks.language, l)).map(Some).collect()
        }
        false => vec![None],
    };
    let mut parts = Vec::new();
    for language in languages {
        let mut examples = Vec::new();
        let most = args.most();
        let read = task.read(folder, split, language, &mut |example| {
            if examples.len() < most {
                examples.push(example);
            }
            Ok(())
        });
        read.map_err(|error| anyhow::anyhow!("{error}{}", narrower(&error)))?;
        let labels = match args.constrains_labels()? {
            true => task.closed_labels(folder)?,
            false => None,
        };
        parts.push(Part {
            task: task.name.to_owned(),
            language: language.map(str::to_owned),
            examples,
            judge: Judge::Suite(task),
            labels,
        });
    }
    Ok(parts)
}

/// What helps where files are missing.
fn narrower(error: &suite::Error) -> &'static str {
    match error {
        suite::Error::Missing { .. } => "; put it there, or say by --task and --language which you have",
        _ => "",
    }
}

/// The validation examples of a mixture's tasks.
fn of_mixture(args: &Args, path: &Path) -> Result<Vec<Part>> {
    let mixture = mixture::read(path)?;
    let names: Vec<&str> = mixture.tasks.iter().map(|task| task.name.as_str()).collect();
    check_names(&args.tasks.task, &names)?;
    let mut parts = Vec::new();
    for task in mixture.tasks.iter().filter(|task| wanted(&args.tasks.task, &task.name)) {
        if !task.has(Split::Validation) {
            let what = "has no files to validate on: give valid, or leave it out by --task";
            return Err(usage(format!("{}: task {} {what}", task.place, task.name)));
        }
        let mut examples: Vec<SuiteExample> = Vec::new();
        let most = args.most();
        let options = TableOptions::default();
        task.each::<anyhow::Error>(
            Split::Validation,
            &options,
            &mut |_| std::ops::ControlFlow::Break(()),
            |pair| {
                if examples.len() < most {
                    let references = vec![pair.target.clone()];
                    examples.push(SuiteExample {
                        source: pair.source,
                        target: pair.target,
                        references,
                        ..SuiteExample::default()
                    });
                }
                Ok(())
            },
        )?;
        let judge = match &task.form {
            Form::Suite { task, .. } => Judge::Suite(task),
            _ => {
                let names =
                    if task.metrics.is_empty() { &["accuracy".to_owned()][..] } else { &task.metrics };
                let metrics = names
                    .iter()
                    .map(|name| metric(name).map_err(|error| usage(format!("{}: {error}", task.place))));
                Judge::Metrics(metrics.collect::<Result<_>>()?)
            }
        };
        let labels = task.labels().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let labels = Some(labels).filter(|labels| !labels.is_empty());
        parts.push(Part { task: task.name.clone(), language: None, examples, judge, labels });
    }
    Ok(parts)
}

/// Measures every model on every task, writes the folder, prints the tables.
pub fn run(args: &Args) -> Result<()> {
    let asked = args.asked()?;
    let names = args.names()?;
    let (data, parts) = parts(args)?;
    let folder = AtomicDir::create(&args.output, args.force)?;
    let kept = Kept::begin(&args.output, args.resume, args.force, true)?;
    let mut found = TaskEvaluation {
        data,
        parts: parts
            .iter()
            .map(|part| (part.task.clone(), part.language.clone(), part.examples.len()))
            .collect(),
        models: Vec::new(),
    };
    let mut pages: Vec<Evaluation> = parts.iter().map(page_of).collect();
    for (number, (model, name)) in args.model.iter().zip(&names).enumerate() {
        let mut opened = None;
        let mut figures = Vec::new();
        for (i, (part, page)) in parts.iter().zip(&mut pages).enumerate() {
            let mut settings = args.settings(model, page);
            settings.insert("task".into(), part.name().into());
            let at = number * parts.len() + i;
            let (made, peak) = match kept.get(at, &settings)? {
                Some(made) => made,
                None => {
                    let pipeline = match &mut opened {
                        Some(pipeline) => pipeline,
                        none => {
                            let named =
                                ModelArgs { tokenizer: args.tokenizer.clone(), ..ModelArgs::at(model) };
                            let device = args.device.open()?;
                            let read = named.prepare(args.dtype, args.threads)?.load()?;
                            none.insert(on_device(read, device.as_ref())?)
                        }
                    };
                    let made = (of_model(args, pipeline, part, name, &asked, i == 0)?, None);
                    kept.put(at, &settings, &made)?;
                    made
                }
            };
            figures.push(part.figures(&made.texts)?);
            let metrics = match &part.judge {
                Judge::Metrics(metrics) => metrics.clone(),
                Judge::Suite(task) => {
                    let language = part.language.as_deref().unwrap_or(task.languages[0]);
                    let named = task.metrics.iter().map(|name| metric(&name.replace("{lang}", language)));
                    named.collect::<Result<_>>()?
                }
            };
            let metrics = if metrics.is_empty() { vec![metric("accuracy")?] } else { metrics };
            let bootstrap = Bootstrap { samples: args.bootstrap, seed: args.bootstrap_seed };
            page.add(name.clone(), made, peak, settings, &metrics, bootstrap)?;
        }
        found.models.push((name.clone(), figures));
    }
    for (part, page) in parts.iter().zip(&pages) {
        let own = folder.path().join(part.name());
        std::fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        args.write(page, &own)?;
    }
    let json = found.to_json();
    std::fs::write(folder.path().join("evaluation.json"), format!("{json:#}\n"))
        .context("cannot write evaluation.json")?;
    let html = tasks_page(&found, lang(), &typed::now(), &[args.typed()]);
    std::fs::write(folder.path().join("evaluation.html"), html).context("cannot write evaluation.html")?;
    folder.commit()?;
    kept.done();
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{json:#}")?;
    } else {
        for (i, rows) in found.tables().iter().enumerate() {
            if i > 0 {
                writeln!(out)?;
            }
            out.write_all(aligned(rows, 2).as_bytes())?;
        }
    }
    told!(see_page, page = args.output.join("evaluation.html").display());
    Ok(())
}

/// A part's examples as a page shows them.
fn page_of(part: &Part) -> Evaluation {
    let sources = part.examples.iter().map(|example| example.source.clone()).collect();
    let examples = Examples { sources, references: part.references() };
    Evaluation { data: part.name(), examples, models: Vec::new() }
}

/// What a model makes of a part. Its own prefix and prompt are not put before what is in a task's words already.
fn of_model(
    args: &Args,
    pipeline: &t5kit_pipeline::Pipeline,
    part: &Part,
    name: &str,
    asked: &Asked,
    says: bool,
) -> Result<t5kit_evaluate::Outputs> {
    let mut wishes = asked.wishes.clone();
    if let Some(Constrain::Labels(labels)) = &mut wishes.constrain
        && labels.is_empty()
    {
        // Of a task whose targets are any text nothing is scored.
        wishes.constrain = part.labels.clone().map(Constrain::Labels);
    }
    let settled = pipeline.settle(&wishes)?;
    if says {
        say(&settled);
    }
    let form = pipeline.form(&args.form.wishes(args.punctuation));
    if says {
        say_form(&form, &["max_source_length", "punctuation"]);
    }
    let (max_source_length, punctuation) = (form.max_source_length, form.punctuation);
    let speed = None;
    let asked = Asked { wishes, max_source_length, punctuation, speed, ..asked.clone() };
    let prefix = args.form.source_prefix.as_deref().unwrap_or_default();
    let sources: Vec<String> =
        part.examples.iter().map(|example| format!("{prefix}{}", example.source)).collect();
    let mut monitor = Monitor::default();
    let made = outputs(pipeline, &sources, &asked, &settled, &mut monitor);
    monitor.clear();
    if interrupt::requested() {
        return Err(Interrupted.into());
    }
    let made = made?;
    let whose = format!(" ({name}, {})", part.name());
    notice_cut(Side::Source, made.cut, sources.len(), asked.max_source_length, &whose);
    Ok(made)
}
