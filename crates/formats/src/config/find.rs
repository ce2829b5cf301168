//! Where a checkpoint's configuration is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{BertConfig, T5Config, bert};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::json;
use crate::peft;

impl T5Config {
    /// The configuration that belongs to `checkpoint`: the file `given`, else `config.json`,
    /// `operative_config.gin` or a single `*config.json` in the checkpoint's folder. A GGUF file without a `config.json`
    /// beside it says it by itself.
    ///
    /// # Errors
    /// [`Error::NoModel`] where there is none, and those of the readers.
    pub fn of(checkpoint: &Checkpoint, given: Option<&Path>) -> Result<Self> {
        if let Some(file) = checkpoint.gguf().filter(|_| given.is_none()) {
            let folders = [Some(checkpoint.folder()), checkpoint.named_folder()];
            if !folders.into_iter().flatten().any(|folder| folder.join("config.json").exists()) {
                return file.config();
            }
        }
        let path = path_of(checkpoint, given)?;
        if path.extension().is_none_or(|e| e != "gin") {
            let (mut config, bert4keras) = Self::read_as(&path)?;
            // bert4keras cuts the rows by a list of its own (`keep_tokens`) and keeps the uncut model's configuration.
            if bert4keras
                && let Ok((_, shape)) = checkpoint.info("shared.weight")
                && shape.len() == 2
            {
                config.vocab_size = shape[0];
                config.validate_for(&path)?;
            }
            return Ok(config);
        }
        let rows = match checkpoint.info("shared.weight")?.1[..] {
            [rows, _] => rows,
            ref shape => {
                let what = format!("{shape:?} is not the shape of an embedding matrix");
                return Err(Error::tensor(checkpoint.path(), "shared.weight", what));
            }
        };
        Self::read_gin(&path, rows)
    }
}

impl BertConfig {
    /// The configuration that belongs to `checkpoint`: the file `given`, else `config.json` or a single
    /// `*config.json` (Google's `bert_config.json`) in the checkpoint's folder.
    ///
    /// Files of bert4keras do not say which of the family a model is. Where none of its fields tells it, one without a
    /// table of positions is a RoFormer: it has neither that nor NEZHA's word of relative positions.
    ///
    /// # Errors
    /// [`Error::NoModel`] where there is none, and those of [`Self::from_json`].
    pub fn of(checkpoint: &Checkpoint, given: Option<&Path>) -> Result<Self> {
        let path = path_of(checkpoint, given)?;
        let mut map = json::read::<Map<String, Value>>(&path, "configuration")?;
        let learnt = || checkpoint.names().any(|name| name.ends_with("position_embeddings.weight"));
        if !map.contains_key("model_type") && bert::by_fields(&map) == "bert" && !learnt() {
            map.insert("model_type".to_owned(), "roformer".into());
        }
        Self::from_json(&path, map)
    }
}

/// Where the configuration of a checkpoint is: the file `given`, or the one in a folder.
fn path_of(checkpoint: &Checkpoint, given: Option<&Path>) -> Result<PathBuf> {
    Ok(match given {
        Some(path) if path.is_dir() => find(path)?,
        Some(path) => path.to_owned(),
        // Beside the weights, else in the folder that was named, where they lie below it.
        None => match (find(checkpoint.folder()), checkpoint.named_folder()) {
            (Err(Error::NoModel { .. }), Some(named)) => find(named)?,
            (found, _) => found?,
        },
    })
}

/// The configuration file in a folder.
fn find(dir: &Path) -> Result<PathBuf> {
    for name in ["config.json", "operative_config.gin"] {
        let path = dir.join(name);
        if path.exists() {
            return Ok(path);
        }
    }
    let entries = fs::read_dir(dir).map_err(Error::io(dir, "read"))?;
    let is_config =
        |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with("config.json"));
    // Other files of transformers and peft end so too.
    let others = ["generation_config.json", "tokenizer_config.json", peft::CONFIG];
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_config).collect();
    found.retain(|p| !others.iter().any(|o| p.ends_with(o)));
    match found.len() {
        1 => Ok(found.remove(0)),
        n => {
            let what = if n == 0 { "no configuration here" } else { "several configurations here" };
            let what = format!("{what}; looked for config.json and operative_config.gin; give `config` FILE");
            Err(Error::NoModel { path: dir.to_owned(), what })
        }
    }
}
