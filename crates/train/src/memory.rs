//! How much memory a run takes: predicted before, measured during.

use t5kit_model::memory::WayBack;
use t5kit_model::{Architecture, Part};
use t5kit_tensor::Precision;
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

/// What a run's memory depends on beside its settings and its model.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Source and target tokens of the largest batch.
    pub tokens: (usize, usize),
    /// Bytes of the model's own weights, where adapters are trained and these stay as they are; by default all weights are
    /// f32.
    pub held: Option<u64>,
    /// How many different ids the examples have, as far as known.
    pub pieces: Option<usize>,
    /// Whether a GPU trains it, with all in its memory.
    pub on_device: bool,
}

/// Predicts the memory of training, the processor's or a GPU's. Batches whose gradients are accumulated come one after the
/// other: they take no more than one.
///
/// Activations are what the model's [`Widths`](t5kit_model::memory::Widths) say. Weights in half precision are widened one
/// at a time. On the processor embeddings of ids that no example has have no moments.
pub fn predict(config: &impl Architecture, options: &TrainOptions, extent: Extent) -> Memory {
    let Extent { tokens: (source_tokens, target_tokens), held, pieces, on_device } = extent;
    let pieces = pieces.filter(|_| !on_device);
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
        device: on_device,
        bf16: options.precision == Precision::Bf16,
    };
    Memory {
        parameters: held + 4 * parameters,
        activations: widths.training_bytes(source_tokens, target_tokens, way) + 4 * widened,
    }
}

/// What the size of a batch is set by, and up to which size a run would fit into so many bytes: 0 where none would.
pub(crate) fn fitting(
    config: &impl Architecture,
    options: &TrainOptions,
    extent: Extent,
    available: u64,
) -> (&'static str, usize) {
    let (field, set) = match options.batch_tokens {
        Some(tokens) => ("batch_tokens", tokens),
        None => ("batch_size", options.batch_size),
    };
    let share = |all: usize, size: usize| (all * size).div_ceil(set.max(1));
    let fits = |size: usize| {
        let (source, target) = extent.tokens;
        let tokens = (share(source, size), share(target, size));
        predict(config, options, Extent { tokens, ..extent }).total() <= available
    };
    // Between a size that fits, or none, and one that does not.
    let (mut low, mut high) = (0, set + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        *if fits(middle) { &mut low } else { &mut high } = middle;
    }
    (field, low)
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
        let extent = Extent { tokens: (100, 20), ..Extent::default() };
        let bytes = |options: &TrainOptions| predict(&config, options, extent);
        let adamw = TrainOptions::default();
        let all: u64 = layout(&config).iter().map(|s| s.shape.iter().product::<usize>() as u64).sum();
        let rows = (config.vocab_size * config.d_model) as u64;
        let touched = 120 * config.d_model as u64;
        assert_eq!(bytes(&adamw).parameters, 4 * (4 * all - rows + touched));
        let few = predict(&config, &adamw, Extent { pieces: Some(1000), ..extent }).parameters;
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
        let half = predict(&config, &lora, Extent { held: Some(2 * all), ..extent });
        assert_eq!(half.parameters, 2 * all + 16 * adapters);
        assert_eq!(half.activations, bytes(&lora).activations + 4 * rows);
    }

    #[test]
    fn says_what_would_fit() {
        let config = T5Config { tie_word_embeddings: false, ..T5Config::default() };
        let options = TrainOptions { batch_size: 64, ..TrainOptions::default() };
        let extent = Extent { tokens: (6400, 1280), ..Extent::default() };
        let eight = Extent { tokens: (800, 160), ..extent };
        let available = predict(&config, &options, eight).total();
        assert_eq!(fitting(&config, &options, extent, available), ("batch_size", 8));
        assert_eq!(fitting(&config, &options, extent, available - 1), ("batch_size", 7));
        assert_eq!(fitting(&config, &options, extent, 1 << 30), ("batch_size", 0));
        let by_tokens = TrainOptions { batch_tokens: Some(7680), ..options };
        let (field, tokens) = fitting(&config, &by_tokens, extent, available);
        assert!(field == "batch_tokens" && (950..970).contains(&tokens), "{tokens}");
    }
}
