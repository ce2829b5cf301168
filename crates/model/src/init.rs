//! Random weights.

use t5kit_tensor::{Params, Rng, Weight};

use crate::architecture::Slot;

/// Every parameter of a list; number `i` is drawn from stream `i` of the seed.
pub(crate) fn random(slots: Vec<Slot>, seed: u64) -> Params {
    let mut params = Params::default();
    for (stream, slot) in slots.into_iter().enumerate() {
        let weight = fresh(&slot, seed, stream as u64);
        params.add(slot.name, weight);
    }
    params
}

/// A parameter as training from nothing begins it.
pub(crate) fn fresh(slot: &Slot, seed: u64, stream: u64) -> Weight {
    match slot.std {
        None => Weight::owned(&slot.shape, vec![1.0; slot.shape.iter().product()]),
        Some(std) => Weight::normal(&slot.shape, std, Rng::new(seed, stream)),
    }
}
