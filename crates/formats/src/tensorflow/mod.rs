//! TensorFlow's checkpoints: `<prefix>.index`, a sorted table of names, and `<prefix>.data-?????-of-?????`.
//!
//! [`TensorBundle`] reads one as it stands. [`names`] turns the names and layouts of Google's T5 family
//! (mesh-tensorflow's) and of BERT's into transformers'; [`MeshCheckpoint`] is a bundle seen that way.

mod bert;
mod bundle;
mod mesh;
pub mod names;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

pub use self::bundle::TensorBundle;
#[doc(hidden)]
pub use self::bundle::check;
pub use self::mesh::MeshCheckpoint;
pub(crate) use self::table::mask;
use crate::error::{Error, Result};

/// The name of the format in messages.
const FORMAT: &str = "TensorFlow checkpoint";

/// The prefix of the checkpoint that `path` means: a prefix, its `.index` file, or a folder with a file
/// `checkpoint` that names one or with a single one. `None` where there is none.
///
/// # Errors
/// [`Error::NoModel`] where a folder holds several and does not say which.
pub fn find(path: &Path) -> Result<Option<PathBuf>> {
    if with_suffix(path, ".index").is_file() {
        return Ok(Some(path.to_owned()));
    }
    if path.extension().is_some_and(|e| e == "index") && path.is_file() {
        return Ok(Some(path.with_extension("")));
    }
    let Ok(entries) = fs::read_dir(path) else { return Ok(None) };
    if let Some(named) = latest(path) {
        return Ok(Some(named));
    }
    let indices = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "index"));
    let mut prefixes: Vec<PathBuf> = indices.map(|p| p.with_extension("")).collect();
    if prefixes.len() > 1 {
        prefixes.sort();
        let names: Vec<_> = prefixes.iter().filter_map(|p| p.file_name()?.to_str()).collect();
        let what = format!("several checkpoints here; name one of {}", names.join(", "));
        return Err(Error::NoModel { path: path.to_owned(), what });
    }
    Ok(prefixes.pop())
}

/// The checkpoint that the file `checkpoint` in a folder names, if it is there.
fn latest(dir: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(dir.join("checkpoint")).ok()?;
    let line = text.lines().find_map(|l| l.trim().strip_prefix("model_checkpoint_path:"))?;
    // Only the name counts: the path is that of the machine it was trained on.
    let name = line.trim().trim_matches('"').rsplit('/').next()?;
    let prefix = dir.join(name);
    (!name.is_empty() && with_suffix(&prefix, ".index").is_file()).then_some(prefix)
}

/// `path` with something behind its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
