//! Attention of a decoding step: one query position of one or more hypotheses over a cache of keys and values.

use std::ops::Range;

use super::Isa;
use super::lines::LINE;
use super::rows::{Bf16, Stored};
use super::softmax::softmax_any;
use super::vector::{Simd, dispatch};
use crate::{MatMut, MatRef};

/// What keys and values are kept as: f32, or [`Bf16`], which are widened as they are read.
pub trait Kept: Copy {
    /// [`attend`] with arguments that it has checked.
    fn run(isa: Isa, work: Work<'_, Self>);
}

/// The arguments of [`attend`].
pub struct Work<'a, K> {
    out: MatMut<'a>,
    q: MatRef<'a>,
    parts: &'a [Part<'a, K>],
    look: Look<'a>,
    scratch: &'a mut [f32],
}

macro_rules! kept {
    ($($number:ty),*) => {$(
        impl Kept for $number {
            fn run(isa: Isa, work: Work<'_, Self>) {
                dispatch!(isa, attend_any(work: Work<'_, $number>))
            }
        }
    )*};
}
kept!(f32, Bf16);

/// Keys and values of some positions.
#[derive(Clone, Copy)]
pub struct Cached<'a, K = f32> {
    /// Keys: rows `k_stride` apart, head h at columns `h*d_kv`.
    pub k: &'a [K],
    /// Distance between rows of keys.
    pub k_stride: usize,
    /// Values, laid out alike.
    pub v: &'a [K],
    /// Distance between rows of values.
    pub v_stride: usize,
    /// Number of positions.
    pub keys: usize,
    /// The row of each position, where they are not simply 0, 1, 2, …
    pub rows: Option<&'a [u32]>,
}

impl<K> Cached<'_, K> {
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
    fn ask<S: Simd>(&self, s: S, from: &[K], stride: usize, t: usize, columns: Range<usize>) {
        for t in (t + AHEAD..t + AHEAD + 4).take_while(|&t| t < self.keys) {
            let row = from.as_ptr().wrapping_add(self.row(t) * stride + columns.start);
            for at in (0..columns.len()).step_by(LINE / size_of::<K>()) {
                s.prefetch(row.wrapping_add(at).cast());
            }
        }
    }
}

/// How many positions ahead to ask for keys and values.
const AHEAD: usize = 8;

/// Positions that some of the queries see: the hypotheses of one source see the source's together, so that these are
/// read once for several of them, and then each its own.
#[derive(Clone)]
pub struct Part<'a, K = f32> {
    /// Where their keys and values are.
    pub cached: Cached<'a, K>,
    /// Which of them is the first one.
    pub first: usize,
    /// The queries that see them.
    pub queries: Range<usize>,
}

/// What is added to the scaled scores.
#[derive(Clone, Copy)]
pub struct ScoreBias<'a> {
    /// A number for each position, of each head and query in turn.
    pub values: &'a [f32],
    /// Distance between heads.
    pub head: usize,
    /// Distance between queries; 0 where they have the same.
    pub query: usize,
}

/// Sizes, and how scores are made of products.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Number of heads.
    pub heads: usize,
    /// Width of a head.
    pub d_kv: usize,
    /// Positions that each query sees, all parts together.
    pub keys: usize,
    /// What products are multiplied by.
    pub scale: f32,
    /// What is added to them afterwards.
    pub bias: Option<ScoreBias<'a>>,
}

