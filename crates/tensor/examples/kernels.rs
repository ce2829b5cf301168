//! Times the small-batch products for the shapes of an mT5-small decoder step, one thread, on every instruction
//! set this machine has (or the one that `T5KIT_ISA` names), after checking each result.
//!
//! `cargo run --release -p t5kit-tensor --example kernels [-- stream | cached | rest | bf16]`: `stream` (weights come
//! from memory, as in decoding with one sequence), `cached` (the same weights again and again), `rest` (everything
//! that is not a product) and `bf16` (the products of a training step by every bf16 kernel there is, on one thread
//! and two); all by default.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use half::{bf16, f16};
use t5kit_tensor::Rows;
use t5kit_tensor::bench::*;
use t5kit_tensor::ops::{Activation, AdamW};

/// Columns and inner length of the products: q/k/v, output, wi, wo, and the trimmed vocabulary.
const SHAPES: [(usize, usize, &str); 4] =
    [(1152, 512, "attention"), (2048, 512, "wi"), (512, 1024, "wo"), (32_704, 512, "softmax")];

fn main() {
    let modes: Vec<String> = std::env::args().skip(1).collect();
    let isas = match (std::env::var_os(ISA_VARIABLE), init()) {
        (_, Err(error)) => {
            eprintln!("{error}");
            std::process::exit(2);
        }
        (Some(_), Ok(isa)) => vec![isa],
        (None, Ok(_)) => available(),
    };
    for isa in isas {
        if modes.is_empty() || modes.iter().any(|mode| mode == "stream") {
            streamed(isa);
        }
        if modes.is_empty() || modes.iter().any(|mode| mode == "cached") {
            cached(isa);
        }
        if modes.is_empty() || modes.iter().any(|mode| mode == "rest") {
            rest(isa);
        }
        if modes.is_empty() || modes.iter().any(|mode| mode == "bf16") {
            training(isa);
        }
    }
}

/// Numbers that begin at a cache line, as the tensors' do.
struct Aligned<T>(Vec<T>, usize);

impl<T: Copy> Aligned<T> {
    fn new(values: impl ExactSizeIterator<Item = T>, filler: T) -> Aligned<T> {
        let mut all = vec![filler; values.len() + 64 / size_of::<T>()];
        let start = all.as_ptr().align_offset(64);
        for (to, from) in all[start..].iter_mut().zip(values) {
            *to = from;
        }
        Aligned(all, start)
    }
}

impl<T> std::ops::Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0[self.1..]
    }
}

impl<T> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0[self.1..]
    }
}

/// Numbers without a pattern that a product could hide behind.
fn numbers(count: usize) -> Aligned<f32> {
    Aligned::new((0..count).map(|i| (i as u32).wrapping_mul(0x9e37_79b1) as f32 / 4_294_967_296.0 - 0.5), 0.0)
}

