//! A model in numbers.

use crate::Plan;
use crate::architecture::{Architecture, Part};

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
    pub fn of<A: Architecture>(plan: &Plan<A>) -> Self {
        let mut parts: Vec<PartSize> = Vec::new();
        let mut storage = Vec::new();
        for entry in &plan.entries {
            let dtype = entry.held_as(plan.options.dtype);
            let parameters = entry.elements();
            let bytes = entry.bytes_as(dtype);
            match parts.iter_mut().find(|p| p.part == entry.slot.part) {
                Some(p) => (p.parameters, p.bytes) = (p.parameters + parameters, p.bytes + bytes),
                None => parts.push(PartSize { part: entry.slot.part, parameters, bytes }),
            }
            if entry.slot.kind.is_matrix() && !storage.contains(&dtype.name()) {
                storage.push(dtype.name());
            }
        }
        Inventory { family: plan.config.family(), parts, storage }
    }

    /// Bytes that a number of keys and values is kept in while decoding.
    pub fn kept(&self) -> u64 {
        let small = |name: &&str| matches!(*name, "bf16" | "int8" | "int4");
        if self.storage.iter().all(small) { 2 } else { 4 }
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
