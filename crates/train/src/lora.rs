//! Training adapters alone: what the settings mean, and which base model an adapter belongs to.

use t5kit_model::{Architecture, LoraConfig, Seq2Seq, lora_modules};
use t5kit_tensor::mix;

use crate::TrainOptions;

impl TrainOptions {
    /// The adapters that are trained, if it is they: for the model called `base`.
    pub fn lora(&self, base: &str, config: &impl Architecture) -> Option<LoraConfig> {
        Some(LoraConfig {
            r: self.lora_rank?,
            lora_alpha: self.lora_alpha,
            target_modules: self.targets(config),
            base_model_name_or_path: Some(base.to_owned()),
            task_type: config.task_type().map(String::from),
            ..LoraConfig::default()
        })
    }

    /// The layers that get adapters in a model of this configuration.
    fn targets(&self, config: &impl Architecture) -> Vec<String> {
        match self.lora_targets.is_empty() {
            true => config.lora_targets().iter().map(|&name| name.to_owned()).collect(),
            false => self.lora_targets.clone(),
        }
    }

    /// Shapes of the adapters' matrices in a model of this configuration.
    pub(crate) fn adapter_shapes(&self, config: &impl Architecture) -> Vec<[usize; 2]> {
        let Some(rank) = self.lora_rank else { return Vec::new() };
        let targets = self.targets(config);
        let targeted = lora_modules(config).filter(|(module, _)| {
            targets.iter().any(|target| module.rsplit('.').next() == Some(target.as_str()))
        });
        targeted.flat_map(|(_, [outputs, inputs])| [[rank, inputs], [outputs, rank]]).collect()
    }
}

/// Tells base models apart: by names, shapes, and some elements of every weight.
pub(crate) fn fingerprint(model: &dyn Seq2Seq) -> String {
    const SAMPLE: usize = 64;
    let mut sum = 0;
    for (_, name, weight) in model.params().iter() {
        sum = name.bytes().fold(sum, |sum, byte| mix(sum, byte.into()));
        sum = weight.shape().iter().fold(sum, |sum, &n| mix(sum, n as u64));
        for at in (0..weight.len()).step_by(weight.len().div_ceil(SAMPLE).max(1)) {
            sum = mix(sum, weight.as_rows().bits(at).into());
        }
    }
    format!("{sum:016x}")
}
