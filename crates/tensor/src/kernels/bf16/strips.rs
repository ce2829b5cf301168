//! Few rows by matrices that were packed beforehand: what decoding steps look at in a source, its keys and values in bf16.
//!
//! A product of few rows cannot pay for packing the other side, and from rows as they are it spends as long on adding up
//! lanes as on multiplying. A source's keys and values stay what they are for as long as it is decoded: they are packed
//! once, into strips of [`pack`](super::pack)'s second layout.

use std::sync::Arc;

use super::kernels_for;
use super::micro::{Bf16Kernel, STRIP};
use super::pack::{Layout, Side, TILE, TILE_DEPTH, TILE_LINES, pack_strip, place};
use crate::kernels::isa::Isa;
use crate::kernels::lines::Lines;
#[cfg(target_arch = "x86_64")]
use crate::kernels::lines::prefetch;
use crate::{MatMut, MatRef};

/// The kernel by which [`KeyStrips`] are looked at where this is the instruction set: AVX-512 BF16 if the processor has it.
/// `None`: they are better left as rows.
pub fn strips_kernel(isa: Isa) -> Option<Bf16Kernel> {
    kernels_for(isa).into_iter().find(|kernel| kernel.multiplies_few())
}

/// Keys and values of one source, every head's in strips of its own, rounded to bf16.
#[derive(Clone)]
pub struct KeyStrips {
    kernel: Bf16Kernel,
    /// For each head its keys, [keys, d_kv], then its values, [d_kv, keys]; both sides filled up to strips with zeros.
    tiles: Arc<Lines<u16>>,
    heads: usize,
    d_kv: usize,
    keys: usize,
}

impl KeyStrips {
    /// Of keys and values, [keys, heads · d_kv] each.
    pub fn new(kernel: Bf16Kernel, k: MatRef<'_>, v: MatRef<'_>, heads: usize) -> KeyStrips {
        assert!(k.rows == v.rows && k.cols == v.cols && k.cols.is_multiple_of(heads), "keys and values");
        let (keys, d_kv) = (k.rows, k.cols / heads);
        let one = keys.next_multiple_of(STRIP) * d_kv.next_multiple_of(STRIP);
        let mut tiles = Lines::new(2 * heads * one);
        if one > 0 {
            for (head, tiles) in tiles.slice().chunks_exact_mut(2 * one).enumerate() {
                let (of_keys, of_values) = tiles.split_at_mut(one);
                pack(kernel, of_keys, k.columns(head * d_kv, d_kv));
                pack(kernel, of_values, v.columns(head * d_kv, d_kv).t());
            }
        }
        KeyStrips { kernel, tiles: Arc::new(tiles), heads, d_kv, keys }
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Width of a head.
    pub fn d_kv(&self) -> usize {
        self.d_kv
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Numbers from row to row of queries, which [`Self::scores`] takes, and of probabilities, which [`Self::sums`] does:
    /// the widths of both, filled up.
    pub fn strides(&self) -> [usize; 2] {
        [self.d_kv, self.keys].map(|n| n.next_multiple_of(STRIP))
    }

    fn part(&self, part: usize) -> &[u16] {
        let [depth, wide] = self.strides();
        &self.tiles.get()[part * depth * wide..][..depth * wide]
    }

    /// `scores = q·Kᵀ` of a head: [queries, keys]. `q`: the bits of bf16, zeros behind the width of a head.
    pub fn scores(&self, head: usize, scores: MatMut<'_>, q: &[u16]) {
        assert_eq!(scores.cols, self.keys, "scores");
        multiply(self.kernel, scores, q, self.part(2 * head), self.strides()[0]);
    }

    /// `out = p·V` of a head: [queries, d_kv]. `p`: the bits of bf16, zeros behind the last key.
    pub fn sums(&self, head: usize, out: MatMut<'_>, p: &[u16]) {
        assert_eq!(out.cols, self.d_kv, "sums");
        multiply(self.kernel, out, p, self.part(2 * head + 1), self.strides()[1]);
    }

    /// A key, then its value, of all heads.
    pub fn position(&self, key: usize) -> Vec<f32> {
        let [depth, wide] = self.strides();
        let number = |part: usize, deep: usize, line: usize, k: usize| {
            let tile = line / STRIP * STRIP * deep + (k / TILE_DEPTH * 2 + line % STRIP / TILE_LINES) * TILE;
            let bits = self.part(part)[tile + place(Layout::DepthFirst, line % TILE_LINES, k % TILE_DEPTH)];
            f32::from_bits(u32::from(bits) << 16)
        };
        let of = |side: usize| {
            (0..self.heads).flat_map(move |head| {
                (0..self.d_kv).map(move |c| match side {
                    0 => number(2 * head, depth, key, c),
                    _ => number(2 * head + 1, wide, c, key),
                })
            })
        };
        of(0).chain(of(1)).collect()
    }
}

impl std::fmt::Debug for KeyStrips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyStrips {{ keys: {}, heads: {}, d_kv: {} }}", self.keys, self.heads, self.d_kv)
    }
}

