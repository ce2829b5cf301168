//! Checkpoints: Hugging Face directories, or peft's where adapters are trained; the last one with what it takes to go on.
//!
//! `last/` is replaced as a whole: written beside, then renamed. At every moment there is one complete `last/`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use t5kit_formats::DType;
use t5kit_formats::output::{self, AtomicDir};
use t5kit_formats::peft;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{LoraConfig, Seq2Seq, save, save_adapter, write_tensors};
use t5kit_tensor::Tensor;

use crate::options::Difference;
use crate::pass::new_gradients;
use crate::{Error, EvalRecord, Optimizer, TrainOptions};

/// Folder of the newest checkpoint within a run's folder.
pub const LAST: &str = "last";
/// Folder of the checkpoint with the best validation.
pub const BEST: &str = "best";

pub(crate) const STATE: &str = "training_state.json";
const MOMENTS: &str = "training_state.safetensors";

/// Where a run stands, beside its weights and moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    /// Steps done: batches consumed.
    pub step: u64,
    /// Updates made (steps that were not skipped).
    pub updates: u64,
    /// The step after which the last validation was completed.
    pub evaluated: u64,
    /// The best validation so far.
    pub best: Option<EvalRecord>,
    /// Validations since then.
    pub stale: u64,
    /// [`crate::Examples::fingerprint`] of the validation examples.
    pub valid: Option<String>,
    /// The run's settings.
    pub options: TrainOptions,
    /// [`crate::Examples::fingerprint`] of the training examples.
    pub examples: String,
    /// Where the stream of the training examples stood after the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<serde_json::Value>,
    /// Where adapters are trained, [`crate::lora::fingerprint`] of the model that they belong to.
    pub base: Option<String>,
    /// Number of threads: sums are split over them, so another number gives other last digits.
    pub threads: usize,
}

/// Removes what runs that were killed left half written in `folder`, and puts a checkpoint back that was moved aside.
pub fn remove_leavings(folder: &Path) {
    for name in [LAST, BEST, crate::report::REPORT] {
        output::remove_leavings(&folder.join(name));
    }
}

/// Whether a folder holds a model or an adapter.
pub fn holds_checkpoint(folder: &Path) -> bool {
    ["config.json", peft::CONFIG].iter().any(|name| folder.join(name).is_file())
}

/// Makes the run's own folder the model that its checkpoint `name` is, for whoever reads a model's folder: relative links
/// to all of its files but those that only resuming needs. A checkpoint that replaces it is seen through them as a whole.
/// What stands there and is no such link stays; a file system without links goes without.
pub(crate) fn link(folder: &Path, name: &str) {
    let files = std::fs::read_dir(folder.join(name)).into_iter().flatten().flatten();
    for file in files.map(|entry| entry.file_name()) {
        let link = folder.join(&file);
        let target = Path::new(name).join(&file);
        if file == STATE || file == MOMENTS || std::fs::read_link(&link).is_ok_and(|to| to == target) {
            continue;
        }
        if is_link(&link) {
            let _ = std::fs::remove_file(&link);
        }
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(&target, &link);
    }
}

/// Whether a path is one of [`link`]'s.
fn is_link(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|to| [LAST, BEST].iter().any(|name| to.starts_with(name)))
}

/// Removes the checkpoints and the report of the run that a new one in `folder` replaces.
pub(crate) fn remove_former(folder: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_link(path)) {
        std::fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    let checkpoints =
        [LAST, BEST].map(|name| folder.join(name)).into_iter().filter(|path| holds_checkpoint(path));
    let report = Some(folder.join(crate::report::REPORT)).filter(|path| path.is_file());
    Ok(checkpoints.chain(report).try_for_each(|path| output::remove_whole(&path))?)
}

/// Writes `folder/name`: the model, or with `lora` its adapters alone, and copies of `tokenizer_files`; with an optimizer,
/// the training state too.
pub(crate) fn write(
    folder: &Path,
    name: &str,
    model: &dyn Seq2Seq,
    tokenizer_files: &[PathBuf],
    lora: Option<&LoraConfig>,
    training: Option<(&Optimizer, &TrainingState)>,
) -> Result<(), Error> {
    let target = AtomicDir::create(&folder.join(name), true)?;
    match lora {
        Some(lora) => {
            save_adapter(model, lora, target.path())?;
            for file in tokenizer_files {
                let to = target.path().join(file.file_name().unwrap_or(file.as_os_str()));
                std::fs::copy(file, to).map_err(Error::io(file))?;
            }
        }
        None => save(model, tokenizer_files, target.path())?,
    }
    if let Some((optimizer, state)) = training {
        write_moments(&target.path().join(MOMENTS), model, optimizer)?;
        let path = target.path().join(STATE);
        let text = serde_json::to_string_pretty(state).map_err(|e| Error::io(&path)(e.into()))?;
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))?;
    }
    target.commit()?;
    Ok(())
}

