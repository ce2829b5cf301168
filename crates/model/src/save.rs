//! From a model to a Hugging Face directory.

use std::path::{Path, PathBuf};

use crate::{Architecture, Error, Seq2Seq, write_tensors};

/// Writes `config.json`, `model.safetensors` (in the weights' storage types) and copies of `tokenizer_files` into a
/// folder that exists. Writing beside and renaming is the caller's: see [`t5kit_formats::output`].
pub fn save(model: &dyn Seq2Seq, tokenizer_files: &[PathBuf], folder: &Path) -> Result<(), Error> {
    model.config().write(&folder.join("config.json"), true)?;
    let weights: Vec<_> = model.params().iter().map(|(_, name, w)| (name, w.readable())).collect();
    let tensors: Vec<_> =
        weights.iter().map(|(name, w)| (name.to_string(), w.shape(), w.as_rows())).collect();
    write_tensors(&folder.join("model.safetensors"), &tensors)?;
    for file in tokenizer_files {
        let name = file.file_name().unwrap_or(file.as_os_str());
        let to = folder.join(name);
        std::fs::copy(file, &to).map_err(|source| Error::Io { path: file.clone(), source })?;
    }
    Ok(())
}
