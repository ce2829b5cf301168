//! Which model, and how it is read: the flags that every subcommand with a model shares.

use anyhow::Result;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_model::{Config, T5Architecture};
use t5kit_pipeline::{Allow, LoadOptions, OpenOptions, Pipeline, Prepared};
use t5kit_tensor::{DType, Pool};

use crate::errors::usage;
use crate::progress::Monitor;

/// Which model, and how it is read.
#[derive(clap::Args, Clone, Debug)]
pub struct ModelArgs {
    /// Hugging Face directory, folder of a training run (its best/, else its last/), prefix of a TensorFlow checkpoint
    /// such as mt5/model.ckpt-1000000, file of weights, folder of an adapter (its base is found by what it says), or name
    /// on the hub such as google/mt5-small
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Tokenizer file or directory, or name on the hub [default: the model's directory]
    #[arg(long, value_name = "FILE|DIR|NAME")]
    pub tokenizer: Option<PathBuf>,
    /// Folder of a LoRA adapter (peft's adapter_config.json), or of the run that trained it: part of the weights from
    /// here on
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
}

/// The heading of these flags, of each by itself: as the group's it would be that of the flags after them too.
const READING: &str = "Reading the model";

/// How a checkpoint is read.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Reading {
    /// Branch, tag or commit of a model of the hub [default: main]
    #[arg(long, value_name = "REV", help_heading = READING)]
    pub revision: Option<String>,
    /// Configuration: JSON in Hugging Face's or bert4keras's names, or gin
    /// [default: config.json or operative_config.gin beside the weights]
    #[arg(long, value_name = "FILE", help_heading = READING)]
    pub config: Option<PathBuf>,
    /// Tell so many positions apart, more than the table of a BERT has rows: composed of those rows
    #[arg(long, value_name = "N", help_heading = READING)]
    pub max_positions: Option<NonZeroUsize>,
    /// Cut embedding and softmax to the rows in this JSON list, and the tokenizer with them unless it is cut already
    #[arg(long, value_name = "FILE", help_heading = READING)]
    pub keep_tokens: Option<PathBuf>,
    /// Begin tensors that the checkpoint lacks with random weights
    #[arg(long, help_heading = READING)]
    pub allow_missing: bool,
    /// Leave out tensors that the configuration does not know
    #[arg(long, help_heading = READING)]
    pub allow_unexpected: bool,
    /// Begin tensors of another shape than the configuration says with random weights
    #[arg(long, help_heading = READING)]
    pub allow_mismatched: bool,
    /// Take what has its usual name (shared.weight) where a second name of it holds something else, or the first of
    /// those where it is missing and they differ
    #[arg(long, help_heading = READING)]
    pub allow_aliased: bool,
    /// Take a tokenizer that has far fewer pieces than the model has rows
    #[arg(long, help_heading = READING)]
    pub allow_spare_rows: bool,
}

/// What a model begins as that is a bare configuration.
#[derive(clap::Args, Clone, Debug)]
pub struct Beginning {
    /// Decides the random weights of a bare config.json
    #[arg(long, value_name = "N", default_value = "0")]
    init_seed: u64,
    /// Architecture that a bare config.json of a T5 begins in [default: the file's]
    #[arg(long, value_name = "NAME", value_parser = architecture())]
    architecture: Option<T5Architecture>,
    /// Half of the layers of a bare config.json
    #[arg(long)]
    halve_layers: bool,
}

impl Beginning {
    /// Refuses flags that mean nothing for a model that has weights already.
    pub fn check(&self, model: &ModelArgs) -> Result<()> {
        let flag = match (self.architecture, self.halve_layers) {
            _ if model.bare_configuration().is_some() => return Ok(()),
            (None, false) => return Ok(()),
            (Some(_), _) => "--architecture",
            (None, true) => "--halve-layers",
        };
        let why =
            "is no bare configuration, and weights have their layers; leave it out, or give a config.json";
        Err(usage(format!("{flag}: --model {} {why}", model.model)))
    }

    /// The configuration in a file, arranged as asked.
    pub fn configuration(&self, path: &Path) -> Result<Config> {
        let config = Config::from_file(path)?;
        // What is said of a configuration in memory is said of the file.
        let named = |error: t5kit_formats::Error| match error {
            t5kit_formats::Error::Config { field, what, .. } => {
                t5kit_formats::Error::Config { path: path.to_owned(), field, what }
            }
            other => other,
        };
        Ok(config.arranged(self.architecture, self.halve_layers).map_err(named)?)
    }
}

/// Reads the name of an architecture.
fn architecture() -> impl TypedValueParser<Value = T5Architecture> {
    let values = T5Architecture::ALL.map(|architecture| {
        PossibleValue::new(architecture.name()).help(match architecture {
            T5Architecture::EncoderDecoder => "An encoder and a decoder: T5",
            T5Architecture::Shared => "The same, and what both have is one parameter",
            T5Architecture::LanguageModel => "A decoder alone, of source and target as one sequence",
            T5Architecture::PrefixLm => "The same, but that the source sees itself both ways",
        })
    });
    PossibleValuesParser::new(values)
        .map(|name| T5Architecture::from_name(&name).expect("one of these names"))
}

