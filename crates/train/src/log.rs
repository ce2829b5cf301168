//! `train_log.jsonl`: a line a step, a line an evaluation.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::Error;

/// What a step did.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// The step, from 1.
    pub step: u64,
    /// Epochs done, with the step's share.
    pub epoch: f64,
    /// Mean loss of the step's target tokens before its update, with label smoothing and z-loss.
    pub loss: f64,
    /// Learning rate, as the schedule had it.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Source and target tokens of the batch.
    pub real_tokens: usize,
    /// Seconds that the step took.
    pub seconds: f64,
    /// Memory in use after the step.
    pub rss_bytes: u64,
}

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct EvalRecord {
    /// Steps taken so far.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Mean loss of the validation examples' target tokens.
    pub valid_loss: f64,
    /// Whether it is the lowest so far.
    pub best: bool,
}

/// The log of a run, appended to line by line.
pub struct TrainLog {
    path: PathBuf,
    file: File,
}

impl TrainLog {
    /// The log in `folder`; of one that is there, lines of steps after `after` are dropped (a run that ended after
    /// its last checkpoint takes those steps again).
    pub fn open(folder: &Path, after: u64) -> Result<Self, Error> {
        let path = folder.join("train_log.jsonl");
        let mut kept = String::new();
        if after > 0
            && let Ok(old) = File::open(&path)
        {
            for line in BufReader::new(old).lines() {
                let line = line.map_err(Error::io(&path))?;
                // A line cut short by a crash is no JSON and belongs to a step that is taken again.
                let step = serde_json::from_str::<Value>(&line).ok().and_then(|v| v["step"].as_u64());
                if step.is_some_and(|step| step <= after) {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        }
        let beside = folder.join(".train_log.jsonl.tmp");
        std::fs::write(&beside, kept).map_err(Error::io(&beside))?;
        std::fs::rename(&beside, &path).map_err(Error::io(&path))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(TrainLog { path, file })
    }

    /// Appends a line.
    pub fn write(&mut self, record: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::io(&self.path)(e.into()))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))
    }
}
