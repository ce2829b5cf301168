//! Every kernel on every instruction set this machine has, against the oracle, on awkward sizes.

mod attention;
mod bf16_products;
mod int8;
mod norms;
mod optimizers;
mod pointwise;
mod products;
mod rotary;
mod softmax;

use super::{Isa, available};

/// Lengths around vectors, unrolled steps and blocks of every instruction set.
const SIZES: [usize; 16] = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129, 1025];

/// Runs a test on every instruction set and says which ones those were.
fn on_every_isa(test: impl Fn(Isa)) {
    for isa in available() {
        println!("running on {}", isa.name());
        test(isa);
    }
}

/// Numbers in −1…1 that differ from seed to seed (a linear congruential generator's upper bits).
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `got` is `want` within `absolute + relative·|want|`, infinities and NaN alike.
#[track_caller]
fn assert_close(what: &str, got: &[f32], want: &[f32], absolute: f32, relative: f32) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let same = got == want || got.is_nan() && want.is_nan();
        assert!(
            same || (got - want).abs() <= absolute + relative * want.abs(),
            "{what}: element {i} is {got:e}, the oracle says {want:e}"
        );
    }
}
