//! Where the time goes: the parts of generating and of a training step, each timed by itself, with the operations and
//! bytes it cannot do without, for the table of achieved over floor in `docs/BENCHMARKS.md`.
//!
//! `cargo run --release -p t5kit-train --example parts -- MODEL [THREADS]` prints tab-separated lines
//! `work part milliseconds GFLOP/s GB/s` (medians). Bytes are those of weights and caches; norms, softmax, activations
//! and their traffic are not counted. Sources have 230 tokens, targets 20: about the CSL titles'.

use std::path::PathBuf;
use std::time::Instant;

use t5kit_model::{Seq2Seq, T5, T5Config, Trainable};
use t5kit_tensor::ops::{self, CrossEntropy};
use t5kit_tensor::{Gradients, Graph, Packed, Pool, Precision, Regime, bf16_products};
use t5kit_train::{Optimizer, OptimizerKind, TrainOptions};

const SOURCE: usize = 230;
const TARGET: usize = 20;
const NEW_TOKENS: usize = 32;
const ROUNDS: usize = 5;

/// Weights that a token passes through, part by part.
struct Weights {
    encoder: usize,
    /// Of the decoder, with the key and value matrices of its attention to the source: targets are short here, so that
    /// it looks at the source's features, and these are multiplied into queries and findings.
    decoder: usize,
    softmax: usize,
    all: usize,
    /// Width of all heads times the layers: of the encoder, of the decoder, and of the decoder's queries to features.
    scores: (usize, usize, usize),
}

impl Weights {
    fn of(c: &T5Config) -> Weights {
        let gated = c.feed_forward().is_some_and(|f| f.gated);
        let (d, inner) = (c.d_model, c.inner_dim());
        let ff = d * c.d_ff * if gated { 3 } else { 2 };
        let encoder = c.num_layers * (4 * d * inner + ff);
        let decoder = c.num_decoder_layers * (8 * d * inner + ff);
        let softmax = d * c.vocab_size;
        let all = encoder + decoder + softmax * if c.tie_word_embeddings { 1 } else { 2 };
        let layers = c.num_decoder_layers;
        let scores = (c.num_layers * inner, layers * inner, layers * c.num_heads * d);
        Weights { encoder, decoder, softmax, all, scores }
    }
}

fn packed(count: usize, length: usize, rows: usize) -> Packed {
    let sequence = |i: usize| -> Vec<u32> {
        (0..length).map(|j| 3 + (i * 7919 + j * 104_729) as u32 % (rows as u32 - 3)).collect()
    };
    Packed::new((0..count).map(sequence)).expect("no sequence is empty")
}

/// Seconds of `f`, and what it gives.
fn timed<T>(f: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}

/// The median of each part over some rounds, the first left out.
fn medians<const N: usize>(mut round: impl FnMut() -> [f64; N]) -> [f64; N] {
    round();
    let rounds: Vec<[f64; N]> = (0..ROUNDS).map(|_| round()).collect();
    std::array::from_fn(|part| {
        let mut seconds: Vec<f64> = rounds.iter().map(|round| round[part]).collect();
        seconds.sort_by(f64::total_cmp);
        seconds[ROUNDS / 2]
    })
}

fn print(work: &str, part: &str, seconds: f64, multiply_adds: usize, bytes: usize) {
    let (flops, bytes) = (2e-9 * multiply_adds as f64 / seconds, 1e-9 * bytes as f64 / seconds);
    println!("{work}\t{part}\t{:.2}\t{flops:.0}\t{bytes:.1}", 1e3 * seconds);
}

