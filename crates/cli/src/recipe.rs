//! `t5kit recipe`: recipes written, checked and described.

mod ask;

use anyhow::{Context, Result};
use std::io::Write;
use std::path::PathBuf;
use t5kit_recipe::Recipe;

use crate::commandline::program;
use crate::run::check;

/// The flags of `t5kit recipe`.
#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Write a recipe with comments for a table of one's own; asks on a terminal what the flags leave open
    New(ask::Args),
    /// Say whether a recipe can be run, and its stages
    Check(CheckArgs),
    /// Print the JSON schema of recipes, for editors that complete TOML by one
    Schema,
}

/// The flags of `t5kit recipe check`.
#[derive(clap::Args)]
struct CheckArgs {
    /// The recipe
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Set a key over what the recipe says, such as data.file=title.tsv; may be given several times
    #[arg(long, value_name = "SECTION.KEY=VALUE", action = clap::ArgAction::Append)]
    set: Vec<String>,
}

/// Does what the subcommand says.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::New(args) => ask::run(args),
        Command::Check(args) => {
            let program = program();
            let recipe = Recipe::read(&args.recipe, &args.set, &program)?;
            let stages = recipe.stages(&program);
            check(&recipe, &stages)?;
            recipe.check_files()?;
            let names: Vec<&str> = stages.iter().map(|stage| stage.name).collect();
            let (path, output) = (args.recipe.display(), recipe.output.display());
            writeln!(std::io::stdout().lock(), "{path}: {}, into {output}", names.join(", "))?;
            Ok(())
        }
        Command::Schema => {
            let text =
                serde_json::to_string_pretty(&t5kit_recipe::schema(&program())).context("the schema")?;
            writeln!(std::io::stdout().lock(), "{text}")?;
            Ok(())
        }
    }
}
