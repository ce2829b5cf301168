//! Random weights.

use t5kit_formats::config::T5Config;
use t5kit_tensor::{Params, Rng, Weight};

use super::layout::{Slot, layout};
use crate::Error;

/// Every parameter of the configuration; parameter number `i` is drawn from stream `i` of the seed.
pub(super) fn random(config: &T5Config, seed: u64) -> Result<Params, Error> {
    config.validate()?;
    let mut params = Params::default();
    for (stream, slot) in layout(config).into_iter().enumerate() {
        let weight = fresh(&slot, seed, stream as u64);
        params.add(slot.name, weight);
    }
    Ok(params)
}

/// A parameter as training from nothing begins it.
pub(crate) fn fresh(slot: &Slot, seed: u64, stream: u64) -> Weight {
    match slot.std {
        None => Weight::owned(&slot.shape, vec![1.0; slot.shape.iter().product()]),
        Some(std) => Weight::normal(&slot.shape, std, Rng::new(seed, stream)),
    }
}
