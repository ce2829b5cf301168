//! `matmul_rows`, `matmul_columns` and `dot`.

use half::{bf16, f16};

use super::super::{Isa, bf16_rows, dot, f32_to_bf16, matmul_columns, matmul_rows, matmul_rows_bf16, oracle};
use super::{SIZES, assert_close, numbers, on_every_isa};
use crate::{MatMut, Rows};

/// Weights in all three storage types.
struct Weights {
    f32: Vec<f32>,
    bf16: Vec<u16>,
    f16: Vec<u16>,
}

impl Weights {
    fn new(count: usize, seed: u64) -> Weights {
        let f32 = numbers(count, seed);
        let bf16 = f32.iter().map(|&v| bf16::from_f32(v).to_bits()).collect();
        let f16 = f32.iter().map(|&v| f16::from_f32(v).to_bits()).collect();
        Weights { f32, bf16, f16 }
    }
    /// Rows of `cols`.
    fn all(&self, cols: usize) -> [(&'static str, Rows<'_>); 3] {
        let (bf16, f16) = (Rows::bf16(&self.bf16, cols), Rows::f16(&self.f16, cols));
        [("f32", Rows::f32(&self.f32, cols)), ("bf16", bf16), ("f16", f16)]
    }
}

/// One product against the oracle, with padded rows whose padding must stay as it was.
fn check(isa: Isa, m: usize, n: usize, k: usize) {
    let (ldx, ldy) = (k + 3, n + 2);
    let x = numbers(m * ldx, 1);
    for (name, w) in Weights::new(n * k, 2).all(k) {
        let mut got = vec![7.5; m * ldy];
        let mut want = got.clone();
        matmul_rows(isa, MatMut::new(&mut got, m, n, ldy), &x, ldx, w);
        oracle::matmul_rows(&mut want, ldy, n, &x, ldx, m, w);
        // Rounding grows with the square root of the terms at worst like k.
        let bound = 1e-6 * (k as f32).sqrt().max(1.0);
        assert_close(&format!("{} {name} {m}×{n} over {k}", isa.name()), &got, &want, bound, 1e-6);
    }
}

/// Rows of x in bf16 with weights in bf16, against the product of the same numbers in f32; alone each row has the bits that
/// it has in company.
#[test]
fn rows_in_bf16_are_the_products_of_the_rounded_numbers() {
    on_every_isa(|isa| {
        if !bf16_rows(isa) {
            return;
        }
        for (m, n, k) in [
            (1, 1, 1),
            (3, 9, 31),
            (1, 40, 32),
            (2, 65, 33),
            (6, 13, 64),
            (7, 5, 100),
            (16, 48, 257),
            (65, 8, 96),
        ] {
            let (ldx, ldy) = (k + 3, n + 2);
            let x = numbers(m * ldx, 1);
            let mut bits = vec![0; x.len()];
            f32_to_bf16(isa, &mut bits, &x);
            let rounded: Vec<f32> = bits.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect();
            let weights = Weights::new(n * k, 2);
            let w = Rows::bf16(&weights.bf16, k);
            let mut got = vec![7.5; m * ldy];
            let mut want = got.clone();
            matmul_rows_bf16(isa, MatMut::new(&mut got, m, n, ldy), &bits, ldx, w);
            oracle::matmul_rows(&mut want, ldy, n, &rounded, ldx, m, w);
            let bound = 1e-6 * (k as f32).sqrt().max(1.0);
            assert_close(&format!("{m}×{n} over {k}"), &got, &want, bound, 1e-6);
            for i in 0..m {
                let mut alone = vec![0.0; n];
                let y = MatMut::new(&mut alone, 1, n, n);
                matmul_rows_bf16(isa, y, &bits[i * ldx..i * ldx + k], k, w);
                assert_eq!(alone, got[i * ldy..i * ldy + n], "row {i} of {m}×{n} over {k}");
            }
        }
    });
}

#[test]
fn products_match_the_oracle() {
    on_every_isa(|isa| {
        for m in 0..=14 {
            for n in [0, 1, 3, 4, 5, 7, 8, 9, 12, 13, 17] {
                for k in [0, 1, 15, 16, 17, 40] {
                    check(isa, m, n, k);
                }
            }
        }
        for k in SIZES {
            check(isa, 3, 9, k);
        }
        for m in [63, 64, 65, 257] {
            check(isa, m, 13, 65);
        }
        check(isa, 16, 384, 512);
    });
}

