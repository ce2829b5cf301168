//! Attention of a decoding step: one query position of one or more hypotheses over a cache of keys and values.

use super::Isa;
use super::softmax::softmax_any;
use super::vector::{Simd, dispatch};
use crate::{MatMut, MatRef};

/// Keys and values of the positions so far.
#[derive(Clone, Copy)]
pub struct Cached<'a> {
    /// Keys: rows `k_stride` apart, head h at columns `h*d_kv`.
    pub k: &'a [f32],
    /// Distance between rows of keys.
    pub k_stride: usize,
    /// Values, laid out alike.
    pub v: &'a [f32],
    /// Distance between rows of values.
    pub v_stride: usize,
    /// Number of positions.
    pub keys: usize,
    /// The row of each position, where they are not simply 0, 1, 2, …
    pub rows: Option<&'a [u32]>,
}

impl Cached<'_> {
    #[inline(always)]
    fn row(&self, position: usize) -> usize {
        match self.rows {
            Some(rows) => rows[position] as usize,
            None => position,
        }
    }
}

/// `out[i, h] = softmax(q[i, h]·K[:, h] + bias[h][..keys]) V[:, h]` for every query i and the heads h below `heads`.
///
/// - `q`, `out`: [queries, heads · d_kv], head h at `h*d_kv`. The queries (the hypotheses of one source, say) share
///   keys, values and bias, so that these are read once for several of them.
/// - `bias`: values and the stride between heads; head h's begin at `h*stride`.
/// - `scratch`: at least `queries * heads * keys`; holds the probabilities `[queries, heads, keys]` afterwards.
///
/// With no keys the output is zero. A query's result does not depend on the other queries, nor on where its rows
/// lie: its bits are the same alone and in company. Scores are not scaled (T5); a model that divides by √d_kv scales
/// its query.
#[allow(clippy::too_many_arguments)]
pub fn attend(
    isa: Isa,
    out: MatMut<'_>,
    q: MatRef<'_>,
    cache: Cached<'_>,
    heads: usize,
    d_kv: usize,
    bias: Option<(&[f32], usize)>,
    scratch: &mut [f32],
) {
    let (queries, width, keys) = (q.rows, heads * d_kv, cache.keys);
    if heads == 0 || queries == 0 {
        return;
    }
    assert!(
        (out.rows, out.cols, q.cols) == (queries, width, width),
        "queries and outputs of {heads} heads of {d_kv}"
    );
    if keys > 0 {
        let last = match cache.rows {
            Some(rows) => rows[..keys].iter().copied().max().unwrap_or(0) as usize,
            None => keys - 1,
        };
        assert!(
            cache.k.len() >= last * cache.k_stride + width,
            "keys up to row {last}, {} apart",
            cache.k_stride
        );
        assert!(
            cache.v.len() >= last * cache.v_stride + width,
            "values up to row {last}, {} apart",
            cache.v_stride
        );
        assert!(
            bias.is_none_or(|(bias, stride)| bias.len() >= (heads - 1) * stride + keys),
            "a bias a head and key"
        );
    }
    assert!(
        scratch.len() >= queries * heads * keys,
        "scratch for {queries} queries of {heads} heads, {keys} keys"
    );
    dispatch!(isa, attend_any(
        out: MatMut<'_>, q: MatRef<'_>, cache: Cached<'_>, heads: usize, d_kv: usize,
        bias: Option<(&[f32], usize)>, scratch: &mut [f32]
    ))
}

