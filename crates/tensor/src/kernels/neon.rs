//! The NEON instance of the vector trait: 8 lanes in two registers, so that sums are taken in the order that AVX2 has.
//!
//! NEON belongs to the target's baseline: the functions need no instruction set enabled.

use std::arch::aarch64::*;
use std::arch::asm;

use super::lines::prefetch;
use super::vector::Simd;

/// Proof that the processor has NEON.
#[derive(Clone, Copy)]
pub(super) struct Neon(());

impl Neon {
    /// # Safety
    /// The processor has NEON.
    #[inline(always)]
    pub(super) unsafe fn assume() -> Neon {
        Neon(())
    }
}

/// Applies an operation to both registers.
macro_rules! both {
    ($operation:ident($($v:expr),*)) => {
        float32x4x2_t($operation($($v.0),*), $operation($($v.1),*))
    };
}

/// Four f16, widened. The intrinsic is younger than the compilers that are supported.
#[inline(always)]
fn widen_f16(bits: uint16x4_t) -> float32x4_t {
    let out;
    // SAFETY: the instruction belongs to the baseline and touches registers alone.
    unsafe {
        asm!("fcvtl {out:v}.4s, {bits:v}.4h", out = lateout(vreg) out, bits = in(vreg) bits,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Four f32 rounded to f16, nearest even, which is how a process finds the processor set.
#[inline(always)]
fn round_to_f16(v: float32x4_t) -> uint16x4_t {
    let out;
    // SAFETY: as above.
    unsafe {
        asm!("fcvtn {out:v}.4h, {v:v}.4s", out = lateout(vreg) out, v = in(vreg) v,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

// SAFETY (every block below): the token proves the instruction set; loads and stores pass on their caller's
// promise about memory.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    const LANES: usize = 8;
    // 24 of the 32 registers hold sums, 6 the rows, 2 the weights.
    const TILE_ROWS: usize = 3;
    type F = float32x4x2_t;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4x2_t {
        let v = unsafe { vdupq_n_f32(x) };
        float32x4x2_t(v, v)
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> float32x4x2_t {
        unsafe { float32x4x2_t(vld1q_f32(p), vld1q_f32(p.add(4))) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, count: usize) -> float32x4x2_t {
        let mut v = [0.0; 8];
        unsafe {
            std::ptr::copy_nonoverlapping(p, v[..count].as_mut_ptr(), count);
            self.load(v.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: float32x4x2_t) {
        unsafe {
            vst1q_f32(p, v.0);
            vst1q_f32(p.add(4), v.1);
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, v: float32x4x2_t, count: usize) {
        let mut all = [0.0; 8];
        unsafe {
            self.store(all.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(all[..count].as_ptr(), p, count);
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u16) -> float32x4x2_t {
        unsafe {
            let bits = vld1q_u16(p);
            let (low, high) = (vshll_n_u16::<16>(vget_low_u16(bits)), vshll_high_n_u16::<16>(bits));
            float32x4x2_t(vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high))
        }
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const u16) -> float32x4x2_t {
        unsafe { float32x4x2_t(widen_f16(vld1_u16(p)), widen_f16(vld1_u16(p.add(4)))) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut u16, v: float32x4x2_t) {
        unsafe { vst1q_u16(p, vcombine_u16(round_to_f16(v.0), round_to_f16(v.1))) }
    }
    #[inline(always)]
    fn prefetch(self, p: *const u8) {
        prefetch(p);
    }
    #[inline(always)]
    fn add(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vaddq_f32(a, b)) }
    }
    #[inline(always)]
    fn sub(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vsubq_f32(a, b)) }
    }
    #[inline(always)]
    fn mul(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vmulq_f32(a, b)) }
    }
    #[inline(always)]
    fn div(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vdivq_f32(a, b)) }
    }
    #[inline(always)]
    fn reciprocal(self, a: float32x4x2_t) -> float32x4x2_t {
        self.div(self.splat(1.0), a)
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4x2_t, b: float32x4x2_t, c: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vfmaq_f32(c, a, b)) }
    }
    #[inline(always)]
    fn max(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        // `fmax` gives a NaN where either is one.
        self.select_less(b, a, a, b)
    }
    #[inline(always)]
    fn min(self, a: float32x4x2_t, b: float32x4x2_t) -> float32x4x2_t {
        self.select_less(a, b, a, b)
    }
    #[inline(always)]
    fn abs(self, a: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vabsq_f32(a)) }
    }
    #[inline(always)]
    fn round(self, a: float32x4x2_t) -> float32x4x2_t {
        unsafe { both!(vrndnq_f32(a)) }
    }
    #[inline(always)]
    fn scale_by_power(self, a: float32x4x2_t, n: float32x4x2_t) -> float32x4x2_t {
        // A NaN converts to 0.
        let scale = |a, n| unsafe {
            let n = vshlq_n_s32::<23>(vcvtnq_s32_f32(n));
            vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), n))
        };
        float32x4x2_t(scale(a.0, n.0), scale(a.1, n.1))
    }
    #[inline(always)]
    fn select_less(
        self,
        a: float32x4x2_t,
        b: float32x4x2_t,
        yes: float32x4x2_t,
        no: float32x4x2_t,
    ) -> float32x4x2_t {
        let select = |a, b, yes, no| unsafe { vbslq_f32(vcltq_f32(a, b), yes, no) };
        float32x4x2_t(select(a.0, b.0, yes.0, no.0), select(a.1, b.1, yes.1, no.1))
    }
    #[inline(always)]
    fn any_equal(self, a: float32x4x2_t, b: float32x4x2_t) -> bool {
        unsafe { vmaxvq_u32(vorrq_u32(vceqq_f32(a.0, b.0), vceqq_f32(a.1, b.1))) != 0 }
    }
    #[inline(always)]
    fn sum(self, v: float32x4x2_t) -> f32 {
        unsafe {
            let four = vaddq_f32(v.0, v.1);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }
    #[inline(always)]
    fn sum4(self, v: [float32x4x2_t; 4]) -> [f32; 4] {
        unsafe {
            let four = |v: float32x4x2_t| vreinterpretq_f64_f32(vaddq_f32(v.0, v.1));
            // Lanes 0 and 2, 1 and 3 of two vectors; then what is left of all four.
            let two = |a, b| {
                let (low, high) = (vzip1q_f64(a, b), vzip2q_f64(a, b));
                vaddq_f32(vreinterpretq_f32_f64(low), vreinterpretq_f32_f64(high))
            };
            let all = vpaddq_f32(two(four(v[0]), four(v[1])), two(four(v[2]), four(v[3])));
            let mut out = [0.0; 4];
            vst1q_f32(out.as_mut_ptr(), all);
            out
        }
    }
    #[inline(always)]
    fn largest(self, v: float32x4x2_t) -> f32 {
        unsafe { vmaxvq_f32(vmaxq_f32(v.0, v.1)) }
    }
}
