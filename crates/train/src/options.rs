//! The settings of a run.

use serde::{Deserialize, Serialize};
use t5kit_model::Part;
use t5kit_tensor::Precision;

use crate::{OptimizerKind, Schedule, ValidationOptions};

/// What the products of linear layers and attention can be computed in while training, by name; weights, moments and
/// everything else are f32 in either case.
pub const PRECISIONS: [(&str, Precision); 3] =
    [("f32", Precision::F32), ("tf32", Precision::Tf32), ("bf16", Precision::Bf16)];

/// A precision in files: one of the names of [`PRECISIONS`].
mod precision {
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Error as _, Serializer};

    use super::{PRECISIONS, Precision};

    pub fn serialize<S: Serializer>(value: &Precision, serializer: S) -> Result<S::Ok, S::Error> {
        match PRECISIONS.iter().find(|(_, precision)| precision == value) {
            Some((name, _)) => serializer.serialize_str(name),
            None => Err(S::Error::custom(format_args!("{value:?} is no precision to train in"))),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Precision, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = PRECISIONS.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, precision)| *precision)
            .ok_or_else(|| D::Error::unknown_variant(&name, &["f32", "tf32", "bf16"]))
    }
}

/// Everything that decides what a run computes (and nothing else: paths and displays are the caller's).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Times through the examples.
    pub epochs: u64,
    /// Ends earlier after this many steps.
    pub max_steps: Option<u64>,
    /// Examples a batch.
    pub batch_size: usize,
    /// Source and target tokens a batch at most, instead of `batch_size`; an example that has more is a batch of
    /// its own.
    pub batch_tokens: Option<usize>,
    /// Batches a step: their gradients are added up, as if they were one batch.
    pub gradient_accumulation: usize,
    /// How gradients change the parameters.
    pub optimizer: OptimizerKind,
    /// Learning rate, before the schedule.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Steps in which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Weight decay; decoupled but for Adam, where it is added to the gradient.
    pub weight_decay: f64,
    /// Adafactor multiplies the learning rate by the size of each parameter.
    pub scale_parameter: bool,
    /// Adam, AdamW and Lion leave rows of the embedding alone that a step does not use.
    pub lazy_embeddings: bool,
    /// Gradients are scaled down to this norm; 0: never.
    pub max_grad_norm: f64,
    /// Dropout probability.
    pub dropout: f32,
    /// Share of a target's probability that is spread over all rows.
    pub label_smoothing: f32,
    /// Weight of (log Σ exp logits)² in the loss.
    pub z_loss: f32,
    /// Names of the parts that are trained ([`Part::name`]).
    pub train_parts: Vec<String>,
    /// Rank of the adapters that are trained instead of the model's parts (LoRA); `None`: the parts are.
    pub lora_rank: Option<usize>,
    /// What adapters add is multiplied by `lora_alpha / lora_rank`.
    pub lora_alpha: f64,
    /// The layers that get adapters: some of [`t5kit_model::LORA_TARGETS`]; none: those that are usual for the model
    /// ([`t5kit_model::Architecture::lora_targets`]).
    pub lora_targets: Vec<String>,
    /// In what products are computed: one of [`PRECISIONS`].
    #[serde(with = "precision")]
    pub precision: Precision,
    /// Activations within a layer are computed again on the way back instead of kept.
    pub recompute: bool,
    /// Decides the order of examples, the dropout masks and how adapters begin.
    pub seed: u64,
    /// Validation and checkpoints.
    #[serde(default)]
    pub validation: ValidationOptions,
}

/// peft's own defaults for adapters: alpha 8, on T5 the layers q and v (`LoraConfig`,
/// `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`).
impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions {
            epochs: 3,
            max_steps: None,
            batch_size: 16,
            batch_tokens: None,
            gradient_accumulation: 1,
            optimizer: OptimizerKind::Adamw,
            learning_rate: 2e-4,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            weight_decay: 0.0,
            scale_parameter: false,
            lazy_embeddings: false,
            max_grad_norm: 1.0,
            dropout: 0.1,
            label_smoothing: 0.0,
            z_loss: 0.0,
            train_parts: Part::ALL.map(|part| part.name().into()).to_vec(),
            precision: Precision::F32,
            recompute: false,
            lora_rank: None,
            lora_alpha: 8.0,
            lora_targets: Vec::new(),
            seed: 0,
            validation: ValidationOptions::default(),
        }
    }
}

impl TrainOptions {
    /// The parts that are trained: none where adapters are.
    pub fn parts(&self) -> Vec<Part> {
        let parts = if self.lora_rank.is_some() { &[][..] } else { &Part::ALL };
        parts.iter().copied().filter(|part| self.train_parts.iter().any(|name| name == part.name())).collect()
    }

    /// The learning rate of a step (from 0) of so many.
    pub fn rate(&self, step: u64, total: u64) -> f64 {
        self.learning_rate * self.schedule.factor(step, self.warmup_steps, total)
    }

    /// All settings that differ in a way that makes it another run. A run may be made longer, unless its learning rate
    /// depends on its length.
    pub(crate) fn differences(&self, now: &TrainOptions) -> Vec<Difference> {
        // By way of text, in which numbers look as they were given.
        let fields = |options: &TrainOptions| -> serde_json::Map<String, serde_json::Value> {
            let text = serde_json::to_string(options).expect("settings are plain data");
            serde_json::from_str(&text).expect("and an object")
        };
        let show = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "none".to_string(),
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
                items.join(",")
            }
            other => other.to_string(),
        };
        let now_fields = fields(now);
        let length = ["epochs", "max_steps"];
        let steps = fields(self)
            .into_iter()
            .filter(|(name, _)| name != "validation")
            .filter(|(name, _)| self.schedule.needs_total() || !length.contains(&name.as_str()))
            .filter(|(name, was)| now_fields[name] != *was)
            .map(|(name, was)| Difference { was: show(&was), now: show(&now_fields[&name]), field: name });
        let both = self.validation.decisive().into_iter().zip(now.validation.decisive());
        let validation = both
            .filter(|((_, was), (_, now))| was != now)
            .map(|((name, was), (_, now))| Difference { field: name.into(), was, now });
        steps.chain(validation).collect()
    }
}

/// A setting that a resumed run has otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field of [`TrainOptions`], or of [`crate::Setup`].
    pub field: String,
    /// Its value then.
    pub was: String,
    /// Its value now.
    pub now: String,
}

/// Several in a line: `` `seed` 0, not 1, `batch_size` 16, not 8 ``.
pub(crate) fn listed(differences: &[Difference]) -> String {
    let each = differences.iter().map(|Difference { field, was, now }| format!("`{field}` {was}, not {now}"));
    each.collect::<Vec<_>>().join(", ")
}
