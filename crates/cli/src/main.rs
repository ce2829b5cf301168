//! The `t5kit` program: one subcommand a file, no logic of its own.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 130 ended by Ctrl-C. A reader of standard output that goes away ends the program quietly.

#[macro_use]
mod say;

mod bench;
mod columns;
mod commandline;
mod compare;
mod constrain;
mod convert;
mod count;
mod demo;
mod detokenize;
mod device;
mod errors;
mod evaluate;
mod finetune;
mod form;
mod generate;
mod inside;
mod inspect;
mod interrupt;
mod lang;
mod lengths;
mod manual;
mod metrics;
mod model_args;
mod new_tokens;
mod objective;
mod pairs;
mod pretrain;
mod progress;
mod punctuation;
mod recipe;
mod results;
mod run;
mod score;
mod split;
mod table_flags;
mod tokenize;
mod training;
mod trim;
mod typed;
mod vocab_flags;

use clap::{Parser, Subcommand};
use progress::Took;
use say::Level;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Text-to-text models of the T5 family: trim, fine-tune, generate, evaluate.
#[derive(Parser)]
#[command(name = "t5kit", version, max_term_width = 100)]
struct Cli {
    /// Say nothing but errors
    #[arg(long, short, global = true, overrides_with = "verbose")]
    quiet: bool,
    /// Say more: files, instruction set, threads, times
    #[arg(long, short, global = true, overrides_with = "quiet")]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Turn lines of text into lines of ids
    Tokenize(tokenize::Args),
    /// Turn lines of ids back into text
    Detokenize(detokenize::Args),
    /// Count how often each piece occurs in a corpus
    Count(count::Args),
    /// Cut the vocabulary of a tokenizer and its model to the pieces worth keeping
    Trim(trim::Args),
    /// Show what a model is: family, sizes, parameters, memory
    Inspect(inspect::Args),
    /// Write a model as a Hugging Face directory, from whatever it is stored in
    Convert(convert::Args),
    /// Train a model on pairs of source and target
    Finetune(Box<finetune::Args>),
    /// Go on training a model on text alone, by T5's objectives and others
    Pretrain(Box<pretrain::Args>),
    /// Generate text for sources
    Generate(Box<generate::Args>),
    /// Cut a table of examples into parts for training, validation and testing
    Split(split::Args),
    /// A whole experiment from one file: model, trim, data, fine-tune, evaluate, export
    Run(run::Args),
    /// Write, check and describe the files that `t5kit run` runs
    Recipe(recipe::Args),
    /// Show what the pre-training objectives make of texts: inputs and targets
    Objective(objective::Args),
    /// Say how probable a model finds given targets
    Score(score::Args),
    /// Generate, score and time: one or several models on a table of examples
    Evaluate(Box<evaluate::Args>),
    /// Measure how fast a model generates, by batch size, beams and storage type
    Bench(Box<bench::Args>),
    /// Compare generated text with references: ROUGE, BLEU, chrF, answers, labels
    Metrics(metrics::Args),
    /// Lay several training runs over one another on one page
    Compare(compare::Args),
    /// The whole story in about a minute, offline: count, trim, fine-tune, generate, compare
    Demo(demo::Args),
    /// Print the script that completes t5kit's flags in a shell
    Completions(manual::CompletionsArgs),
    /// Print a manual page, or write all of them
    Man(manual::ManArgs),
}

impl Command {
    /// Whether the subcommand asks [`interrupt::requested`] as it goes, to save its work or to say where it
    /// stopped. The others end at the first Ctrl-C.
    fn ends_in_order(&self) -> bool {
        matches!(
            self,
            Command::Count(_)
                | Command::Finetune(_)
                | Command::Pretrain(_)
                | Command::Evaluate(_)
                | Command::Bench(_)
                | Command::Demo(_)
                | Command::Run(_)
        )
    }

    /// Says what was typed, from the subcommand on, where it is not the process's own command line: pages show it.
    fn typed(&mut self, arguments: &[String]) {
        let command = match self {
            Command::Pretrain(args) => &mut args.command,
            Command::Finetune(args) => &mut args.command,
            Command::Evaluate(args) => &mut args.command,
            _ => return,
        };
        *command = arguments.to_vec();
    }

    fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Tokenize(args) => tokenize::run(args),
            Command::Detokenize(args) => detokenize::run(args),
            Command::Count(args) => count::run(args),
            Command::Trim(args) => trim::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Convert(args) => convert::run(args),
            Command::Finetune(args) => finetune::run(*args),
            Command::Pretrain(args) => pretrain::run(*args),
            Command::Generate(args) => generate::run(*args),
            Command::Split(args) => split::run(args),
            Command::Run(args) => run::run(args),
            Command::Recipe(args) => recipe::run(args),
            Command::Objective(args) => objective::run(args),
            Command::Score(args) => score::run(args),
            Command::Evaluate(args) => evaluate::run(*args),
            Command::Bench(args) => bench::run(*args),
            Command::Metrics(args) => metrics::run(args),
            Command::Compare(args) => compare::run(args),
            Command::Demo(args) => demo::run(args),
            Command::Completions(args) => manual::completions(args),
            Command::Man(args) => manual::man(args),
        }
    }
}

fn main() -> ExitCode {
    let begun = Instant::now();
    let arguments: Vec<_> = std::env::args_os().collect();
    let parsed = match commandline::parse(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return ExitCode::from(commandline::report(&error, &arguments)),
    };
    let cli = parsed.cli;
    say::set_level(match (cli.quiet, cli.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Usual,
    });
    if let Some(preset) = parsed.preset {
        eprintln!("t5kit: {preset}");
    }
    let in_order = cli.command.ends_in_order();
    let run = || start(&cli.command).and_then(|()| cli.command.run());
    let result = t5kit_tensor::failures(run).map_err(Into::into).flatten().and_then(|()| {
        std::io::stdout().flush()?;
        Ok(())
    });
    detail!("done in {}", Took(begun.elapsed()));
    let code = match result {
        Ok(()) => 0,
        // The signal's thread is about to end the program; what failed is that its files have gone.
        Err(_) if interrupt::requested() && !in_order => errors::INTERRUPTED,
        Err(error) => errors::report(&error),
    };
    ExitCode::from(if interrupt::requested() { errors::INTERRUPTED } else { code })
}

/// What every subcommand needs first.
fn start(command: &Command) -> anyhow::Result<()> {
    lang::init()?;
    interrupt::install(command.ends_in_order())?;
    let isa = t5kit_tensor::init().map_err(errors::usage)?;
    detail!(
        "version {}, instructions {}, products in bf16: {}, {} threads at most, {} of memory free",
        env!("CARGO_PKG_VERSION"),
        isa.name(),
        if t5kit_tensor::bf16_products() { "yes" } else { "no" },
        t5kit_tensor::Pool::default_threads(),
        t5kit_model::memory::available_bytes().map_or("?".into(), say::bytes)
    );
    Ok(())
}
