//! What an interrupted evaluation has of each model, kept beside its folder until that is written.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use t5kit_evaluate::Outputs;
use t5kit_formats::output::AtomicFile;

/// Outputs of models that were finished.
pub struct Kept {
    folder: PathBuf,
    /// With one model there is nothing to keep: it is finished or it is not.
    several: bool,
}

type Found = (Outputs, Option<u64>);

impl Kept {
    /// Begins beside `output`; without `resume` what lies there from before goes by `force`, and stands in the way else.
    pub fn begin(output: &Path, resume: bool, force: bool, several: bool) -> Result<Self> {
        let mut name = output.as_os_str().to_owned();
        name.push(".unfinished");
        let kept = Kept { folder: name.into(), several };
        if kept.folder.exists() && !resume {
            if !force {
                let what = "holds the outputs of an interrupted evaluation; go on by --resume, or begin anew by --force";
                anyhow::bail!("{}: {what}", kept.folder.display());
            }
            kept.done();
        }
        Ok(kept)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{number}.json"))
    }

    /// What there is of model `number`, where it was asked in the same way.
    pub fn get(&self, number: usize, settings: &Map<String, Value>) -> Result<Option<Found>> {
        let Ok(text) = fs::read_to_string(self.path(number)) else { return Ok(None) };
        let Ok(kept) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
        if kept["settings"] != Value::Object(settings.clone()) {
            let what = "was asked otherwise; ask the same again, or begin anew by --force";
            anyhow::bail!("{}: {what}", self.path(number).display());
        }
        let outputs = serde_json::from_value(kept["outputs"].clone());
        Ok(outputs.ok().map(|outputs| (outputs, kept["peak"].as_u64())))
    }

    /// Keeps what a model made.
    pub fn put(&self, number: usize, settings: &Map<String, Value>, (outputs, peak): &Found) -> Result<()> {
        if !self.several {
            return Ok(());
        }
        let cannot = || format!("cannot write {}", self.path(number).display());
        fs::create_dir_all(&self.folder).with_context(cannot)?;
        let mut file = AtomicFile::create(&self.path(number), true)?;
        let kept = json!({"settings": settings, "outputs": outputs, "peak": peak});
        serde_json::to_writer(&mut file, &kept).with_context(cannot)?;
        Ok(file.commit()?)
    }

    /// Removes all of it.
    pub fn done(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
