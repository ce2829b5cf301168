//! Random weights.

use t5kit_formats::config::T5Config;
use t5kit_tensor::{Params, Rng, Weight};

use super::layout::layout;
use crate::Error;

/// Every parameter of the configuration; parameter number `i` is drawn from stream `i` of the seed.
pub(super) fn random(config: &T5Config, seed: u64) -> Result<Params, Error> {
    config.validate()?;
    let mut params = Params::default();
    for (stream, slot) in layout(config).into_iter().enumerate() {
        let len = slot.shape.iter().product();
        let data = match slot.std {
            None => vec![1.0; len],
            Some(std) => {
                let mut rng = Rng::new(seed, stream as u64);
                (0..len).map(|_| (rng.normal() * std) as f32).collect()
            }
        };
        params.add(slot.name, Weight::owned(&slot.shape, data));
    }
    Ok(params)
}
