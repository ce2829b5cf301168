//! The int8 product by NEON: `sdot` where the processor has it, else products of 16 bits.
//!
//! `smmla` is left out: a register of its sums is two rows by two outputs, and the loops keep a row's sums by themselves. The
//! panels would do (two words of four columns, interleaved, are two outputs by eight), but it takes loops of its own.

use std::arch::aarch64::*;
use std::arch::asm;
use std::ops::Range;

use super::dot::Dot;
use super::pack::Panels;
use super::product::product;
use super::quantize::Activations;
use crate::MatMut;
use crate::kernels::neon::Neon;

/// # Safety
/// The processor has NEON.
pub(super) unsafe fn neon(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    // SAFETY: the caller's promise.
    product(By(unsafe { Neon::assume() }, Smull), y, x, w, outputs);
}

/// # Safety
/// The processor has NEON and the dot products (`dotprod`).
#[target_feature(enable = "neon,dotprod")]
pub(super) unsafe fn neon_dotprod(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    // SAFETY: the caller's promise.
    product(By(unsafe { Neon::assume() }, Sdot), y, x, w, outputs);
}

/// How sixteen products are added to four sums, four to each.
trait Four: Copy {
    /// Rows of activations in a tile.
    const ROWS: usize;

    /// # Safety
    /// The processor has the instruction.
    unsafe fn add(sums: int32x4_t, weights: int8x16_t, token: int8x16_t) -> int32x4_t;
}

/// Any NEON: products in 16 bits, added in twos, which 16 bits hold (|w|·|x| ≤ 127², no number is −128), then in fours.
#[derive(Clone, Copy)]
struct Smull;

impl Four for Smull {
    const ROWS: usize = 2;

    #[inline(always)]
    unsafe fn add(sums: int32x4_t, weights: int8x16_t, token: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe {
            let low = vmull_s8(vget_low_s8(weights), vget_low_s8(token));
            vpadalq_s16(sums, vpaddq_s16(low, vmull_high_s8(weights, token)))
        }
    }
}

/// `sdot`: both factors have signs.
#[derive(Clone, Copy)]
struct Sdot;

impl Four for Sdot {
    // 24 of the 32 registers hold sums, 3 the rows, 2 the weights.
    const ROWS: usize = 3;

    #[inline(always)]
    unsafe fn add(sums: int32x4_t, weights: int8x16_t, token: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { sdot(sums, weights, token) }
    }
}

/// Sixteen products added to four sums. The intrinsic is not stable.
///
/// # Safety
/// The processor has `dotprod`.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller's promise; the instruction touches registers alone.
    unsafe {
        asm!("sdot {sums:v}.4s, {a:v}.16b, {b:v}.16b", sums = inlateout(vreg) sums, a = in(vreg) a,
            b = in(vreg) b, options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

/// Products by one of these, which only the functions above make.
#[derive(Clone, Copy)]
struct By<I>(Neon, I);

// SAFETY (every block below): the token proves NEON, and who made the value the instruction; loads pass on their caller's
// promise.
#[allow(clippy::undocumented_unsafe_blocks)]
impl<I: Four> Dot for By<I> {
    const LANES: usize = 8;
    const ROWS: usize = I::ROWS;
    const VECTORS: usize = 4;
    type Float = Neon;
    type Sums = int32x4x2_t;
    type Weights = int8x16x2_t;
    type Token = int8x16_t;

    #[inline(always)]
    fn float(self) -> Neon {
        self.0
    }
    #[inline(always)]
    fn begin(self, _: i32, _: i32) -> int32x4x2_t {
        unsafe { int32x4x2_t(vdupq_n_s32(0), vdupq_n_s32(0)) }
    }
    #[inline(always)]
    unsafe fn weights(self, p: *const i8) -> int8x16x2_t {
        unsafe { int8x16x2_t(vld1q_s8(p), vld1q_s8(p.add(16))) }
    }
    #[inline(always)]
    unsafe fn halves(self, p: *const i8) -> [int8x16x2_t; 2] {
        unsafe {
            let bytes = [vld1q_u8(p.cast()), vld1q_u8(p.add(16).cast())];
            let low =
                bytes.map(|v| vsubq_s8(vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15))), vdupq_n_s8(8)));
            let high = bytes.map(|v| vsubq_s8(vreinterpretq_s8_u8(vshrq_n_u8::<4>(v)), vdupq_n_s8(8)));
            [int8x16x2_t(low[0], low[1]), int8x16x2_t(high[0], high[1])]
        }
    }
    #[inline(always)]
    unsafe fn token(self, p: *const i8) -> int8x16_t {
        unsafe { vreinterpretq_s8_s32(vdupq_n_s32(p.cast::<i32>().read_unaligned())) }
    }
    #[inline(always)]
    fn dot(self, sums: int32x4x2_t, weights: int8x16x2_t, token: int8x16_t) -> int32x4x2_t {
        unsafe { int32x4x2_t(I::add(sums.0, weights.0, token), I::add(sums.1, weights.1, token)) }
    }
    #[inline(always)]
    fn widen(self, sums: int32x4x2_t) -> float32x4x2_t {
        unsafe { float32x4x2_t(vcvtq_f32_s32(sums.0), vcvtq_f32_s32(sums.1)) }
    }
}
