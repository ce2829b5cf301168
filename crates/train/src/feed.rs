//! What steps see: examples that are all there, or a stream that makes them as they are wanted.

use serde_json::Value;
use t5kit_formats::progress::Watch;
use t5kit_model::{Batch, Seq2Seq};

use crate::batches::Batches;
use crate::{Error, Examples, TrainOptions, pass};

/// Where a run's examples come from.
pub enum Data<'a> {
    /// They are all there: epochs over them, each in an order of its own.
    Examples(&'a Examples),
    /// They come as they are wanted; [`TrainOptions::max_steps`] ends the run.
    Stream(Box<dyn Stream + 'a>),
}

/// Examples without an end, a batch at a time. What comes next depends on the settings and the place alone.
pub trait Stream {
    /// A text that changes with whatever makes it another stream: by it a resumed run knows its data.
    fn fingerprint(&self) -> String;
    /// Source and target tokens of a batch, at most.
    fn largest(&self) -> (usize, usize);
    /// The next batch.
    ///
    /// # Errors
    /// Files that cannot be read or hold nothing; [`Error::Stopped`] where `watch` stops the reading.
    fn batch(&mut self, watch: &mut dyn Watch) -> Result<Examples, Error>;
    /// How often the data has been gone through.
    fn epochs(&self) -> f64;
    /// Where it stands, for [`Stream::go_to`].
    fn place(&self) -> Value;
    /// Goes on from a place.
    ///
    /// # Errors
    /// A place that the data does not have.
    fn go_to(&mut self, place: &Value) -> Result<(), Error>;
}

/// A batch of a step, and where its examples are from.
pub(crate) struct Fed {
    pub batch: Batch,
    /// The task of each example ([`Examples::tasks`]), where there are tasks.
    pub tasks: Vec<usize>,
}

/// The batches of a run by the number of the step.
pub(crate) enum Feed<'a> {
    Epochs { examples: &'a Examples, batches: Batches<'a> },
    Stream { stream: Box<dyn Stream + 'a>, accumulation: usize, total: u64 },
}

impl<'a> Feed<'a> {
    pub fn new(data: Data<'a>, options: &'a TrainOptions) -> Self {
        match data {
            Data::Examples(examples) => Feed::Epochs { examples, batches: Batches::new(examples, options) },
            Data::Stream(stream) => Feed::Stream {
                stream,
                accumulation: options.gradient_accumulation,
                total: options.max_steps.unwrap_or(0),
            },
        }
    }

    /// Steps of the whole run.
    pub fn total(&self) -> u64 {
        match self {
            Feed::Epochs { batches, .. } => batches.total(),
            Feed::Stream { total, .. } => *total,
        }
    }

    /// Epochs done after so many steps; of a stream after the last batch.
    pub fn epochs_after(&self, steps: u64) -> f64 {
        match self {
            Feed::Epochs { batches, .. } => batches.epochs_after(steps),
            Feed::Stream { stream, .. } => stream.epochs(),
        }
    }

    /// Whether so many steps end an epoch, or the run.
    pub fn ends_epoch(&self, steps: u64) -> bool {
        match self {
            Feed::Epochs { batches, .. } => batches.ends_epoch(steps),
            Feed::Stream { total, .. } => steps == *total,
        }
    }

    /// Source and target tokens of the largest batch.
    pub fn largest(&self) -> (usize, usize) {
        match self {
            Feed::Epochs { batches, .. } => batches.largest,
            Feed::Stream { stream, .. } => stream.largest(),
        }
    }

    /// The examples, where all of them are there.
    pub fn examples(&self) -> Option<&'a Examples> {
        match self {
            Feed::Epochs { examples, .. } => Some(examples),
            Feed::Stream { .. } => None,
        }
    }

    pub fn fingerprint(&self) -> String {
        match self {
            Feed::Epochs { examples, .. } => format!("{:016x}", examples.fingerprint()),
            Feed::Stream { stream, .. } => stream.fingerprint(),
        }
    }

    /// Where a stream stands.
    pub fn place(&self) -> Option<Value> {
        match self {
            Feed::Epochs { .. } => None,
            Feed::Stream { stream, .. } => Some(stream.place()),
        }
    }

    /// Goes on from there.
    pub fn go_to(&mut self, place: Option<&Value>) -> Result<(), Error> {
        match (self, place) {
            (Feed::Stream { stream, .. }, Some(place)) => stream.go_to(place),
            _ => Ok(()),
        }
    }

    /// The batches of a step, from 0. A stream's come in order.
    pub fn step(&mut self, model: &dyn Seq2Seq, step: u64, watch: &mut dyn Watch) -> Result<Vec<Fed>, Error> {
        match self {
            Feed::Epochs { examples, batches } => Ok(batches
                .step(step)
                .into_iter()
                .map(|which| Fed {
                    batch: pass::pack(model, examples, which.iter().copied()),
                    tasks: which.iter().filter_map(|&i| examples.task_of(i)).collect(),
                })
                .collect()),
            Feed::Stream { stream, accumulation, .. } => (0..*accumulation)
                .map(|_| {
                    let examples = stream.batch(watch)?;
                    Ok(Fed { batch: pass::pack(model, &examples, 0..examples.len()), tasks: Vec::new() })
                })
                .collect(),
        }
    }
}
