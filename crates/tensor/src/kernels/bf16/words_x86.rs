//! Sixteen words of two bf16 at a time, by AVX-512 BF16: what packing is written over on x86.

use std::arch::x86_64::*;

use super::pack::{TILE, TILE_LINES};

/// Sixteen words.
pub(super) type Words = __m512i;

/// 32 numbers, rounded.
///
/// # Safety
/// 32 numbers can be read at `p`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn rounded_line(p: *const f32) -> Words {
    // SAFETY: the caller's promise.
    unsafe { rounded(p, p.add(16)) }
}

/// 32 numbers in bf16.
///
/// # Safety
/// 32 numbers can be read at `p`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn line(p: *const u16) -> Words {
    // SAFETY: the caller's promise.
    unsafe { _mm512_loadu_si512(p.cast()) }
}

/// Sixteen of one and sixteen of the other, rounded, alternating.
///
/// # Safety
/// 16 numbers can be read at `even` and `odd`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn rounded_pairs(even: *const f32, odd: *const f32) -> Words {
    // SAFETY: the caller's promise.
    unsafe { alternated(rounded(even, odd)) }
}

/// Sixteen of one and sixteen of the other, in bf16, alternating.
///
/// # Safety
/// 16 numbers can be read at `even` and `odd`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn pairs(even: *const u16, odd: *const u16) -> Words {
    // SAFETY: the caller's promise.
    let [even, odd] = unsafe { [even, odd].map(|p| _mm256_loadu_si256(p.cast())) };
    alternated(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(even), odd))
}

/// Sixteen of one, then sixteen of the other, both rounded.
///
/// # Safety
/// 16 numbers can be read at `first` and `second`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn rounded(first: *const f32, second: *const f32) -> __m512i {
    // SAFETY: the caller's promise; vectors of either kind are 64 bytes without padding or invalid values.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(second), _mm512_loadu_ps(first))) }
}

/// Value i of the first sixteen, then of the second, alternating.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn alternated(v: __m512i) -> __m512i {
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
pub(super) fn write(tile: &mut [u16], words: [Words; TILE_LINES], transpose: bool) {
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
