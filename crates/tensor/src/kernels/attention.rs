//! Attention of a decoding step: one query position of one or more hypotheses over a cache of keys and values.

use std::ops::Range;

use super::Isa;
use super::lines::LINE;
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

    /// Asks for some columns of the four rows that come `AHEAD` positions after `t`, if there are any. They lie in
    /// pieces, which the processor's own prefetching does not foresee.
    #[inline(always)]
    fn ask<S: Simd>(&self, s: S, from: &[f32], stride: usize, t: usize, columns: Range<usize>) {
        for t in (t + AHEAD..t + AHEAD + 4).take_while(|&t| t < self.keys) {
            let row = from.as_ptr().wrapping_add(self.row(t) * stride + columns.start);
            for at in (0..columns.len()).step_by(LINE / size_of::<f32>()) {
                s.prefetch(row.wrapping_add(at).cast());
            }
        }
    }
}

/// How many positions ahead to ask for keys and values.
const AHEAD: usize = 8;

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
#[allow(clippy::too_many_arguments)]
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
    // Queries whose sums with four keys fit into the registers together.
    let most = if S::TILE_ROWS >= 6 { 4 } else { S::TILE_ROWS.min(2) };
    // Calls `$f::<S, Q, T>` for every query, head and position: Q queries and T positions at a time.
    macro_rules! tiles {
        ($f:ident, $from:expr, $stride:expr) => {
            for t in (0..keys).step_by(4) {
                for h in 0..heads {
                    cache.ask(s, $from, $stride, t, h * d_kv..(h + 1) * d_kv);
                    for t in if t + 4 <= keys { t..t + 1 } else { t..keys } {
                        let mut first = 0;
                        while first < queries {
                            let tile = Tile { first, h, t, d_kv, heads };
                            // SAFETY: `attend` checked that all queries, keys, values, outputs and probabilities
                            // are there, and the tile lies within them.
                            unsafe {
                                match (t + 4 <= keys, queries - first) {
                                    (true, 4..) if most >= 4 => $f::<S, 4, 4>(s, &mut out, q, cache, tile, scratch),
                                    (true, 2..) if most >= 2 => $f::<S, 2, 4>(s, &mut out, q, cache, tile, scratch),
                                    (true, _) => $f::<S, 1, 4>(s, &mut out, q, cache, tile, scratch),
                                    (false, _) => $f::<S, 1, 1>(s, &mut out, q, cache, tile, scratch),
                                }
                            }
                            first += match (t + 4 <= keys, queries - first) {
                                (true, 4..) if most >= 4 => 4,
                                (true, 2..) if most >= 2 => 2,
                                _ => 1,
                            };
                        }
                    }
                }
            }
        };
    }
    tiles!(scores, cache.k, cache.k_stride);
    for i in 0..queries {
        for h in 0..heads {
            let bias = bias.map(|(bias, stride)| &bias[h * stride..][..keys]);
            softmax_any(s, &mut scratch[(i * heads + h) * keys..][..keys], bias);
        }
        out.row_mut(i).fill(0.0);
    }
    tiles!(weighted, cache.v, cache.v_stride);
}

/// Which part of the work: some queries from `first` on, head `h`, some positions from `t` on.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    h: usize,
    t: usize,
    d_kv: usize,
    heads: usize,
}

impl Tile {
    /// Where in the scratch query `first + i`'s number for position `t` is.
    #[inline(always)]
    fn place(&self, i: usize, keys: usize) -> usize {
        ((self.first + i) * self.heads + self.h) * keys + self.t
    }
}

/// Scores of `Q` queries with `T` keys. Each is one accumulator over d_kv whatever `Q` and `T` are.
///
/// # Safety
/// `attend` checked its arguments, and the tile lies within them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // i and j are places in memory as well
unsafe fn scores<S: Simd, const Q: usize, const T: usize>(
    s: S,
    _: &mut MatMut<'_>,
    q: MatRef<'_>,
    cache: Cached<'_>,
    tile: Tile,
    scratch: &mut [f32],
) {
    let Tile { first, h, t, d_kv, .. } = tile;
    let mut keys = [std::ptr::null(); T];
    let mut queries = [std::ptr::null(); Q];
    for j in 0..T {
        keys[j] = cache.k.as_ptr().wrapping_add(cache.row(t + j) * cache.k_stride + h * d_kv);
    }
    for i in 0..Q {
        queries[i] = q.row(first + i).as_ptr().wrapping_add(h * d_kv);
    }
    let mut sums = [[s.splat(0.0); T]; Q];
    for at in (0..d_kv).step_by(S::LANES) {
        let mut key = [s.splat(0.0); T];
        for j in 0..T {
            // SAFETY: the caller's promise.
            key[j] = unsafe { some(s, keys[j], at, d_kv) };
        }
        for i in 0..Q {
            // SAFETY: the caller's promise.
            let query = unsafe { some(s, queries[i], at, d_kv) };
            for j in 0..T {
                sums[i][j] = s.mul_add(query, key[j], sums[i][j]);
            }
        }
    }
    for i in 0..Q {
        let place = tile.place(i, cache.keys);
        if T == 4 {
            let sums = s.sum4([sums[i][0], sums[i][1 % T], sums[i][2 % T], sums[i][3 % T]]);
            scratch[place..][..4].copy_from_slice(&sums);
        } else {
            for j in 0..T {
                scratch[place + j] = s.sum(sums[i][j]);
            }
        }
    }
}

/// Adds the values of `T` positions, times their probabilities, to the outputs of `Q` queries, position by position.
///
/// # Safety
/// As for [`scores`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // i and j are places in memory as well
unsafe fn weighted<S: Simd, const Q: usize, const T: usize>(
    s: S,
    out: &mut MatMut<'_>,
    _: MatRef<'_>,
    cache: Cached<'_>,
    tile: Tile,
    scratch: &mut [f32],
) {
    let Tile { first, h, t, d_kv, .. } = tile;
    let mut values = [std::ptr::null(); T];
    for j in 0..T {
        values[j] = cache.v.as_ptr().wrapping_add(cache.row(t + j) * cache.v_stride + h * d_kv);
    }
    let mut outs = [std::ptr::null_mut(); Q];
    let mut weights = [[s.splat(0.0); T]; Q];
    for i in 0..Q {
        outs[i] = out.row_mut(first + i).as_mut_ptr().wrapping_add(h * d_kv);
        for (j, p) in scratch[tile.place(i, cache.keys)..][..T].iter().enumerate() {
            weights[i][j] = s.splat(*p);
        }
    }
    for at in (0..d_kv).step_by(S::LANES) {
        let mut value = [s.splat(0.0); T];
        for j in 0..T {
            // SAFETY: the caller's promise.
            value[j] = unsafe { some(s, values[j], at, d_kv) };
        }
        for i in 0..Q {
            // SAFETY: the caller's promise.
            unsafe {
                let mut sum = some(s, outs[i], at, d_kv);
                for j in 0..T {
                    sum = s.mul_add(weights[i][j], value[j], sum);
                }
                if at + S::LANES <= d_kv {
                    s.store(outs[i].add(at), sum);
                } else {
                    s.store_part(outs[i].add(at), sum, d_kv - at);
                }
            }
        }
    }
}

/// The vector at `at` of `width` numbers: all lanes, or what is left and zeros.
///
/// # Safety
/// `width` numbers can be read at `p`.
#[inline(always)]
unsafe fn some<S: Simd>(s: S, p: *const f32, at: usize, width: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { if at + S::LANES <= width { s.load(p.add(at)) } else { s.load_part(p.add(at), width - at) } }
}
