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
#[cfg(target_arch = "aarch64")]
use super::words_neon as words;
#[cfg(target_arch = "x86_64")]
use super::words_x86 as words;
use crate::MatRef;
use crate::kernels::convert::round_to_bf16;
use crate::kernels::lines::{LINE, prefetch};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use words::Words;

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
    /// The processor has a fast kernel's instructions; 32 can be read at `p`.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    unsafe fn line(p: *const Self) -> Words;

    /// Sixteen of each, rounded: the first of one, the first of the other, and so on.
    ///
    /// # Safety
    /// The processor has a fast kernel's instructions; 16 can be read at `even` and `odd`.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    unsafe fn pairs(even: *const Self, odd: *const Self) -> Words;
}

impl Number for f32 {
    fn round(self) -> u16 {
        round_to_bf16(self)
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
    unsafe fn line(p: *const f32) -> Words {
        // SAFETY: the caller's promise.
        unsafe { words::rounded_line(p) }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
    unsafe fn pairs(even: *const f32, odd: *const f32) -> Words {
        // SAFETY: the caller's promise.
        unsafe { words::rounded_pairs(even, odd) }
    }
}

impl Number for u16 {
    fn round(self) -> u16 {
        self
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
    unsafe fn line(p: *const u16) -> Words {
        // SAFETY: the caller's promise.
        unsafe { words::line(p) }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
    unsafe fn pairs(even: *const u16, odd: *const u16) -> Words {
        // SAFETY: the caller's promise.
        unsafe { words::pairs(even, odd) }
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
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if kernel != Bf16Kernel::Portable && (side.k_stride == 1 || side.line_stride == 1) {
            // SAFETY: this kernel's existence proves its instructions; every element is inside, as checked.
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
/// The processor has a fast kernel's instructions; the side's elements lie within its data.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
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
            true => tile_along_k(tile, source, stride, transpose),
            false => tile_along_lines(tile, source, stride, transpose),
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

/// A tile whose source is contiguous along k.
///
/// # Safety
/// 32 numbers can be read at `source` and at each of the fifteen places `stride` further on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
unsafe fn tile_along_k<T: Number>(tile: &mut [u16], source: *const T, stride: usize, transpose: bool) {
    // SAFETY: the caller's promise.
    let mut all = [unsafe { T::line(source) }; TILE_LINES];
    for (l, words) in all.iter_mut().enumerate().skip(1) {
        // SAFETY: the caller's promise.
        *words = unsafe { T::line(source.add(l * stride)) };
    }
    words::write(tile, all, transpose);
}

/// A tile whose source is contiguous along the lines.
///
/// # Safety
/// 16 numbers can be read at `source` and at each of the 31 places `stride` further on.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
#[cfg_attr(target_arch = "aarch64", target_feature(enable = "neon,bf16"))]
unsafe fn tile_along_lines<T: Number>(tile: &mut [u16], source: *const T, stride: usize, transpose: bool) {
    // SAFETY: the caller's promise.
    let mut all = [unsafe { T::pairs(source, source.add(stride)) }; TILE_LINES];
    for (pair, words) in all.iter_mut().enumerate().skip(1) {
        // SAFETY: the caller's promise.
        *words = unsafe {
            let even = source.add(2 * pair * stride);
            T::pairs(even, even.add(stride))
        };
    }
    words::write(tile, all, transpose);
}
