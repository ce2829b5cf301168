//! What this machine can do at best, measured: the rate of matrix products and the bandwidth of reading memory. Floors of
//! time are made of these two numbers: operations over the one, bytes over the other.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::kernels::{self, prefetch};
use crate::{DType, Graph, Params, Pool, Regime, Rng, Tensor, Weight, ops};

/// The kernels that were chosen, by the names that the environment variables have for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// `T5KIT_ISA`.
    pub isa: &'static str,
    /// `T5KIT_BF16`: products of many rows in bf16.
    pub bf16: &'static str,
    /// `T5KIT_INT8`.
    pub int8: &'static str,
}

/// Which kernels were chosen.
///
/// # Panics
/// When an environment variable is impossible and the program did not ask [`init`](crate::init) first.
pub fn instructions() -> Instructions {
    Instructions {
        isa: kernels::isa().name(),
        bf16: kernels::best_kernel().name(),
        int8: kernels::best_int8_kernel().name(),
    }
}

/// Operations a second of products of many rows with weights stored as `dtype`, and bytes a second, where these parameters
/// are: by all threads together, which read `bytes` bytes over and over ([`product_rate`], [`read_rate`]), or by a device,
/// where copies are timed.
pub fn rates(params: &Params, pool: &Pool, dtype: DType, bytes: usize) -> [f64; 2] {
    match params.device() {
        None => [product_rate(pool, dtype), read_rate(pool, bytes)],
        Some(device) => device.rates(dtype),
    }
}

/// Rows, outputs and inner length of the product that is timed: many rows by mT5-small's widest layer, which stays in the
/// cache.
const PRODUCT: [usize; 3] = [1024, 2048, 512];
/// How long something is timed, and at least how often.
const BUDGET: Duration = Duration::from_millis(150);
const TIMES: usize = 4;

/// Operations a second of products of many rows with weights stored as `dtype`, all threads together; a multiply-add
/// counts as two. The way to int8 of the activations is part of it. The best of some calls.
pub fn product_rate(pool: &Pool, dtype: DType) -> f64 {
    let [rows, outputs, inner] = PRODUCT;
    let mut params = Params::default();
    let weight = Weight::normal(&[outputs, inner], 0.05, Rng::new(1, 0)).to_dtype(dtype).packed();
    let weight = params.add("weight", weight);
    let mut rng = Rng::new(2, 0);
    let x = Tensor::from_vec(rows, inner, (0..rows * inner).map(|_| rng.normal() as f32).collect());
    let graph = Graph::inference(&params, pool, Regime::Bulk);
    let seconds = best(|| {
        black_box(ops::logits(&graph, &x, weight));
    });
    (2 * rows * outputs * inner) as f64 / seconds
}

/// Bytes a second that all threads together read, of `bytes` bytes over and over: what fits into a cache is read from
/// there. The best of some rounds.
pub fn read_rate(pool: &Pool, bytes: usize) -> f64 {
    let data = vec![1.0f32; (bytes / size_of::<f32>()).max(1)];
    let share = data.len().div_ceil(pool.threads());
    let seconds = best(|| {
        pool.run_parts(data.chunks(share).collect(), |part| {
            black_box(sum(black_box(part)));
        });
    });
    size_of_val(&data[..]) as f64 / seconds
}

/// Seconds of a call, the best of some.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let (begun, mut best, mut times) = (Instant::now(), f64::INFINITY, 0);
    while times < TIMES || begun.elapsed() < BUDGET {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        times += 1;
    }
    best.max(f64::MIN_POSITIVE)
}

/// Places that are read side by side: the processor looks up their pages meanwhile.
const STREAMS: usize = 8;
/// How many numbers ahead to ask for: 1 kB.
const AHEAD: usize = 256;
/// Numbers of a cache line.
const LINE: usize = kernels::LINE / size_of::<f32>();

/// The sum of the numbers, in many running sums so that reading is what takes the time, and with the lines asked for: the
/// processor's own prefetching reaches half the bandwidth at most.
fn sum(x: &[f32]) -> f32 {
    let mut sums = [0.0f32; 4 * LINE];
    let streams: Vec<&[[f32; 4 * LINE]]> =
        x.chunks(x.len().div_ceil(STREAMS)).map(|part| part.as_chunks().0).collect();
    for i in 0..streams.first().map_or(0, |longest| longest.len()) {
        for chunk in streams.iter().filter_map(|stream| stream.get(i)) {
            let ahead = chunk.as_ptr().wrapping_add(AHEAD);
            (0..4).for_each(|line| prefetch(ahead.wrapping_add(line * LINE).cast()));
            for (s, v) in sums.iter_mut().zip(chunk) {
                *s += v;
            }
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_positive_and_every_number_is_read() {
        assert_eq!(sum(&vec![0.5; 64 * 16 * 8]), 4096.0);
        let pool = Pool::new(2);
        for dtype in DType::WEIGHTS {
            let rate = product_rate(&pool, dtype);
            assert!(rate.is_finite() && rate > 1e6, "{dtype:?}: {rate}");
        }
        for bytes in [0, 100, 1 << 20] {
            let rate = read_rate(&pool, bytes);
            assert!(rate.is_finite() && rate > 0.0, "{bytes}: {rate}");
        }
        assert!(!instructions().isa.is_empty());
        let mut params = Params::default();
        if let Some(device) = crate::emulated::device() {
            params.move_to(&device).unwrap();
            let [operations, bytes] = rates(&params, &pool, DType::Bf16, 1);
            assert!(operations > 1e3 && operations.is_finite() && bytes > 1e6 && bytes.is_finite());
            assert_eq!(device.used().0, 0);
        }
    }
}
