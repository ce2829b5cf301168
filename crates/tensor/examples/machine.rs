//! What the machine can do at best: the rate of f32 matrix products by `gemm-f32`, rows split over threads, and
//! the bandwidth of reading memory, the rate of products in bf16 as t5kit makes them, and that of the best int8
//! instruction by itself. These are the numbers that floors in `docs/BENCHMARKS.md` are made of.
//!
//! `cargo run --release -p t5kit-tensor --example machine [THREADS]` prints tab-separated lines
//! `gemm m n k threads GFLOP/s`, `read MB threads GB/s`, `bf16 threads GFLOP/s` and `int8 threads GOP/s`, each the best
//! of several rounds.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use t5kit_tensor::{DType, Pool, product_rate, read_rate};

/// Shapes of mT5-small: [rows, columns, inner]; 3,072 rows stand for the tokens of a training batch.
const SHAPES: [(usize, usize, usize); 5] =
    [(3072, 384, 512), (3072, 2048, 512), (3072, 512, 1024), (1024, 4096, 512), (16, 2048, 512)];
/// Sizes in MB: a cache's, an mT5-small decoder step's (layers and softmax of 32,704 rows), a large model's.
const SIZES: [usize; 3] = [16, 155, 1024];
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;

/// `c = a·b` for row-major [m, k]·[k, n], one thread.
fn product(c: &mut [f32], a: &[f32], b: &[f32], n: usize, k: usize) {
    let m = c.len() / n;
    assert!(c.len() == m * n && a.len() == m * k && b.len() == k * n);
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: the slices have exactly the shapes named, and `c` is exclusive. The product is handed over
    // transposed, because the crate's kernels want the output's unit stride in its first dimension.
    unsafe {
        gemm(
            n,
            m,
            k,
            c.as_mut_ptr(),
            n as isize,
            1,
            false,
            b.as_ptr(),
            n as isize,
            1,
            a.as_ptr(),
            k as isize,
            1,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

/// Calls a second of `work` on every one of `threads` parts at once: the best of some rounds.
fn rate<P: Send>(parts: &mut [P], work: impl Fn(&mut P) + Sync) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..ROUNDS {
        let seconds_a_call = thread::scope(|scope| {
            let running: Vec<_> = parts
                .iter_mut()
                .map(|part| {
                    scope.spawn(|| {
                        work(part);
                        let (start, mut calls) = (Instant::now(), 0u32);
                        while start.elapsed() < ROUND || calls == 0 {
                            work(part);
                            calls += 1;
                        }
                        start.elapsed().as_secs_f64() / f64::from(calls)
                    })
                })
                .collect();
            // The slowest part is what a caller would wait for.
            running.into_iter().map(|t| t.join().expect("no panic")).fold(0.0, f64::max)
        });
        best = best.max(1.0 / seconds_a_call);
    }
    best
}

/// Instructions in a row, and sums that do not wait for each other.
const TIMES: usize = 10_000;
const CHAINS: usize = 16;

/// Products of two numbers that one instruction of [`int8`] makes.
fn int8_lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") {
        return 64;
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        return 16;
    }
    32
}

/// Sums of products of int8 where nothing but the instruction holds them up: `vpdpbusd` on 512 bits, else AVX2's three;
/// on ARM `sdot`.
fn int8(times: usize) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512vnni") {
        // SAFETY: the processor has the instructions.
        return unsafe { vnni(times) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { maddubs(times) };
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("dotprod") {
        // SAFETY: as above.
        return unsafe { sdot(times) };
    }
    // Something that takes time: what it counts is no floor.
    (0..times * CHAINS * 32).fold(0, |sum: i32, i| sum.wrapping_add(black_box(i as i8) as i32 * 3))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn vnni(times: usize) -> i32 {
    use std::arch::x86_64::*;
    let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(-5)));
    let mut sums = [_mm512_setzero_si512(); CHAINS];
    for _ in 0..times {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums).into_iter().fold(0, |all, sum| all ^ _mm512_reduce_add_epi32(sum))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn maddubs(times: usize) -> i32 {
    use std::arch::x86_64::*;
    let (a, ones) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi16(black_box(1)));
    let mut sums = [_mm256_set1_epi8(black_box(-5)); CHAINS];
    for _ in 0..times {
        for sum in &mut sums {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, *sum), ones));
        }
    }
    black_box(sums).into_iter().fold(0, |all, sum| all ^ _mm256_extract_epi32::<0>(sum))
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon,dotprod")]
fn sdot(times: usize) -> i32 {
    use std::arch::aarch64::*;
    let (a, b) = (vdupq_n_s8(black_box(3)), vdupq_n_s8(black_box(-5)));
    let mut sums = [vdupq_n_s32(0); CHAINS];
    for _ in 0..times {
        for sum in &mut sums {
            // SAFETY: the function has the instruction enabled, which touches registers alone.
            unsafe {
                std::arch::asm!("sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b", sum = inlateout(vreg) *sum, a = in(vreg) a,
                    b = in(vreg) b, options(pure, nomem, nostack, preserves_flags));
            }
        }
    }
    black_box(sums).into_iter().fold(0, |all, sum| all ^ vaddvq_s32(sum))
}

fn main() {
    let all = thread::available_parallelism().map_or(1, |n| n.get());
    let most = match std::env::args().nth(1).map(|x| x.parse()) {
        None => all,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            eprintln!("usage: machine [THREADS]");
            std::process::exit(2);
        }
    };
    let mut counts = vec![1, most];
    counts.dedup();
    for &threads in &counts {
        for (m, n, k) in SHAPES {
            let rows = m.div_ceil(threads);
            let b = vec![0.01f32; k * n];
            let mut parts: Vec<_> =
                (0..threads).map(|_| (vec![0.0f32; rows * n], vec![0.02f32; rows * k])).collect();
            let calls = rate(&mut parts, |(c, a)| product(black_box(c), a, &b, n, k));
            println!(
                "gemm\t{m}\t{n}\t{k}\t{threads}\t{:.1}",
                calls * (2 * threads * rows * n * k) as f64 / 1e9
            );
        }
        for size in SIZES {
            let bytes = read_rate(&Pool::new(threads), size * 1_000_000);
            println!("read\t{size}\t{threads}\t{:.1}", bytes / 1e9);
        }
        println!("bf16\t{threads}\t{:.1}", product_rate(&Pool::new(threads), DType::Bf16) / 1e9);
        let mut parts = vec![(); threads];
        let calls = rate(&mut parts, |()| {
            black_box(int8(black_box(TIMES)));
        });
        println!(
            "int8\t{threads}\t{:.1}",
            calls * (2 * threads * TIMES * CHAINS * int8_lanes()) as f64 / 1e9
        );
    }
}
