//! The kernels as one would write them on paper: one element after the other, no tiles, no vectors.
//!
//! They are kept for ever as what every fast variant is compared with. Sums run in f64, so that the oracle's
//! own rounding stays far below the tolerances of the tests.

use std::ops::Range;

use half::{bf16, f16};

use crate::ops::{Activation, AdamW, Lion};
use crate::rows::{Elements, Rows};

/// One weight as f32.
fn weight(w: Rows<'_>, index: usize) -> f32 {
    match w.elements() {
        Elements::F32(w) => w[index],
        Elements::Bf16(w) => bf16::from_bits(w[index]).to_f32(),
        Elements::F16(w) => f16::from_bits(w[index]).to_f32(),
        Elements::Int8(..) | Elements::Panels(..) => unreachable!("int8 has a product of its own"),
    }
}

/// `y`: [m, n], rows `ldy` apart.
pub fn matmul_rows(y: &mut [f32], ldy: usize, n: usize, x: &[f32], ldx: usize, m: usize, w: Rows<'_>) {
    let k = w.cols();
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|l| f64::from(x[i * ldx + l]) * f64::from(weight(w, j * k + l))).sum();
            y[i * ldy + j] = sum as f32;
        }
    }
}

/// `y`: rows `n + 1` apart.
pub fn matmul_columns(y: &mut [f32], n: usize, x: &[f32], ldx: usize, m: usize, w: Rows<'_>, first: usize) {
    let (k, ldw) = (w.count(), w.cols());
    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
        let term = |l: usize| f64::from(x[i * ldx + l]) * f64::from(weight(w, l * ldw + first + j));
        y[i * (n + 1) + j] = (0..k).map(term).sum::<f64>() as f32;
    }
}

pub fn rms_norm(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32, mut rstd: Option<&mut [f32]>) {
    let cols = weight.len();
    for (row, (y, x)) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).enumerate() {
        let squares: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let r = 1.0 / (squares / cols as f64 + f64::from(eps)).sqrt();
        for j in 0..cols {
            y[j] = (f64::from(x[j]) * r * f64::from(weight[j])) as f32;
        }
        if let Some(rstd) = rstd.as_deref_mut() {
            rstd[row] = r as f32;
        }
    }
}

#[allow(clippy::too_many_arguments)]
pub fn rms_norm_backward(
    dx: &mut [f32],
    accumulate: bool,
    dweight: &mut [f32],
    dy: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
) {
    let cols = weight.len();
    for (row, &r) in rstd.iter().enumerate() {
        let at = row * cols..(row + 1) * cols;
        let (dx, dy, x) = (&mut dx[at.clone()], &dy[at.clone()], &x[at]);
        let r = f64::from(r);
        let dot: f64 = (0..cols).map(|j| f64::from(dy[j]) * f64::from(weight[j]) * f64::from(x[j])).sum();
        for j in 0..cols {
            let old = if accumulate { f64::from(dx[j]) } else { 0.0 };
            let new =
                r * f64::from(dy[j]) * f64::from(weight[j]) - r * r * r * dot / cols as f64 * f64::from(x[j]);
            dx[j] = (old + new) as f32;
            dweight[j] = (f64::from(dweight[j]) + f64::from(dy[j]) * f64::from(x[j]) * r) as f32;
        }
    }
}

pub fn layer_norm(
    y: &mut [f32],
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    eps: f32,
    mut stats: Option<(&mut [f32], &mut [f32])>,
) {
    let cols = weight.len();
    for (row, (y, x)) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).enumerate() {
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / cols as f64;
        let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / cols as f64;
        let r = 1.0 / (variance + f64::from(eps)).sqrt();
        for j in 0..cols {
            y[j] = ((f64::from(x[j]) - mean) * r * f64::from(weight[j]) + f64::from(bias[j])) as f32;
        }
        if let Some((means, rstds)) = stats.as_mut() {
            means[row] = mean as f32;
            rstds[row] = r as f32;
        }
    }
}

#[allow(clippy::too_many_arguments)]
pub fn layer_norm_backward(
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
    let count = cols as f64;
    for row in 0..rstd.len() {
        let at = row * cols..(row + 1) * cols;
        let (dx, dy, x) = (&mut dx[at.clone()], &dy[at.clone()], &x[at]);
        let (mean, r) = (f64::from(mean[row]), f64::from(rstd[row]));
        let normed = |j: usize| (f64::from(x[j]) - mean) * r;
        let scaled = |j: usize| f64::from(dy[j]) * f64::from(weight[j]);
        let sum: f64 = (0..cols).map(scaled).sum();
        let dot: f64 = (0..cols).map(|j| scaled(j) * normed(j)).sum();
        for j in 0..cols {
            let old = if accumulate { f64::from(dx[j]) } else { 0.0 };
            dx[j] = (old + r * (scaled(j) - sum / count - normed(j) * dot / count)) as f32;
            dweight[j] = (f64::from(dweight[j]) + f64::from(dy[j]) * normed(j)) as f32;
            dbias[j] += dy[j];
        }
    }
}

