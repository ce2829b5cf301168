//! `t5kit convert`: any model that is read, as a Hugging Face directory.

use anyhow::{Context, Result};
use std::path::PathBuf;
use t5kit_formats::output::AtomicDir;
use t5kit_trim::hf_files::{Source, write_generation_config, write_tokenizer};

use crate::errors::usage;
use crate::model_args::{ModelArgs, Storage};
use crate::progress::{Progress, Style, Unit};

/// The flags of `t5kit convert`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder to write: config.json, model.safetensors and the tokenizer's files
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Storage type of the weights [default: the file's]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Storage>,
    /// Replace the folder if it is not empty
    #[arg(long)]
    force: bool,
}

/// Converts, and says on standard error what to know of the result.
pub fn run(args: Args) -> Result<()> {
    let out = AtomicDir::create(&args.output, args.force)?;
    let plan = args.model.plan(None)?;
    let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    if real(plan.folder()).is_some_and(|folder| Some(folder) == real(&args.output)) {
        return Err(usage(format!("--output {}: is the model's own folder", args.output.display())));
    }
    let tokenizer = args.model.tokenizer.as_deref().unwrap_or(plan.folder());
    let source = Source { tokenizer, rows: plan.file_rows, keep: plan.keep.as_deref() };
    let found = write_tokenizer(source, out.path())
        .with_context(|| format!("the tokenizer of {}", args.model.model))?;
    write_generation_config(plan.folder(), plan.keep.as_deref(), out.path())?;
    let progress = Progress::new(None, Style::new("converting", Unit::Bytes));
    let notes = t5kit_model::convert(plan, args.dtype.map(Into::into), out.path(), &|done, total| {
        progress.set_length(total);
        progress.set_position(done);
    })?;
    progress.finish();
    out.commit()?;
    for note in notes {
        eprintln!("t5kit: {note}");
    }
    if !found {
        eprintln!(
            "t5kit: no tokenizer was found with the model; give it by --tokenizer to have it there too"
        );
    }
    eprintln!("{}: written", args.output.display());
    Ok(())
}
