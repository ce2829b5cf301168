//! Activations, element-by-element kernels, dropout, AdamW, conversions.

use half::{bf16, f16};

use super::super::*;
use super::{SIZES, assert_close, numbers, on_every_isa};
use crate::ops::{Activation, AdamW};

const ACTIVATIONS: [Activation; 4] =
    [Activation::GeluTanh, Activation::GeluErf, Activation::Relu, Activation::Silu];

#[test]
fn activations_match_the_oracle() {
    on_every_isa(|isa| {
        for act in ACTIVATIONS {
            for size in SIZES {
                let x: Vec<f32> = numbers(size, 1).iter().map(|v| v * 12.0).collect();
                let (mut got, mut want) = (vec![0.0; size], vec![0.0; size]);
                activate(isa, act, &mut got, &x);
                oracle::activate(act, &mut want, &x);
                // The Φ of GELU is good to 1e-7 and multiplied by up to 12.
                assert_close(&format!("{act:?}"), &got, &want, 1e-7, 1.2e-6);
                let dy = numbers(size, 2);
                activate_backward(isa, act, &mut got, &dy, &x);
                oracle::activate_backward(act, &mut want, &dy, &x);
                assert_close(&format!("{act:?} backward"), &got, &want, 4e-7, 1.2e-6);
            }
        }
    });
}

#[test]
fn activations_far_out() {
    on_every_isa(|isa| {
        for act in ACTIVATIONS {
            let x = [1e4f32, -1e4, 3e19, -3e19, 90.0, -90.0, 0.0, f32::INFINITY, f32::NAN];
            let mut y = [0.0; 9];
            activate(isa, act, &mut y, &x);
            for i in [0, 2, 4, 7] {
                assert_eq!(y[i], x[i], "{act:?} of {}", x[i]);
            }
            for i in [1, 3, 5, 6] {
                assert!(y[i].abs() < 1e-13, "{act:?} of {} is {}", x[i], y[i]);
            }
            assert!(y[8].is_nan());
            let mut dx = [0.0; 9];
            activate_backward(isa, act, &mut dx, &[1.0; 9], &x);
            for (i, want) in [(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.0), (4, 1.0), (5, 0.0)] {
                assert!((dx[i] - want).abs() < 1e-6, "{act:?} slope at {} is {}", x[i], dx[i]);
            }
            if act != Activation::Relu {
                assert!(dx[8].is_nan());
            }
        }
    });
}

#[test]
fn gated_activations_match_the_oracle() {
    on_every_isa(|isa| {
        for act in ACTIVATIONS {
            for cols in SIZES {
                let rows = 3;
                let x: Vec<f32> = numbers(rows * 2 * cols, 3).iter().map(|v| v * 5.0).collect();
                let dy = numbers(rows * cols, 4);
                let (mut got, mut want) = (vec![0.0; rows * cols], vec![0.0; rows * cols]);
                let (mut dx, mut dx_want) = (vec![0.5; x.len()], vec![0.5; x.len()]);
                gated(isa, act, &mut got, &x, cols);
                gated_backward(isa, act, &mut dx, &dy, &x, cols);
                if cols > 0 {
                    oracle::gated(act, &mut want, &x, cols);
                    oracle::gated_backward(act, &mut dx_want, &dy, &x, cols);
                }
                assert_close(&format!("gated {act:?}"), &got, &want, 5e-7, 1.2e-6);
                assert_close(&format!("gated {act:?} backward"), &dx, &dx_want, 2e-6, 1.2e-6);
            }
        }
    });
}

#[test]
fn biased_activations_match_the_oracle() {
    on_every_isa(|isa| {
        for act in ACTIVATIONS {
            for cols in SIZES {
                let rows = 5;
                let x: Vec<f32> = numbers(rows * cols, 1).iter().map(|v| v * 8.0).collect();
                let (bias, dy) = (numbers(cols, 2), numbers(rows * cols, 3));
                let (mut got, mut want) = (vec![0.5; rows * cols], vec![0.5; rows * cols]);
                activate_biased(isa, act, &mut got, &x, &bias);
                oracle::activate_biased(act, &mut want, &x, &bias);
                assert_close(&format!("biased {act:?}"), &got, &want, 1e-7, 1.2e-6);
                let (mut sums, mut want_sums) = (bias.clone(), bias.clone());
                activate_biased_backward(isa, act, &mut got, &mut sums, &dy, &x, &bias);
                oracle::activate_biased_backward(act, &mut want, &mut want_sums, &dy, &x, &bias);
                assert_close(&format!("biased {act:?} backward"), &got, &want, 4e-7, 1.2e-6);
                assert_close(&format!("biased {act:?}, the bias"), &sums, &want_sums, 2e-6, 1.2e-6);
            }
        }
    });
}

