//! How long work takes, by what this machine is measured to do: operations over a rate that a short product of matrices
//! has shown, times the share of it that each kind of work reaches (docs/BENCHMARKS.md, "Where the time goes").

use std::collections::BTreeMap;
use std::time::Instant;
use t5kit_model::memory::Widths;
use t5kit_tensor::{DType, Graph, Params, Pool, Precision, Regime, Rng, Tensor, Var, Weight, ops};

/// Shares of the measured rate that training reaches: the encoder forwards, the decoder forwards, the softmax both ways,
/// and all on the way back.
const TRAINING: [f64; 4] = [0.80, 0.70, 0.84, 0.80];
/// Shares that generating reaches at batches of 16: the encoder, the decoder's steps, the softmax.
const GENERATING: [f64; 3] = [0.82, 0.57, 0.72];

/// Rows, inner and outer width of the product that is timed; about those of a small model's layers.
const PRODUCT: [usize; 3] = [2048, 1024, 1024];
/// Times that it is, after one to warm up.
const ROUNDS: usize = 5;

/// What is known of the examples.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Of training, validation and testing.
    pub rows: [usize; 3],
    /// Tokens of a source and a target on average.
    pub tokens: [f64; 2],
    /// Those of the longest.
    pub longest: [usize; 2],
}

/// What this machine does, measured once.
#[derive(Default)]
pub struct Speed(BTreeMap<(bool, usize), f64>);

impl Speed {
    /// Operations a second of a large product, in f32 or bf16.
    pub fn measure(&mut self, bf16: bool, threads: usize) -> f64 {
        *self.0.entry((bf16, threads)).or_insert_with(|| product(bf16, threads))
    }

    /// Seconds that an example of so many source and target tokens takes in training.
    pub fn training(&mut self, widths: &Widths, tokens: [f64; 2], bf16: bool, threads: usize) -> f64 {
        let rate = self.measure(bf16, threads);
        let [encoder, decoder, softmax] = operations(widths, tokens);
        let forward = encoder / TRAINING[0] + decoder / TRAINING[1] + 3.0 * softmax / TRAINING[2];
        (forward + 2.0 * (encoder + decoder) / TRAINING[3]) / rate
    }

    /// Seconds that generating a target of so many tokens for a source takes, in batches.
    pub fn generating(&mut self, widths: &Widths, tokens: [f64; 2], beams: usize, threads: usize) -> f64 {
        let rate = self.measure(false, threads);
        let [encoder, decoder, softmax] = operations(widths, tokens);
        let steps = beams as f64 * (decoder / GENERATING[1] + softmax / GENERATING[2]);
        (encoder / GENERATING[0] + steps) / rate
    }
}

/// Operations (a multiplication and an addition are two) of an example's forward pass: encoder, decoder, softmax.
fn operations(w: &Widths, [source, target]: [f64; 2]) -> [f64; 3] {
    let [d, inner, ff] = [w.d_model, w.inner, w.d_ff].map(|n| n as f64);
    let feed_forward = if w.gated { 3.0 } else { 2.0 } * d * ff;
    let attention = 4.0 * d * inner;
    // Every query with every key, and every probability with every value.
    let pairs = |queries: f64, keys: f64| 2.0 * queries * keys * inner;
    let encoder = w.encoder_layers as f64 * (source * (attention + feed_forward) + pairs(source, source));
    let decoder = match w.decoder_layers {
        // Source and target pass through the one stack.
        0 => {
            let through = target * (attention + feed_forward) + pairs(target, source + target);
            w.encoder_layers as f64 * through
        }
        layers => {
            let itself = target * (attention + 2.0 * d * inner + feed_forward) + pairs(target, target);
            layers as f64 * (itself + source * 2.0 * d * inner + pairs(target, source))
        }
    };
    let softmax = target * d * w.rows as f64;
    [2.0 * encoder, 2.0 * decoder, 2.0 * softmax]
}

/// Operations a second of the best of a few products.
fn product(bf16: bool, threads: usize) -> f64 {
    let [rows, inner, outer] = PRODUCT;
    let pool = Pool::new(threads);
    let mut params = Params::default();
    let weight = Weight::normal(&[outer, inner], 0.05, Rng::new(1, 0));
    let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
    let id = params.add("weight", weight.to_dtype(DType::F32));
    let x = Tensor::from_vec(rows, inner, (0..rows * inner).map(|i| (i % 7) as f32 * 0.1).collect());
    let mut best = f64::INFINITY;
    for _ in 0..=ROUNDS {
        let mut graph = Graph::inference(&params, &pool, Regime::Bulk).with_precision(precision);
        let begun = Instant::now();
        let y = ops::linear(&mut graph, &Var::constant(x.clone()), &[id]);
        best = best.min(begun.elapsed().as_secs_f64());
        drop(y);
    }
    2.0 * (rows * inner * outer) as f64 / best.max(1e-9)
}

/// 12 s, 4:32 min, 1:05 h.
pub fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_mt5_small() {
        let widths = t5kit_model::t5::widths(&t5kit_model::T5Config {
            vocab_size: 32_598,
            d_model: 512,
            d_kv: 64,
            num_heads: 6,
            d_ff: 1024,
            num_layers: 8,
            num_decoder_layers: 8,
            ..Default::default()
        });
        let [encoder, _, softmax] = operations(&widths, [256.0, 32.0]);
        assert_eq!(softmax, 2.0 * 32.0 * 512.0 * 32_598.0);
        let ff = if widths.gated { 3.0 } else { 2.0 };
        let layer = 4.0 * 512.0 * 384.0 + ff * 512.0 * 1024.0;
        assert_eq!(encoder, 2.0 * 8.0 * (256.0 * layer + 2.0 * 256.0 * 256.0 * 384.0));
    }

    #[test]
    fn the_machine_does_something() {
        let mut speed = Speed::default();
        assert!(speed.measure(false, 1) > 1e8);
    }
}
