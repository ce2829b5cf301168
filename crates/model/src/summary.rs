//! A model in numbers.

use crate::T5;
use crate::t5::{Part, layout};

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
pub struct Summary {
    /// The family by its usual name.
    pub family: &'static str,
    /// Parts in the order of the data.
    pub parts: Vec<PartSize>,
    /// Storage types of the matrices, without repetition.
    pub storage: Vec<&'static str>,
}

impl Summary {
    /// Counts a model's parameters.
    pub fn of(model: &T5) -> Self {
        let mut parts: Vec<PartSize> = Vec::new();
        let mut storage = Vec::new();
        for slot in layout(&model.config) {
            let Some(id) = model.params.id(&slot.name) else { continue };
            let weight = model.params.get(id);
            let (parameters, name) = (weight.len() as u64, weight.dtype().name());
            let bytes = parameters * weight.dtype().size() as u64;
            match parts.iter_mut().find(|p| p.part == slot.part) {
                Some(p) => (p.parameters, p.bytes) = (p.parameters + parameters, p.bytes + bytes),
                None => parts.push(PartSize { part: slot.part, parameters, bytes }),
            }
            if slot.shape.len() == 2 && !storage.contains(&name) {
                storage.push(name);
            }
        }
        let config = &model.config;
        let family = match config.model_type.as_str() {
            "mt5" => "mT5",
            "umt5" => "umT5",
            _ if config.feed_forward().is_some_and(|f| f.gated) => "T5 1.1",
            _ => "T5 1.0",
        };
        Summary { family, parts, storage }
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
