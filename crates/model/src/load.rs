//! From a Hugging Face directory to a model.

use std::collections::BTreeSet;
use std::path::Path;

use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::config::T5Config;
use t5kit_tensor::{Bytes, DType, Params, Weight};

use crate::store::storage;
use crate::t5::{Slot, layout};
use crate::{Error, T5};

/// Other names of the embedding matrix in checkpoints of transformers.
const ALIASES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
/// Problems that an error message lists before it counts the others.
const LISTED: usize = 6;

/// Loads a Hugging Face directory (see [`crate::model_folder`]). Weights stay in the mapped file, in the file's
/// storage type; vectors are f32.
///
/// Strict: every missing, unexpected or mis-shaped tensor is an error, and all are listed. Whether the softmax is the
/// embedding is decided by the configuration, unless the file holds a softmax matrix that differs.
pub fn load(folder: &Path) -> Result<T5, Error> {
    let mut config = T5Config::read(&folder.join("config.json"))?;
    config.validate()?;
    let checkpoint = Checkpoint::open(folder)?;
    let mut names: BTreeSet<String> = checkpoint.names().map(String::from).collect();
    if config.tie_word_embeddings && names.contains("lm_head.weight") {
        if same(&checkpoint, "lm_head.weight", "shared.weight")? {
            names.remove("lm_head.weight");
        } else {
            config.tie_word_embeddings = false;
        }
    }
    let mut problems = Vec::new();
    for alias in ALIASES {
        if names.remove(alias) && !names.contains("shared.weight") {
            problems.push(format!("{alias} is there, but not shared.weight"));
        } else if checkpoint.contains(alias) && !same(&checkpoint, alias, "shared.weight")? {
            problems.push(format!("{alias} differs from shared.weight, whose other name it is"));
        }
    }
    let mut params = Params::default();
    for slot in layout(&config) {
        if !names.remove(&slot.name) {
            problems.push(format!("{} is missing", slot.name));
        } else {
            match weight(&checkpoint, &slot)? {
                Ok(weight) => _ = params.add(slot.name, weight),
                Err(problem) => problems.push(problem),
            }
        }
    }
    problems.extend(names.iter().map(|name| format!("{name} is unexpected")));
    if !problems.is_empty() {
        let others = problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        if others > 0 {
            problems.push(format!("and {others} more"));
        }
        return Err(Error::Tensors { path: folder.to_path_buf(), problems });
    }
    T5::new(config, params)
}

fn same(checkpoint: &Checkpoint, a: &str, b: &str) -> Result<bool, Error> {
    Ok(checkpoint.contains(b)
        && checkpoint.info(a)? == checkpoint.info(b)?
        && *checkpoint.bytes(a)? == *checkpoint.bytes(b)?)
}

/// The weight of a slot, or what is wrong with the tensor of that name.
fn weight(checkpoint: &Checkpoint, slot: &Slot) -> Result<Result<Weight, String>, Error> {
    let (dtype, shape) = checkpoint.info(&slot.name)?;
    if shape != slot.shape {
        return Ok(Err(format!("{} has shape {shape:?}, not {:?}", slot.name, slot.shape)));
    }
    let Some(dtype) = storage(dtype) else {
        return Ok(Err(format!("{} is stored as {dtype}; f32, bf16 and f16 are read", slot.name)));
    };
    let (owner, range) = checkpoint.bytes(&slot.name)?.into_parts();
    let weight = Weight::mapped(&shape, dtype, Bytes::new(owner, range));
    Ok(weight.map_err(|e| format!("{}: {e}", slot.name)).map(|weight| {
        // A vector in half precision would have to be widened at every use.
        if shape.len() < 2 && dtype != DType::F32 { weight.to_dtype(DType::F32) } else { weight }
    }))
}
