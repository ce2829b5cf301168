//! Attention of one query position over a cache of keys and values: the decoder's step.

use std::ops::Range;

use super::Isa;
use super::softmax::softmax_any;
use super::vector::{Simd, dispatch};

/// `out[h*d_kv…] = softmax(q[h]·K[:, h] + bias[h][..keys]) V[:, h]` for the heads h in `heads`.
///
/// - `q`, `out`: head h at `h*d_kv`; only `heads` are read and written.
/// - `k`, `v`: `keys` rows, `k_stride` and `v_stride` apart, head h at columns `h*d_kv`.
/// - `bias`: values and the stride between heads; head h's begin at `h*stride`.
/// - `scratch`: at least `heads.len() * keys`; holds the probabilities `[heads, keys]` afterwards.
///
/// With no keys the output is zero. Each row of K and V is walked once over all heads, four rows at a time.
/// Scores are not scaled (T5); a model that divides by √d_kv scales its query.
#[allow(clippy::too_many_arguments)]
pub fn attend_one(
    isa: Isa,
    out: &mut [f32],
    q: &[f32],
    k: &[f32],
    k_stride: usize,
    v: &[f32],
    v_stride: usize,
    keys: usize,
    heads: Range<usize>,
    d_kv: usize,
    bias: Option<(&[f32], usize)>,
    scratch: &mut [f32],
) {
    let Some(last_head) = heads.end.checked_sub(1).filter(|_| !heads.is_empty()) else { return };
    let width = heads.end * d_kv;
    assert!(out.len() >= width && q.len() >= width, "a query and output of {} heads of {d_kv}", heads.end);
    if keys > 0 {
        assert!(k.len() >= (keys - 1) * k_stride + width, "{keys} keys, {k_stride} apart");
        assert!(v.len() >= (keys - 1) * v_stride + width, "{keys} values, {v_stride} apart");
        assert!(
            bias.is_none_or(|(bias, stride)| bias.len() >= last_head * stride + keys),
            "a bias a head and key"
        );
    }
    assert!(scratch.len() >= heads.len() * keys, "scratch for {} heads of {keys} keys", heads.len());
    let cache = Cache { k, k_stride, v, v_stride, keys };
    dispatch!(isa, attend_any(
        out: &mut [f32], q: &[f32], cache: Cache<'_>, heads: Range<usize>, d_kv: usize,
        bias: Option<(&[f32], usize)>, scratch: &mut [f32]
    ))
}

/// Keys and values of the positions so far.
#[derive(Clone, Copy)]
struct Cache<'a> {
    k: &'a [f32],
    k_stride: usize,
    v: &'a [f32],
    v_stride: usize,
    keys: usize,
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn attend_any<S: Simd>(
    s: S,
    out: &mut [f32],
    q: &[f32],
    cache: Cache<'_>,
    heads: Range<usize>,
    d_kv: usize,
    bias: Option<(&[f32], usize)>,
    scratch: &mut [f32],
) {
    let Cache { k, k_stride, v, v_stride, keys } = cache;
    let columns = |h: usize| h * d_kv..(h + 1) * d_kv;

    for t in (0..keys).step_by(4) {
        for (row, h) in heads.clone().enumerate() {
            let q = &q[columns(h)];
            let scores = &mut scratch[row * keys..(row + 1) * keys];
            if t + 4 <= keys {
                let rows: [&[f32]; 4] = std::array::from_fn(|i| &k[(t + i) * k_stride..][columns(h)]);
                let mut sums = [s.splat(0.0); 4];
                for at in (0..d_kv).step_by(S::LANES) {
                    let q = s.next(&q[at..]);
                    for (sum, row) in sums.iter_mut().zip(rows) {
                        *sum = s.mul_add(q, s.next(&row[at..]), *sum);
                    }
                }
                scores[t..t + 4].copy_from_slice(&s.sum4(sums));
            } else {
                for t in t..keys {
                    let k = &k[t * k_stride..][columns(h)];
                    let mut sum = s.splat(0.0);
                    for at in (0..d_kv).step_by(S::LANES) {
                        sum = s.mul_add(s.next(&q[at..]), s.next(&k[at..]), sum);
                    }
                    scores[t] = s.sum(sum);
                }
            }
        }
    }

    for (row, h) in heads.clone().enumerate() {
        let bias = bias.map(|(bias, stride)| &bias[h * stride..][..keys]);
        softmax_any(s, &mut scratch[row * keys..(row + 1) * keys], bias);
        out[columns(h)].fill(0.0);
    }

    for t in (0..keys).step_by(4) {
        for (row, h) in heads.clone().enumerate() {
            let p = &scratch[row * keys..(row + 1) * keys];
            let out = &mut out[columns(h)];
            if t + 4 <= keys {
                let rows: [&[f32]; 4] = std::array::from_fn(|i| &v[(t + i) * v_stride..][columns(h)]);
                for at in (0..d_kv).step_by(S::LANES) {
                    let mut sum = s.next(&out[at..]);
                    for (i, row) in rows.iter().enumerate() {
                        sum = s.mul_add(s.splat(p[t + i]), s.next(&row[at..]), sum);
                    }
                    s.put_next(&mut out[at..], sum);
                }
            } else {
                for t in t..keys {
                    let v = &v[t * v_stride..][columns(h)];
                    for at in (0..d_kv).step_by(S::LANES) {
                        let sum = s.mul_add(s.splat(p[t]), s.next(&v[at..]), s.next(&out[at..]));
                        s.put_next(&mut out[at..], sum);
                    }
                }
            }
        }
    }
}