/// All lines (rows) of a matrix, strip by strip.
fn pack(kernel: Bf16Kernel, tiles: &mut [u16], m: MatRef<'_>) {
    let len = STRIP * m.cols.next_multiple_of(STRIP);
    for (strip, tiles) in tiles.chunks_exact_mut(len).enumerate() {
        let first = strip * STRIP;
        let side = Side::new(m, first, STRIP.min(m.rows - first), 0, m.cols);
        pack_strip(kernel, tiles, side, Layout::DepthFirst);
    }
}

/// `c = a·mᵀ`, `m` in strips whose lines have `depth` numbers, as the rows of `a` have. A row's results do not depend on
/// the other rows.
fn multiply(kernel: Bf16Kernel, mut c: MatMut<'_>, a: &[u16], tiles: &[u16], depth: usize) {
    assert!(a.len() >= c.rows * depth && tiles.len() >= c.cols.next_multiple_of(STRIP) * depth);
    #[cfg(target_arch = "x86_64")]
    if matches!(kernel, Bf16Kernel::Avx512Bf16(_)) {
        // SAFETY: the kernel's existence proves the instruction set; the sizes were checked.
        return unsafe { avx512(c, a, tiles, depth) };
    }
    let _ = kernel;
    let wide = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    for row in 0..c.rows {
        let a = &a[row * depth..][..depth];
        for (col, to) in c.row_mut(row).iter_mut().enumerate() {
            let strip = &tiles[col / STRIP * STRIP * depth..][..STRIP * depth];
            let of_tile = col % STRIP / TILE_LINES * TILE;
            *to = (0..depth)
                .map(|k| {
                    let tile = k / TILE_DEPTH * 2 * TILE + of_tile;
                    let at = tile + place(Layout::DepthFirst, col % TILE_LINES, k % TILE_DEPTH);
                    wide(a[k]) * wide(strip[at])
                })
                .sum();
        }
    }
}

/// Tiles of rows and strips with as many sums as keep `vdpbf16ps` busy.
///
/// # Safety
/// `a` has the rows of `c`, `tiles` its columns filled up to strips, both `depth` deep, a multiple of 32.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512(mut c: MatMut<'_>, a: &[u16], tiles: &[u16], depth: usize) {
    let (rows, cols) = (c.rows, c.cols);
    let (mut row, mut left) = (0, rows);
    while left > 0 {
        let together = if left >= 8 { 8 } else { 1 << left.ilog2() };
        let strips = if together == 1 { 4 } else { 1 };
        for first in (0..cols).step_by(strips * STRIP) {
            let here = (cols - first).div_ceil(STRIP).min(strips);
            let block = Few {
                c: c.row_mut(row)[first..].as_mut_ptr(),
                stride: c.stride(),
                cols: cols - first,
                a: a[row * depth..].as_ptr(),
                depth,
                tiles: tiles[first * depth..].as_ptr(),
            };
            // SAFETY: the caller's promise; rows and strips are there.
            unsafe {
                match (together, here) {
                    (8, _) => block.run::<8, 1>(),
                    (4, _) => block.run::<4, 1>(),
                    (2, _) => block.run::<2, 1>(),
                    (_, 4) => block.run::<1, 4>(),
                    (_, 3) => block.run::<1, 3>(),
                    (_, 2) => block.run::<1, 2>(),
                    _ => block.run::<1, 1>(),
                }
            }
        }
        row += together;
        left -= together;
    }
}

/// How many numbers ahead strips are asked for: a head's keys, its values, and the next head's lie behind one another.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 8 * TILE;

/// Some rows of a and, from `tiles` on, some strips; results from `c` on, of the last strip's columns only those that
/// there are.
#[cfg(target_arch = "x86_64")]
struct Few {
    c: *mut f32,
    stride: usize,
    cols: usize,
    a: *const u16,
    depth: usize,
    tiles: *const u16,
}

