//! The inner loops of Adafactor: a matrix takes three passes over its gradient, a vector one function.

use super::Isa;
use super::vector::{Simd, dispatch};

/// Adds `(scale·g)² + eps` of some rows of a gradient to the sums of the columns, and writes the rows' means.
/// `g`: [row_means, col_sums], row by row.
pub fn adafactor_squares(
    isa: Isa,
    g: &[f32],
    scale: f32,
    eps: f32,
    row_means: &mut [f32],
    col_sums: &mut [f64],
) {
    assert_eq!(g.len(), row_means.len() * col_sums.len(), "rows and columns of a gradient");
    dispatch!(isa, squares_any(g: &[f32], scale: f32, eps: f32, row_means: &mut [f32], col_sums: &mut [f64]))
}

#[inline(always)]
fn squares_any<S: Simd>(_: S, g: &[f32], scale: f32, eps: f32, row_means: &mut [f32], col_sums: &mut [f64]) {
    let cols = col_sums.len();
    for (g, mean) in g.chunks_exact(cols.max(1)).zip(row_means) {
        // Sixteen sums in a fixed order: they vectorise and have the same bits on every instruction set.
        let mut sums = [0f64; 16];
        let add = |sum: &mut f64, col_sum: &mut f64, g: f32| {
            let g = g * scale;
            let square = f64::from(g) * f64::from(g) + f64::from(eps);
            *sum += square;
            *col_sum += square;
        };
        let ((g, g_rest), (of, of_rest)) = (g.as_chunks::<16>(), col_sums.as_chunks_mut::<16>());
        for (g, of) in g.iter().zip(of) {
            for i in 0..16 {
                add(&mut sums[i], &mut of[i], g[i]);
            }
        }
        for ((sum, of), &g) in sums.iter_mut().zip(of_rest).zip(g_rest) {
            add(sum, of, g);
        }
        *mean = (sums.iter().sum::<f64>() / cols as f64) as f32;
    }
}

/// Σ (rowᵢ·colⱼ·gᵢⱼ)² over some rows of a gradient. `g`: [row, col], row by row.
pub fn adafactor_update_squares(isa: Isa, g: &[f32], row: &[f32], col: &[f32]) -> f64 {
    assert_eq!(g.len(), row.len() * col.len(), "rows and columns of a gradient");
    dispatch!(isa, update_squares_any(g: &[f32], row: &[f32], col: &[f32]) -> f64)
}

#[inline(always)]
fn update_squares_any<S: Simd>(_: S, g: &[f32], row: &[f32], col: &[f32]) -> f64 {
    let mut total = 0.0;
    let (col, col_rest) = col.as_chunks::<16>();
    let cols = 16 * col.len() + col_rest.len();
    for (g, &r) in g.chunks_exact(cols.max(1)).zip(row) {
        let mut sums = [0f64; 16];
        let add = |sum: &mut f64, g: f32, c: f32| {
            let u = f64::from(c * g);
            *sum += u * u;
        };
        let (g, g_rest) = g.as_chunks::<16>();
        for (g, col) in g.iter().zip(col) {
            for i in 0..16 {
                add(&mut sums[i], g[i], col[i]);
            }
        }
        for ((sum, &g), &c) in sums.iter_mut().zip(g_rest).zip(col_rest) {
            add(sum, g, c);
        }
        total += f64::from(r) * f64::from(r) * sums.iter().sum::<f64>();
    }
    total
}

/// `w ← keep·w − rowᵢ·colⱼ·gᵢⱼ` for some rows. `w`, `g`: [row, col], row by row.
pub fn adafactor_apply(isa: Isa, w: &mut [f32], g: &[f32], row: &[f32], col: &[f32], keep: f32) {
    assert!(g.len() == row.len() * col.len() && w.len() == g.len(), "rows and columns of a gradient");
    dispatch!(isa, apply_any(w: &mut [f32], g: &[f32], row: &[f32], col: &[f32], keep: f32))
}

#[inline(always)]
fn apply_any<S: Simd>(_: S, w: &mut [f32], g: &[f32], row: &[f32], col: &[f32], keep: f32) {
    let cols = col.len().max(1);
    for ((w, g), &r) in w.chunks_exact_mut(cols).zip(g.chunks_exact(cols)).zip(row) {
        for ((w, g), c) in w.iter_mut().zip(g).zip(col) {
            *w = *w * keep - r * (c * g);
        }
    }
}

/// The second moments of a vector: `v ← beta2·v + (1 − beta2)·((scale·g)² + eps)`; returns Σ g²/v, with g scaled.
pub fn adafactor_vector(isa: Isa, g: &[f32], scale: f32, eps: f32, beta2: f32, v: &mut [f32]) -> f64 {
    assert_eq!(g.len(), v.len(), "a vector's gradient and moments");
    dispatch!(isa, vector_any(g: &[f32], scale: f32, eps: f32, beta2: f32, v: &mut [f32]) -> f64)
}

#[inline(always)]
fn vector_any<S: Simd>(_: S, g: &[f32], scale: f32, eps: f32, beta2: f32, v: &mut [f32]) -> f64 {
    let mut sum = 0.0;
    for (&g, v) in g.iter().zip(v) {
        let g = g * scale;
        *v = *v * beta2 + (g * g + eps) * (1.0 - beta2);
        sum += f64::from(g) * f64::from(g) / f64::from(*v);
    }
    sum
}
