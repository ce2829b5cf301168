//! `gemm_bf16`, every kernel this machine has.

use half::bf16;

use super::super::{available, gemm_bf16_with, kernels_for};
use super::numbers;
use crate::{MatMut, MatRef};

/// An operand's rows and columns, stored straight or transposed, with padding.
struct Operand {
    data: Vec<f32>,
    /// The bits of the same in bf16.
    half: Vec<u16>,
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl Operand {
    fn new(rows: usize, cols: usize, transposed: bool, seed: u64) -> Operand {
        let stored = if transposed { cols * (rows + 3) } else { rows * (cols + 5) };
        let data = numbers(stored, seed);
        let half = data.iter().map(|&x| bf16::from_f32(x).to_bits()).collect();
        Operand { data, half, rows, cols, transposed }
    }
    fn view(&self) -> MatRef<'_> {
        self.view_of(&self.data)
    }
    fn half(&self) -> MatRef<'_, u16> {
        self.view_of(&self.half)
    }
    fn view_of<'a, T: Copy>(&self, data: &'a [T]) -> MatRef<'a, T> {
        if self.transposed {
            MatRef::new(data, self.cols, self.rows, self.rows + 3).t()
        } else {
            MatRef::new(data, self.rows, self.cols, self.cols + 5)
        }
    }
}

/// The obvious product of the rounded operands.
fn oracle(a: MatRef<'_>, b: MatRef<'_>) -> Vec<f64> {
    let rounded = |m: MatRef<'_>, i, j| f64::from(bf16::from_f32(m.at(i, j)).to_f32());
    let mut c = Vec::new();
    for i in 0..a.rows {
        for j in 0..b.cols {
            c.push((0..a.cols).map(|l| rounded(a, i, l) * rounded(b, l, j)).sum());
        }
    }
    c
}

fn check(m: usize, n: usize, k: usize, transposed: (bool, bool)) {
    let (a, b) = (Operand::new(m, k, transposed.0, 1), Operand::new(k, n, transposed.1, 2));
    let want = oracle(a.view(), b.view());
    let before = numbers(m * (n + 2), 3);
    for isa in available() {
        for kernel in kernels_for(isa) {
            for accumulate in [false, true] {
                let mut c = before.clone();
                gemm_bf16_with(kernel, MatMut::new(&mut c, m, n, n + 2), a.view(), b.view(), accumulate);
                let mut stored = before.clone();
                let view = MatMut::new(&mut stored, m, n, n + 2);
                gemm_bf16_with(kernel, view, a.view(), b.half(), accumulate);
                assert_eq!(c, stored, "{}: a factor rounded before", kernel.name());
                for (i, (row, before)) in c.chunks(n + 2).zip(before.chunks(n + 2)).enumerate() {
                    for j in 0..n {
                        let want = want[i * n + j] + if accumulate { f64::from(before[j]) } else { 0.0 };
                        assert!(
                            (f64::from(row[j]) - want).abs() < 1e-6 * (k as f64).sqrt() + 1e-6,
                            "{} [{m}, {k}]·[{k}, {n}] {transposed:?}: ({i}, {j}) is {}, not {want}",
                            kernel.name(),
                            row[j]
                        );
                    }
                    assert_eq!(row[n..], before[n..], "the padding was written");
                }
            }
        }
    }
}

#[test]
fn every_kernel_matches_the_oracle() {
    for isa in available() {
        println!("{}: {:?}", isa.name(), kernels_for(isa).iter().map(|k| k.name()).collect::<Vec<_>>());
    }
    for transposed in [(false, false), (false, true), (true, false), (true, true)] {
        for m in [0, 1, 15, 16, 17, 32, 33, 65] {
            for n in [1, 16, 31, 32, 48, 63] {
                for k in [1, 2, 31, 32, 33, 64, 100] {
                    check(m, n, k, transposed);
                }
            }
        }
        // More than one block of k and of what is held, be it b or a.
        check(33, 20, 1030, transposed);
        check(540, 530, 40, transposed);
        check(530, 540, 40, transposed);
    }
    check(1030, 1040, 33, (false, true));
    check(3, 4, 0, (false, false));
}

#[test]
fn an_element_does_not_depend_on_the_split() {
    let (a, b) = (Operand::new(70, 600, false, 4), Operand::new(600, 50, true, 5));
    for kernel in kernels_for(*available().last().unwrap()) {
        let product = |rows: std::ops::Range<usize>, cols: std::ops::Range<usize>| {
            let mut c = vec![0.0; rows.len() * cols.len()];
            let (a, b) = (a.view().rows(rows.start, rows.len()), b.view().columns(cols.start, cols.len()));
            gemm_bf16_with(kernel, MatMut::new(&mut c, rows.len(), cols.len(), cols.len()), a, b, false);
            c
        };
        let whole = product(0..70, 0..50);
        for row in [0, 31, 32, 69] {
            assert_eq!(product(row..row + 1, 0..50), whole[row * 50..][..50], "{}", kernel.name());
        }
        for (i, row) in whole.chunks(50).enumerate() {
            assert_eq!(product(i..i + 1, 7..12), row[7..12], "{}", kernel.name());
        }
    }
}

#[test]
fn infinities_and_nan_come_through() {
    for kernel in kernels_for(*available().last().unwrap()) {
        let mut a = numbers(20 * 40, 6);
        (a[3 * 40 + 7], a[5 * 40 + 7]) = (f32::NAN, f32::INFINITY);
        let b = vec![1.0; 40 * 18];
        let mut c = vec![0.0; 20 * 18];
        let views = (MatRef::new(&a, 20, 40, 40), MatRef::new(&b, 40, 18, 18));
        gemm_bf16_with(kernel, MatMut::new(&mut c, 20, 18, 18), views.0, views.1, false);
        for (i, row) in c.chunks(18).enumerate() {
            assert!(
                row.iter().all(|v| v.is_nan() == (i == 3) && (*v == f32::INFINITY) == (i == 5)),
                "row {i}"
            );
        }
    }
}
