//! A block by `bfmmla`, which NEON has beside bf16: two rows by two columns, four products to each sum.

use std::arch::aarch64::*;
use std::arch::asm;

use super::micro::{Block, STRIP};
use super::pack::{TILE, TILE_DEPTH, TILE_LINES};
use crate::kernels::lines::{LINE, prefetch};

/// Rows, and columns, whose sums are in registers at a time: sixteen registers of them.
const PART: usize = 8;

/// The block in parts; those without a row or a column of c are left out.
///
/// # Safety
/// The processor has `bf16`; 32 rows of 32 numbers at `c`.
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn bfmmla(block: Block, a: &[u16], b: &[u16]) {
    for row in (0..block.rows.min(STRIP)).step_by(PART) {
        for line in row..row + PART {
            let next = block.next.wrapping_add(line * block.stride).cast::<u8>();
            prefetch(next);
            prefetch(next.wrapping_add(LINE));
        }
        for col in (0..block.cols.min(STRIP)).step_by(PART) {
            // SAFETY: the caller's promise; the part lies within the block, whose sides are multiples of a part's.
            unsafe { part(block, a, b, row, col) };
        }
    }
}

/// [`PART`] rows by as many columns.
///
/// # Safety
/// As for [`bfmmla`]; `row` and `col` are multiples of [`PART`] below 32.
#[inline]
#[target_feature(enable = "neon,bf16")]
unsafe fn part(block: Block, a: &[u16], b: &[u16], row: usize, col: usize) {
    const PAIRS: usize = PART / 2;
    let c = block.c.wrapping_add(row * block.stride + col);
    // [pair of rows][pair of columns]: the first row's two, then the second's.
    let mut sums = [[vdupq_n_f32(0.0); PAIRS]; PAIRS];
    // SAFETY: the caller's promise about c; the lines and columns of the part lie in one tile each, whose loads stay within
    // it: a tile of a has 16 lines of 32 numbers, one of b 16 pairs of 16 lines.
    unsafe {
        if block.accumulate {
            for (i, sums) in sums.iter_mut().enumerate() {
                let rows = [c.add(2 * i * block.stride), c.add((2 * i + 1) * block.stride)];
                for (j, sums) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    *sums = interleaved(rows.map(|row| vld1q_f32(row.add(4 * j))));
                }
            }
        }
        let of_a = row / TILE_LINES * TILE + row % TILE_LINES * TILE_DEPTH;
        let of_b = col / TILE_LINES * TILE + col % TILE_LINES * 2;
        for (a, b) in a.chunks_exact(2 * TILE).zip(b.chunks_exact(2 * TILE)) {
            let (a, b) = (a.as_ptr().add(of_a), b.as_ptr().add(of_b));
            for depth in (0..TILE_DEPTH).step_by(8) {
                // Four of k in the first half, four in the second.
                let mut rows = [[vdupq_n_f32(0.0); 2]; PAIRS];
                for (i, rows) in rows.iter_mut().enumerate() {
                    let at = a.add(2 * i * TILE_DEPTH + depth).cast::<f32>();
                    *rows = interleaved([vld1q_f32(at), vld1q_f32(at.add(TILE_DEPTH / 2))]);
                }
                for half in 0..2 {
                    let mut columns = [vdupq_n_f32(0.0); PAIRS];
                    for (j, columns) in columns.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                        // Two pairs of k of four lines: of each line both pairs.
                        let at = b.add((depth / 2 + 2 * half) * 2 * TILE_LINES + 8 * j).cast::<f32>();
                        let (one, other) = (vld1q_f32(at), vld1q_f32(at.add(TILE_LINES)));
                        *columns = [vzip1q_f32(one, other), vzip2q_f32(one, other)];
                    }
                    for (rows, sums) in rows.iter().zip(&mut sums) {
                        for (columns, sum) in columns.iter().zip(sums) {
                            *sum = products(*sum, rows[half], *columns);
                        }
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let rows = [c.add(2 * i * block.stride), c.add((2 * i + 1) * block.stride)];
            for (j, &sums) in sums.as_chunks::<2>().0.iter().enumerate() {
                let [first, second] = interleaved(sums);
                vst1q_f32(rows[0].add(4 * j), first);
                vst1q_f32(rows[1].add(4 * j), second);
            }
        }
    }
}

/// The first halves of two registers, then the second ones.
#[inline]
#[target_feature(enable = "neon")]
fn interleaved(v: [float32x4_t; 2]) -> [float32x4_t; 2] {
    let [a, b] = v.map(|v| vreinterpretq_f64_f32(v));
    [vreinterpretq_f32_f64(vzip1q_f64(a, b)), vreinterpretq_f32_f64(vzip2q_f64(a, b))]
}

/// Adds to two rows by two columns of sums four products each; the numbers in bf16. The intrinsic is not stable.
#[inline]
#[target_feature(enable = "neon,bf16")]
fn products(mut sums: float32x4_t, rows: float32x4_t, columns: float32x4_t) -> float32x4_t {
    // SAFETY: the function has the instruction enabled, which touches registers alone.
    unsafe {
        asm!("bfmmla {sums:v}.4s, {rows:v}.8h, {columns:v}.8h", sums = inlateout(vreg) sums, rows = in(vreg) rows,
            columns = in(vreg) columns, options(pure, nomem, nostack, preserves_flags));
    }
    sums
}