/// The error function by its series (|x| < 3) or its continued fraction; better than 1e-12.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() {
        return x;
    }
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return (sum * 2.0 / std::f64::consts::PI.sqrt()).copysign(x);
    }
    if a > 7.0 {
        return 1f64.copysign(x);
    }
    let tail = (1..=80).rev().fold(0.0, |t, n| f64::from(n) / 2.0 / (a + t));
    (1.0 - (-a * a).exp() / ((a + tail) * std::f64::consts::PI.sqrt())).copysign(x)
}

/// The activation and its derivative at `x`.
pub fn activation(act: Activation, x: f32) -> (f64, f64) {
    let x = f64::from(x);
    match act {
        Activation::Relu => {
            // NaN must come through, which f64::max would drop.
            if x > 0.0 { (x, 1.0) } else { (if x.is_nan() { x } else { 0.0 }, 0.0) }
        }
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            (x * s, s * (1.0 + x * (1.0 - s)))
        }
        Activation::GeluErf => {
            let cdf = 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2));
            let pdf = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            (x * cdf, cdf + x * pdf)
        }
        Activation::GeluTanh => {
            let c = (2.0 / std::f64::consts::PI).sqrt();
            let t = (c * (x + 0.044715 * x * x * x)).tanh();
            (
                0.5 * x * (1.0 + t),
                0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * 0.044715 * x * x),
            )
        }
    }
}

pub fn activate(act: Activation, y: &mut [f32], x: &[f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = activation(act, x).0 as f32;
    }
}

pub fn activate_backward(act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    for i in 0..x.len() {
        dx[i] = (f64::from(dy[i]) * activation(act, x[i]).1) as f32;
    }
}

pub fn activate_biased(act: Activation, y: &mut [f32], x: &[f32], bias: &[f32]) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = activation(act, x[i] + bias[i % bias.len()]).0 as f32;
    }
}

pub fn activate_biased_backward(
    act: Activation,
    dx: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    bias: &[f32],
) {
    let mut sums: Vec<f64> = dbias.iter().map(|&d| f64::from(d)).collect();
    for i in 0..x.len() {
        let d = f64::from(dy[i]) * activation(act, x[i] + bias[i % bias.len()]).1;
        dx[i] = d as f32;
        sums[i % bias.len()] += d;
    }
    dbias.iter_mut().zip(sums).for_each(|(d, sum)| *d = sum as f32);
}

pub fn gated(act: Activation, y: &mut [f32], x: &[f32], cols: usize) {
    for (y, x) in y.chunks_exact_mut(cols).zip(x.chunks_exact(2 * cols)) {
        for j in 0..cols {
            y[j] = (activation(act, x[j]).0 * f64::from(x[cols + j])) as f32;
        }
    }
}

pub fn gated_backward(act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], cols: usize) {
    for ((dx, dy), x) in
        dx.chunks_exact_mut(2 * cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(2 * cols))
    {
        for j in 0..cols {
            let (value, slope) = activation(act, x[j]);
            dx[j] = (f64::from(dy[j]) * f64::from(x[cols + j]) * slope) as f32;
            dx[cols + j] = (f64::from(dy[j]) * value) as f32;
        }
    }
}

/// `scale·s[i] + bias[i]`
fn biased(s: &[f32], scale: f32, bias: Option<&[f32]>) -> Vec<f32> {
    s.iter().enumerate().map(|(i, &s)| scale * s + bias.map_or(0.0, |bias| bias[i])).collect()
}

pub fn softmax(s: &mut [f32], scale: f32, bias: Option<&[f32]>) -> f32 {
    let scores = biased(s, scale, bias);
    let lse = logsumexp(&scores);
    for (s, &score) in s.iter_mut().zip(&scores) {
        *s = (f64::from(score) - f64::from(lse)).exp() as f32;
    }
    lse
}

pub fn softmax_again(s: &mut [f32], scale: f32, bias: Option<&[f32]>, lse: f32) {
    let scores = biased(s, scale, bias);
    for (s, &score) in s.iter_mut().zip(&scores) {
        *s = (f64::from(score) - f64::from(lse)).exp() as f32;
    }
}

pub fn softmax_backward(dp: &mut [f32], p: &[f32], delta: f32) {
    for (dp, &p) in dp.iter_mut().zip(p) {
        *dp = p * (*dp - delta);
    }
}

pub fn logsumexp(x: &[f32]) -> f32 {
    let max = x.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    if max == f32::NEG_INFINITY {
        return max;
    }
    let sum: f64 = x.iter().map(|&v| (f64::from(v) - f64::from(max)).exp()).sum();
    (f64::from(max) + sum.ln()) as f32
}

