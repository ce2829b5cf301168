//! `t5kit compare`: several runs over one another on one page.

use std::path::PathBuf;

use anyhow::Result;

use crate::lang::lang;

/// The flags of `t5kit compare`.
#[derive(clap::Args)]
pub struct Args {
    /// Folders of runs, at most eight
    #[arg(value_name = "RUN", required = true, num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Page to write
    #[arg(long, short, value_name = "FILE", default_value = "compare.html")]
    output: PathBuf,
    /// Replace the page if it is there
    #[arg(long)]
    force: bool,
}

/// Writes the page and says where.
pub fn run(args: Args) -> Result<()> {
    t5kit_train::compare(&args.runs, lang(), &args.output, args.force)?;
    told!(runs_compared, n = args.runs.len(), page = args.output.display());
    Ok(())
}
