//! RMSNorm and LayerNorm, forward and backward, row by row; statistics in f32 whatever the storage.

use super::Isa;
use super::vector::{Simd, dispatch};

/// The number of rows of `x`, checked.
fn rows(x: &[f32], cols: usize) -> usize {
    if cols == 0 {
        assert!(x.is_empty(), "rows of no columns");
        return 0;
    }
    assert_eq!(x.len() % cols, 0, "whole rows of {cols} columns");
    x.len() / cols
}

/// `y = x · rstd · weight` with rstd = 1/√(mean(x²) + eps), for every row.
///
/// `x`, `y`: [rows, cols], `weight`: [cols], `rstd`: [rows] is filled where given, for the backward pass.
pub fn rms_norm(isa: Isa, y: &mut [f32], x: &[f32], weight: &[f32], eps: f32, rstd: Option<&mut [f32]>) {
    let rows = rows(x, weight.len());
    assert_eq!(y.len(), x.len(), "RMSNorm's two sides");
    assert!(rstd.as_ref().is_none_or(|rstd| rstd.len() == rows), "one rstd a row");
    if rows > 0 {
        dispatch!(isa, rms_norm_any(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32, rstd: Option<&mut [f32]>))
    }
}

#[inline(always)]
fn rms_norm_any<S: Simd>(
    s: S,
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    eps: f32,
    mut rstd: Option<&mut [f32]>,
) {
    let cols = weight.len();
    for (row, (y, x)) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).enumerate() {
        let mut sums = [s.splat(0.0); 2];
        for (i, at) in (0..cols).step_by(S::LANES).enumerate() {
            let v = s.next(&x[at..]);
            sums[i % 2] = s.mul_add(v, v, sums[i % 2]);
        }
        let r = 1.0 / (s.sum(s.add(sums[0], sums[1])) / cols as f32 + eps).sqrt();
        let rs = s.splat(r);
        for at in (0..cols).step_by(S::LANES) {
            s.put_next(&mut y[at..], s.mul(s.mul(s.next(&x[at..]), rs), s.next(&weight[at..])));
        }
        if let Some(rstd) = rstd.as_deref_mut() {
            rstd[row] = r;
        }
    }
}

/// Backward of [`rms_norm`]: dx = (accumulate ? dx : 0) + rstd·(w·dy − x·rstd²·mean(w·dy·x));
/// `dweight` always accumulates: += Σ over rows of dy·x·rstd.
#[allow(clippy::too_many_arguments)]
pub fn rms_norm_backward(
    isa: Isa,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
) {
    let rows = rows(x, weight.len());
    assert!(dx.len() == x.len() && dy.len() == x.len() && rstd.len() == rows, "RMSNorm's gradients");
    assert_eq!(dweight.len(), weight.len(), "the weight's gradient");
    if rows > 0 {
        dispatch!(isa, rms_norm_backward_any(
            dx: &mut [f32], accumulate: bool, dweight: &mut [f32], dy: &[f32], x: &[f32], weight: &[f32], rstd: &[f32]
        ))
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn rms_norm_backward_any<S: Simd>(
    s: S,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
) {
    let cols = weight.len();
    let rows = dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(cols)).zip(rstd);
    for (((dx, dy), x), &r) in rows {
        let rs = s.splat(r);
        let mut sums = s.splat(0.0);
        for at in (0..cols).step_by(S::LANES) {
            let (dy, x) = (s.next(&dy[at..]), s.next(&x[at..]));
            sums = s.mul_add(s.mul(dy, s.next(&weight[at..])), x, sums);
            let dw = s.mul_add(s.mul(dy, x), rs, s.next(&dweight[at..]));
            s.put_next(&mut dweight[at..], dw);
        }
        let pull = s.splat(-(r * r * r) * (s.sum(sums) / cols as f32));
        for at in (0..cols).step_by(S::LANES) {
            let old = if accumulate { s.next(&dx[at..]) } else { s.splat(0.0) };
            let scaled = s.mul(s.next(&dy[at..]), s.next(&weight[at..]));
            let new = s.mul_add(scaled, rs, s.mul_add(s.next(&x[at..]), pull, old));
            s.put_next(&mut dx[at..], new);
        }
    }
}

/// `y = (x − mean) · rstd · weight + bias` with rstd = 1/√(variance + eps), for every row.
///
/// `stats`: mean and rstd, [rows] each, filled where given, for the backward pass.
pub fn layer_norm(
    isa: Isa,
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    stats: Option<(&mut [f32], &mut [f32])>,
) {
    let rows = rows(x, weight.len());
    assert!(y.len() == x.len() && bias.len() == weight.len(), "LayerNorm's sides");
    assert!(
        stats.as_ref().is_none_or(|(m, r)| m.len() == rows && r.len() == rows),
        "one mean and rstd a row"
    );
    if rows > 0 {
        dispatch!(isa, layer_norm_any(
            y: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32, stats: Option<(&mut [f32], &mut [f32])>
        ))
    }
}

#[inline(always)]
fn layer_norm_any<S: Simd>(
    s: S,
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    mut stats: Option<(&mut [f32], &mut [f32])>,
) {
    let cols = weight.len();
    let whole = cols / S::LANES * S::LANES;
    for (row, (y, x)) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).enumerate() {
        let mut sums = s.splat(0.0);
        for at in (0..cols).step_by(S::LANES) {
            sums = s.add(sums, s.next(&x[at..]));
        }
        let mean = s.sum(sums) / cols as f32;
        let means = s.splat(mean);
        // Around the mean, so that a large mean does not drown the variance.
        let mut squares = s.splat(0.0);
        for at in (0..whole).step_by(S::LANES) {
            let v = s.sub(s.get(&x[at..]), means);
            squares = s.mul_add(v, v, squares);
        }
        // The lanes past the end would count as (0 − mean)².
        let rest: f32 = x[whole..].iter().map(|v| (v - mean) * (v - mean)).sum();
        let r = 1.0 / ((s.sum(squares) + rest) / cols as f32 + eps).sqrt();
        let rs = s.splat(r);
        for at in (0..cols).step_by(S::LANES) {
            let normed = s.mul(s.sub(s.next(&x[at..]), means), rs);
            s.put_next(&mut y[at..], s.mul_add(normed, s.next(&weight[at..]), s.next(&bias[at..])));
        }
        if let Some((all_means, rstds)) = stats.as_mut() {
            all_means[row] = mean;
            rstds[row] = r;
        }
    }
}