pub fn exp_sub_scale(x: &mut [f32], lse: f32, scale: f32, minus: f32) {
    for x in x {
        *x = ((f64::from(*x) - f64::from(lse)).exp() * f64::from(scale) - f64::from(minus)) as f32;
    }
}

pub fn argmax(x: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &v) in x.iter().enumerate() {
        if v > best.1 {
            best = (i, v);
        }
    }
    best
}

pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>() as f32
}

pub fn sum(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v)).sum()
}

pub fn sum_squares(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}

pub fn adamw(step: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let [lr, beta1, beta2, eps] = [step.lr, step.beta1, step.beta2, step.eps].map(f64::from);
    for i in 0..w.len() {
        let g = f64::from(g[i]) * f64::from(step.grad_scale) + f64::from(w[i]) * f64::from(step.l2);
        let decayed = f64::from(w[i]) * (1.0 - lr * f64::from(step.weight_decay));
        let first = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
        let second = beta2 * f64::from(v[i]) + (1.0 - beta2) * g * g;
        let denominator = (second / f64::from(step.bias2)).sqrt() + eps;
        w[i] = (decayed - lr / f64::from(step.bias1) * first / denominator) as f32;
        m[i] = first as f32;
        v[i] = second as f32;
    }
}

pub fn lion(step: &Lion, w: &mut [f32], g: &[f32], m: &mut [f32]) {
    let [lr, beta1, beta2] = [step.lr, step.beta1, step.beta2].map(f64::from);
    for i in 0..w.len() {
        let g = f64::from(g[i]) * f64::from(step.grad_scale);
        let c = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
        let sign = if c == 0.0 { 0.0 } else { c.signum() };
        w[i] = (f64::from(w[i]) - lr * (sign + f64::from(step.weight_decay) * f64::from(w[i]))) as f32;
        m[i] = (beta2 * f64::from(m[i]) + (1.0 - beta2) * g) as f32;
    }
}

#[allow(clippy::too_many_arguments)]
pub fn attend_one(
    out: &mut [f32],
    q: &[f32],
    k: &[f32],
    k_stride: usize,
    v: &[f32],
    v_stride: usize,
    keys: usize,
    heads: Range<usize>,
    d_kv: usize,
    scale: f32,
    bias: Option<(&[f32], usize)>,
) {
    for h in heads {
        let head = h * d_kv..(h + 1) * d_kv;
        let mut p: Vec<f32> =
            (0..keys).map(|t| dot(&q[head.clone()], &k[t * k_stride..][head.clone()])).collect();
        softmax(&mut p, scale, bias.map(|(bias, stride)| &bias[h * stride..][..keys]));
        for j in head {
            out[j] = (0..keys).map(|t| f64::from(p[t]) * f64::from(v[t * v_stride + j])).sum::<f64>() as f32;
        }
    }
}

pub fn rotate(x: &mut [f32], turns: &[f32], back: bool) {
    for (i, pair) in x.chunks_exact_mut(2).enumerate() {
        let at = 2 * i % turns.len();
        let (a, b) = (f64::from(pair[0]), f64::from(pair[1]));
        let (sin, cos) = (f64::from(turns[at]), f64::from(turns[at + 1]));
        let sin = if back { -sin } else { sin };
        pair[0] = (a * cos - b * sin) as f32;
        pair[1] = (b * cos + a * sin) as f32;
    }
}

/// The number of key j's distance from the query at `position`.
fn distance(by: usize, j: usize, position: usize) -> usize {
    let max = by as isize / 2;
    ((j as isize - position as isize).clamp(-max, max) + max) as usize
}

pub fn add_by_distance(s: &mut [f32], by: &[f32], position: usize) {
    for (j, s) in s.iter_mut().enumerate() {
        *s += by[distance(by.len(), j, position)];
    }
}

pub fn sum_by_distance(by: &mut [f32], s: &[f32], position: usize) {
    let mut sums = vec![0.0; by.len()];
    for (j, &s) in s.iter().enumerate() {
        sums[distance(by.len(), j, position)] += f64::from(s);
    }
    by.iter_mut().zip(sums).for_each(|(by, sum)| *by = sum as f32);
}

/// What dropout multiplies element `index` of the tensor with `key` by: 0 or 1/(1 − rate).
pub fn dropout_factor(key: u64, index: u64, rate: f32) -> f32 {
    let mut mixed = key.wrapping_add((index >> 32).wrapping_mul(0xa076_1d64_78bd_642f));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let mut h = index as u32 ^ mixed as u32;
    h = (h ^ (h >> 16)).wrapping_mul(0x21f0_aaad).wrapping_add((mixed >> 32) as u32);
    h = (h ^ (h >> 15)).wrapping_mul(0xd35a_2d97);
    h ^= h >> 15;
    let threshold = f64::from(rate) * 4_294_967_296.0;
    if f64::from(h) >= threshold { 1.0 / (1.0 - rate) } else { 0.0 }
}
