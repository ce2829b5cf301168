//! What a user means by a model's folder.

use std::path::{Path, PathBuf};

use crate::Error;

/// The Hugging Face directory that `path` means: itself, or for the folder of a training run its `best`, else its
/// `last`.
pub fn model_folder(path: &Path) -> Result<PathBuf, Error> {
    if path.join("config.json").is_file() {
        return Ok(path.to_path_buf());
    }
    ["best", "last"]
        .iter()
        .map(|name| path.join(name))
        .find(|folder| folder.join("config.json").is_file())
        .ok_or_else(|| Error::NoModel { path: path.to_path_buf() })
}
