//! Softmax, log-sum-exp, argmax, and the exp under them.

use super::super::{argmax, exp_sub_scale, logsumexp, oracle, softmax, softmax_again, softmax_backward, top};
use super::{SIZES, assert_close, numbers, on_every_isa};

/// Scores spread over ±`width`.
fn scores(count: usize, seed: u64, width: f32) -> Vec<f32> {
    numbers(count, seed).iter().map(|v| v * width).collect()
}

#[test]
fn exp_is_good_over_its_whole_range() {
    on_every_isa(|isa| {
        let x: Vec<f32> = (0..400_001).map(|i| -87.3 + i as f32 * (176.0 / 400_000.0)).collect();
        let mut got = x.clone();
        exp_sub_scale(isa, &mut got, 0.0, 1.0, 0.0);
        let worst = got.iter().zip(&x).map(|(&got, &x)| {
            let want = f64::from(x).exp();
            if got.is_infinite() && want > f64::from(f32::MAX) {
                0.0
            } else {
                (f64::from(got) / want - 1.0).abs()
            }
        });
        let worst = worst.fold(0.0, f64::max);
        println!("worst relative error {worst:e}");
        assert!(worst < 1.3e-7, "{worst:e}");

        let mut edges = [-87.337, -1e30, f32::NEG_INFINITY, 88.73, 1e30, f32::INFINITY, f32::NAN, 0.0, -0.0];
        exp_sub_scale(isa, &mut edges, 0.0, 1.0, 0.0);
        assert_eq!(edges[..3], [0.0; 3]);
        assert_eq!(edges[3..6], [f32::INFINITY; 3]);
        assert!(edges[6].is_nan());
        assert_eq!(edges[7..], [1.0; 2]);
    });
}

#[test]
fn softmax_matches_the_oracle() {
    on_every_isa(|isa| {
        for size in SIZES {
            for width in [0.0, 1.0, 30.0, 200.0] {
                let (row, bias) = (scores(size, 1, width), scores(size, 2, 5.0));
                for (scale, bias) in
                    [(1.0, None), (1.0, Some(&bias[..])), (0.3, None), (0.125, Some(&bias[..]))]
                {
                    let (mut got, mut want) = (row.clone(), row.clone());
                    let lse = softmax(isa, &mut got, scale, bias);
                    let lse_want = oracle::softmax(&mut want, scale, bias);
                    // The probabilities' error is the scores' rounding: half a unit in the last place of 200.
                    assert_close("softmax", &got, &want, 1e-37, 1e-6 + 2e-7 * width);
                    assert_close("lse", &[lse], &[lse_want], 1e-6, 1e-6);
                    if size > 0 {
                        let sum: f32 = got.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-5, "the probabilities add up to {sum}");
                        let mut again = row.clone();
                        let mut again_want = row.clone();
                        softmax_again(isa, &mut again, scale, bias, lse);
                        oracle::softmax_again(&mut again_want, scale, bias, lse);
                        assert_close("softmax_again", &again, &again_want, 1e-37, 1e-6 + 2e-7 * width);
                        assert_close("both ways", &again, &got, 1e-37, 2e-6 + 2e-7 * width);
                    }
                }
                assert_close("logsumexp", &[logsumexp(isa, &row)], &[oracle::logsumexp(&row)], 1e-6, 1e-6);
            }
        }
    });
}

#[test]
fn masked_infinite_and_nan_scores() {
    on_every_isa(|isa| {
        for size in [1, 5, 16, 40] {
            let mut masked = vec![f32::NEG_INFINITY; size];
            assert_eq!(softmax(isa, &mut masked, 1.0, None), f32::NEG_INFINITY);
            assert!(masked.iter().all(|&p| p == 0.0));
            let mut row = scores(size, 3, 1.0);
            row.push(f32::NEG_INFINITY);
            softmax(isa, &mut row, 0.5, None);
            assert_eq!(row[size], 0.0);
            row[size / 2] = f32::NAN;
            assert!(logsumexp(isa, &row).is_nan());
            assert!(softmax(isa, &mut row, 0.5, None).is_nan());
            assert!(row.iter().all(|p| p.is_nan()));
        }
        assert_eq!(softmax(isa, &mut [], 1.0, None), f32::NEG_INFINITY);
        assert_eq!(logsumexp(isa, &[]), f32::NEG_INFINITY);
    });
}

#[test]
fn gradients_match_the_oracle() {
    on_every_isa(|isa| {
        for size in SIZES {
            let (p, mut got) = (scores(size, 4, 1.0), scores(size, 5, 1.0));
            let mut want = got.clone();
            softmax_backward(isa, &mut got, &p, 0.3);
            oracle::softmax_backward(&mut want, &p, 0.3);
            assert_close("softmax_backward", &got, &want, 0.0, 0.0);

            let (mut got, mut want) = (scores(size, 6, 10.0), scores(size, 6, 10.0));
            let (mut lowered, mut want_lowered) = (got.clone(), want.clone());
            exp_sub_scale(isa, &mut got, 3.25, 0.125, 0.0);
            oracle::exp_sub_scale(&mut want, 3.25, 0.125, 0.0);
            assert_close("exp_sub_scale", &got, &want, 1e-37, 3e-6);
            exp_sub_scale(isa, &mut lowered, 3.25, 0.125, 0.5);
            oracle::exp_sub_scale(&mut want_lowered, 3.25, 0.125, 0.5);
            assert_close("exp_sub_scale, lowered", &lowered, &want_lowered, 6e-8, 3e-6);
        }
    });
}

#[test]
fn argmax_takes_the_first_of_equals_and_never_a_nan() {
    on_every_isa(|isa| {
        for size in SIZES {
            let mut x = scores(size, 7, 1.0);
            assert_eq!(argmax(isa, &x), oracle::argmax(&x));
            for at in [0, size / 3, size.saturating_sub(1)] {
                if size > 0 {
                    x[at] = 2.0;
                    assert_eq!(argmax(isa, &x), oracle::argmax(&x));
                    let mut with_nan = x.clone();
                    with_nan[size / 2] = f32::NAN;
                    with_nan[0] = f32::NAN;
                    assert_eq!(argmax(isa, &with_nan), oracle::argmax(&with_nan));
                }
            }
            let nothing = vec![f32::NAN; size];
            assert_eq!(argmax(isa, &nothing), (0, f32::NEG_INFINITY));
            let lowest = vec![f32::NEG_INFINITY; size];
            assert_eq!(argmax(isa, &lowest), (0, f32::NEG_INFINITY));
        }
    });
}

#[test]
fn top_finds_the_largest_in_order_and_never_a_nan() {
    on_every_isa(|isa| {
        for size in SIZES {
            for count in [0, 1, 3, 8, 100] {
                let mut x = scores(size, 9, 1.0);
                for (i, x) in x.iter_mut().enumerate() {
                    match i % 11 {
                        3 => *x = f32::NAN,
                        5 => *x = f32::NEG_INFINITY,
                        7 => *x = 0.25, // many equals
                        _ => {}
                    }
                }
                for floor in [f32::NEG_INFINITY, 0.0, 0.25] {
                    let mut want: Vec<(f32, u32)> = (0..).zip(&x).map(|(i, &v)| (v, i)).collect();
                    want.retain(|&(v, _)| v > floor);
                    want.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                    want.truncate(count);
                    let mut got = vec![(9.0, 9)];
                    top(isa, &x, count, floor, &mut got);
                    assert_eq!(got.remove(0), (9.0, 9), "what was there stays");
                    assert_eq!(got, want, "{} {size} numbers, {count} above {floor}", isa.name());
                }
            }
        }
    });
}
