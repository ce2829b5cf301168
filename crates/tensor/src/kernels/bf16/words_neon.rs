//! Sixteen words of two bf16 at a time, by NEON with bf16: what packing is written over there.

use std::arch::aarch64::*;
use std::arch::asm;

use super::pack::{TILE, TILE_LINES};

/// Sixteen words.
pub(super) type Words = [uint32x4_t; 4];

/// Eight f32, rounded to bf16, nearest even. The intrinsic is not stable.
///
/// # Safety
/// 8 numbers can be read at `p`.
#[inline]
#[target_feature(enable = "neon,bf16")]
unsafe fn eight(p: *const f32) -> uint16x8_t {
    let out;
    // SAFETY: the caller's promise; the function has the instructions enabled, which touch registers alone.
    unsafe {
        let (low, high) = (vld1q_f32(p), vld1q_f32(p.add(4)));
        asm!("bfcvtn {out:v}.4h, {low:v}.4s", "bfcvtn2 {out:v}.8h, {high:v}.4s", out = out(vreg) out,
            low = in(vreg) low, high = in(vreg) high, options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// 32 numbers, rounded.
///
/// # Safety
/// 32 numbers can be read at `p`.
#[inline]
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn rounded_line(p: *const f32) -> Words {
    let mut words = [vdupq_n_u32(0); 4];
    for (i, words) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *words = vreinterpretq_u32_u16(unsafe { eight(p.add(8 * i)) });
    }
    words
}

/// 32 numbers in bf16.
///
/// # Safety
/// 32 numbers can be read at `p`.
#[inline]
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn line(p: *const u16) -> Words {
    let mut words = [vdupq_n_u32(0); 4];
    for (i, words) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *words = vreinterpretq_u32_u16(unsafe { vld1q_u16(p.add(8 * i)) });
    }
    words
}

/// Sixteen of one and sixteen of the other, rounded, alternating.
///
/// # Safety
/// 16 numbers can be read at `even` and `odd`.
#[inline]
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn rounded_pairs(even: *const f32, odd: *const f32) -> Words {
    // SAFETY: the caller's promise.
    unsafe { alternated([eight(even), eight(even.add(8))], [eight(odd), eight(odd.add(8))]) }
}

/// Sixteen of one and sixteen of the other, in bf16, alternating.
///
/// # Safety
/// 16 numbers can be read at `even` and `odd`.
#[inline]
#[target_feature(enable = "neon,bf16")]
pub(super) unsafe fn pairs(even: *const u16, odd: *const u16) -> Words {
    // SAFETY: the caller's promise.
    unsafe { alternated([vld1q_u16(even), vld1q_u16(even.add(8))], [vld1q_u16(odd), vld1q_u16(odd.add(8))]) }
}

#[inline]
#[target_feature(enable = "neon")]
fn alternated(even: [uint16x8_t; 2], odd: [uint16x8_t; 2]) -> Words {
    let words = [
        vzip1q_u16(even[0], odd[0]),
        vzip2q_u16(even[0], odd[0]),
        vzip1q_u16(even[1], odd[1]),
        vzip2q_u16(even[1], odd[1]),
    ];
    words.map(|words| vreinterpretq_u32_u16(words))
}

/// Stores sixteen times sixteen words, transposed or not.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn write(tile: &mut [u16], words: [Words; TILE_LINES], transpose: bool) {
    assert_eq!(tile.len(), TILE);
    let words = if transpose { transposed(words) } else { words };
    for (part, words) in tile.as_chunks_mut::<8>().0.iter_mut().zip(words.as_flattened()) {
        // SAFETY: the part is 16 bytes.
        unsafe { vst1q_u16(part.as_mut_ptr(), vreinterpretq_u16_u32(*words)) };
    }
}

/// The transpose of 16×16 words, four by four.
#[inline]
#[target_feature(enable = "neon")]
fn transposed(r: [Words; TILE_LINES]) -> [Words; TILE_LINES] {
    let mut out = r;
    for i in 0..4 {
        for j in 0..4 {
            let [a, b, c, d] = [r[4 * i][j], r[4 * i + 1][j], r[4 * i + 2][j], r[4 * i + 3][j]];
            // Columns 0 and 2, 1 and 3 of two rows.
            let even = [vtrn1q_u32(a, b), vtrn1q_u32(c, d)].map(|v| vreinterpretq_u64_u32(v));
            let odd = [vtrn2q_u32(a, b), vtrn2q_u32(c, d)].map(|v| vreinterpretq_u64_u32(v));
            out[4 * j][i] = vreinterpretq_u32_u64(vzip1q_u64(even[0], even[1]));
            out[4 * j + 1][i] = vreinterpretq_u32_u64(vzip1q_u64(odd[0], odd[1]));
            out[4 * j + 2][i] = vreinterpretq_u32_u64(vzip2q_u64(even[0], even[1]));
            out[4 * j + 3][i] = vreinterpretq_u32_u64(vzip2q_u64(odd[0], odd[1]));
        }
    }
    out
}
