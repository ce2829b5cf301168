//! A subcommand that another one runs in this process, shown as one would type it.

use anyhow::Result;
use console::style;

use crate::commandline;
use crate::errors::Interrupted;
use crate::interrupt;
use crate::typed;

/// Runs a subcommand (its name first), after printing it.
///
/// # Errors
/// Its own; [`Interrupted`] where the user has asked the program to end.
pub fn run(arguments: &[String]) -> Result<()> {
    eprintln!("{}", style(format!("\n$ {}", typed::line(arguments))).for_stderr().green());
    let parsed = commandline::parse(std::iter::once("t5kit").chain(arguments.iter().map(String::as_str)))?;
    if let Some(preset) = parsed.preset {
        eprintln!("t5kit: {preset}");
    }
    let mut command = parsed.cli.command;
    command.typed(arguments);
    command.run()?;
    if interrupt::requested() { Err(Interrupted.into()) } else { Ok(()) }
}
