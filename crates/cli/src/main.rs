//! The `t5kit` program: one subcommand a file, no logic of its own.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 130 ended by Ctrl-C. A reader of standard output that goes away ends the program quietly.

#[macro_use]
mod say;

mod compare;
mod convert;
mod count;
mod demo;
mod detokenize;
mod errors;
mod finetune;
mod generate;
mod inspect;
mod interrupt;
mod lang;
mod lengths;
mod metrics;
mod model_args;
mod progress;
mod score;
mod tokenize;
mod trim;
mod vocab_flags;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Text-to-text models of the T5 family: trim, fine-tune, generate, evaluate.
#[derive(Parser)]
#[command(name = "t5kit", version, max_term_width = 100)]
struct Cli {
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
    /// Generate text for sources
    Generate(generate::Args),
    /// Say how probable a model finds given targets
    Score(score::Args),
    /// Compare generated text with references: ROUGE, BLEU
    Metrics(metrics::Args),
    /// Lay several training runs over one another on one page
    Compare(compare::Args),
    /// The whole story in about a minute, offline: count, trim, fine-tune, generate, compare
    Demo(demo::Args),
}

impl Command {
    /// Whether the subcommand asks [`interrupt::requested`] as it goes, to save its work or to say where it
    /// stopped. The others end at the first Ctrl-C.
    fn ends_in_order(&self) -> bool {
        matches!(self, Command::Count(_) | Command::Finetune(_) | Command::Demo(_))
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
            Command::Generate(args) => generate::run(args),
            Command::Score(args) => score::run(args),
            Command::Metrics(args) => metrics::run(args),
            Command::Compare(args) => compare::run(args),
            Command::Demo(args) => demo::run(args),
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are "errors" too; clap knows where each goes. A closed pipe is no news.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(errors::USAGE));
        }
    };
    let in_order = cli.command.ends_in_order();
    let result = start(&cli.command).and_then(|()| cli.command.run()).and_then(|()| {
        std::io::stdout().flush()?;
        Ok(())
    });
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
    t5kit_tensor::init().map_err(errors::usage)?;
    Ok(())
}
