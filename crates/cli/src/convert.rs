//! `t5kit convert`: any model that is read, as a Hugging Face directory.

mod check;

use anyhow::Result;
use std::path::PathBuf;
use t5kit_formats::output::AtomicDir;
use t5kit_model::ConvertOptions;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::DType;

use crate::errors::usage;
use crate::model_args::{Beginning, ModelArgs, storage_type};
use crate::new_tokens;
use crate::progress::Monitor;

/// The flags of `t5kit convert`.
#[derive(clap::Args)]
#[command(
    after_help = "--model may also be a config.json: that model has random weights, and --tokenizer must be given."
)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder to write: config.json, model.safetensors (or its parts) and the tokenizer's files
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Storage type of the weights [default: the file's]
    #[arg(long, value_name = "TYPE", value_parser = storage_type())]
    dtype: Option<DType>,
    /// Bytes of weights in one file, at most: 5GB, 500MB, 1GiB; a larger model becomes several files and an index
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size)]
    max_shard_size: u64,
    #[command(flatten)]
    beginning: Beginning,
    /// Words that become tokens of their own, one a line; their rows begin as the mean of those of the pieces that they
    /// were before
    #[arg(long, value_name = "FILE")]
    add_tokens: Option<PathBuf>,
    /// Replace the folder if it is not empty
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    check: check::CheckArgs,
}

/// Converts, and says on standard error what to know of the result.
pub fn run(args: Args) -> Result<()> {
    args.beginning.check(&args.model)?;
    let out = AtomicDir::create(&args.output, args.force)?;
    if let Some(config) = args.model.bare_configuration() {
        if args.check.check.is_some() {
            return Err(usage("--check compares with a model's weights, and a bare configuration has none"));
        }
        return write(args.model.begin(config, &args.beginning, None)?, &args, out);
    }
    let model = args.model.prepare(None, None)?;
    let real = |path: &std::path::Path| std::fs::canonicalize(path).ok();
    if real(model.plan.folder()).is_some_and(|folder| Some(folder) == real(&args.output)) {
        return Err(usage(format!("--output {}: is the model's own folder", args.output.display())));
    }
    let check = args.check.begin(&model)?;
    if args.add_tokens.is_some() {
        write(model.load()?, &args, out)?;
        return args.check.run(check, &args.model, &args.output);
    }
    let options = ConvertOptions { dtype: args.dtype, max_shard_size: args.max_shard_size };
    let mut monitor = Monitor::default();
    let converted = model.convert(options, out.path(), &mut monitor)?;
    monitor.finish();
    out.commit()?;
    for note in converted.notes {
        eprintln!("t5kit: {note}");
    }
    if !converted.has_tokenizer {
        told!(no_tokenizer);
    }
    told!(written, place = args.output.display());
    args.check.run(check, &args.model, &args.output)
}

/// Writes a model that is held in memory.
fn write(mut model: Pipeline, args: &Args, out: AtomicDir) -> Result<()> {
    new_tokens::add(&mut model, args.add_tokens.as_deref())?;
    // Whole numbers are made of a folder, like shards: scales are tensors of their own.
    let whole_numbers = args.dtype.filter(|dtype| matches!(dtype, DType::I8 | DType::I4));
    if let Some(dtype) = args.dtype.filter(|_| whole_numbers.is_none()) {
        model.model.params_mut().store_matrices_as(dtype);
    }
    let bytes: u64 = model.model.params().iter().map(|(_, _, w)| (w.len() * w.dtype().size()) as u64).sum();
    if bytes <= args.max_shard_size && whole_numbers.is_none() {
        model.save(out.path())?;
    } else {
        // What cuts weights into files begins from a folder.
        let whole = AtomicDir::create(&args.output.with_extension("whole"), true)?;
        model.save(whole.path())?;
        drop(model);
        let options = ConvertOptions { dtype: whole_numbers, max_shard_size: args.max_shard_size };
        let saved = ModelArgs::at(whole.path().to_string_lossy()).prepare(None, None)?;
        let mut monitor = Monitor::default();
        saved.convert(options, out.path(), &mut monitor)?;
        monitor.finish();
    }
    out.commit()?;
    told!(written, place = args.output.display());
    Ok(())
}

/// A size in Hugging Face's spelling: a whole number of bytes, or of KB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB.
fn size(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit.to_ascii_uppercase().as_str() {
        "" => Some(1),
        "KB" => Some(1000),
        "MB" => Some(1000_u64.pow(2)),
        "GB" => Some(1000_u64.pow(3)),
        "TB" => Some(1000_u64.pow(4)),
        "KIB" => Some(1 << 10),
        "MIB" => Some(1 << 20),
        "GIB" => Some(1 << 30),
        "TIB" => Some(1 << 40),
        _ => None,
    };
    let size = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    size.filter(|&bytes| bytes > 0).ok_or_else(|| "give a size such as 5GB, 500MB or 1GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("5GB", 5_000_000_000),
            ("500mb", 500_000_000),
            ("2KiB", 2048),
            ("7", 7),
            ("1TB", 10_u64.pow(12)),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "0", "0GB", "-1GB", "1.5GB", "5 GB", "5G", "99999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