/// Reads a storage type of weights.
pub fn storage_type() -> impl TypedValueParser<Value = DType> {
    let values = DType::WEIGHTS.map(|dtype| {
        PossibleValue::new(dtype.name()).help(match dtype {
            DType::F32 => "32-bit floats",
            DType::Bf16 => "The upper halves of 32-bit floats",
            DType::I8 => "8-bit whole numbers with a scale a row; activations are rounded as they come",
            DType::I4 => "4 bits with a scale for every 32 columns; what has a row a token is int8",
            _ => "IEEE half precision",
        })
    });
    PossibleValuesParser::new(values).map(|name| DType::from_name(&name).expect("one of these names"))
}

impl ModelArgs {
    /// The model at a path, read strictly and with its own tokenizer.
    pub fn at(path: impl Into<String>) -> Self {
        ModelArgs { model: path.into(), tokenizer: None, adapter: None, reading: Reading::default() }
    }

    /// What is known of the model before its weights are read, with matrices to be held as `dtype` (`None`: as the file
    /// has them) and `threads` to work on; says on standard error what was let pass. A model of the hub is fetched.
    pub fn prepare(&self, dtype: Option<DType>, threads: Option<NonZeroUsize>) -> Result<Prepared> {
        let prepared = self.find(dtype, threads)?;
        for note in &prepared.plan.notes {
            eprintln!("t5kit: {}: {note}", prepared.plan.path().display());
        }
        Ok(prepared)
    }

    /// The same once more, of a model that was prepared before: what was let pass is not said again.
    pub fn find(&self, dtype: Option<DType>, threads: Option<NonZeroUsize>) -> Result<Prepared> {
        let reading = &self.reading;
        let allow = Allow {
            missing: reading.allow_missing,
            unexpected: reading.allow_unexpected,
            mismatched: reading.allow_mismatched,
            aliased: reading.allow_aliased,
        };
        let load = LoadOptions {
            config: reading.config.clone(),
            max_positions: reading.max_positions.map(NonZeroUsize::get),
            keep_tokens: reading.keep_tokens.clone(),
            adapter: self.adapter.clone(),
            allow,
            dtype,
            ..LoadOptions::default()
        };
        let options = OpenOptions {
            model: self.model.clone(),
            revision: reading.revision.clone(),
            tokenizer: self.tokenizer.clone(),
            allow_spare_rows: reading.allow_spare_rows,
            load,
            threads,
        };
        let mut monitor = Monitor::default();
        let prepared = Prepared::find(options, &mut monitor)?;
        monitor.finish();
        detail!(
            "weights: {} ({}), tokenizer: {}, threads: {}",
            prepared.plan.path().display(),
            prepared.plan.format(),
            prepared.tokenizer_path().display(),
            threads.map_or_else(Pool::default_threads, NonZeroUsize::get)
        );
        Ok(prepared)
    }

    /// The configuration that the model is, where it is nothing else: such a model begins with random weights.
    pub fn bare_configuration(&self) -> Option<&Path> {
        let path = Path::new(&self.model);
        (path.is_file() && path.extension().is_some_and(|e| e == "json")).then_some(path)
    }

    /// A model of this configuration with random weights, and the tokenizer that has to be named for it.
    pub fn begin(&self, config: &Path, how: &Beginning, threads: Option<NonZeroUsize>) -> Result<Pipeline> {
        let Some(tokenizer) = &self.tokenizer else {
            return Err(usage(format!(
                "--model {}: a bare configuration needs --tokenizer",
                config.display()
            )));
        };
        let pool = Pool::new(threads.map_or_else(Pool::default_threads, NonZeroUsize::get));
        let tokenizer = locate_tokenizer(tokenizer)?;
        Ok(Pipeline::random(how.configuration(config)?, how.init_seed, &tokenizer, pool)?)
    }

    /// The model, its weights as the file has them.
    pub fn open(&self, threads: Option<NonZeroUsize>) -> Result<Pipeline> {
        Ok(self.prepare(None, threads)?.load()?)
    }
}

/// Where a model lies: a place on the disk, or one of the hub's names, which is fetched as far as it is not in the
/// cache.
pub fn locate(model: &str, revision: Option<&str>) -> Result<PathBuf> {
    let mut monitor = Monitor::default();
    let path = t5kit_pipeline::locate(model, revision, &mut monitor)?;
    monitor.finish();
    Ok(path)
}

/// Where a tokenizer lies: a place on the disk, or a model of the hub, of which the tokenizer's files are fetched.
pub fn locate_tokenizer(tokenizer: &Path) -> Result<PathBuf> {
    let mut monitor = Monitor::default();
    let path = t5kit_pipeline::locate_tokenizer(tokenizer, &mut monitor)?;
    monitor.finish();
    Ok(path)
}
