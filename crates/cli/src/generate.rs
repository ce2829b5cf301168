//! `t5kit generate`: sources to generated text.

mod input;
pub mod options;
mod output;
pub mod table;

use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use t5kit_formats::progress::Progress;
use t5kit_generate::{GenerateOptions, Generated, Noticed, Steps, TextStream, generate, generate_stream};
use t5kit_pipeline::{Encoder, Form, Pipeline, Spelling, named_options};
use t5kit_tensor::DType;

use crate::constrain::{check_labels, say_fewer, say_unfinished, unfinished};
use crate::device::{DeviceArgs, on_device};
use crate::errors::usage;
use crate::form::{FormArgs, settle, warn_prompt};
use crate::lengths::{OnLong, finish, limits};
use crate::model_args::{ModelArgs, storage_type};
use crate::progress::Monitor;
use crate::punctuation::PunctuationFlag;
use crate::say::count;
use input::Input;
use options::{OptionArgs, say};
use output::Printer;
use table::{Sources, TableArgs};

/// The flags of `t5kit generate`.
#[derive(clap::Args)]
pub struct Args {
    /// Sources; without any, one a line of standard input
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    table: TableArgs,
    /// What happens to half-width punctuation in generated Chinese: auto restores ，！？：；（） where the tokenizer has
    /// made them half-width and the text is Chinese [default: what the model was trained with, else auto]
    #[arg(long, value_enum)]
    punctuation: Option<PunctuationFlag>,
    /// Print a JSON object for each source: {"outputs": [{"text", "ids", "score"}]}
    #[arg(long)]
    json: bool,
    /// Print the text token by token as it is chosen; one source, greedy or sampled
    #[arg(long, conflicts_with_all = ["json", "num_beams", "num_return_sequences"])]
    stream: bool,
    #[command(flatten)]
    options: OptionArgs,
    #[command(flatten)]
    form: FormArgs,
    /// What happens to a longer source
    #[arg(long, value_name = "WHAT", default_value = "cut")]
    on_long: OnLong,
    /// Sources worked on together, at most [default: 32, or 64 hypotheses of a beam]
    #[arg(long, value_name = "N", help_heading = "Work")]
    batch_size: Option<NonZeroUsize>,
    /// Source tokens worked on together, at most; a longer source is worked on alone [default: 8192]
    #[arg(long, value_name = "N", help_heading = "Work")]
    batch_tokens: Option<NonZeroUsize>,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Work")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Hold the weights as this; sums are always f32 [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_parser = storage_type(), help_heading = "Work")]
    dtype: Option<DType>,
}

/// Prints the generated texts, in the order of the sources.
pub fn run(mut args: Args) -> Result<()> {
    // What is wrong with the flags alone is said before anything is read.
    let wishes = args.options.wishes(args.stream)?;
    wishes.check()?;
    check_labels(wishes.constrain.as_ref(), args.stream)?;
    let device = args.device.open()?;
    let model = on_device(args.model.prepare(args.dtype, args.threads)?.load()?, device.as_ref())?;
    let settled = model.settle(&wishes)?;
    say(&settled);
    let mut options = settled.options;
    say_fewer(&options);
    let labels = options.labels().map(|labels| labels.names().len());
    if let (Some(all), true, None) = (labels, args.json, wishes.num_return_sequences) {
        options.num_return_sequences = all;
    }
    options.scores = args.json || options.num_return_sequences > 1;
    options.limits = Some(limits(args.batch_size, args.batch_tokens, options.batch_limits()));
    let names = ["source_prefix", "max_source_length", "punctuation"];
    let form = settle(&model, &args.form.wishes(args.punctuation), &names);
    let mut encoder = Encoder::new(&model, "source", form.max_source_length, args.on_long.into());
    let spelling = Spelling::new(&model.tokenizer, form.punctuation);
    let spelling = spelling.constrained(&options, args.punctuation.is_some());
    let sources = args.table.input.as_deref().map(|path| args.table.sources.open(path, &form)).transpose()?;
    warn_prompt(&form, sources.as_ref().is_some_and(Sources::has_prompts));
    match (sources, args.table.results(options.num_return_sequences, labels.is_some())?) {
        (Some(sources), Some(results)) => {
            let settings = settings(&args, &form, &options)?;
            let asked = options.num_return_sequences;
            let first_source = options.first_source;
            let (mut steps, mut open) = (Steps::default(), 0);
            results.write(sources, window(&model, &options), settings, |texts, first, give| {
                options.first_source = first_source + first;
                let unseen = |_| {}; // results count what is written
                let noticed = each_source(&model, &mut encoder, texts, &options, unseen, |targets| {
                    open += unfinished(&options, &targets);
                    give(table::cells(asked, &targets, |target| spelling.text(target)))
                })?;
                steps += noticed.steps;
                Ok(())
            })?;
            say_steps(steps);
            say_unfinished(open);
            finish(encoder);
            Ok(())
        }
        (sources, _) => {
            let input = match sources {
                Some(sources) => Input::table(sources)?,
                None => Input::new(
                    std::mem::take(&mut args.texts),
                    args.table.sources.tables.text.encoding,
                    &form,
                ),
            };
            if args.stream {
                stream(&model, input, encoder, &options, &spelling)
            } else {
                lines(&model, input, encoder, options, &spelling, args.json)
            }
        }
    }
}

/// Sources that are read at a time: several batches a thread, so that they are of sources of like lengths.
fn window(model: &Pipeline, options: &GenerateOptions) -> usize {
    options.batch_limits().sequences.saturating_mul(8 * model.pool.threads()).clamp(64, 4096)
}