#[cfg(target_arch = "x86_64")]
impl Few {
    /// # Safety
    /// `R` rows and `S` strips are there; the processor has the instructions.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn run<const R: usize, const S: usize>(self) {
        use std::arch::x86_64::*;
        let mut sums = [[[_mm512_setzero_ps(); 2]; S]; R];
        // SAFETY: the caller's promise: a row of a and a line of a strip have `depth` numbers, a strip 32 lines.
        unsafe {
            for k in (0..self.depth).step_by(2) {
                // Pair by pair, sixteen lines and then the other sixteen; 32 of k fill a tile of each.
                let at = k / TILE_DEPTH * 2 * TILE + k % TILE_DEPTH * TILE_LINES;
                let mut lines = [[_mm512_setzero_si512(); 2]; S];
                for (s, lines) in lines.iter_mut().enumerate() {
                    let strip = self.tiles.add(s * STRIP * self.depth + at);
                    prefetch(strip.wrapping_add(AHEAD).cast());
                    prefetch(strip.wrapping_add(AHEAD + TILE).cast());
                    *lines = [strip, strip.add(TILE)].map(|p| _mm512_loadu_si512(p.cast()));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let pair = self.a.add(r * self.depth + k).cast::<i32>().read_unaligned();
                    let pair: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                    for (sums, lines) in sums.iter_mut().zip(lines) {
                        for (sum, line) in sums.iter_mut().zip(lines) {
                            *sum =
                                _mm512_dpbf16_ps(*sum, pair, std::mem::transmute::<__m512i, __m512bh>(line));
                        }
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                let c = self.c.add(r * self.stride);
                for (half, sum) in sums.iter().flatten().enumerate() {
                    let first = half * TILE_LINES;
                    match self.cols.saturating_sub(first) {
                        0 => {}
                        n if n >= TILE_LINES => _mm512_storeu_ps(c.add(first), *sum),
                        n => _mm512_mask_storeu_ps(c.add(first), (1 << n) - 1, *sum),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::kernels::available;
    use crate::kernels::convert::round_to_bf16;

    /// Every kernel against sums of the rounded numbers in f64, for sizes with and without edges; rows alone have the bits
    /// that they have in company.
    #[test]
    fn few_rows_by_strips() {
        let wide = |bits: u16| f64::from(f32::from_bits(u32::from(bits) << 16));
        let mut rng = Rng::new(4, 0);
        let kernels = available().into_iter().flat_map(strips_kernel).chain([Bf16Kernel::Portable]);
        for kernel in kernels {
            for (heads, d_kv, keys) in [(2, 64, 170), (3, 20, 1), (1, 32, 33), (2, 7, 160), (1, 96, 0)] {
                let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
                let inner = heads * d_kv;
                let kv = normal(keys * 2 * inner);
                let both = MatRef::new(&kv, keys, 2 * inner, 2 * inner);
                let [k, v] = [0, inner].map(|first| both.columns(first, inner));
                let strips = KeyStrips::new(kernel, k, v, heads);
                let rounded: Vec<u16> = kv.iter().map(|&x| round_to_bf16(x)).collect();
                for (key, want) in rounded.chunks_exact(2 * inner).enumerate() {
                    let want: Vec<f32> = want.iter().map(|&bits| wide(bits) as f32).collect();
                    assert_eq!(strips.position(key), want);
                }
                let [depth, breadth] = strips.strides();
                for (head, queries) in (0..heads).zip([1, 4, 15]) {
                    let mut bits = |width: usize, stride: usize| -> Vec<u16> {
                        let mut all = vec![0; queries * stride];
                        for row in all.chunks_exact_mut(stride.max(1)) {
                            row[..width].fill_with(|| round_to_bf16(rng.normal() as f32));
                        }
                        all
                    };
                    let (q, p) = (bits(d_kv, depth), bits(keys, breadth));
                    let (mut scores, mut out) =
                        (vec![f32::NAN; queries * keys], vec![f32::NAN; queries * d_kv]);
                    strips.scores(head, MatMut::new(&mut scores, queries, keys, keys), &q);
                    strips.sums(head, MatMut::new(&mut out, queries, d_kv, d_kv), &p);
                    let at =
                        |key: usize, column: usize| wide(rounded[key * 2 * inner + head * d_kv + column]);
                    for i in 0..queries {
                        for key in 0..keys {
                            let want: f64 = (0..d_kv).map(|c| wide(q[i * depth + c]) * at(key, c)).sum();
                            assert!((f64::from(scores[i * keys + key]) - want).abs() < 1e-4);
                        }
                        for c in 0..d_kv {
                            let want: f64 =
                                (0..keys).map(|key| wide(p[i * breadth + key]) * at(key, inner + c)).sum();
                            assert!((f64::from(out[i * d_kv + c]) - want).abs() < 1e-3);
                        }
                        let (mut own, mut one) = (vec![0.0; keys], vec![0.0; d_kv]);
                        strips.scores(head, MatMut::new(&mut own, 1, keys, keys), &q[i * depth..]);
                        strips.sums(head, MatMut::new(&mut one, 1, d_kv, d_kv), &p[i * breadth..]);
                        assert_eq!(own, scores[i * keys..][..keys]);
                        assert_eq!(one, out[i * d_kv..][..d_kv]);
                    }
                }
            }
        }
    }
}
