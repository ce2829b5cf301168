//! What a user means by a model's folder.

use std::path::{Path, PathBuf};

use t5kit_formats::peft::adapter_folder;

use crate::Error;

/// The Hugging Face directory that `path` means: itself, or for the folder of a training run its `best`, else its
/// `last`.
pub fn model_folder(path: &Path) -> Result<PathBuf, Error> {
    let folder = of_run(path);
    if folder.join("config.json").is_file() {
        return Ok(folder);
    }
    Err(Error::NoModel { path: path.to_path_buf() })
}

/// `best`, else `last`, where `path` is the folder of a training run; else `path` itself.
pub(crate) fn of_run(path: &Path) -> PathBuf {
    let has_config = |folder: &Path| folder.join("config.json").is_file();
    if path.is_dir() && !has_config(path) {
        let runs = ["best", "last"].map(|name| path.join(name));
        // An adapter is no model, but there the reason is given.
        let found = runs.into_iter().find(|folder| has_config(folder)).or_else(|| adapter_folder(path));
        return found.unwrap_or_else(|| path.to_path_buf());
    }
    path.to_path_buf()
}
