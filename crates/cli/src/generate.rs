//! `t5kit generate`: sources to generated text.

mod input;
mod options;
mod output;

use anyhow::Result;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use t5kit_generate::{GenerateOptions, Noticed, TextStream, generate, generate_stream};
use t5kit_pipeline::{Encoder, Pipeline};
use t5kit_tensor::DType;

use crate::errors::usage;
use crate::lengths::{OnLong, finish, limits};
use crate::model_args::{ModelArgs, storage_type};
use input::Input;
use options::{OptionArgs, say};
use output::Printer;

/// The flags of `t5kit generate`.
#[derive(clap::Args)]
pub struct Args {
    /// Sources; without any, one a line of standard input
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Print a JSON object for each source: {"outputs": [{"text", "ids", "score"}]}
    #[arg(long)]
    json: bool,
    /// Print the text token by token as it is chosen; one source, greedy or sampled
    #[arg(long, conflicts_with_all = ["json", "num_beams", "num_return_sequences"])]
    stream: bool,
    #[command(flatten)]
    options: OptionArgs,
    /// Longest source in tokens, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
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
    /// Hold the weights as this; sums are always f32 [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_parser = storage_type(), help_heading = "Work")]
    dtype: Option<DType>,
}

/// Prints the generated texts, in the order of the sources.
pub fn run(args: Args) -> Result<()> {
    // What is wrong with the flags alone is said before anything is read.
    let wishes = args.options.wishes(args.stream)?;
    wishes.check()?;
    let model = args.model.prepare(args.dtype, args.threads)?.load()?;
    let settled = model.settle(&wishes)?;
    say(&settled);
    let mut options = settled.options;
    options.scores = args.json || options.num_return_sequences > 1;
    options.limits = Some(limits(args.batch_size, args.batch_tokens, options.batch_limits()));
    let encoder = Encoder::new(&model, "source", args.max_source_length.get(), args.on_long.into());
    let input = Input::new(args.texts);
    if args.stream {
        stream(&model, input, encoder, &options)
    } else {
        lines(&model, input, encoder, options, args.json)
    }
}

/// Source after source, a window at a time: within one they are worked on by length.
fn lines(
    model: &Pipeline,
    mut input: Input,
    mut encoder: Encoder<'_>,
    mut options: GenerateOptions,
    json: bool,
) -> Result<()> {
    // Several batches a thread, so that they are of sources of like lengths.
    let window = options.batch_limits().sequences.saturating_mul(8 * model.pool.threads()).clamp(64, 4096);
    let mut printer = Printer::new(&model.tokenizer, json);
    let mut sources_before = 0;
    loop {
        let texts = input.window(window)?;
        if texts.is_empty() {
            break;
        }
        let sources = texts.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
        printer.begin(sources.len());
        let mut failed = None;
        let noticed =
            generate(&model.model, &model.pool, &sources, &options, |source, targets| {
                match printer.give(source, targets) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if sources_before == 0 {
            warn_untuned(noticed);
        }
        sources_before += sources.len();
        options.first_source += sources.len() as u64;
    }
    finish(encoder);
    Ok(())
}

/// One source, token by token.
fn stream(
    model: &Pipeline,
    mut input: Input,
    mut encoder: Encoder<'_>,
    options: &GenerateOptions,
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
    let (_, noticed) =
        generate_stream(&model.model, &model.pool, &source, options, |id| match print(parts.push(id)) {
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
    warn_untuned(noticed);
    Ok(())
}

/// A checkpoint as it was published fills in blanks, whatever it is asked.
fn warn_untuned(noticed: Noticed) {
    if noticed.looks_untuned() {
        eprintln!(
            "t5kit: this model wants to begin with <extra_id_0>: it has learnt to fill in blanks and nothing else, and \
             needs fine-tuning for your task (t5kit finetune)"
        );
    }
}
