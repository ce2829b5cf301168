//! A model in numbers.

use serde_json::Value;
use t5kit_formats::config::T5Config;

use crate::Plan;
use crate::t5::Part;

/// One part of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSize {
    /// Which part.
    pub part: Part,
    /// Elements of its parameters.
    pub parameters: u64,
    /// Bytes as they are stored.
    pub bytes: u64,
}

/// A model in numbers: what `t5kit inspect` prints.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// The family by its usual name.
    pub family: &'static str,
    /// Parts in the order of the data.
    pub parts: Vec<PartSize>,
    /// Storage types of the matrices, without repetition.
    pub storage: Vec<&'static str>,
}

impl Inventory {
    /// Counts the parameters of a checkpoint that is about to be loaded.
    pub fn of(plan: &Plan) -> Self {
        let mut parts: Vec<PartSize> = Vec::new();
        let mut storage = Vec::new();
        for entry in &plan.entries {
            let dtype = entry.held_as(plan.options.dtype);
            let parameters = entry.elements();
            let bytes = parameters * dtype.size() as u64;
            match parts.iter_mut().find(|p| p.part == entry.slot.part) {
                Some(p) => (p.parameters, p.bytes) = (p.parameters + parameters, p.bytes + bytes),
                None => parts.push(PartSize { part: entry.slot.part, parameters, bytes }),
            }
            if entry.slot.shape.len() == 2 && !storage.contains(&dtype.name()) {
                storage.push(dtype.name());
            }
        }
        Inventory { family: family(&plan.config), parts, storage }
    }

    /// Elements of all parameters.
    pub fn parameters(&self) -> u64 {
        self.parts.iter().map(|p| p.parameters).sum()
    }

    /// Bytes of all parameters as they are stored.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.bytes).sum()
    }
}

/// The family by its usual name.
pub fn family(config: &T5Config) -> &'static str {
    let gated = config.feed_forward().is_some_and(|f| f.gated);
    let tokenizer = config.other.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
    match config.model_type.as_str() {
        _ if config.cross_attention_relative_bias => "T5 of bert4keras (bias in cross-attention)",
        "umt5" => "umT5",
        // bytes, three special ids and sentinels
        _ if tokenizer == "ByT5Tokenizer" || config.vocab_size == 384 && gated => "ByT5",
        "mt5" => "mT5",
        _ if gated => "T5 1.1",
        _ => "T5 1.0",
    }
}
