//! The tasks of a mixture: which examples are whose, and the losses of each.

use std::ops::Range;

use serde_json::{Map, Value};
use t5kit_model::Batch;

use crate::Examples;

/// A task among others.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// Which examples are its.
    pub examples: Range<usize>,
    /// How probable each draw is to be one of its, in proportion to the other tasks' rates. Of validation examples
    /// nothing is drawn.
    pub rate: f64,
    /// Names of the metrics of its generated targets.
    pub metrics: Vec<String>,
}

/// Sums of losses by task.
#[derive(Default)]
pub(crate) struct TaskLosses(Vec<(f64, usize)>);

impl TaskLosses {
    /// Adds the losses of a batch's target tokens, whose examples are of these tasks.
    pub fn add(&mut self, tasks: &[usize], batch: &Batch, losses: &[f32]) {
        for (&task, own) in tasks.iter().zip(batch.targets().ranges()) {
            if self.0.len() <= task {
                self.0.resize(task + 1, (0.0, 0));
            }
            let own = &losses[own];
            let (sum, tokens) = &mut self.0[task];
            *sum += own.iter().map(|&loss| f64::from(loss)).sum::<f64>();
            *tokens += own.len();
        }
    }

    /// The mean of each task that had any, by name.
    pub fn means(self, examples: Option<&Examples>) -> Map<String, Value> {
        let tasks = examples.map_or(&[][..], |examples| &examples.tasks);
        let means = tasks.iter().zip(self.0).filter(|(_, (_, tokens))| *tokens > 0);
        means.map(|(task, (sum, tokens))| (task.name.clone(), (sum / tokens as f64).into())).collect()
    }
}
