//! What a run writes down as it goes: `train_log.jsonl`, a line a step and a line a validation, and TensorBoard's events.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use t5kit_formats::tfevents::{EventWriter, ScalarEvent};

use crate::{Error, TrainOptions};

/// Name of the log within a run's folder.
pub const LOG: &str = "train_log.jsonl";
/// Name of the event file within a folder for TensorBoard, which wants `tfevents` in it.
pub const EVENTS: &str = "events.out.tfevents.0.t5kit";

/// A run's settings by name, those of the validation as `validation.NAME`; what is unset is left out.
fn settings(options: &TrainOptions) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    // By way of text, in which numbers look as they were given.
    let text = serde_json::to_string(options).unwrap_or_default();
    let all: Value = serde_json::from_str(&text).unwrap_or_default();
    for (name, value) in all.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                let set = fields.iter().filter(|(_, value)| !value.is_null());
                settings.extend(set.map(|(field, value)| (format!("{name}.{field}"), value.clone())));
            }
            value => settings.push((name.clone(), value.clone())),
        }
    }
    settings
}

/// What a step did.
#[derive(Clone, Debug, Serialize)]
pub struct StepRecord {
    /// The step, from 1.
    pub step: u64,
    /// Epochs done, with the step's share.
    pub epoch: f64,
    /// Mean loss of the step's target tokens before its update, with label smoothing and z-loss.
    pub loss: f64,
    /// Mean loss of each task's target tokens, of those that the step has examples of.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub tasks: serde_json::Map<String, Value>,
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

/// What a validation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Steps taken so far.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Mean loss of the validation examples' target tokens.
    pub valid_loss: f64,
    /// Whether it is the best so far.
    pub best: bool,
    /// Metrics of generated targets by name, between 0 and 1.
    #[serde(flatten)]
    pub metrics: serde_json::Map<String, Value>,
}

/// The logs of a run, appended to record by record.
pub struct TrainLog {
    path: PathBuf,
    file: File,
    events: Option<EventWriter>,
}

impl TrainLog {
    /// The log in `folder` and the event file in `tensorboard`, folders that are made where they are missing; of logs
    /// that are there, steps after `step` and validations after `evaluated` are cut off: a run that ended after its last
    /// checkpoint takes them again.
    ///
    /// # Errors
    /// [`Error::Busy`] where another run is writing there.
    pub fn open(
        folder: &Path,
        tensorboard: Option<&Path>,
        step: u64,
        evaluated: u64,
        options: &TrainOptions,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join(LOG);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Error::io(&path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: folder.to_path_buf() }),
            // Where the system has no locks the run goes on without.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let mut end = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(Error::io(&path))? > 0 {
            // A line cut short by a crash is no JSON and belongs to a step that is taken again.
            let value = serde_json::from_slice::<Value>(&line).unwrap_or_default();
            let until = if value.get("valid_loss").is_some() { evaluated } else { step };
            if !line.ends_with(b"\n") || value["step"].as_u64().is_none_or(|step| step > until) {
                break;
            }
            end += line.len() as u64;
            line.clear();
        }
        drop(reader);
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(Error::io(&path))?;
        let events = tensorboard.map(|folder| -> Result<EventWriter, Error> {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
            let mut events = EventWriter::resume(&folder.join(EVENTS), |event| {
                let validation = event.scalars.first().is_some_and(|(tag, _)| tag.starts_with("valid/"));
                event.step <= if validation { evaluated } else { step } as i64
            })?;
            if events.is_new() {
                events.hyper_parameters(&settings(options))?;
            }
            Ok(events)
        });
        Ok(TrainLog { path, file, events: events.transpose()? })
    }

    /// Appends a step.
    pub fn step(&mut self, record: &StepRecord) -> Result<(), Error> {
        let rate = record.real_tokens as f64 / record.seconds.max(1e-9);
        let scalars = [
            ("train/loss", record.loss),
            ("train/learning_rate", record.lr),
            ("train/grad_norm", record.grad_norm),
            ("train/epoch", record.epoch),
            ("speed/tokens_per_second", rate),
            ("memory/rss_bytes", record.rss_bytes as f64),
        ];
        let tasks = record
            .tasks
            .iter()
            .filter_map(|(name, loss)| Some((format!("train/{name}/loss"), loss.as_f64()?)));
        let scalars = scalars.map(|(tag, value)| (tag.to_owned(), value)).into_iter().chain(tasks);
        self.write(record, record.step, scalars.map(|(tag, value)| (tag, value as f32)).collect())
    }

    /// Appends a validation.
    pub fn evaluation(&mut self, record: &EvalRecord) -> Result<(), Error> {
        let mut scalars = vec![("valid/loss".to_owned(), record.valid_loss as f32)];
        let metrics = record.metrics.iter().filter_map(|(name, value)| Some((name, value.as_f64()?)));
        scalars.extend(metrics.map(|(name, value)| (format!("valid/{name}"), value as f32)));
        self.write(record, record.step, scalars)
    }

    fn write(
        &mut self,
        record: &impl Serialize,
        step: u64,
        scalars: Vec<(String, f32)>,
    ) -> Result<(), Error> {
        let mut line = serde_json::to_string(record).map_err(|e| Error::io(&self.path)(e.into()))?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(Error::io(&self.path))?;
        if let Some(events) = &mut self.events {
            events.write(&ScalarEvent { step: step as i64, scalars })?;
        }
        Ok(())
    }

    /// Flushes the logs to the disk: before a checkpoint, so that no line of its steps is missing after a crash.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io(&self.path))?;
        Ok(self.events.as_ref().map_or(Ok(()), EventWriter::sync)?)
    }
}