/// What a run that goes on must have in common with its beginning.
fn settings(
    args: &Args,
    form: &Form,
    options: &GenerateOptions,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    let input = args.table.input.as_deref().unwrap_or(Path::new("-"));
    let bytes = std::fs::metadata(input).map_or(0, |metadata| metadata.len());
    // How many are worked on together changes no result, nor does what is looked up.
    let options =
        GenerateOptions { limits: None, first_source: 0, prompt_lookup_num_tokens: 0, ..options.clone() };
    let settings = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": args.model.model,
        "adapter": args.model.adapter,
        "input": input,
        "input size": bytes,
        "columns": format!("{:?}", args.table.sources.columns()),
        "tables": format!("{:?}", args.table.sources.tables),
        "source_prefix": form.source_prefix,
        "prompt_text": form.prompt_text,
        "max_source_length": form.max_source_length,
        "punctuation": form.punctuation.name(),
    });
    let mut settings = match settings {
        serde_json::Value::Object(settings) => settings,
        _ => unreachable!("it is an object"),
    };
    // One by one, so that what differs can be named; then whatever else there is.
    let named = named_options(&options).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    settings.extend(named);
    settings.insert("options".into(), format!("{options:?}").into());
    Ok(settings)
}

/// Source after source, a window at a time: within one they are worked on by length.
fn lines(
    model: &Pipeline,
    mut input: Input,
    mut encoder: Encoder<'_>,
    mut options: GenerateOptions,
    spelling: &Spelling<'_>,
    json: bool,
) -> Result<()> {
    let mut printer = Printer::new(spelling, json, options.num_return_sequences > 1);
    let (mut sources_before, mut open) = (0, 0);
    let mut steps = Steps::default();
    // On a terminal the lines themselves say how far it is.
    let mut monitor = (!std::io::stdout().is_terminal()).then(Monitor::default);
    loop {
        let texts = input.window(window(model, &options))?;
        if texts.is_empty() {
            break;
        }
        let done = |count| {
            if let Some(monitor) = &mut monitor {
                monitor.show(Progress::items("generating", "texts", sources_before + count, None));
            }
        };
        let noticed = each_source(model, &mut encoder, &texts, &options, done, |targets| {
            open += unfinished(&options, &targets);
            Ok(printer.print(&targets)?)
        })?;
        if sources_before == 0 {
            warn_untuned(noticed);
        }
        steps += noticed.steps;
        sources_before += texts.len();
        options.first_source += texts.len() as u64;
    }
    if let Some(mut monitor) = monitor {
        monitor.clear();
    }
    say_steps(steps);
    say_unfinished(open);
    finish(encoder);
    Ok(())
}

/// Generates for some texts and gives the targets of each to `each`, in their order, as soon as all before them are
/// there. `done` hears how many have been worked on.
fn each_source(
    model: &Pipeline,
    encoder: &mut Encoder<'_>,
    texts: &[String],
    options: &GenerateOptions,
    mut done: impl FnMut(usize),
    mut each: impl FnMut(Vec<Generated>) -> Result<()>,
) -> Result<Noticed> {
    let sources = texts.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
    let mut waiting: Vec<Option<Vec<Generated>>> = vec![None; sources.len()];
    let (mut next, mut count, mut failed) = (0, 0, None);
    let summary = generate(&*model.model, &model.pool, &sources, options, |source, targets| {
        waiting[source] = Some(targets);
        count += 1;
        done(count);
        while let Some(targets) = waiting.get_mut(next).and_then(Option::take) {
            next += 1;
            if let Err(error) = each(targets) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(summary), Err)
}

/// One source, token by token.
fn stream(
    model: &Pipeline,
    mut input: Input,
    mut encoder: Encoder<'_>,
    options: &GenerateOptions,
    spelling: &Spelling<'_>,
) -> Result<()> {
    let texts = input.window(2)?;
    let [text] = &texts[..] else {
        return Err(usage(format!(
            "--stream takes one source, not {}",
            if texts.is_empty() { "none" } else { "several" }
        )));
    };
    let source = encoder.encode(text)?;
    finish(encoder);
    let mut out = std::io::stdout().lock();
    let mut parts = TextStream::new(&model.tokenizer);
    let mut failed = None;
    let mut print =
        |part: String| write!(out, "{}", part.replace(['\n', '\r'], " ")).and_then(|()| out.flush());
    for &id in &options.prefix {
        print(parts.push(id))?;
    }
    let (target, noticed) =
        generate_stream(&*model.model, &model.pool, &source, options, |id| match print(parts.push(id)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    print(parts.finish())?;
    writeln!(out)?;
    // What comes behind a mark decides, and that is not there yet when the mark is printed.
    if spelling.changes(&target) {
        told!(punctuation_as_it_came);
    }
    say_steps(noticed.steps);
    say_unfinished(unfinished(options, std::slice::from_ref(&target)));
    warn_untuned(noticed);
    Ok(())
}

/// How many steps it took, under `--verbose`.
fn say_steps(steps: Steps) {
    let Steps { steps: passes, tokens, proposed, .. } = steps;
    let [passes, tokens, tried] = [passes, tokens, proposed].map(|n| count(n as usize));
    let of_them = match proposed {
        0 => "none looked up and tried".to_owned(),
        _ => format!("{tried} looked up and tried, {:.0} % of them right", 100.0 * steps.accepted()),
    };
    detail!("{tokens} tokens in {passes} steps, {:.2} a step and text; {of_them}", steps.tokens_a_step());
}

/// A checkpoint as it was published fills in blanks, whatever it is asked.
fn warn_untuned(noticed: Noticed) {
    if noticed.looks_untuned() {
        told!(looks_untuned);
    }
}
