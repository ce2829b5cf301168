//! Matrix products of many rows, split over the threads.

use super::gemm::gemm;
use crate::kernels::gemm_bf16;
use crate::{Context, MatMut, MatRef, Pool, Precision, Weight};

/// Multiply-adds below which another thread costs more than it brings.
const SMALL: usize = 64 << 10;
/// Splits of rows and of columns fall on multiples of these: whole tiles of the kernels, but for the few rows of
/// `gemm`'s, and halves of usual widths.
const GRAINS: (usize, usize) = (32, 64);
/// The least rows or columns of a part, more than the 64 up to which `gemm` goes another way, which rounds differently.
const LEAST: usize = 96;
/// Products of up to so many elements go another way too.
pub(crate) const TINY: usize = 256;

/// `c = a·b`, or `c += a·b` with `accumulate`; `a`: [m, k], `b`: [k, n], `c`: [m, n]. The longer side of `c` is
/// split over the threads.
pub(crate) fn matmul(context: Context<'_>, c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, accumulate: bool) {
    split_up(context.pool, c, a, b, accumulate, |c, a, b, accumulate| {
        matmul_here(context, c, a, b, accumulate)
    });
}

/// The same with a weight for `b`, [k, n].
pub(crate) fn matmul_weight(
    context: Context<'_>,
    c: MatMut<'_>,
    a: MatRef<'_>,
    weight: &Weight,
    accumulate: bool,
) {
    weight_product(context, c, a, weight, false, accumulate);
}

/// The same with a transposed weight, [n, k], for `b`.
pub(crate) fn matmul_weight_t(
    context: Context<'_>,
    c: MatMut<'_>,
    a: MatRef<'_>,
    weight: &Weight,
    accumulate: bool,
) {
    weight_product(context, c, a, weight, true, accumulate);
}

/// Products in bf16 take weights stored so as they lie, products in f32 a widened copy.
fn weight_product(
    context: Context<'_>,
    c: MatMut<'_>,
    a: MatRef<'_>,
    weight: &Weight,
    transposed: bool,
    accumulate: bool,
) {
    if let (Some(w), Precision::Bf16) = (weight.as_rows().as_bf16(), context.precision) {
        let w = if transposed { w.t() } else { w };
        return split_up(context.pool, c, a, w, accumulate, gemm_bf16);
    }
    let mut wide = None;
    let w = weight.view_f32(&mut wide);
    matmul(context, c, a, if transposed { w.t() } else { w }, accumulate);
}

/// The same on this thread alone.
pub(crate) fn matmul_here(
    context: Context<'_>,
    c: MatMut<'_>,
    a: MatRef<'_>,
    b: MatRef<'_>,
    accumulate: bool,
) {
    match context.precision {
        Precision::F32 | Precision::Tf32 | Precision::Stored => gemm(c, a, b, accumulate),
        Precision::Bf16 => gemm_bf16(c, a, b, accumulate),
    }
}

fn split_up<B: Copy + Sync>(
    pool: &Pool,
    c: MatMut<'_>,
    a: MatRef<'_>,
    b: MatRef<'_, B>,
    accumulate: bool,
    gemm: impl Fn(MatMut<'_>, MatRef<'_>, MatRef<'_, B>, bool) + Sync,
) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    if pool.threads() == 1 || m * n * k <= SMALL {
        return gemm(c, a, b, accumulate);
    }
    let least = (TINY + 1).div_ceil(m.min(n)).max(LEAST);
    if m >= n {
        let mut rest = Some(c);
        let parts = split(pool, m, GRAINS.0, least).into_iter().map(|range| {
            let (part, below) = rest.take().expect("one remainder a range").split_rows(range.len());
            rest = Some(below);
            (part, a.rows(range.start, range.len()))
        });
        pool.run_parts(parts.collect(), |(c, a)| gemm(c, a, b, accumulate));
    } else {
        let parts = c.cut_cols(split(pool, n, GRAINS.1, least));
        pool.run_parts(parts, |(range, c)| gemm(c, a, b.columns(range.start, range.len()), accumulate));
    }
}

/// A range a thread, since each packs what it reads: all about as long, each at least `least` but for a single one; cuts
/// fall on multiples of `grain`.
fn split(pool: &Pool, len: usize, grain: usize, least: usize) -> Vec<std::ops::Range<usize>> {
    let parts = (len / (least + grain)).clamp(1, pool.threads());
    let cut = |i: usize| if i == parts { len } else { len * i / parts / grain * grain };
    (0..parts).map(|i| cut(i)..cut(i + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    fn random(len: usize, stream: u64) -> Vec<f32> {
        let mut rng = Rng::new(11, stream);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    type Product = fn(MatMut<'_>, MatRef<'_>, MatRef<'_>, bool);

    /// Awkward sizes, both orders of either factor, added and overwritten, against the sum written out.
    #[test]
    fn products_of_awkward_sizes() {
        awkward_sizes(gemm, 1e-4);
        // Two factors, each off by up to 2⁻⁹ of itself; the sums are some tens.
        awkward_sizes(gemm_bf16, 0.2);
    }

    fn awkward_sizes(gemm: Product, tolerance: f64) {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads);
            for (m, n, k) in
                [(0, 3, 4), (3, 0, 4), (2, 3, 0), (1, 1, 1), (7, 65, 63), (130, 49, 33), (97, 200, 64)]
            {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                for transposed in [false, true] {
                    let view = |data: &'static [f32], r: usize, c: usize| {
                        if transposed { MatRef::new(data, c, r, r).t() } else { MatRef::new(data, r, c, c) }
                    };
                    let a = view(Vec::leak(a.clone()), m, k);
                    let b = view(Vec::leak(b.clone()), k, n);
                    let stride = n + 3;
                    for accumulate in [false, true] {
                        let mut c = random(m * stride, 3);
                        let before = c.clone();
                        split_up(&pool, MatMut::new(&mut c, m, n, stride), a, b, accumulate, gemm);
                        for i in 0..m {
                            for j in 0..stride {
                                let old = before[i * stride + j];
                                let want = if j >= n {
                                    old
                                } else {
                                    let sum: f64 =
                                        (0..k).map(|l| f64::from(a.at(i, l)) * f64::from(b.at(l, j))).sum();
                                    sum as f32 + if accumulate { old } else { 0.0 }
                                };
                                let got = c[i * stride + j];
                                assert!(
                                    f64::from(got - want).abs() < tolerance,
                                    "[{m},{n},{k}] at {i},{j}: {got} {want}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    /// Results must not depend on how many other rows are in the batch, nor on the number of threads.
    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        // 160 leaves a rest that is narrower than the products that go another way.
        let both: [Product; 2] = [gemm, gemm_bf16];
        for (gemm, (n, k, most)) in both.into_iter().flat_map(|f| [(f, (384, 512, 300)), (f, (160, 96, 230))])
        {
            let (x, w) = (random(most * k, 4), random(n * k, 5));
            let product = |threads: usize, m: usize| {
                let mut y = vec![0.0; m * n];
                let (a, b) = (MatRef::new(&x, m, k, k), MatRef::new(&w, n, k, k).t());
                split_up(&Pool::new(threads), MatMut::new(&mut y, m, n, n), a, b, false, gemm);
                y
            };
            let all = product(2, most);
            for threads in [1, 2, 3] {
                for m in [2, 3, 8, 17, 63, 64, 65, 150, 161, 229] {
                    assert!(product(threads, m) == all[..m * n], "[{m}, {n}, {k}], {threads} threads");
                }
            }
        }
    }
}