/// Best time of one call; every call gets its number, so that it can take other weights than the last.
fn best_of(mut run: impl FnMut(usize)) -> f64 {
    let (start, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while calls < 5 || start.elapsed() < Duration::from_millis(40) {
        let call = Instant::now();
        run(calls);
        best = best.min(call.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

/// The first and the last element of the first and the last row, against the obvious sum.
fn check(y: &[f32], x: &[f32], w: &[f32], (m, n, k): (usize, usize, usize)) {
    for (i, j) in [(0, 0), (m - 1, n - 1)] {
        let want: f64 = (0..k).map(|l| f64::from(x[i * k + l]) * f64::from(w[j * k + l])).sum();
        let got = f64::from(y[i * n + j]);
        assert!((got - want).abs() < 2e-2, "element ({i}, {j}) is {got}, not {want}");
    }
}

/// Weights far larger than any cache, walked through once: bytes a second.
fn streamed(isa: Isa) {
    let (n, k) = (32_704 * 4, 512);
    let w = numbers(n * k);
    let b = Aligned::new(w.iter().map(|&v| bf16::from_f32(v).to_bits()), 0);
    let h = Aligned::new(w.iter().map(|&v| f16::from_f32(v).to_bits()), 0);
    for (name, rows, bytes) in [
        ("f32", Rows::f32(&w[..n * k], k), 4),
        ("bf16", Rows::bf16(&b[..n * k], k), 2),
        ("f16", Rows::f16(&h[..n * k], k), 2),
    ] {
        print!("{:8} stream {name:4} GB/s:", isa.name());
        for m in [1, 2, 4, 8, 16] {
            let x = numbers(m * k);
            let mut y = vec![0.0; m * n];
            let seconds = best_of(|_| matmul_rows(isa, MatMut::new(&mut y, m, n, n), &x, k, rows));
            check(&y, &x, &w, (m, n, k));
            print!("  m={m} {:.1}", (n * k * bytes) as f64 / seconds / 1e9);
        }
        println!();
    }
}

/// The decoder's shapes with their weights as near as the caches hold them: operations a second.
fn cached(isa: Isa) {
    for (n, k, what) in SHAPES {
        let w = numbers(n * k);
        let b = Aligned::new(w.iter().map(|&v| bf16::from_f32(v).to_bits()), 0);
        let h = Aligned::new(w.iter().map(|&v| f16::from_f32(v).to_bits()), 0);
        for (name, rows) in [
            ("f32", Rows::f32(&w[..n * k], k)),
            ("bf16", Rows::bf16(&b[..n * k], k)),
            ("f16", Rows::f16(&h[..n * k], k)),
        ] {
            print!("{:8} {what:9} {n:5}×{k:4} {name:4} GFLOP/s:", isa.name());
            for m in [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128] {
                let x = numbers(m * k);
                let mut y = vec![0.0; m * n];
                let seconds = best_of(|_| matmul_rows(isa, MatMut::new(&mut y, m, n, n), &x, k, rows));
                check(&y, &x, &w, (m, n, k));
                print!("  m={m} {:.0}", 2.0 * (m * n * k) as f64 / seconds / 1e9);
            }
            println!();
        }
    }
}

/// Nanoseconds an element of everything else, on rows that fit the first-level cache (AdamW: the last-level one).
fn rest(isa: Isa) {
    const N: usize = 2048;
    // A kilobyte and more apart within a page: stores that share an address's lower 12 bits with the loads after
    // them would slow everything down, and the allocator may or may not place them so.
    let mut all = numbers(4 * N);
    let (x, rest) = all.split_at_mut(N + 304);
    let (w, y) = rest.split_at_mut(N + 304);
    let (x, w, y) = (&x[..N], &w[..N], &mut y[..N]);
    let mut dw = vec![0.0; N];
    let mut report = |what: &str, count: usize, run: &mut dyn FnMut(&mut [f32])| {
        let seconds = best_of(|_| (0..50).for_each(|_| run(y))) / 50.0;
        print!("  {what} {:.3}", seconds * 1e9 / count as f64);
    };
    print!("{:8} ns an element:", isa.name());
    for act in [Activation::GeluTanh, Activation::GeluErf, Activation::Silu] {
        report(&format!("{act:?}"), N, &mut |y| activate(isa, act, y, x));
        report("backward", N, &mut |y| activate_backward(isa, act, y, w, x));
    }
    report("gated", N / 2, &mut |y| gated(isa, Activation::GeluTanh, &mut y[..N / 2], x, N / 2));
    report("backward", N / 2, &mut |y| gated_backward(isa, Activation::GeluTanh, y, &w[..N / 2], x, N / 2));
    report("rms_norm", N, &mut |y| rms_norm(isa, y, x, &w[..512], 1e-6, None));
    report("backward", N, &mut |y| {
        rms_norm_backward(isa, y, false, &mut dw[..512], w, x, &w[..512], &[1.0; 4])
    });
    for row in [64, 256, N] {
        report(&format!("softmax({row})"), row, &mut |y| {
            y[..row].copy_from_slice(&x[..row]);
            softmax(isa, &mut y[..row], 1.0, Some(&w[..row]));
        });
    }
    report("logsumexp", N, &mut |_| assert!(logsumexp(isa, x).is_finite()));
    report("argmax", N, &mut |_| assert!(argmax(isa, x).0 < N));
    report("dropout", N, &mut |y| dropout(isa, y, x, 1, 2, 0.1));
    report("add", N, &mut |y| add(isa, y, x));
    report("sum_squares", N, &mut |_| assert!(sum_squares(isa, x) > 0.0));

    let mut halves = vec![0; N];
    report("f32_to_bf16", N, &mut |_| f32_to_bf16(isa, &mut halves, x));
    report("bf16_to_f32", N, &mut |y| bf16_to_f32(isa, y, &halves));
    report("f32_to_f16", N, &mut |_| f32_to_f16(isa, &mut halves, x));
    report("f16_to_f32", N, &mut |y| f16_to_f32(isa, y, &halves));

    let count = 1 << 22;
    let step = AdamW {
        lr: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        l2: 0.0,
        bias1: 0.1,
        bias2: 1e-3,
        grad_scale: 1.0,
    };
    let (g, mut weights, mut m, mut v) =
        (numbers(count), numbers(count)[..count].to_vec(), vec![0.0; count], vec![0.0; count]);
    let seconds = best_of(|_| adamw(isa, &step, &mut weights, &g[..count], &mut m, &mut v));
    print!("  adamw {:.3}", seconds * 1e9 / count as f64);

    // One decoder position over 256 keys of 6 heads of 64, of one hypothesis and of four that share the keys: from a
    // cache, and from memory, where each call finds other keys as the sources of a batch do.
    let (heads, d_kv, keys, sources) = (6, 64, 256, 64);
    let width = heads * d_kv;
    let kv = numbers(sources * keys * 2 * width);
    println!();
    for (queries, sources) in [(1, 1), (1, sources), (4, 1), (4, sources)] {
        let (q, mut out) = (numbers(queries * width), vec![0.0; queries * width]);
        let mut scratch = vec![0.0; queries * heads * keys];
        let seconds = best_of(|call| {
            let kv = &kv[call % sources * keys * 2 * width..][..keys * 2 * width];
            let cached =
                Cached { k: kv, k_stride: 2 * width, v: &kv[width..], v_stride: 2 * width, keys, rows: None };
            let view = MatMut::new(&mut out, queries, width, width);
            let q = MatRef::new(&q, queries, width, width);
            let part = Part { cached, first: 0, queries: 0..queries };
            let look = Look { heads, d_kv, keys, scale: 1.0, bias: None };
            attend(isa, view, q, &[part], look, &mut scratch);
        });
        let bytes = (keys * 2 * width * size_of::<f32>()) as f64;
        println!(
            "{:8} attend, {queries} × 256 keys, 6×64, {sources:2} sources: {:.1} µs, {:.1} GB/s",
            isa.name(),
            seconds * 1e6,
            1e-9 * bytes / seconds
        );
    }
    // A decoder whose source is part of its past: 256 shared positions and 32 of each of four hypotheses, 12 heads of 64,
    // each hypothesis by a list of its own, or the source's rows once for all.
    let (heads, shared, own, queries, sources) = (12, 256, 32, 4, 16);
    let (width, keys, rows) = (heads * d_kv, shared + own, shared + queries * own);
    let kv = numbers(sources * rows * 2 * width);
    let (q, mut out) = (numbers(queries * width), vec![0.0; queries * width]);
    let mut scratch = vec![0.0; queries * heads * keys];
    let of = |query: usize| (0..own).map(move |i| (shared + i * queries + query) as u32);
    let lists: Vec<Vec<u32>> = (0..queries).map(|i| (0..shared as u32).chain(of(i)).collect()).collect();
    for (how, sources) in
        [("in order", 1), ("listed", 1), ("shared", 1), ("listed", sources), ("shared", sources)]
    {
        let seconds = best_of(|call| {
            let kv = &kv[call % sources * rows * 2 * width..][..rows * 2 * width];
            let cached = |keys: usize, rows| Cached {
                k: kv,
                k_stride: 2 * width,
                v: &kv[width..],
                v_stride: 2 * width,
                keys,
                rows,
            };
            let part = |first: usize, keys: usize, rows, queries| Part {
                cached: cached(keys, rows),
                first,
                queries,
            };
            let mut one = |parts: &[Part<'_>], queries: std::ops::Range<usize>| {
                let count = queries.len();
                let q = MatRef::new(&q[queries.start * width..], count, width, width);
                let view = MatMut::new(&mut out[queries.start * width..], count, width, width);
                let look = Look { heads, d_kv, keys, scale: 0.125, bias: None };
                attend(isa, view, q, parts, look, &mut scratch);
            };
            match how {
                "shared" => {
                    let parts = (0..queries).map(|i| part(shared, own, Some(&lists[i][shared..]), i..i + 1));
                    let parts: Vec<_> =
                        [part(0, shared, None, 0..queries)].into_iter().chain(parts).collect();
                    one(&parts, 0..queries);
                }
                "listed" => (0..queries).for_each(|i| one(&[part(0, keys, Some(&lists[i]), 0..1)], i..i + 1)),
                _ => (0..queries).for_each(|i| one(&[part(0, keys, None, 0..1)], i..i + 1)),
            }
        });
        println!(
            "{:8} attend, {queries} × (256 + 32) keys {how}, 12×64, {sources:2} sources: {:.1} µs",
            isa.name(),
            seconds * 1e6
        );
    }
    let (logits, mut found) = (numbers(32_704), Vec::new());
    let seconds = best_of(|_| {
        found.clear();
        top(isa, &logits[..32_704], 8, f32::NEG_INFINITY, &mut found);
    });
    println!("{:8} top 8 of 32,704: {:.1} µs", isa.name(), seconds * 1e6);
}

/// The three products of a linear layer's training, m tokens: y = x·wᵀ, dx = dy·w, dw = dyᵀ·x.
fn training(isa: Isa) {
    let m = 3000;
    for kernel in kernels_for(isa) {
        // Plain Rust is there to be correct.
        if kernel == Bf16Kernel::Portable {
            continue;
        }
        for (n, k) in [(384, 512), (2048, 512), (512, 1024)] {
            let (x, w, dy) = (numbers(m * k), numbers(n * k), numbers(m * n));
            let (x, w, dy) = (MatRef::new(&x, m, k, k), MatRef::new(&w, n, k, k), MatRef::new(&dy, m, n, n));
            print!("{:11} m={m} n={n:4} k={k:4} GFLOP/s, 1 thread and 2:", kernel.name());
            for (what, a, b) in [("forward", x, w.t()), ("dx", dy, w), ("dw", dy.t(), x)] {
                let mut c = vec![0.0; a.rows * b.cols];
                let rates = [1, 2]
                    .map(|threads| 2e-9 * (m * n * k) as f64 / best_split(threads, kernel, &mut c, a, b));
                for (i, j) in [(0, 0), (a.rows - 1, b.cols - 1)] {
                    let rounded = |v: f32| f64::from(bf16::from_f32(v).to_f32());
                    let want: f64 = (0..a.cols).map(|l| rounded(a.at(i, l)) * rounded(b.at(l, j))).sum();
                    let got = f64::from(c[i * b.cols + j]);
                    assert!((got - want).abs() < 1e-3, "element ({i}, {j}) is {got}, not {want}");
                }
                print!("  {what} {:.0} {:.0}", rates[0], rates[1]);
            }
            println!();
        }
    }
}

/// Best time of one product, the longer side of the result split over threads that stay.
fn best_split(threads: usize, kernel: Bf16Kernel, c: &mut [f32], a: MatRef<'_>, b: MatRef<'_>) -> f64 {
    const CALLS: usize = 8;
    let by_rows = a.rows >= b.cols;
    let each = if by_rows { a.rows } else { b.cols }.div_ceil(threads);
    let barrier = Barrier::new(threads);
    let mut rest = Some(MatMut::new(c, a.rows, b.cols, b.cols));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (from, all) = (thread * each, rest.take().expect("the others' part"));
                let part = if by_rows {
                    let (part, others) = all.split_rows(each.min(a.rows - from));
                    rest = Some(others);
                    (part, a.rows(from, each.min(a.rows - from)), b)
                } else {
                    let (part, others) = all.split_cols(each.min(b.cols - from));
                    rest = Some(others);
                    (part, a, b.columns(from, each.min(b.cols - from)))
                };
                let barrier = &barrier;
                scope.spawn(move || {
                    let (mut c, a, b) = part;
                    let mut best = f64::INFINITY;
                    for _ in 0..CALLS {
                        barrier.wait();
                        let start = Instant::now();
                        gemm_bf16_with(kernel, c.reborrow(), a, b, false);
                        barrier.wait();
                        best = best.min(start.elapsed().as_secs_f64());
                    }
                    best
                })
            })
            .collect();
        workers.into_iter().map(|w| w.join().expect("a worker")).fold(0.0, f64::max)
    })
}
