//! How much memory a run takes: predicted before, measured during.

use t5kit_model::{T5, T5Config};

/// Predicted memory of training, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Weights, gradients and both moments.
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

/// Predicts the memory of training on batches of up to so many source and target tokens.
///
/// Counts what the operations save: of every encoder layer the norms' inputs and outputs, queries, keys and values,
/// the attention's output, both halves of the feed-forward layer and their product; of a decoder layer the same and
/// the cross-attention; of the softmax a chunk of logits.
pub fn predict(model: &T5, source_tokens: usize, target_tokens: usize) -> Memory {
    predict_for(&model.config, model.params.elements() as u64, source_tokens, target_tokens)
}

/// The same for a model that is not loaded: its configuration and the number of its parameters.
pub fn predict_for(c: &T5Config, parameters: u64, source_tokens: usize, target_tokens: usize) -> Memory {
    let (d, ff, inner) = (c.d_model as u64, c.d_ff as u64, c.inner_dim() as u64);
    let gate = if c.feed_forward().is_some_and(|f| f.gated) { 2 } else { 1 };
    let attention = 2 * d + 4 * inner;
    let feed_forward = 2 * d + (gate + 1) * ff;
    let (s, t) = (source_tokens as u64, target_tokens as u64);
    let encoder = c.num_layers as u64 * s * (attention + feed_forward);
    let decoder = c.num_decoder_layers as u64 * (t * (2 * attention + feed_forward) + s * 2 * inner);
    let logits = (16u64 << 20).max(16 * c.vocab_size as u64).min(t * c.vocab_size as u64);
    // On the way back: gradients of one block's activations, and of the encoder's output.
    let working = s * (2 * d + 2 * ff + 3 * inner) + 2 * s * d;
    Memory { parameters: 4 * 4 * parameters, activations: 4 * (encoder + decoder + logits + working) }
}

/// Memory that this process holds now; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