/// GELU itself everywhere: erf to a few 10⁻⁷, and so the activation to that times |x|.
#[test]
fn gelu_is_exact() {
    on_every_isa(|isa| {
        let x: Vec<f32> = (-400_000..=400_000).map(|i| i as f32 * 3e-5).collect();
        let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        activate(isa, Activation::GeluErf, &mut y, &x);
        activate_backward(isa, Activation::GeluErf, &mut dx, &vec![1.0; x.len()], &x);
        let (mut of_erf, mut of_value, mut of_slope) = (0f64, 0f64, 0f64);
        for ((&x, &y), &dx) in x.iter().zip(&y).zip(&dx) {
            let (value, slope) = oracle::activation(Activation::GeluErf, x);
            of_value = of_value.max((f64::from(y) - value).abs() / f64::from(x).abs().max(1.0));
            of_slope = of_slope.max((f64::from(dx) - slope).abs());
            if x.abs() > 1e-2 {
                // erf(x/√2) = 2Φ(x) − 1, and the value is x·Φ(x).
                let erf = |value: f64| 2.0 * value / f64::from(x) - 1.0;
                of_erf = of_erf.max((erf(f64::from(y)) - erf(value)).abs());
            }
        }
        println!("worst errors: erf {of_erf:e}, value {of_value:e}, slope {of_slope:e}");
        assert!(of_erf < 5e-7 && of_value < 2e-7 && of_slope < 4e-7, "{of_erf:e} {of_value:e} {of_slope:e}");
    });
}

#[test]
fn sums_match_the_obvious() {
    on_every_isa(|isa| {
        for size in SIZES {
            let (x, y) = (numbers(size, 5), numbers(size, 6));
            let each =
                |f: fn(f32, f32) -> f32| -> Vec<f32> { y.iter().zip(&x).map(|(&y, &x)| f(y, x)).collect() };
            let mut got = y.clone();
            add(isa, &mut got, &x);
            assert_eq!(got, each(|y, x| y + x));
            let mut got = y.clone();
            axpy(isa, &mut got, -0.75, &x);
            assert_eq!(got, each(|y, x| y + -0.75 * x));
            let mut got = y.clone();
            scale(isa, &mut got, 3.5);
            assert_eq!(got, each(|y, _| y * 3.5));
            assert!((sum(isa, &x) - oracle::sum(&x)).abs() <= 1e-12 * size as f64);
            let (got, want) = (sum_squares(isa, &x), oracle::sum_squares(&x));
            assert!((got - want).abs() <= 1e-12 * want, "{got} and {want}");
        }
    });
}

#[test]
fn the_first_non_finite_value_is_found() {
    for size in [0, 1, 1023, 1024, 1025, 3000] {
        let mut x = numbers(size, 7);
        assert_eq!(first_non_finite(&x), None);
        for (at, bad) in
            [(size.saturating_sub(1), f32::NAN), (size / 2, f32::INFINITY), (0, f32::NEG_INFINITY)]
        {
            if size > 0 {
                x[at] = bad;
                assert_eq!(first_non_finite(&x), Some(at));
            }
        }
    }
    assert_eq!(first_non_finite(&[f32::MAX, f32::MIN]), None);
}

#[test]
fn dropout_is_the_same_for_any_split_and_instruction_set() {
    on_every_isa(|isa| {
        // The second start crosses a multiple of 2³².
        for first in [0, (1u64 << 32) - 37, u64::MAX - 2000] {
            for rate in [0.0, 0.1, 0.5, 0.9] {
                for size in SIZES {
                    let x = numbers(size, 8);
                    let factor = |i: usize| oracle::dropout_factor(42, first.wrapping_add(i as u64), rate);
                    let want: Vec<f32> = x.iter().enumerate().map(|(i, x)| x * factor(i)).collect();
                    let mut got = vec![9.0; size];
                    dropout(isa, &mut got, &x, 42, first, rate);
                    assert_eq!(got, want);
                    let mut got = x.clone();
                    let cut = size / 3;
                    dropout_in_place(isa, &mut got[..cut], 42, first, rate);
                    dropout_in_place(isa, &mut got[cut..], 42, first.wrapping_add(cut as u64), rate);
                    assert_eq!(got, want);
                    let mut got = vec![1.0; size];
                    dropout_add(isa, &mut got, &x, 42, first, rate);
                    assert_eq!(got, want.iter().map(|v| 1.0 + v).collect::<Vec<f32>>());
                }
            }
        }
    });
}

