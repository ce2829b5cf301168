//! Training adapters alone: what the settings mean, and which base model an adapter belongs to.

use t5kit_model::{LoraConfig, T5, lora_modules};
use t5kit_tensor::mix;

use crate::TrainOptions;

impl TrainOptions {
    /// The adapters that are trained, if it is they: for the model called `base`.
    pub(crate) fn lora(&self, base: &str) -> Option<LoraConfig> {
        Some(LoraConfig {
            r: self.lora_rank?,
            lora_alpha: self.lora_alpha,
            target_modules: self.lora_targets.clone(),
            base_model_name_or_path: Some(base.to_owned()),
            ..LoraConfig::default()
        })
    }

    /// Shapes of the adapters' matrices in a model of this configuration.
    pub(crate) fn adapter_shapes(&self, config: &t5kit_model::T5Config) -> Vec<[usize; 2]> {
        let Some(rank) = self.lora_rank else { return Vec::new() };
        let targeted = lora_modules(config).filter(|(module, _)| {
            self.lora_targets.iter().any(|target| module.rsplit('.').next() == Some(target.as_str()))
        });
        targeted.flat_map(|(_, [outputs, inputs])| [[rank, inputs], [outputs, rank]]).collect()
    }
}

/// Tells base models apart: by names, shapes, and some elements of every weight.
pub(crate) fn fingerprint(model: &T5) -> String {
    const SAMPLE: usize = 64;
    let mut sum = 0;
    for (_, name, weight) in model.params.iter() {
        sum = name.bytes().fold(sum, |sum, byte| mix(sum, byte.into()));
        sum = weight.shape().iter().fold(sum, |sum, &n| mix(sum, n as u64));
        for at in (0..weight.len()).step_by(weight.len().div_ceil(SAMPLE).max(1)) {
            sum = mix(sum, weight.as_rows().bits(at).into());
        }
    }
    format!("{sum:016x}")
}
