//! What a run is given ([`Setup`]), what it tells ([`Forecast`], [`TrainWatch`]) and how it ends ([`Outcome`]).

use std::path::{Path, PathBuf};

use t5kit_formats::progress::Watch;
use t5kit_model::{Architecture, Part, Seq2Seq};
use t5kit_tensor::{Device, Devices, Pool, Precision, bf16_products};

use crate::log::{EvalRecord, StepRecord};
use crate::memory::Memory;
use crate::validation::Decoding;
use crate::{Error, Examples, PRECISIONS, TrainOptions};

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Elements of all parameters.
    pub parameters: usize,
    /// Those that are trained.
    pub trained: usize,
    /// Predicted memory.
    pub memory: Memory,
    /// Training examples, where all of them are there.
    pub examples: Option<usize>,
    /// Source and target tokens of an epoch, likewise.
    pub tokens_per_epoch: Option<usize>,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps that a resumed run has behind it.
    pub done_steps: u64,
}

/// Who watches a run. Its stages are `training`, which counts steps, and within it those of a validation, `validating`
/// and `generating`; stopped in any of them a run saves and ends. Every method has a default that does nothing.
pub trait TrainWatch: Watch {
    /// Before the first step.
    fn started(&mut self, _plan: &Forecast) {}
    /// After every step.
    fn step(&mut self, _record: &StepRecord) {}
    /// After a validation.
    fn evaluated(&mut self, _record: &EvalRecord) {}
    /// A step was skipped because of something that is not finite.
    fn skipped(&mut self, _step: u64, _what: &str) {}
}

/// Nobody watches.
impl TrainWatch for () {}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done, with those before a resume.
    pub steps: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// The last step's loss.
    pub loss: Option<f64>,
    /// The best validation.
    pub best: Option<EvalRecord>,
    /// Whether it ended because nothing had become better for long enough.
    pub early: bool,
}

/// How to train, and where to put it.
pub struct Setup<'a> {
    /// The threads.
    pub pool: &'a Pool,
    /// Validation examples: with them there is a `best/`.
    pub valid: Option<&'a Examples>,
    /// The settings.
    pub options: &'a TrainOptions,
    /// The run's folder, made once nothing speaks against the run: `last/`, `best/` and `train_log.jsonl` are written
    /// there, and those of a former run that is not resumed go.
    pub folder: &'a Path,
    /// Files to copy beside each checkpoint.
    pub tokenizer_files: &'a [PathBuf],
    /// How targets are generated for the metrics of [`crate::ValidationOptions`].
    pub decoding: Option<Decoding<'a>>,
    /// Folder for TensorBoard's events; made where it is missing.
    pub tensorboard: Option<&'a Path>,
    /// What the model given is called; where adapters are trained they name it as theirs.
    pub base: &'a str,
    /// The devices that run it, where that is not the processor: each has the whole model, and they share a step's batches
    /// out among themselves.
    pub devices: Option<&'a Devices>,
    /// Whether to go on from `last/`, whose model is then the one given; where adapters are trained, still their base.
    pub resume: bool,
}

/// Refuses settings that make no sense where a run is to compute, whatever its model and data.
///
/// # Errors
/// [`Error::Setting`]: a precision in which nothing is multiplied there, fewer batches a step than GPUs.
pub fn check_devices(options: &TrainOptions, devices: Option<&Devices>) -> Result<(), Error> {
    let refuse = |field, value: Option<String>, why| Err(Error::Setting { field, value, why });
    let names = PRECISIONS.iter().filter(|(_, precision)| *precision == options.precision);
    let Some((precision, _)) = names.copied().next() else {
        return refuse("precision", None, "training computes in f32, tf32 or bf16 alone");
    };
    if let Some(devices) = devices {
        if options.precision != Precision::F32 && !devices.all().iter().all(Device::has_bf16) {
            let why =
                "this GPU multiplies neither bf16 nor TF32 (from Ampere, 2020, on they do); leave it out";
            return refuse("precision", Some(precision.into()), why);
        }
        if options.gradient_accumulation < devices.all().len() {
            let why = "GPUs share the batches of a step out among themselves, at least one for each: set it to their \
                       number or a multiple (and `batch_size` to as much less), or name fewer GPUs";
            return refuse("gradient_accumulation", Some(options.gradient_accumulation.to_string()), why);
        }
    } else if options.precision == Precision::Tf32 {
        let why = "only GPUs multiply TF32, by `device`; leave it out";
        return refuse("precision", Some(precision.into()), why);
    } else if options.precision == Precision::Bf16 && !bf16_products() {
        let why = "this processor (or what T5KIT_ISA allows of it) has neither AMX nor AVX-512 BF16, and without them it \
                   would be slower than f32; leave it out, or on ARM try T5KIT_BF16=neon-bf16";
        return refuse("precision", Some(precision.into()), why);
    }
    Ok(())
}

/// Refuses settings that make no sense for this model, or where it is to be trained.
pub(crate) fn check(
    model: &dyn Seq2Seq,
    options: &TrainOptions,
    devices: Option<&Devices>,
) -> Result<(), Error> {
    check_devices(options, devices)?;
    let refuse = |field, value: Option<String>, why| Err(Error::Setting { field, value, why });
    let (config, parts) = (model.config(), options.parts());
    let trains = config.layout().iter().any(|slot| parts.contains(&slot.part));
    if !trains && options.lora_rank.is_none() {
        let why = match (parts.contains(&Part::Softmax), config.source_part()) {
            (true, _) => "this model's softmax matrix is its embedding matrix; name embeddings",
            (_, Part::Decoder) => "this model has no parameters there; name embeddings, decoder or softmax",
            _ => "this model has no parameters there; name embeddings, encoder or softmax",
        };
        return refuse("train_parts", Some(options.train_parts.join(",")), why);
    }
    if !config.is_tied() {
        return Ok(());
    }
    if options.lazy_embeddings {
        let why = "this model's softmax shares the embedding matrix, every row of which has a gradient in every \
                   step; leave it out";
        return refuse("lazy_embeddings", None, why);
    }
    Ok(())
}
