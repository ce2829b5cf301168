//! `t5kit completions` and `t5kit man`: what shells complete and `man` shows, made from the flags themselves.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap_complete::Shell;
use clap_mangen::Man;
use t5kit_formats::output::AtomicFile;

use crate::commandline;
use crate::errors::usage;

/// The flags of `t5kit completions`.
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// The flags of `t5kit man`.
#[derive(clap::Args)]
pub struct ManArgs {
    /// The subcommand whose page is printed [default: the program's]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    page: Option<String>,
    /// Folder to write all pages to: t5kit.1, t5kit-finetune.1, …; those that are there are replaced
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Prints the script that teaches a shell the program's flags.
pub fn completions(args: CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut commandline::command(), "t5kit", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}

/// Prints a page for `man`, or writes all of them.
pub fn man(args: ManArgs) -> Result<()> {
    let mut program = commandline::command();
    program.build();
    let Some(folder) = &args.output else {
        let page = match &args.page {
            None => program,
            Some(name) => {
                let found = program.find_subcommand(name).filter(|command| command.get_name() != "help");
                let found = found.ok_or_else(|| usage(format!("{name}: there is no such subcommand")))?;
                named(found)
            }
        };
        std::io::stdout().lock().write_all(&rendered(page)?)?;
        return Ok(());
    };
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let subcommands = program.get_subcommands().filter(|command| command.get_name() != "help").map(named);
    let pages: Vec<clap::Command> = subcommands.chain([program.clone()]).collect();
    for page in pages {
        let mut file = AtomicFile::create(&folder.join(format!("{}.1", page.get_name())), true)?;
        file.write_all(&rendered(page)?)?;
        file.commit()?;
    }
    told!(manual_pages, folder = folder.display());
    Ok(())
}

/// A subcommand under the name that its page has.
fn named(command: &clap::Command) -> clap::Command {
    command.clone().name(format!("t5kit-{}", command.get_name()))
}

fn rendered(command: clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).manual("t5kit").render(&mut page)?;
    Ok(page)
}
