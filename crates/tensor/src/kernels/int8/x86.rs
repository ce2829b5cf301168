//! The int8 product by AVX2, AVX-VNNI and AVX-512 VNNI.

use std::arch::x86_64::*;
use std::ops::Range;

use super::dot::Dot;
use super::pack::Panels;
use super::product::product;
use super::quantize::Activations;
use crate::MatMut;
use crate::kernels::avx2::Avx2;
use crate::kernels::avx512::Avx512;

/// # Safety
/// The processor has AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn avx2(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    // SAFETY: the caller's promise.
    product(Maddubs(unsafe { Avx2::assume() }), y, x, w, outputs);
}

/// # Safety
/// The processor has AVX-VNNI, AVX2, FMA and F16C.
#[target_feature(enable = "avxvnni,avx2,fma,f16c")]
pub(super) unsafe fn avx_vnni(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    // SAFETY: the caller's promise.
    product(Vnni256(unsafe { Avx2::assume() }), y, x, w, outputs);
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ, VL and VNNI, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn avx512_vnni(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    // SAFETY: the caller's promise.
    product(Vnni512(unsafe { Avx512::assume() }), y, x, w, outputs);
}

/// AVX2: products of magnitudes with the other side given the signs. |w|·|x| ≤ 127², two of them 32,258, which 16 bits
/// hold; no weight and no activation is −128.
#[derive(Clone, Copy)]
struct Maddubs(Avx2);

// SAFETY (every block below): the token proves the instruction set; loads pass on their caller's promise.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Dot for Maddubs {
    const LANES: usize = 8;
    const ROWS: usize = 2;
    const VECTORS: usize = 4;
    type Float = Avx2;
    type Sums = __m256i;
    /// And their magnitudes.
    type Weights = (__m256i, __m256i);
    type Token = __m256i;

    #[inline(always)]
    fn float(self) -> Avx2 {
        self.0
    }
    #[inline(always)]
    fn begin(self, _: i32, _: i32) -> __m256i {
        unsafe { _mm256_setzero_si256() }
    }
    #[inline(always)]
    unsafe fn weights(self, p: *const i8) -> (__m256i, __m256i) {
        unsafe {
            let weights = _mm256_loadu_si256(p.cast());
            (weights, _mm256_abs_epi8(weights))
        }
    }
    #[inline(always)]
    unsafe fn halves(self, p: *const i8) -> [(__m256i, __m256i); 2] {
        unsafe {
            let bytes = _mm256_loadu_si256(p.cast());
            let (mask, eight) = (_mm256_set1_epi8(15), _mm256_set1_epi8(8));
            let low = _mm256_sub_epi8(_mm256_and_si256(bytes, mask), eight);
            let high = _mm256_sub_epi8(_mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask), eight);
            [(low, _mm256_abs_epi8(low)), (high, _mm256_abs_epi8(high))]
        }
    }
    #[inline(always)]
    unsafe fn token(self, p: *const i8) -> __m256i {
        unsafe { _mm256_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn dot(self, sums: __m256i, (weights, magnitudes): (__m256i, __m256i), token: __m256i) -> __m256i {
        unsafe {
            let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(token, weights));
            _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }
    #[inline(always)]
    fn widen(self, sums: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(sums) }
    }
}

/// AVX-VNNI: one factor has no sign, so weights are 128 more than they are.
#[derive(Clone, Copy)]
struct Vnni256(Avx2);

// SAFETY (every block below): as above.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Dot for Vnni256 {
    const LANES: usize = 8;
    const ROWS: usize = 2;
    const VECTORS: usize = 4;
    type Float = Avx2;
    type Sums = __m256i;
    type Weights = __m256i;
    type Token = __m256i;

    #[inline(always)]
    fn float(self) -> Avx2 {
        self.0
    }
    #[inline(always)]
    fn begin(self, sum: i32, more: i32) -> __m256i {
        unsafe { _mm256_set1_epi32(-more * sum) }
    }
    #[inline(always)]
    unsafe fn weights(self, p: *const i8) -> __m256i {
        unsafe { _mm256_xor_si256(_mm256_loadu_si256(p.cast()), _mm256_set1_epi8(-128)) }
    }
    #[inline(always)]
    unsafe fn halves(self, p: *const i8) -> [__m256i; 2] {
        unsafe {
            let (bytes, mask) = (_mm256_loadu_si256(p.cast()), _mm256_set1_epi8(15));
            [_mm256_and_si256(bytes, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask)]
        }
    }
    #[inline(always)]
    unsafe fn token(self, p: *const i8) -> __m256i {
        unsafe { _mm256_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn dot(self, sums: __m256i, weights: __m256i, token: __m256i) -> __m256i {
        // SAFETY: only `avx_vnni` makes one of these.
        unsafe { _mm256_dpbusd_avx_epi32(sums, weights, token) }
    }
    #[inline(always)]
    fn widen(self, sums: __m256i) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(sums) }
    }
}

/// AVX-512 VNNI, likewise.
#[derive(Clone, Copy)]
struct Vnni512(Avx512);

// SAFETY (every block below): as above.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Dot for Vnni512 {
    const LANES: usize = 16;
    const ROWS: usize = 4;
    const VECTORS: usize = 4;
    type Float = Avx512;
    type Sums = __m512i;
    type Weights = __m512i;
    type Token = __m512i;

    #[inline(always)]
    fn float(self) -> Avx512 {
        self.0
    }
    #[inline(always)]
    fn begin(self, sum: i32, more: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(-more * sum) }
    }
    #[inline(always)]
    unsafe fn weights(self, p: *const i8) -> __m512i {
        unsafe { _mm512_xor_si512(_mm512_loadu_si512(p.cast()), _mm512_set1_epi8(-128)) }
    }
    #[inline(always)]
    unsafe fn halves(self, p: *const i8) -> [__m512i; 2] {
        unsafe {
            let (bytes, mask) = (_mm512_loadu_si512(p.cast()), _mm512_set1_epi8(15));
            [_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask)]
        }
    }
    #[inline(always)]
    unsafe fn token(self, p: *const i8) -> __m512i {
        unsafe { _mm512_set1_epi32(p.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    fn dot(self, sums: __m512i, weights: __m512i, token: __m512i) -> __m512i {
        // SAFETY: only `avx512_vnni` makes one of these.
        unsafe { _mm512_dpbusd_epi32(sums, weights, token) }
    }
    #[inline(always)]
    fn widen(self, sums: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}