#[inline(always)]
#[allow(clippy::too_many_arguments, clippy::needless_range_loop)] // t is a position, of which p is one list
fn attend_any<S: Simd>(
    s: S,
    mut out: MatMut<'_>,
    q: MatRef<'_>,
    cache: Cached<'_>,
    heads: usize,
    d_kv: usize,
    bias: Option<(&[f32], usize)>,
    scratch: &mut [f32],
) {
    let (queries, keys) = (q.rows, cache.keys);
    let columns = |h: usize| h * d_kv..(h + 1) * d_kv;
    // Queries whose sums with four keys fit into the registers together.
    let most = if S::TILE_ROWS >= 6 { 4 } else { S::TILE_ROWS.min(2) };

    for t in (0..keys).step_by(4) {
        for h in 0..heads {
            let mut i = 0;
            while i < queries {
                let place = Place { first: i, h, t, d_kv, heads };
                i += if t + 4 > keys {
                    tail_scores(s, q, cache, place, scratch);
                    1
                } else if most >= 4 && i + 4 <= queries {
                    scores::<S, 4>(s, q, cache, place, scratch);
                    4
                } else if most >= 2 && i + 2 <= queries {
                    scores::<S, 2>(s, q, cache, place, scratch);
                    2
                } else {
                    scores::<S, 1>(s, q, cache, place, scratch);
                    1
                };
            }
        }
    }

    for i in 0..queries {
        for h in 0..heads {
            let bias = bias.map(|(bias, stride)| &bias[h * stride..][..keys]);
            softmax_any(s, &mut scratch[(i * heads + h) * keys..][..keys], bias);
        }
        out.row_mut(i).fill(0.0);
    }

    for t in (0..keys).step_by(4) {
        for h in 0..heads {
            for i in 0..queries {
                let p = &scratch[(i * heads + h) * keys..][..keys];
                let out = &mut out.row_mut(i)[columns(h)];
                if t + 4 <= keys {
                    let rows: [&[f32]; 4] =
                        std::array::from_fn(|j| &cache.v[cache.row(t + j) * cache.v_stride..][columns(h)]);
                    for at in (0..d_kv).step_by(S::LANES) {
                        let mut sum = s.next(&out[at..]);
                        for (j, row) in rows.iter().enumerate() {
                            sum = s.mul_add(s.splat(p[t + j]), s.next(&row[at..]), sum);
                        }
                        s.put_next(&mut out[at..], sum);
                    }
                } else {
                    for t in t..keys {
                        let v = &cache.v[cache.row(t) * cache.v_stride..][columns(h)];
                        for at in (0..d_kv).step_by(S::LANES) {
                            let sum = s.mul_add(s.splat(p[t]), s.next(&v[at..]), s.next(&out[at..]));
                            s.put_next(&mut out[at..], sum);
                        }
                    }
                }
            }
        }
    }
}

/// Which scores: of the queries from `first` on, head `h`, the positions from `t` on.
#[derive(Clone, Copy)]
struct Place {
    first: usize,
    h: usize,
    t: usize,
    d_kv: usize,
    heads: usize,
}

/// Scores of `Q` queries with four keys. Each is one accumulator over d_kv whatever `Q` is.
#[inline(always)]
fn scores<S: Simd, const Q: usize>(
    s: S,
    q: MatRef<'_>,
    cache: Cached<'_>,
    place: Place,
    scratch: &mut [f32],
) {
    let Place { first, h, t, d_kv, heads } = place;
    let columns = h * d_kv..(h + 1) * d_kv;
    let rows: [&[f32]; 4] =
        std::array::from_fn(|j| &cache.k[cache.row(t + j) * cache.k_stride..][columns.clone()]);
    let queries: [&[f32]; Q] = std::array::from_fn(|i| &q.row(first + i)[columns.clone()]);
    let mut sums = [[s.splat(0.0); 4]; Q];
    for at in (0..d_kv).step_by(S::LANES) {
        // No `map`: it is not inlined into code for an instruction set.
        let mut keys = [s.splat(0.0); 4];
        for (key, row) in keys.iter_mut().zip(rows) {
            *key = s.next(&row[at..]);
        }
        for (sums, query) in sums.iter_mut().zip(queries) {
            let query = s.next(&query[at..]);
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = s.mul_add(query, key, *sum);
            }
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        scratch[((first + i) * heads + h) * cache.keys + t..][..4].copy_from_slice(&s.sum4(sums));
    }
}

/// Scores of one query with the keys from `t` on, fewer than four.
#[inline(always)]
fn tail_scores<S: Simd>(s: S, q: MatRef<'_>, cache: Cached<'_>, place: Place, scratch: &mut [f32]) {
    let Place { first, h, t, d_kv, heads } = place;
    let columns = h * d_kv..(h + 1) * d_kv;
    let query = &q.row(first)[columns.clone()];
    for t in t..cache.keys {
        let k = &cache.k[cache.row(t) * cache.k_stride..][columns.clone()];
        let mut sum = s.splat(0.0);
        for at in (0..d_kv).step_by(S::LANES) {
            sum = s.mul_add(s.next(&query[at..]), s.next(&k[at..]), sum);
        }
        scratch[(first * heads + h) * cache.keys + t] = s.sum(sum);
    }
}