#[test]
fn an_element_does_not_depend_on_the_batch() {
    const K: usize = 83;
    on_every_isa(|isa| {
        let x = numbers(70 * K, 3);
        for n in [1, 3, 8, 11, 21] {
            for (name, w) in Weights::new(n * K, 4).all(K) {
                let mut single = vec![0.0; 70 * n];
                for (y, x) in single.chunks_exact_mut(n).zip(x.chunks_exact(K)) {
                    for (j, y) in y.iter_mut().enumerate() {
                        let y = MatMut::new(std::slice::from_mut(y), 1, 1, 1);
                        matmul_rows(isa, y, x, K, w.slice(j..j + 1));
                    }
                }
                for m in 1..=70 {
                    let mut y = vec![0.0; m * n];
                    matmul_rows(isa, MatMut::new(&mut y, m, n, n), &x, K, w);
                    for (i, (a, b)) in y.iter().zip(&single).enumerate() {
                        assert_eq!(
                            a.to_bits(),
                            b.to_bits(),
                            "{} {name}, m {m}, n {n}, element {i}",
                            isa.name()
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn a_nan_stays_in_its_row_and_column() {
    on_every_isa(|isa| {
        let mut x = numbers(5 * 33, 5);
        x[2 * 33 + 32] = f32::NAN;
        let w = numbers(9 * 33, 6);
        let mut y = vec![0.0; 5 * 9];
        matmul_rows(isa, MatMut::new(&mut y, 5, 9, 9), &x, 33, Rows::f32(&w, 33));
        for (i, v) in y.iter().enumerate() {
            assert_eq!(v.is_nan(), i / 9 == 2, "element {i}");
        }
    });
}

#[test]
fn wrong_sizes_are_refused() {
    on_every_isa(|isa| {
        let refused = |y: usize, ldy, x: usize, ldx, m, w: usize, n, k| {
            let (mut y, x, w) = (vec![0.0; y], vec![0.0; x], vec![0.0; w]);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                matmul_rows(isa, MatMut::new(&mut y, m, n, ldy), &x, ldx, Rows::f32(&w, k));
            }))
            .is_err()
        };
        assert!(!refused(6, 3, 8, 4, 2, 12, 3, 4));
        assert!(refused(5, 3, 8, 4, 2, 12, 3, 4), "short y");
        assert!(refused(6, 3, 7, 4, 2, 12, 3, 4), "short x");
        assert!(refused(6, 3, 8, 4, 2, 11, 3, 4), "short weights");
        assert!(refused(6, 2, 8, 4, 2, 12, 3, 4), "overlapping rows");
        assert!(refused(6, usize::MAX, 8, 4, 3, 12, 3, 4), "overflow");
    });
}

#[test]
fn dot_products_match_the_oracle() {
    on_every_isa(|isa| {
        for size in SIZES {
            let (a, b) = (numbers(size, 7), numbers(size, 8));
            assert_close("dot", &[dot(isa, &a, &b)], &[oracle::dot(&a, &b)], 3e-6, 1e-6);
        }
    });
}

/// Columns of a product with the transpose, of every storage type: the oracle's numbers, nothing beside them written,
/// and every element with the bits that it has alone.
#[test]
fn products_by_columns_match_the_oracle_whatever_the_company() {
    on_every_isa(|isa| {
        for k in [0, 1, 5, 64] {
            for n in [0, 1, 7, 8, 15, 16, 17, 64, 65, 130, 200] {
                let (most, ldx, first, ldw) = (13, k + 2, 3, n + 5);
                let x = numbers(most * ldx, 1);
                for (name, w) in Weights::new(k * ldw, 2).all(ldw) {
                    let run = |m: usize, from: usize, n: usize| {
                        let mut y = vec![7.5; m * (n + 1)];
                        matmul_columns(isa, MatMut::new(&mut y, m, n, n + 1), &x, ldx, w, first + from);
                        y
                    };
                    let mut want = vec![7.5; most * (n + 1)];
                    oracle::matmul_columns(&mut want, n, &x, ldx, most, w, first);
                    let all = run(most, 0, n);
                    assert_close(&format!("{} {name} {n} over {k}", isa.name()), &all, &want, 1e-5, 1e-6);
                    for m in 1..most {
                        assert!(run(m, 0, n) == all[..m * (n + 1)], "{} {name}, {m} rows", isa.name());
                    }
                    for j in 0..n {
                        let one = run(most, j, 1);
                        assert!((0..most).all(|i| one[2 * i] == all[i * (n + 1) + j]), "column {j} of {n}");
                    }
                }
            }
        }
    });
}
