//! The command line as a whole: what holds for every flag of every subcommand.
//!
//! The subcommands declare their flags; here they all get the names that other programs have for them, ranges that
//! refusals name, examples in their help, and presets. Of a flag that is given twice the last one counts.

mod flags;
mod help;
mod names;
mod numbers;
mod refusal;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;

use crate::Cli;
use crate::finetune::presets;
pub use flags::program;
pub use refusal::{in_a_line, report};

/// A command line that was understood.
pub struct Parsed {
    pub cli: Cli,
    /// What the preset has set, where one was given.
    pub preset: Option<String>,
}

/// The program with all its subcommands, as they are typed, helped with and completed.
pub fn command() -> clap::Command {
    let global: Vec<String> = longs(&Cli::command());
    Cli::command().args_override_self(true).mut_subcommands(|command| {
        let mut taken = [longs(&command), global.clone(), vec!["help".into(), "version".into()]].concat();
        let command =
            command.mut_args(|argument| names::with_aliases(numbers::with_range(argument), &mut taken));
        help::with_examples(command)
    })
}

/// Understands a command line, the program's name first.
///
/// # Errors
/// Those of clap; help and the version are among them.
pub fn parse<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Parsed, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let mut matches = command().try_get_matches_from(&arguments)?;
    let mut preset = None;
    if let Some(chosen) = matches.subcommand_matches("finetune").and_then(presets::Chosen::of) {
        // What the flags leave open is the preset's: its values are defaults, and the line is read again.
        preset = Some(chosen.to_string());
        let command = command().mut_subcommand("finetune", |finetune| chosen.as_defaults(finetune));
        matches = command.try_get_matches_from(&arguments)?;
    }
    Ok(Parsed { cli: understood(&mut matches)?, preset })
}

fn understood(matches: &mut ArgMatches) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches_mut(matches).map_err(|error| error.format(&mut Cli::command()))
}

/// The long names of a command's flags, their aliases too.
fn longs(command: &clap::Command) -> Vec<String> {
    let arguments = command.get_arguments();
    let names = arguments.flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    names.map(String::from).collect()
}