/// Backward of [`layer_norm`]: with n = (x − mean)·rstd and g = w·dy,
/// dx = (accumulate ? dx : 0) + rstd·(g − mean(g) − n·mean(g·n)); `dweight` += Σ dy·n and `dbias` += Σ dy.
#[allow(clippy::too_many_arguments)]
pub fn layer_norm_backward(
    isa: Isa,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    mean: &[f32],
    rstd: &[f32],
) {
    let rows = rows(x, weight.len());
    assert!(dx.len() == x.len() && dy.len() == x.len(), "LayerNorm's gradients");
    assert!(mean.len() == rows && rstd.len() == rows, "one mean and rstd a row");
    assert!(dweight.len() == weight.len() && dbias.len() == weight.len(), "the parameters' gradients");
    if rows > 0 {
        dispatch!(isa, layer_norm_backward_any(
            dx: &mut [f32], accumulate: bool, dweight: &mut [f32], dbias: &mut [f32], dy: &[f32], x: &[f32],
            weight: &[f32], mean: &[f32], rstd: &[f32]
        ))
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn layer_norm_backward_any<S: Simd>(
    s: S,
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    mean: &[f32],
    rstd: &[f32],
) {
    let cols = weight.len();
    let rows = dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(cols));
    for (((dx, dy), x), (&mean, &r)) in rows.zip(mean.iter().zip(rstd)) {
        let (means, rs) = (s.splat(mean), s.splat(r));
        let (mut sums, mut dots) = (s.splat(0.0), s.splat(0.0));
        for at in (0..cols).step_by(S::LANES) {
            // Past the end dy is 0, so those lanes add nothing.
            let dy = s.next(&dy[at..]);
            let normed = s.mul(s.sub(s.next(&x[at..]), means), rs);
            let scaled = s.mul(dy, s.next(&weight[at..]));
            sums = s.add(sums, scaled);
            dots = s.mul_add(scaled, normed, dots);
            let (dw, db) = (s.next(&dweight[at..]), s.next(&dbias[at..]));
            s.put_next(&mut dweight[at..], s.mul_add(dy, normed, dw));
            s.put_next(&mut dbias[at..], s.add(db, dy));
        }
        let (sum, dot) = (s.splat(s.sum(sums) / cols as f32), s.splat(s.sum(dots) / cols as f32));
        for at in (0..cols).step_by(S::LANES) {
            let old = if accumulate { s.next(&dx[at..]) } else { s.splat(0.0) };
            let normed = s.mul(s.sub(s.next(&x[at..]), means), rs);
            let scaled = s.mul(s.next(&dy[at..]), s.next(&weight[at..]));
            let inner = s.sub(s.sub(scaled, sum), s.mul(normed, dot));
            s.put_next(&mut dx[at..], s.mul_add(inner, rs, old));
        }
    }
}
