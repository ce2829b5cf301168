//! The settings of a run.

use serde::{Deserialize, Serialize};

use crate::ValidationOptions;

/// Everything that decides what a run computes (and nothing else: paths and displays are the caller's).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Times through the examples.
    pub epochs: u64,
    /// Ends earlier after this many steps.
    pub max_steps: Option<u64>,
    /// Examples a step.
    pub batch_size: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; 0: never.
    pub max_grad_norm: f64,
    /// Dropout probability.
    pub dropout: f32,
    /// Decides the order of examples and the dropout masks.
    pub seed: u64,
    /// Validation and checkpoints.
    #[serde(default)]
    pub validation: ValidationOptions,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            epochs: 3,
            max_steps: None,
            batch_size: 16,
            learning_rate: 2e-4,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            dropout: 0.1,
            seed: 0,
            validation: ValidationOptions::default(),
        }
    }
}

impl TrainOptions {
    /// Steps of the whole run over that many examples.
    pub fn total_steps(&self, examples: usize) -> u64 {
        let all = self.epochs * self.steps_per_epoch(examples);
        self.max_steps.map_or(all, |most| most.min(all))
    }

    /// Steps of one epoch; the last may have fewer examples.
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        examples.div_ceil(self.batch_size) as u64
    }

    /// The first setting that differs in a way that makes it another run: `(name, was, now)`. A run may be made
    /// longer.
    pub(crate) fn difference(&self, now: &TrainOptions) -> Option<(&'static str, String, String)> {
        fn pair<T: PartialEq + ToString>(
            name: &'static str,
            was: T,
            now: T,
        ) -> Option<(&'static str, String, String)> {
            (was != now).then(|| (name, was.to_string(), now.to_string()))
        }
        pair("--batch-size", self.batch_size, now.batch_size)
            .or_else(|| pair("--learning-rate", self.learning_rate, now.learning_rate))
            .or_else(|| pair("--weight-decay", self.weight_decay, now.weight_decay))
            .or_else(|| pair("--max-grad-norm", self.max_grad_norm, now.max_grad_norm))
            .or_else(|| pair("--dropout", self.dropout, now.dropout))
            .or_else(|| pair("--seed", self.seed, now.seed))
            .or_else(|| {
                let both = self.validation.decisive().into_iter().zip(now.validation.decisive());
                both.map(|((name, was), (_, now))| (name, was, now)).find(|(_, was, now)| was != now)
            })
    }
}
