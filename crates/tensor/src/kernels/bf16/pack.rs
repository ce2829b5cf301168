//! From matrices of f32, or of bf16 bits, to strips of bf16 tiles.
//!
//! A **tile** is 16 lines (rows of a or columns of b) by 32 of k, 1 KiB. In [`Layout::LineFirst`] a line's 32
//! values lie together (a's tiles); in [`Layout::DepthFirst`] the sixteen lines' values of one *pair* of k lie
//! together, pair after pair (b's tiles, which the instructions want so). A **strip** is 32 lines: for every 32 of
//! k the tile of the first sixteen, then that of the others. What is missing at the edges is zero.
//!
//! Seen as 16×16 words of two values each, the two layouts are transposes of each other, so both are filled from
//! either direction of the source: sixteen vectors as the source has them, transposed when that is the wrong way.

use super::micro::{Bf16Kernel, STRIP};
use crate::MatRef;
use crate::kernels::convert::round_to_bf16;
use crate::kernels::lines::{LINE, prefetch};

/// Lines of a tile.
pub(super) const TILE_LINES: usize = 16;
/// The k of a tile.
pub(super) const TILE_DEPTH: usize = 32;
/// Numbers in a tile.
pub(super) const TILE: usize = TILE_LINES * TILE_DEPTH;

/// The order of a tile's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[line][k]`
    LineFirst,
    /// `[pair of k][line][two]`
    DepthFirst,
}

/// What operands are made of: f32, or the bits of bf16.
pub trait Number: Copy + Default {
    /// The nearest bf16.
    fn round(self) -> u16;

    /// 32 of them, rounded.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16; 32 can be read at `p`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn line(p: *const Self) -> std::arch::x86_64::__m512i;

    /// Sixteen of each, rounded: the first of one, the first of the other, and so on.
    ///
    /// # Safety
    /// The processor has AVX-512 BF16; 16 can be read at `even` and `odd`.
    #[cfg(target_arch = "x86_64")]
    unsafe fn pairs(even: *const Self, odd: *const Self) -> std::arch::x86_64::__m512i;
}

