//! f32 matrix products of many rows, by the `gemm-f32` crate.

use crate::{MatMut, MatRef};

/// `c = a·b`, or `c += a·b` with `accumulate`; one thread. `a`: [m, k], `b`: [k, n], `c`: [m, n].
///
/// An element's sum runs over k in an order that depends on k alone as long as n > 64 or m > 64.
pub fn gemm(mut c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, accumulate: bool) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    assert!(
        a.rows == m && b.rows == k && b.cols == n,
        "[{m}, {n}] = [{}, {k}]·[{}, {}]",
        a.rows,
        b.rows,
        b.cols
    );
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            (0..m).for_each(|row| c.row_mut(row).fill(0.0));
        }
        return;
    }
    // The crate's kernels want the output's unit stride in its first dimension, so the product is handed over
    // transposed: cᵀ = bᵀ·aᵀ (twice the speed of the other way round).
    let stride = |s: usize| isize::try_from(s).expect("a stride within an allocation");
    let product = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: the views are of live memory of exactly these shapes and strides (checked when they were made),
    // and `c` is exclusive. The arguments: output, whether it is read, left, right, the factor of what was
    // there, the factor of the product.
    unsafe {
        product(
            n,
            m,
            k,
            c.as_mut_ptr(),
            stride(c.stride()),
            1,
            accumulate,
            b.as_ptr(),
            stride(b.row_stride),
            stride(b.col_stride),
            a.as_ptr(),
            stride(a.row_stride),
            stride(a.col_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}
