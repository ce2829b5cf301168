//! The optimizers' kernels but AdamW's (`pointwise`).

use super::super::*;
use super::{SIZES, assert_close, numbers, on_every_isa};
use crate::ops::{AdamW, Lion};

#[test]
fn lion_matches_the_oracle_over_steps() {
    on_every_isa(|isa| {
        for size in SIZES {
            let (mut w, mut m) = (numbers(size, 9), vec![0.0; size]);
            let (mut w2, mut m2) = (w.clone(), m.clone());
            for t in 1..=5 {
                let mut g = numbers(size, 10 + t);
                g.iter_mut().step_by(3).for_each(|g| *g = 0.0);
                let step = Lion { lr: 1e-2, beta1: 0.9, beta2: 0.99, weight_decay: 0.1, grad_scale: 0.5 };
                lion(isa, &step, &mut w, &g, &mut m);
                oracle::lion(&step, &mut w2, &g, &mut m2);
            }
            assert_close("w", &w, &w2, 1e-6, 1e-6);
            assert_close("m", &m, &m2, 1e-7, 1e-6);
        }
    });
}

#[test]
fn adafactor_passes_match_their_formulas() {
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    on_every_isa(|isa| {
        for cols in SIZES {
            let rows = 5;
            let (g, row, col) = (numbers(rows * cols, 1), numbers(rows, 2), numbers(cols, 3));
            let (g64, row64, col64) = (wide(&g), wide(&row), wide(&col));
            let square = |i: usize, j: usize| (0.5 * g64[i * cols + j]).powi(2) + f64::from(1e-3f32);

            let (mut means, mut sums) = (vec![0.0; rows], vec![1.0; cols]);
            adafactor_squares(isa, &g, 0.5, 1e-3, &mut means, &mut sums);
            if cols > 0 {
                let want: Vec<f32> = (0..rows)
                    .map(|i| ((0..cols).map(|j| square(i, j)).sum::<f64>() / cols as f64) as f32)
                    .collect();
                assert_close("means of rows", &means, &want, 0.0, 1e-6);
            }
            for (j, sum) in sums.iter().enumerate() {
                let want = 1.0 + (0..rows).map(|i| square(i, j)).sum::<f64>();
                assert!((sum - want).abs() < 1e-6 * want, "column {j}: {sum} {want}");
            }

            let update = |i: usize, j: usize| row64[i] * col64[j] * g64[i * cols + j];
            let pairs = || (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
            let want: f64 = pairs().map(|(i, j)| update(i, j).powi(2)).sum();
            let got = adafactor_update_squares(isa, &g, &row, &col);
            assert!((got - want).abs() <= 1e-6 * want, "{got} {want}");

            let mut w = numbers(rows * cols, 4);
            let want: Vec<f32> =
                pairs().zip(&w).map(|((i, j), w)| (0.9 * f64::from(*w) - update(i, j)) as f32).collect();
            adafactor_apply(isa, &mut w, &g, &row, &col, 0.9);
            assert_close("weights", &w, &want, 2e-7, 2e-7);

            let g = &g[..cols];
            let mut v: Vec<f32> = numbers(cols, 5).iter().map(|v| v.abs()).collect();
            let moments: Vec<f64> =
                v.iter().enumerate().map(|(j, &v)| 0.75 * f64::from(v) + 0.25 * square(0, j)).collect();
            let got = adafactor_vector(isa, g, 0.5, 1e-3, 0.75, &mut v);
            let want: f64 = moments.iter().zip(g).map(|(v, &g)| (0.5 * f64::from(g)).powi(2) / v).sum();
            assert!((got - want).abs() <= 1e-6 * want, "{got} {want}");
            let moments: Vec<f32> = moments.iter().map(|&v| v as f32).collect();
            assert_close("moments", &v, &moments, 0.0, 1e-6);
        }
    });
}

/// So that a run's numbers do not depend on the processor's instructions more than its products do.
#[test]
fn updates_and_sums_have_the_same_bits_on_every_instruction_set() {
    let (rows, cols) = (5, 131);
    let (g, row, col) = (numbers(rows * cols, 1), numbers(rows, 2), numbers(cols, 3));
    let adam = AdamW {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
        l2: 0.01,
        bias1: 0.1,
        bias2: 0.001,
        grad_scale: 0.5,
    };
    let sign = Lion { lr: 1e-2, beta1: 0.9, beta2: 0.99, weight_decay: 0.1, grad_scale: 0.5 };
    let run = |isa| {
        let (mut w, mut m, mut v) = (numbers(g.len(), 4), vec![0.0; g.len()], vec![0.0; g.len()]);
        adamw(isa, &adam, &mut w, &g, &mut m, &mut v);
        lion(isa, &sign, &mut w, &g, &mut m);
        let (mut means, mut sums) = (vec![0.0; rows], vec![1.0; cols]);
        adafactor_squares(isa, &g, 0.5, 1e-3, &mut means, &mut sums);
        sums.push(adafactor_update_squares(isa, &g, &row, &col));
        adafactor_apply(isa, &mut w, &g, &row, &col, 0.9);
        sums.push(adafactor_vector(isa, &g[..cols], 0.5, 1e-3, 0.75, &mut v[..cols]));
        sums.extend([sum_squares(isa, &g), sum(isa, &g)]);
        ([w, m, v, means].concat(), sums)
    };
    let all: Vec<_> = available().into_iter().map(run).collect();
    assert!(all.iter().all(|found| *found == all[0] && found.0.iter().all(|x| x.is_finite())));
}