fn write_moments(path: &Path, model: &dyn Seq2Seq, optimizer: &Optimizer) -> Result<(), Error> {
    let mut tensors = Vec::new();
    let states: Vec<Vec<Tensor>> =
        optimizer.state.iter().map(|state| state.iter().map(Tensor::to_host).collect()).collect();
    let slots: Vec<_> = model.params().iter().map(|(_, _, w)| optimizer.kind.slots(w.shape())).collect();
    for (((_, name, _), slots), state) in model.params().iter().zip(&slots).zip(&states) {
        for ((slot, shape), tensor) in slots.iter().zip(state) {
            tensors.push((format!("{slot}.{name}"), shape.as_slice(), tensor.as_rows()));
        }
    }
    write_tensors(path, &tensors)?;
    Ok(())
}

/// Whether the run in `folder/last` can go on with these settings and so many threads, before anything else is known of
/// what it is to go on with.
///
/// # Errors
/// [`Error::Resume`] with all settings that differ; a state that cannot be read.
pub fn check_resume(folder: &Path, options: &TrainOptions, threads: usize) -> Result<(), Error> {
    let (last, state) = read(folder)?;
    let mut differences = state.options.differences(options);
    differences.extend(other_threads(&state, threads));
    if differences.is_empty() { Ok(()) } else { Err(Error::Resume { path: last, differences }) }
}

/// Reads where the run in `folder/last` stands and checks that it continues the same run.
pub(crate) fn read_state(folder: &Path, now: &TrainingState) -> Result<TrainingState, Error> {
    let (last, state) = read(folder)?;
    let mut differences = state.options.differences(&now.options);
    let (data, others) = match state.place {
        Some(_) => ("data", "other documents, another objective or other lengths"),
        None => ("examples", "other examples"),
    };
    for (field, same, was, now) in [
        (data, state.examples == now.examples, others, "these"),
        ("valid", state.valid == now.valid, "other examples", "these"),
        ("base", state.base == now.base, "another base model", "this one"),
    ] {
        if !same {
            differences.push(Difference { field: field.into(), was: was.into(), now: now.into() });
        }
    }
    differences.extend(other_threads(&state, now.threads));
    if differences.is_empty() { Ok(state) } else { Err(Error::Resume { path: last, differences }) }
}

fn other_threads(state: &TrainingState, now: usize) -> Option<Difference> {
    let was = state.threads;
    (was != now).then(|| Difference { field: "threads".into(), was: was.to_string(), now: now.to_string() })
}

/// The checkpoint's folder and its state.
fn read(folder: &Path) -> Result<(PathBuf, TrainingState), Error> {
    let last = folder.join(LAST);
    let path = last.join(STATE);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let state = serde_json::from_str(&text)
        .map_err(|e| Error::State { path: path.clone(), what: format!("is not a training state ({e})") })?;
    Ok((last, state))
}

/// Reads the optimizer of `folder/last`. The model in that folder is the caller's to load.
pub(crate) fn read_optimizer(
    folder: &Path,
    model: &dyn Seq2Seq,
    state: &TrainingState,
) -> Result<Optimizer, Error> {
    let mut optimizer = Optimizer::new(state.options.optimizer, model.params(), &new_gradients(model));
    optimizer.steps = state.updates;
    read_moments(&folder.join(LAST).join(MOMENTS), model, &mut optimizer)?;
    Ok(optimizer)
}

fn read_moments(path: &Path, model: &dyn Seq2Seq, optimizer: &mut Optimizer) -> Result<(), Error> {
    let file = SafetensorsFile::open(path)?;
    for ((_, name, weight), state) in model.params().iter().zip(&mut optimizer.state) {
        for ((slot, shape), tensor) in optimizer.kind.slots(weight.shape()).iter().zip(state) {
            let name = format!("{slot}.{name}");
            if file.info(&name) != Some((DType::F32, shape)) {
                let what = format!("has no f32 tensor {name} of shape {shape:?}");
                return Err(Error::State { path: path.to_path_buf(), what });
            }
            tensor.read_f32(file.view(&name)?.data);
        }
    }
    Ok(())
}