#[test]
fn dropout_drops_the_asked_share_independently() {
    const COUNT: usize = 1 << 20;
    let isa = isa();
    let mask = |key, rate| {
        let mut y = vec![1.0; COUNT];
        dropout_in_place(isa, &mut y, key, 0, rate);
        y.into_iter().map(|v| v != 0.0).collect::<Vec<bool>>()
    };
    for rate in [0.1f32, 0.5] {
        let p = f64::from(rate);
        let keys = [1, 2, 3, 0, u64::MAX, 1 << 40];
        let masks = keys.map(|key| mask(key, rate));
        // Five standard deviations of a binomial count.
        let near = |count: usize, of: usize, p: f64| {
            let sigma = (of as f64 * p * (1.0 - p)).sqrt();
            (count as f64 - of as f64 * p).abs() < 5.0 * sigma
        };
        for (a, key) in masks.iter().zip(keys) {
            let dropped = a.iter().filter(|&&kept| !kept).count();
            assert!(near(dropped, COUNT, p), "key {key}: {dropped} of {COUNT} dropped at {rate}");
            for lag in [1, 2, 16, 64, 512, 1024] {
                let both = a.windows(lag + 1).filter(|w| !w[0] && !w[lag]).count();
                assert!(near(both, COUNT - lag, p * p), "key {key}, lag {lag}: {both}");
            }
        }
        for (i, a) in masks.iter().enumerate() {
            for b in &masks[..i] {
                let both = a.iter().zip(b).filter(|(a, b)| !**a && !**b).count();
                assert!(near(both, COUNT, p * p), "keys are not independent: {both}");
            }
        }
    }
}

#[test]
fn adamw_matches_the_oracle_over_steps() {
    on_every_isa(|isa| {
        for size in SIZES {
            let (mut w, mut m, mut v) = (numbers(size, 9), vec![0.0; size], vec![0.0; size]);
            let (mut w2, mut m2, mut v2) = (w.clone(), m.clone(), v.clone());
            for t in 1..=5 {
                let g = numbers(size, 10 + t);
                let step = AdamW {
                    lr: 1e-2,
                    beta1: 0.9,
                    beta2: 0.999,
                    eps: 1e-8,
                    weight_decay: 0.1,
                    l2: 0.05,
                    bias1: (1.0 - f64::from(0.9f32).powi(t as i32)) as f32,
                    bias2: (1.0 - f64::from(0.999f32).powi(t as i32)) as f32,
                    grad_scale: 0.5,
                };
                adamw(isa, &step, &mut w, &g, &mut m, &mut v);
                oracle::adamw(&step, &mut w2, &g, &mut m2, &mut v2);
            }
            assert_close("w", &w, &w2, 1e-6, 1e-6);
            assert_close("m", &m, &m2, 1e-7, 1e-6);
            assert_close("v", &v, &v2, 1e-8, 1e-6);
        }
    });
}

#[test]
fn sixteen_bit_formats_agree_with_the_half_crate() {
    on_every_isa(|isa| {
        let all: Vec<u16> = (0..=u16::MAX).collect();
        let mut wide = vec![0.0; all.len()];
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        bf16_to_f32(isa, &mut wide, &all);
        assert!(wide.iter().zip(&all).all(|(&got, &bits)| same(got, bf16::from_bits(bits).to_f32())));
        f16_to_f32(isa, &mut wide, &all);
        for (&got, &bits) in wide.iter().zip(&all) {
            assert!(same(got, f16::from_bits(bits).to_f32_const()), "{bits:#x} is {got:e}");
        }

        // Every f32 exponent with mantissas around the ties of both formats, both signs, infinities and NaN.
        let mut x = Vec::new();
        for upper in 0..=u16::MAX {
            for lower in [0u32, 1, 0x1000, 0x7fff, 0x8000, 0x8001, 0xffff] {
                x.push(f32::from_bits(u32::from(upper) << 16 | lower));
            }
        }
        let mut narrow = vec![0; x.len()];
        f32_to_bf16(isa, &mut narrow, &x);
        for (&got, &x) in narrow.iter().zip(&x) {
            let want = bf16::from_f32(x);
            assert!(
                got == want.to_bits() || bf16::from_bits(got).is_nan() && want.is_nan(),
                "{x:e} is {got:#x}"
            );
        }
        f32_to_f16(isa, &mut narrow, &x);
        for (&got, &x) in narrow.iter().zip(&x) {
            let want = f16::from_f32_const(x);
            assert!(
                got == want.to_bits() || f16::from_bits(got).is_nan() && want.is_nan(),
                "{x:e} is {got:#x}"
            );
        }
        for size in SIZES {
            let (mut y, mut h) = (vec![0.0; size], vec![0; size]);
            f32_to_f16(isa, &mut h, &x[..size]);
            f16_to_f32(isa, &mut y, &h);
            assert_close("f16 round trip", &y, &x[..size], 1e-7, 1e-3);
        }
    });
}
