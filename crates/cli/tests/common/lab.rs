//! A folder to train in.

use super::{Run, finish, model, program};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with `config.json`, `spiece.model`, `train.tsv` and `valid.tsv`, and the flags of its runs.
pub struct Lab {
    folder: tempfile::TempDir,
    /// The flags that every `finetune` begins with; files are named as they lie in the folder.
    pub flags: Vec<&'static str>,
}

impl Lab {
    /// With these flags, separated by spaces.
    pub fn new(flags: &'static str) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        model::config(folder.path(), 40);
        model::tokenizer(folder.path());
        model::pairs(folder.path(), "train.tsv", 24);
        model::pairs(folder.path(), "valid.tsv", 6);
        Lab { folder, flags: flags.split_whitespace().collect() }
    }

    /// A place in the folder; the folder itself is `""`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `finetune` into `output`, ready for more flags.
    pub fn command(&self, output: &str) -> Command {
        let mut command = program();
        command.current_dir(&self.folder).arg("finetune").args(&self.flags).args(["--output", output]);
        command
    }

    /// `finetune` into `output`, with more flags.
    pub fn finetune(&self, output: &str, flags: &[&str]) -> Run {
        finish(self.command(output).args(flags))
    }

    /// A file's bytes.
    #[track_caller]
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.folder.path().join(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The records of a run's log.
    pub fn log(&self, output: &str) -> Vec<serde_json::Value> {
        let log = String::from_utf8(self.read(format!("{output}/train_log.jsonl"))).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The losses of a run's steps.
    pub fn losses(&self, output: &str) -> Vec<f64> {
        self.log(output).iter().filter_map(|record| record["loss"].as_f64()).collect()
    }
}