/// `out[i, h] = softmax(scale·q[i, h]·K[:, h] + bias[i, h]) V[:, h]` for every query i and head h.
///
/// - `q`, `out`: [queries, heads · d_kv], head h at `h*d_kv`.
/// - `parts`: for each query, in this order, all positions from 0 to `keys`.
/// - `scratch`: at least `queries * heads * keys`; holds the probabilities `[queries, heads, keys]` afterwards.
///
/// With no keys the output is zero. A query's result does not depend on the other queries, nor on where its rows
/// lie or which parts they come in: its bits are the same alone and in company.
pub fn attend<K: Kept>(
    isa: Isa,
    out: MatMut<'_>,
    q: MatRef<'_>,
    parts: &[Part<'_, K>],
    look: Look<'_>,
    scratch: &mut [f32],
) {
    let Look { heads, d_kv, keys, .. } = look;
    let (queries, width) = (q.rows, heads * d_kv);
    if heads == 0 || queries == 0 {
        return;
    }
    assert!(
        (out.rows, out.cols, q.cols) == (queries, width, width),
        "queries and outputs of {heads} heads of {d_kv}"
    );
    let mut seen = 0;
    for Part { cached: cache, first, queries: of } in parts.iter().filter(|part| part.cached.keys > 0) {
        assert!(
            first + cache.keys <= keys && of.start <= of.end && of.end <= queries,
            "a part of {keys} keys"
        );
        seen += cache.keys * of.len();
        let last = match cache.rows {
            Some(rows) => rows[..cache.keys].iter().copied().max().unwrap_or(0) as usize,
            None => cache.keys - 1,
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
    }
    assert_eq!(seen, queries * keys, "the parts are all that the queries see");
    assert!(
        look.bias.is_none_or(|b| b.values.len() >= (queries - 1) * b.query + (heads - 1) * b.head + keys),
        "a bias a head and key"
    );
    assert!(
        scratch.len() >= queries * heads * keys,
        "scratch for {queries} queries of {heads} heads, {keys} keys"
    );
    K::run(isa, Work { out, q, parts, look, scratch })
}

#[inline(always)]
fn attend_any<S: Simd, K: Stored>(s: S, work: Work<'_, K>) {
    let Work { mut out, q, parts, look, scratch } = work;
    let Look { heads, d_kv, keys, .. } = look;
    // Queries whose sums with four keys fit into the registers together.
    let most = if S::TILE_ROWS >= 6 { 4 } else { S::TILE_ROWS.min(2) };
    // Calls `$f::<S, K, Q, T>` for every query, head and position: Q queries and T positions at a time.
    macro_rules! tiles {
        ($f:ident, $from:ident, $stride:ident) => {
            for Part { cached: cache, first: before, queries } in parts {
                for t in (0..cache.keys).step_by(4) {
                    for h in 0..heads {
                        cache.ask(s, cache.$from, cache.$stride, t, h * d_kv..(h + 1) * d_kv);
                        for t in if t + 4 <= cache.keys { t..t + 1 } else { t..cache.keys } {
                            let mut first = queries.start;
                            while first < queries.end {
                                let tile = Tile { first, h, t, before: *before, d_kv, heads, keys };
                                let (four, left) = (t + 4 <= cache.keys, queries.end - first);
                                // SAFETY: `attend` checked that all queries, keys, values, outputs and probabilities
                                // are there, and the tile lies within them.
                                unsafe {
                                    match (four, left) {
                                        (true, 4..) if most >= 4 => {
                                            $f::<S, K, 4, 4>(s, &mut out, q, *cache, tile, scratch)
                                        }
                                        (true, 2..) if most >= 2 => {
                                            $f::<S, K, 2, 4>(s, &mut out, q, *cache, tile, scratch)
                                        }
                                        (true, _) => $f::<S, K, 1, 4>(s, &mut out, q, *cache, tile, scratch),
                                        (false, _) => $f::<S, K, 1, 1>(s, &mut out, q, *cache, tile, scratch),
                                    }
                                }
                                first += match (four, left) {
                                    (true, 4..) if most >= 4 => 4,
                                    (true, 2..) if most >= 2 => 2,
                                    _ => 1,
                                };
                            }
                        }
                    }
                }
            }
        };
    }
    tiles!(scores, k, k_stride);
    for i in 0..q.rows {
        for h in 0..heads {
            let bias = look.bias.map(|b| &b.values[i * b.query + h * b.head..][..keys]);
            softmax_any(s, &mut scratch[(i * heads + h) * keys..][..keys], look.scale, bias);
        }
        out.row_mut(i).fill(0.0);
    }
    tiles!(weighted, v, v_stride);
}

/// Which part of the work: some queries from `first` on, head `h`, some positions from `t` on of a part that has
/// `before` of the `keys` before it.
#[derive(Clone, Copy)]
struct Tile {
    first: usize,
    h: usize,
    t: usize,
    before: usize,
    d_kv: usize,
    heads: usize,
    keys: usize,
}

impl Tile {
    /// Where in the scratch query `first + i`'s number for position `t` is.
    #[inline(always)]
    fn place(&self, i: usize) -> usize {
        ((self.first + i) * self.heads + self.h) * self.keys + self.before + self.t
    }
}

/// Scores of `Q` queries with `T` keys. Each is one accumulator over d_kv whatever `Q` and `T` are.
///
/// # Safety
/// `attend` checked its arguments, and the tile lies within them.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // i and j are places in memory as well
unsafe fn scores<S: Simd, K: Stored, const Q: usize, const T: usize>(
    s: S,
    _: &mut MatMut<'_>,
    q: MatRef<'_>,
    cache: Cached<'_, K>,
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
        let place = tile.place(i);
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
unsafe fn weighted<S: Simd, K: Stored, const Q: usize, const T: usize>(
    s: S,
    out: &mut MatMut<'_>,
    _: MatRef<'_>,
    cache: Cached<'_, K>,
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
        for (j, p) in scratch[tile.place(i)..][..T].iter().enumerate() {
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
unsafe fn some<S: Simd, K: Stored>(s: S, p: *const K, at: usize, width: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe {
        if at + S::LANES <= width { K::load(s, p.add(at)) } else { K::load_part(s, p.add(at), width - at) }
    }
}