impl Number for f32 {
    fn round(self) -> u16 {
        round_to_bf16(self)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn line(p: *const f32) -> std::arch::x86_64::__m512i {
        // SAFETY: the caller's promise.
        unsafe { fast::rounded(p, p.add(16)) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pairs(even: *const f32, odd: *const f32) -> std::arch::x86_64::__m512i {
        // SAFETY: the caller's promise.
        unsafe { fast::alternated(fast::rounded(even, odd)) }
    }
}

impl Number for u16 {
    fn round(self) -> u16 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn line(p: *const u16) -> std::arch::x86_64::__m512i {
        // SAFETY: the caller's promise.
        unsafe { std::arch::x86_64::_mm512_loadu_si512(p.cast()) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn pairs(even: *const u16, odd: *const u16) -> std::arch::x86_64::__m512i {
        use std::arch::x86_64::*;
        // SAFETY: the caller's promise.
        let [even, odd] = unsafe { [even, odd].map(|p| _mm256_loadu_si256(p.cast())) };
        fast::alternated(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(even), odd))
    }
}

/// A piece of an operand: `lines` rows by `depth` of k.
#[derive(Clone, Copy)]
pub(super) struct Side<'a, T> {
    data: &'a [T],
    lines: usize,
    depth: usize,
    line_stride: usize,
    k_stride: usize,
}

impl<'a, T: Number> Side<'a, T> {
    /// Rows `line0…` and columns `k0…` of `m`.
    pub(super) fn new(m: MatRef<'a, T>, line0: usize, lines: usize, k0: usize, depth: usize) -> Self {
        let m = m.rows(line0, lines).columns(k0, depth);
        Side { data: m.data, lines, depth, line_stride: m.row_stride, k_stride: m.col_stride }
    }

    /// Rows of the piece.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Asks for one of so many parts of it, in the second-level cache: packing does nothing but wait for it else.
    pub(super) fn prefetch(&self, part: usize, of: usize) {
        let (outer, inner, stride) = match self.k_stride {
            1 => (self.lines, self.depth, self.line_stride),
            _ => (self.depth, self.lines, self.k_stride),
        };
        for row in outer * part / of..outer * (part + 1) / of {
            for at in (0..inner).step_by(LINE / size_of::<T>()) {
                prefetch(self.data.as_ptr().wrapping_add(row * stride + at).cast());
            }
        }
    }
}

/// Fills `out`, a whole strip, from at most [`STRIP`] lines.
pub(super) fn pack_strip<T: Number>(kernel: Bf16Kernel, out: &mut [u16], side: Side<'_, T>, layout: Layout) {
    assert!(side.lines <= STRIP && out.len() == STRIP * side.depth.next_multiple_of(TILE_DEPTH));
    // The last element's place; with it every element is inside.
    let last = (side.lines - 1) * side.line_stride + (side.depth - 1) * side.k_stride;
    assert!(last < side.data.len(), "an operand's piece lies within it");
    for (index, tile) in out.chunks_exact_mut(TILE).enumerate() {
        let (line, k) = (index % 2 * TILE_LINES, index / 2 * TILE_DEPTH);
        #[cfg(target_arch = "x86_64")]
        if kernel != Bf16Kernel::Portable && (side.k_stride == 1 || side.line_stride == 1) {
            // SAFETY: this kernel's existence proves AVX-512 BF16; every element is inside, as checked.
            unsafe { pack_tile(tile, side, line, k, layout) };
            continue;
        }
        let _ = kernel;
        for l in 0..TILE_LINES {
            for d in 0..TILE_DEPTH {
                let inside = line + l < side.lines && k + d < side.depth;
                let value = if inside {
                    side.data[(line + l) * side.line_stride + (k + d) * side.k_stride].round()
                } else {
                    0
                };
                tile[place(layout, l, d)] = value;
            }
        }
    }
}

/// The tile from `line` and `k` on of a source that is contiguous along k or along the lines. One at the edge goes by
/// way of a copy that is filled up with zeros.
///
/// # Safety
/// The processor has AVX-512 BF16; the side's elements lie within its data.
#[cfg(target_arch = "x86_64")]
unsafe fn pack_tile<T: Number>(tile: &mut [u16], side: Side<'_, T>, line: usize, k: usize, layout: Layout) {
    let (lines, depth) = (side.lines.saturating_sub(line), side.depth - k);
    let along_k = side.k_stride == 1;
    let transpose = along_k == (layout == Layout::DepthFirst);
    let (stride, rows, inner) = match along_k {
        true => (side.line_stride, TILE_LINES.min(lines), (TILE_DEPTH, TILE_DEPTH.min(depth))),
        false => (side.k_stride, TILE_DEPTH.min(depth), (TILE_LINES, TILE_LINES.min(lines))),
    };
    let first = line * side.line_stride + k * side.k_stride;
    let mut edge;
    let (source, stride) = if lines >= TILE_LINES && depth >= TILE_DEPTH {
        (side.data.as_ptr().wrapping_add(first), stride)
    } else {
        let (width, count) = inner;
        edge = [T::default(); TILE];
        for (row, to) in edge.chunks_exact_mut(width).take(if count == 0 { 0 } else { rows }).enumerate() {
            to[..count].copy_from_slice(&side.data[first + row * stride..][..count]);
        }
        (edge.as_ptr(), width)
    };
    // SAFETY: the caller's promise; the tile lies within the data, or it is the copy.
    unsafe {
        match along_k {
            true => fast::tile_along_k(tile, source, stride, transpose),
            false => fast::tile_along_lines(tile, source, stride, transpose),
        }
    }
}

/// Where a tile has line `l` at depth `d`.
pub(super) fn place(layout: Layout, l: usize, d: usize) -> usize {
    match layout {
        Layout::LineFirst => l * TILE_DEPTH + d,
        Layout::DepthFirst => d / 2 * (2 * TILE_LINES) + 2 * l + d % 2,
    }
}

/// Whole tiles by AVX-512 BF16.
#[cfg(target_arch = "x86_64")]
mod fast {
    use std::arch::x86_64::*;

    use super::{Number, TILE, TILE_LINES};

    /// A tile whose source is contiguous along k.
    ///
    /// # Safety
    /// 32 numbers can be read at `source` and at each of the fifteen places `stride` further on.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn tile_along_k<T: Number>(
        tile: &mut [u16],
        source: *const T,
        stride: usize,
        transpose: bool,
    ) {
        let mut words = [_mm512_setzero_si512(); TILE_LINES];
        for (l, words) in words.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *words = unsafe { T::line(source.add(l * stride)) };
        }
        write(tile, words, transpose);
    }

    /// A tile whose source is contiguous along the lines.
    ///
    /// # Safety
    /// 16 numbers can be read at `source` and at each of the 31 places `stride` further on.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn tile_along_lines<T: Number>(
        tile: &mut [u16],
        source: *const T,
        stride: usize,
        transpose: bool,
    ) {
        let mut words = [_mm512_setzero_si512(); TILE_LINES];
        for (pair, words) in words.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *words = unsafe {
                let even = source.add(2 * pair * stride);
                T::pairs(even, even.add(stride))
            };
        }
        write(tile, words, transpose);
    }

    /// Sixteen of one, then sixteen of the other, both rounded.
    ///
    /// # Safety
    /// 16 numbers can be read at `first` and `second`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn rounded(first: *const f32, second: *const f32) -> __m512i {
        // SAFETY: the caller's promise; vectors of either kind are 64 bytes without padding or invalid values.
        unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first))) }
    }

    /// Value i of the first sixteen, then of the second, alternating.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn alternated(v: __m512i) -> __m512i {
        const ORDER: [u16; 32] = {
            let mut order = [0; 32];
            let mut i = 0;
            while i < 32 {
                order[i] = (i / 2 + i % 2 * 16) as u16;
                i += 1;
            }
            order
        };
        // SAFETY: the array is one vector long.
        let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
        _mm512_permutexvar_epi16(order, v)
    }

    /// Stores sixteen vectors of sixteen words, transposed or not.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn write(tile: &mut [u16], words: [__m512i; 16], transpose: bool) {
        assert_eq!(tile.len(), TILE);
        let words = if transpose { transposed(words) } else { words };
        for (part, words) in tile.chunks_exact_mut(32).zip(words) {
            // SAFETY: the part is 64 bytes.
            unsafe { _mm512_storeu_si512(part.as_mut_ptr().cast(), words) };
        }
    }

    /// The transpose of 16×16 words, in four rounds that exchange neighbours at distance 1, 2, 4 and 8.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn transposed(r: [__m512i; 16]) -> [__m512i; 16] {
        let mut a = r;
        for i in 0..8 {
            a[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            a[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        // b[4q + j]: in each 128-bit quarter, column 4·quarter + j of rows 4q…4q + 3.
        let mut b = a;
        for q in 0..4 {
            let i = 4 * q;
            b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
            b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
            b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
            b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
        }
        let mut c = r;
        for j in 0..4 {
            // Quarters 0 and 2, then 1 and 3, of the upper and the lower eight rows; then those together.
            let even_top = _mm512_shuffle_i32x4::<0x88>(b[j], b[4 + j]);
            let odd_top = _mm512_shuffle_i32x4::<0xdd>(b[j], b[4 + j]);
            let even_low = _mm512_shuffle_i32x4::<0x88>(b[8 + j], b[12 + j]);
            let odd_low = _mm512_shuffle_i32x4::<0xdd>(b[8 + j], b[12 + j]);
            c[j] = _mm512_shuffle_i32x4::<0x88>(even_top, even_low);
            c[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even_top, even_low);
            c[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd_top, odd_low);
            c[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd_top, odd_low);
        }
        c
    }
}