fn generation(model: &T5, pool: &Pool, batch: usize) {
    let (c, w) = (&model.config, Weights::of(&model.config));
    let sources = packed(batch, SOURCE, c.vocab_size);
    let [encoder, decoder, softmax] = medians(|| {
        let mut bulk = Graph::inference(&model.params, pool, Regime::Bulk);
        let mut cache = model.cache();
        let budgets = vec![NEW_TOKENS; batch];
        let (encoder, ()) = timed(|| model.start(&mut bulk, &mut cache, &sources, &budgets));
        let mut graph = Graph::inference(&model.params, pool, Regime::Steps);
        let (mut decoder, mut softmax) = (0.0, 0.0);
        for step in 0..NEW_TOKENS {
            let (seconds, hidden) =
                timed(|| model.step(&mut graph, &Packed::singles(&vec![3 + step as u32; batch]), &mut cache));
            decoder += seconds;
            softmax += timed(|| ops::logits(&graph, &hidden, model.softmax())).0;
        }
        [encoder, decoder, softmax]
    });
    let work = format!("generate, batch {batch}");
    let (tokens, steps) = (batch * SOURCE, batch * NEW_TOKENS);
    print(&work, "encoder", encoder, tokens * (w.encoder + 2 * w.scores.0 * SOURCE), 0);
    let size = model.params.iter().map(|(_, _, w)| w.dtype().size()).min().unwrap_or(4);
    let own = 2 * w.scores.1 * NEW_TOKENS / 2 * steps;
    let attention = own + 2 * w.scores.2 * SOURCE * steps;
    // Features are read once a step, by the first layer.
    let read = size * w.decoder * NEW_TOKENS + 4 * (own + tokens * c.d_model * NEW_TOKENS);
    print(&work, "decoder steps", decoder, steps * w.decoder + attention, read);
    print(&work, "softmax", softmax, steps * w.softmax, size * w.softmax * NEW_TOKENS);
}

fn training(mut model: T5, pool: &Pool, batch: usize, precision: Precision) {
    model.make_trainable();
    let w = Weights::of(&model.config);
    let (sources, targets) =
        (packed(batch, SOURCE, model.config.vocab_size), packed(batch, TARGET, model.config.vocab_size));
    let inputs = targets.shifted_right(model.config.decoder_start_token_id);
    let mut gradients = Gradients::new();
    model.looked_up().into_iter().for_each(|id| gradients.keep_rows(id));
    let mut optimizer = Optimizer::new(OptimizerKind::Adamw, &model.params, &gradients);
    let [encoder, decoder, softmax, backward, adamw] = medians(|| {
        gradients.clear();
        gradients.next_pass();
        let mut graph = Graph::training(&model.params, pool, None).with_precision(precision);
        let (encoder, encoded) = timed(|| model.encode(&mut graph, &sources));
        let (decoder, hidden) = timed(|| model.decode(&mut graph, &inputs, &sources, &encoded));
        let loss = CrossEntropy { scale: 1.0 / targets.tokens() as f32, ..CrossEntropy::default() };
        let (softmax, _) = timed(|| {
            ops::cross_entropy(&graph, &hidden, model.softmax(), targets.ids(), loss, Some(&mut gradients))
        });
        drop((encoded, hidden));
        let (backward, ()) = timed(|| graph.backward(&mut gradients));
        let options = TrainOptions { max_grad_norm: 0.0, ..TrainOptions::default() };
        let (adamw, _) = timed(|| optimizer.step(&mut model.params, &gradients, pool, &options, 1e-4));
        [encoder, decoder, softmax, backward, adamw]
    });
    let work = format!("train {precision:?}, batch {batch}");
    let (s, t) = (batch * SOURCE, batch * TARGET);
    let through_encoder = s * (w.encoder + 2 * w.scores.0 * SOURCE);
    let through_decoder = t * (w.decoder + w.scores.1 * TARGET + 2 * w.scores.2 * SOURCE);
    print(&work, "encoder, forward", encoder, through_encoder, 0);
    print(&work, "decoder, forward", decoder, through_decoder, 0);
    print(&work, "softmax, forward and backward", softmax, 3 * t * w.softmax, 0);
    print(&work, "both, backward", backward, 2 * (through_encoder + through_decoder), 0);
    print(&work, "AdamW", adamw, 0, 28 * w.all);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: parts MODEL [THREADS]");
        std::process::exit(2);
    };
    let threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or_else(Pool::default_threads);
    let pool = Pool::new(threads);
    let open = || {
        T5::load(&path).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(1);
        })
    };
    let model = open();
    for batch in [1, 16, 32, 64] {
        generation(&model, &pool, batch);
    }
    training(model, &pool, 16, Precision::F32);
    if bf16_products() {
        training(open(), &pool, 16, Precision::Bf16);
    }
}
