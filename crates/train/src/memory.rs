//! How much memory a run takes: predicted before, measured during.

use t5kit_model::memory::WayBack;
use t5kit_model::{Architecture, Part};
use t5kit_tensor::ops::CrossEntropy;

use crate::{OptimizerKind, TrainOptions};

/// Predicted memory of training, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, and of what is trained gradients and moments.
    pub parameters: u64,
    /// What the tape keeps for the largest batch, and the working memory on top.
    pub activations: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.parameters + self.activations
    }
}

/// Predicts the memory of training on batches of up to so many source and target tokens. Batches whose gradients are
/// accumulated come one after the other: they take no more than one.
///
/// Activations are what the model's [`Widths`](t5kit_model::memory::Widths) say.
///
/// Where adapters are trained, the model's own weights stay as they are: `held` is the bytes that they take. By
/// default all weights are f32. Weights in half precision are widened one at a time. `pieces`: how many different ids
/// the examples have, as far as known: the embeddings of others have no moments.
pub fn predict(
    config: &impl Architecture,
    options: &TrainOptions,
    held: Option<u64>,
    (source_tokens, target_tokens): (usize, usize),
    pieces: Option<usize>,
) -> Memory {
    let (s, t) = (source_tokens as u64, target_tokens as u64);
    let (parts, widths) = (options.parts(), config.widths());
    let mut parameters = 0;
    let (mut weights, mut largest) = (0, 0);
    for slot in config.layout() {
        let elements = slot.shape.iter().product::<usize>() as u64;
        weights += elements;
        largest = elements.max(largest);
        if !parts.contains(&slot.part) {
            continue;
        }
        // The gradient of an embedding alone is that of the rows that a step uses.
        let by_rows = slot.is_vocabulary && slot.part == Part::Embeddings && !config.is_tied();
        let decays = options.optimizer == OptimizerKind::Adam && options.weight_decay > 0.0;
        let met = pieces.filter(|_| by_rows && !decays).unwrap_or(usize::MAX);
        let shape: Vec<usize> =
            slot.shape.iter().enumerate().map(|(i, &n)| if i == 0 { n.min(met) } else { n }).collect();
        parameters += options.optimizer.state_elements(&shape) as u64;
        let rows = (s + t) * options.gradient_accumulation as u64 * widths.d_model as u64;
        parameters += if by_rows { elements.min(rows) } else { elements };
    }
    for shape in options.adapter_shapes(config) {
        parameters += (2 * shape[0] * shape[1] + options.optimizer.state_elements(&shape)) as u64;
    }
    let held = held.filter(|_| options.lora_rank.is_some()).unwrap_or(4 * weights);
    let widened = if held < 4 * weights { largest } else { 0 };
    let trains = |part| options.lora_rank.is_some() || parts.contains(&part);
    let through_encoder = trains(Part::Embeddings) || trains(config.source_part());
    let through_decoder = through_encoder || trains(Part::Decoder);

    let way = WayBack {
        encoder: through_encoder,
        decoder: through_decoder,
        recompute: options.recompute,
        chunk: CrossEntropy::default().chunk,
    };
    Memory {
        parameters: held + 4 * parameters,
        activations: widths.training_bytes(source_tokens, target_tokens, way) + 4 * widened,
    }
}

/// Memory that this process holds now; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[cfg(test)]
mod tests {
    use t5kit_model::T5Config;
    use t5kit_model::t5::layout;

    use super::*;

    #[test]
    fn follows_the_optimizer_and_the_parts_that_are_trained() {
        let config = T5Config { tie_word_embeddings: false, ..T5Config::default() };
        let bytes = |options: &TrainOptions| predict(&config, options, None, (100, 20), None);
        let adamw = TrainOptions::default();
        let all: u64 = layout(&config).iter().map(|s| s.shape.iter().product::<usize>() as u64).sum();
        let rows = (config.vocab_size * config.d_model) as u64;
        let touched = 120 * config.d_model as u64;
        assert_eq!(bytes(&adamw).parameters, 4 * (4 * all - rows + touched));
        let few = predict(&config, &adamw, None, (100, 20), Some(1000)).parameters;
        let unmet = (config.vocab_size - 1000) * config.d_model;
        assert_eq!(few, bytes(&adamw).parameters - 4 * 2 * unmet as u64);
        let lion = TrainOptions { optimizer: OptimizerKind::Lion, ..adamw.clone() };
        assert_eq!(bytes(&lion).parameters, 4 * (3 * all - rows + touched));
        let adafactor = TrainOptions { optimizer: OptimizerKind::Adafactor, ..adamw.clone() };
        assert!(bytes(&adafactor).parameters < 4 * (2 * all - rows + touched) * 21 / 20);
        let decoder = TrainOptions { train_parts: vec!["decoder".into()], ..adamw.clone() };
        let softmax = TrainOptions { train_parts: vec!["softmax".into()], ..adamw.clone() };
        assert_eq!(bytes(&softmax).parameters, 4 * (all + 3 * rows));
        assert!(bytes(&softmax).activations < bytes(&decoder).activations);
        assert!(bytes(&decoder).activations < bytes(&adamw).activations);
        let again = TrainOptions { recompute: true, ..adamw.clone() };
        assert!(bytes(&again).activations < bytes(&adamw).activations);
        let accumulating = TrainOptions { gradient_accumulation: 4, ..adamw.clone() };
        assert_eq!(bytes(&accumulating).activations, bytes(&adamw).activations);

        // q and v of every attention: 12 layers, 6 of them in the decoder with two.
        let lora = TrainOptions { lora_rank: Some(4), ..adamw.clone() };
        let attentions = (config.num_layers + 2 * config.num_decoder_layers) as u64;
        let adapters = attentions * 2 * 4 * (config.d_model + config.inner_dim()) as u64;
        assert_eq!(bytes(&lora).parameters, 4 * (all + 4 * adapters));
        assert_eq!(bytes(&lora).activations, bytes(&adamw).activations);
        let half = predict(&config, &lora, Some(2 * all), (100, 20), None);
        assert_eq!(half.parameters, 2 * all + 16 * adapters);
        assert_eq!(half.activations, bytes(&lora).activations + 4 * rows);
    }
}
