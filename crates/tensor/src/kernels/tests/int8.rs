//! `matmul_int8` and what quantises for it: every kernel this machine has, to the bit.

use super::super::{Activations, Panels, SHARE, available, int8_kernels_for, matmul_int8_with, quantize_row};
use super::numbers;
use crate::MatMut;
#[cfg(target_arch = "x86_64")]
use crate::kernels::int8::amx_emulated;

/// Columns that share a scale, as the module says.
const GROUP: usize = 128;

struct Quantized {
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

/// As one would write it on paper.
fn quantized(x: &[f32], cols: usize) -> Quantized {
    let mut all = Quantized { q: vec![], scales: vec![], sums: vec![] };
    for row in x.chunks(cols.max(1)) {
        let start = all.q.len();
        for group in row.chunks(GROUP) {
            let most = group.iter().fold(0f32, |most, x| most.max(x.abs()));
            let factor = if most > 0.0 { 127.0 / most } else { 0.0 };
            let q: Vec<i8> = group.iter().map(|x| (x * factor).round_ties_even() as i8).collect();
            all.scales.push(most / 127.0);
            all.sums.extend(q.chunks(SHARE).map(|q| q.iter().map(|&q| i32::from(q)).sum::<i32>()));
            all.q.extend(q);
            all.sums.resize(all.scales.len() * (GROUP / SHARE), 0);
        }
        all.q.resize(start + cols.next_multiple_of(8), 0);
    }
    all
}

fn weights(rows: usize, cols: usize) -> (Vec<i8>, Vec<f32>) {
    let q = numbers(rows * cols, 5).iter().map(|x| (x * 127.0) as i8).collect();
    (q, numbers(rows, 6).iter().map(|x| x.abs() + 0.01).collect())
}

#[test]
fn rows_are_quantised_alike_everywhere() {
    for cols in [1, 3, 4, 31, 128, 129, 500] {
        let mut x = numbers(cols, cols as u64);
        x[0] = 40.0;
        let want = quantized(&x, cols);
        for isa in available() {
            let mut got = Quantized {
                q: vec![9; want.q.len()],
                scales: vec![0.0; want.scales.len()],
                sums: vec![0; want.sums.len()],
            };
            quantize_row(isa, &x, &mut got.q, &mut got.scales, &mut got.sums);
            assert_eq!(
                (got.q, got.scales, got.sums),
                (want.q.clone(), want.scales.clone(), want.sums.clone())
            );
        }
    }
}

#[test]
fn zeros_and_what_is_not_finite() {
    for isa in available() {
        let mut x = vec![0.0; 3 * GROUP];
        (x[GROUP], x[2 * GROUP + 1]) = (f32::NAN, f32::NEG_INFINITY);
        let (mut q, mut scales, mut sums) = (vec![1; x.len()], vec![1.0; 3], vec![1; 12]);
        quantize_row(isa, &x, &mut q, &mut scales, &mut sums);
        assert!(q[..GROUP].iter().all(|&q| q == 0) && scales[0] == 0.0 && sums[0] == 0);
        assert!(scales[1].is_nan() && scales[2] == f32::INFINITY);
    }
}

/// Sums as on paper, in whole numbers, and the same f32 operations in the same order: every bit.
fn oracle(x: &Quantized, m: usize, w: (&[i8], &[f32]), n: usize, k: usize) -> Vec<f32> {
    let (stride, groups) = (k.next_multiple_of(8), k.div_ceil(GROUP));
    let mut y = Vec::new();
    for i in 0..m {
        for j in 0..n {
            let mut total = 0f32;
            for group in 0..groups {
                let range = group * GROUP..k.min((group + 1) * GROUP);
                let term = |l| i32::from(x.q[i * stride + l]) * i32::from(w.0[j * k + l]);
                let term = range.map(term).sum::<i32>() as f32 * x.scales[i * groups + group];
                total = if group == 0 { term } else { total + term };
            }
            y.push(total * w.1[j]);
        }
    }
    y
}

#[test]
fn every_kernel_has_the_bits_of_the_sums_written_out() {
    for (m, n, k) in [
        (1, 16, 4),
        (1, 33, 130),
        (2, 64, 128),
        (3, 100, 37),
        (5, 7, 300),
        (6, 64, 512),
        (7, 65, 129),
        (13, 130, 256),
        (37, 70, 260),
        (70, 130, 200),
        (1, 200, 1024),
        (4, 1, 1),
        (2, 17, 3),
    ] {
        let x = quantized(&numbers(m * k, 7), k);
        let (q, scales) = weights(n, k);
        let want = oracle(&x, m, (&q, &scales), n, k);
        let panels = Panels::new(n, k, &q, &scales);
        for kernel in available().into_iter().flat_map(int8_kernels_for) {
            for outputs in [0..n, n / 3..n, n / 2..(n / 2 + 9).min(n)] {
                let mut y = vec![f32::NAN; m * n];
                let view = MatMut::new(&mut y, m, outputs.len(), n);
                let x = Activations::new(&x.q, &x.scales, &x.sums, m, k);
                matmul_int8_with(kernel, view, x, &panels, outputs.clone());
                for i in 0..m {
                    let (got, want) = (&y[i * n..][..outputs.len()], &want[i * n..][outputs.clone()]);
                    assert!(got == want, "{}: row {i} of [{m}, {n}, {k}], {outputs:?}", kernel.name());
                }
            }
        }
    }
}

/// The largest sums that there can be, of either sign, are exact: 16 bits hold what `vpmaddubsw` makes.
#[test]
fn the_largest_numbers_do_not_saturate() {
    for (a, b) in [(127i8, 127i8), (127, -127), (-127, 127), (-127, -127)] {
        let (m, n, k) = (3, 40, 1000usize);
        let (groups, q) = (k.div_ceil(GROUP), vec![a; m * k]);
        let shares = k.div_ceil(SHARE);
        let sums: Vec<i32> =
            (0..m * shares).map(|i| (k - i % shares * SHARE).min(SHARE) as i32 * i32::from(a)).collect();
        let scales = vec![1.0; m * groups];
        let panels = Panels::new(n, k, &vec![b; n * k], &vec![1.0; n]);
        for kernel in available().into_iter().flat_map(int8_kernels_for) {
            let mut y = vec![0.0; m * n];
            let x = Activations::new(&q, &scales, &sums, m, k);
            matmul_int8_with(kernel, MatMut::new(&mut y, m, n, n), x, &panels, 0..n);
            let want = (k as i32 * i32::from(a) * i32::from(b)) as f32;
            assert!(y.iter().all(|&y| y == want), "{}: {} and not {want}", kernel.name(), y[0]);
        }
    }
}

#[test]
fn rows_can_be_taken_at_a_distance() {
    let (heads, m, n, k) = (3, 4, 20, 150);
    let x = quantized(&numbers(heads * m * k, 8), k);
    let (q, scales) = weights(n, k);
    let panels = Panels::new(n, k, &q, &scales);
    let all = Activations::new(&x.q, &x.scales, &x.sums, heads * m, k);
    let want = oracle(&x, heads * m, (&q, &scales), n, k);
    for head in 0..heads {
        let mut y = vec![0.0; m * n];
        let kernel = int8_kernels_for(available().pop().unwrap()).pop().unwrap();
        matmul_int8_with(kernel, MatMut::new(&mut y, m, n, n), all.every(head, heads, m), &panels, 0..n);
        for i in 0..m {
            assert_eq!(y[i * n..][..n], want[(i * heads + head) * n..][..n]);
        }
    }
}

/// Of 4 bits, with a scale for every share: the same promise.
#[test]
fn four_bits_have_the_bits_of_the_sums_written_out() {
    for (m, n, k) in
        [(1, 16, 8), (1, 33, 130), (2, 64, 128), (3, 100, 37), (5, 7, 300), (7, 65, 129), (4, 70, 512)]
    {
        let x = quantized(&numbers(m * k, 7), k);
        let (of_row, shares) = (k.div_ceil(2), k.div_ceil(SHARE));
        let bytes: Vec<u8> = (0..n * of_row).map(|i| (i * 53 % 256) as u8).collect();
        let scales: Vec<f32> = numbers(n * shares, 6).iter().map(|x| x + 2.0).collect();
        let weight = |j: usize, l: usize| i32::from((bytes[j * of_row + l / 2] >> (l % 2 * 4)) & 15) - 8;
        let (stride, groups) = (k.next_multiple_of(8), k.div_ceil(GROUP));
        let mut want = Vec::new();
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let mut total = 0f32;
            for share in 0..shares {
                let range = share * SHARE..k.min((share + 1) * SHARE);
                let sum: i32 = range.map(|l| i32::from(x.q[i * stride + l]) * weight(j, l)).sum();
                let term =
                    sum as f32 * x.scales[i * groups + share * SHARE / GROUP] * scales[j * shares + share];
                total = if share == 0 { term } else { total + term };
            }
            want.push(total);
        }
        let panels = Panels::four(n, k, &bytes, &scales);
        for kernel in available().into_iter().flat_map(int8_kernels_for) {
            let mut y = vec![f32::NAN; m * n];
            let x = Activations::new(&x.q, &x.scales, &x.sums, m, k);
            matmul_int8_with(kernel, MatMut::new(&mut y, m, n, n), x, &panels, 0..n);
            assert!(y == want, "{}: [{m}, {n}, {k}]", kernel.name());
        }
    }
}

