//! The small files that a training puts beside each of its checkpoints: the tokenizer's, and what the training fixed.

use std::path::PathBuf;

use t5kit_formats::generation_config::{self, Decoded};
use t5kit_formats::json;
use t5kit_formats::output::AtomicDir;
use t5kit_formats::trained::{self, Trained};

use super::write_json;
use crate::open::work_folder;
use crate::{Error, Pipeline};

/// Files for checkpoints; they lie in a folder that goes with this.
#[derive(Debug)]
pub struct TrainingFiles {
    /// All of them.
    pub all: Vec<PathBuf>,
    /// `generation_config.json` and `t5kit.json`: all that an adapter has of them, whose tokenizer is its base's.
    pub fixed: [PathBuf; 2],
    _folder: AtomicDir,
}

impl TrainingFiles {
    /// Those of a model that is about to be trained: the tokenizer's, complete for transformers too, `t5kit.json` with
    /// these values, and a `generation_config.json` by which it will generate as it is validated.
    ///
    /// # Errors
    /// Those of reading the model's own files and of writing.
    pub fn new(model: &Pipeline, trained: &Trained, decoded: Decoded) -> Result<Self, Error> {
        let folder = work_folder()?;
        model.write_files(folder.path())?;
        trained.write(folder.path())?;
        let before = match &model.generation_config {
            Some(file) => json::read(file, "generation configuration")?,
            None => serde_json::Map::new(),
        };
        let ids = model.generate_options().ids;
        let fixed = [generation_config::NAME, trained::NAME].map(|name| folder.path().join(name));
        write_json(&fixed[0], &decoded.over(before, ids.pad, &ids.end, ids.start).into())?;
        let io = t5kit_formats::Error::io;
        let entries = std::fs::read_dir(folder.path()).map_err(io(folder.path(), "read"))?;
        let mut all = Vec::new();
        for entry in entries {
            all.push(entry.map_err(io(folder.path(), "read"))?.path());
        }
        // The model's own is written with its weights.
        all.retain(|file| !file.ends_with("config.json"));
        all.sort();
        Ok(TrainingFiles { all, fixed, _folder: folder })
    }
}
