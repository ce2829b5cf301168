//! Times the int8 products for the shapes of mT5-small, one thread, by every kernel this machine has: thousands of millions
//! of products of two numbers a second. `--example machine` has those of the instruction by itself, twice as many operations.
//!
//! `cargo run --release -p t5kit-tensor --example int8 [KERNEL…]`

use std::time::{Duration, Instant};

use t5kit_tensor::bench::*;

/// Outputs and inner length: q/k/v, wi, wo, the trimmed vocabulary.
const SHAPES: [(usize, usize, &str); 4] =
    [(1152, 512, "attention"), (2048, 512, "wi"), (512, 1024, "wo"), (32_704, 512, "softmax")];
const ROWS: [usize; 8] = [1, 2, 4, 6, 8, 16, 64, 1024];

fn main() {
    let kernels: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = init() {
        eprintln!("{error}");
        std::process::exit(2);
    }
    for kernel in int8_kernels_for(isa()) {
        if !kernels.is_empty() && !kernels.iter().any(|name| name == kernel.name()) {
            continue;
        }
        for (n, k, what) in SHAPES {
            let q: Vec<i8> = (0..n * k).map(|i| (i * 31 % 255) as i8).collect();
            // As many copies as do not fit into any cache.
            let copies = (64 << 20) / (n * k) + 1;
            let panels: Vec<Panels> = (0..copies).map(|_| Panels::new(n, k, &q, &vec![0.01; n])).collect();
            for m in ROWS {
                let x: Vec<f32> = (0..m * k).map(|i| (i % 97) as f32 - 48.0).collect();
                let [numbers, groups, shares] = Activations::room(m, k);
                let (mut q, mut scales, mut sums) = (vec![0; numbers], vec![0.0; groups], vec![0; shares]);
                let quantize = best(|_| {
                    let rows = x.chunks_exact(k).zip(q.chunks_exact_mut(k));
                    let beside = scales.chunks_exact_mut(groups / m).zip(sums.chunks_exact_mut(shares / m));
                    rows.zip(beside)
                        .for_each(|((x, q), (scales, sums))| quantize_row(isa(), x, q, scales, sums));
                });
                let mut y = vec![0.0; m * n];
                let x = Activations::new(&q, &scales, &sums, m, k);
                let mut product = |at: usize| {
                    matmul_int8_with(kernel, MatMut::new(&mut y, m, n, n), x, &panels[at % copies], 0..n);
                };
                let (streamed, cached) = (best(&mut product), best(|_| product(0)));
                let rate = |seconds: f64| (m * n * k) as f64 / seconds / 1e9;
                println!(
                    "{:12} {what:10} {m:5} rows: {:6.1} G/s from memory ({:5.1} GB/s), {:6.1} again; quantising {:4.1} %",
                    kernel.name(),
                    rate(streamed),
                    (n * k) as f64 / streamed / 1e9,
                    rate(cached),
                    100.0 * quantize / cached,
                );
            }
        }
    }
}

/// Seconds of a call, the best of some rounds.
fn best(mut work: impl FnMut(usize)) -> f64 {
    let mut best = f64::INFINITY;
    let mut at = 0;
    // Many short rounds, of which some have the processor to themselves.
    for _ in 0..50 {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(2) {
            work(at);
            (at, calls) = (at + 1, calls + 1);
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(calls));
    }
    best
}