/// AMX's loops, with the instructions written out where the processor lacks them.
#[cfg(target_arch = "x86_64")]
#[test]
fn tiles_have_the_bits_of_the_sums_written_out() {
    let there = available().into_iter().flat_map(int8_kernels_for).any(|kernel| kernel.name() == "amx");
    if !there {
        eprintln!("no AMX here: its instructions are emulated, not run");
    }
    for (m, n, k) in
        [(1, 16, 4), (8, 33, 64), (31, 32, 128), (32, 32, 128), (33, 40, 130), (40, 17, 200), (70, 100, 260)]
    {
        let x = quantized(&numbers(m * k, 7), k);
        let (q, scales) = weights(n, k);
        let want = oracle(&x, m, (&q, &scales), n, k);
        let panels = Panels::new(n, k, &q, &scales);
        for outputs in [0..n, n / 3..n, n / 2..(n / 2 + 9).min(n)] {
            let mut y = vec![f32::NAN; m * n];
            let view = MatMut::new(&mut y, m, outputs.len(), n);
            let x = Activations::new(&x.q, &x.scales, &x.sums, m, k);
            amx_emulated(view, x, &panels, outputs.clone());
            for i in 0..m {
                let (got, want) = (&y[i * n..][..outputs.len()], &want[i * n..][outputs.clone()]);
                assert!(got == want, "row {i} of [{m}, {n}, {k}], {outputs:?}");
            }
        }
    }
}
