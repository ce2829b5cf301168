//! The little vector language the kernels are written in, and its portable instance.
//!
//! A [`Simd`] value is a token: whoever holds one runs on a processor that has the instruction set, so its
//! arithmetic is safe to call. Algorithms are generic over it and `#[inline(always)]`; [`dispatch!`] makes one
//! instance of an algorithm per instruction set, compiled with that set enabled, and picks at run time.

/// Vectors of [`LANES`](Simd::LANES) f32, and what the kernels do with them.
pub(super) trait Simd: Copy {
    /// Numbers in a vector.
    const LANES: usize;
    /// Rows of a product's register tile with four columns (up to 6): so many times four accumulators fit.
    const TILE_ROWS: usize;
    /// `LANES` f32.
    type F: Copy;

    /// `x` in every lane.
    fn splat(self, x: f32) -> Self::F;

    /// # Safety
    /// `LANES` numbers can be read at `p`.
    unsafe fn load(self, p: *const f32) -> Self::F;
    /// The first `count` (at most `LANES`) lanes from memory, 0 in the others.
    ///
    /// # Safety
    /// `count` numbers can be read at `p`.
    unsafe fn load_part(self, p: *const f32, count: usize) -> Self::F;
    /// # Safety
    /// `LANES` numbers can be written at `p`.
    unsafe fn store(self, p: *mut f32, v: Self::F);
    /// Writes the first `count` (at most `LANES`) lanes.
    ///
    /// # Safety
    /// `count` numbers can be written at `p`.
    unsafe fn store_part(self, p: *mut f32, v: Self::F, count: usize);

    /// bf16 bits, widened.
    ///
    /// # Safety
    /// `LANES` numbers can be read at `p`.
    unsafe fn load_bf16(self, p: *const u16) -> Self::F;
    /// `sum + x₀·w₀ + x₁·w₁` in each lane, x and w vectors of pairs in bf16.
    ///
    /// # Panics
    /// Where there is no instruction for it.
    fn add_pairs(self, _x: Self::F, _w: Self::F, _sum: Self::F) -> Self::F {
        unreachable!("no instruction multiplies pairs of bf16 here")
    }
    /// f16 bits, widened.
    ///
    /// # Safety
    /// `LANES` numbers can be read at `p`.
    unsafe fn load_f16(self, p: *const u16) -> Self::F;
    /// Rounds to f16 bits, nearest even.
    ///
    /// # Safety
    /// `LANES` numbers can be written at `p`.
    unsafe fn store_f16(self, p: *mut u16, v: Self::F);

    /// [`prefetch`](super::lines::prefetch), where the instruction set is known.
    fn prefetch(self, p: *const u8);

    /// a + b
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// a − b
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// a / b
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// 1 / a within a unit in the last place or two, for |a| in 2⁻¹²⁶…2¹²⁶; NaN for NaN.
    fn reciprocal(self, a: Self::F) -> Self::F;
    /// a · b + c, with one rounding where the instruction set has it
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger; `b` where either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller; `b` where either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// |a|
    fn abs(self, a: Self::F) -> Self::F;
    /// The nearest integer.
    fn round(self, a: Self::F) -> Self::F;
    /// a · 2^n by adding to the exponent: a and the result must be normal numbers; n integral, |n| < 256.
    /// Where n is NaN or not so, the result is a NaN if a is one and unspecified otherwise.
    fn scale_by_power(self, a: Self::F, n: Self::F) -> Self::F;
    /// `yes` where a < b, `no` elsewhere (and where either is NaN).
    fn select_less(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// Whether any lane of `a` equals `b`'s.
    fn any_equal(self, a: Self::F, b: Self::F) -> bool;

    /// The sum of the lanes: lane i and i + LANES/2, then halves again, down to one.
    fn sum(self, v: Self::F) -> f32;
    /// The four sums at once, each bit for bit what [`sum`](Simd::sum) gives.
    fn sum4(self, v: [Self::F; 4]) -> [f32; 4];
    /// The largest lane; no lane may be NaN.
    fn largest(self, v: Self::F) -> f32;

    /// The vector at the start of `x`.
    #[inline(always)]
    fn get(self, x: &[f32]) -> Self::F {
        assert!(x.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.load(x.as_ptr()) }
    }
    /// The whole of `x`, which is shorter than a vector, then zeros.
    #[inline(always)]
    fn get_part(self, x: &[f32]) -> Self::F {
        assert!(x.len() <= Self::LANES);
        // SAFETY: exactly the slice is read.
        unsafe { self.load_part(x.as_ptr(), x.len()) }
    }
    /// Writes a vector to the start of `y`.
    #[inline(always)]
    fn put(self, y: &mut [f32], v: Self::F) {
        assert!(y.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.store(y.as_mut_ptr(), v) }
    }
    /// Fills `y`, which is shorter than a vector, with the first lanes.
    #[inline(always)]
    fn put_part(self, y: &mut [f32], v: Self::F) {
        assert!(y.len() <= Self::LANES);
        // SAFETY: exactly the slice is written.
        unsafe { self.store_part(y.as_mut_ptr(), v, y.len()) }
    }
    /// The next vector of `x`: all lanes, or what is left and zeros.
    #[inline(always)]
    fn next(self, x: &[f32]) -> Self::F {
        if x.len() >= Self::LANES { self.get(x) } else { self.get_part(x) }
    }
    /// Writes a vector, or as much of it as fits, to the start of `y`.
    #[inline(always)]
    fn put_next(self, y: &mut [f32], v: Self::F) {
        if y.len() >= Self::LANES { self.put(y, v) } else { self.put_part(y, v) }
    }
}

/// The target's baseline: arrays of eight, which the compiler turns into whatever vectors there are.
#[derive(Clone, Copy)]
pub(super) struct Portable;

/// Lanes of the portable instance.
const WIDTH: usize = 8;

/// Applies a scalar function lane by lane.
macro_rules! lanes {
    ($a:ident, $b:ident => $value:expr) => {{
        let mut out = $a;
        for i in 0..WIDTH {
            let ($a, $b) = ($a[i], $b[i]);
            out[i] = $value;
        }
        out
    }};
}

/// f16 bits to f32 without a branch: the exponent is moved by a multiplication, which also normalises subnormals.
#[inline(always)]
pub(super) fn widen_f16(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let magnitude = (bits & 0x7fff) << 13;
    let value = (f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23)).to_bits();
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits((bits & 0x8000) << 16 | value | special)
}

impl Simd for Portable {
    const LANES: usize = WIDTH;
    // Eight lanes are two registers on every baseline there is; SSE2 has sixteen of them, NEON 32.
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 3 } else { 1 };
    type F = [f32; WIDTH];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; WIDTH]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::F {
        // SAFETY: the caller's promise; arrays of f32 may be read unaligned.
        unsafe { p.cast::<Self::F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, count: usize) -> Self::F {
        let mut v = [0.0; WIDTH];
        // SAFETY: the caller's promise; `count` is at most WIDTH, which the slice checks.
        unsafe { std::ptr::copy_nonoverlapping(p, v[..count].as_mut_ptr(), count) };
        v
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::F) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<Self::F>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, v: Self::F, count: usize) {
        // SAFETY: the caller's promise; `count` is at most WIDTH, which the slice checks.
        unsafe { std::ptr::copy_nonoverlapping(v[..count].as_ptr(), p, count) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, p: *const u16) -> Self::F {
        // SAFETY: the caller's promise.
        let bits = unsafe { p.cast::<[u16; WIDTH]>().read_unaligned() };
        bits.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }
    #[inline(always)]
    unsafe fn load_f16(self, p: *const u16) -> Self::F {
        // SAFETY: the caller's promise.
        let bits = unsafe { p.cast::<[u16; WIDTH]>().read_unaligned() };
        bits.map(widen_f16)
    }
    #[inline(always)]
    unsafe fn store_f16(self, p: *mut u16, v: Self::F) {
        let bits = v.map(|v| half::f16::from_f32_const(v).to_bits());
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u16; WIDTH]>().write_unaligned(bits) }
    }
    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => a / b)
    }
    #[inline(always)]
    fn reciprocal(self, a: Self::F) -> Self::F {
        a.map(|a| 1.0 / a)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            let mut out = a;
            for i in 0..WIDTH {
                out[i] = a[i].mul_add(b[i], c[i]);
            }
            out
        } else {
            // Without the instruction `mul_add` would be a call into the mathematical library.
            self.add(self.mul(a, b), c)
        }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(a, b => if a < b { a } else { b })
    }
    #[inline(always)]
    fn abs(self, a: Self::F) -> Self::F {
        a.map(f32::abs)
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::F {
        // Adding 1.5·2²³ leaves no room for a fraction; good for |a| < 2²², which is all the kernels need,
        // and it vectorises on a baseline without a rounding instruction.
        a.map(|a| (a + 12_582_912.0) - 12_582_912.0)
    }
    #[inline(always)]
    fn scale_by_power(self, a: Self::F, n: Self::F) -> Self::F {
        lanes!(a, n => {
            // The integer is in the low bits of n + 1.5·2²³: cheaper than a saturating conversion.
            let n = (n + 12_582_912.0).to_bits();
            if a.is_nan() { a } else { f32::from_bits(a.to_bits().wrapping_add(n << 23)) }
        })
    }
    #[inline(always)]
    fn select_less(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F {
        let mut out = no;
        for i in 0..WIDTH {
            out[i] = if a[i] < b[i] { yes[i] } else { no[i] };
        }
        out
    }
    #[inline(always)]
    fn any_equal(self, a: Self::F, b: Self::F) -> bool {
        let mut any = false;
        for i in 0..WIDTH {
            any |= a[i] == b[i];
        }
        any
    }
    #[inline(always)]
    fn sum(self, v: Self::F) -> f32 {
        let four = [v[0] + v[4], v[1] + v[5], v[2] + v[6], v[3] + v[7]];
        (four[0] + four[2]) + (four[1] + four[3])
    }
    #[inline(always)]
    fn sum4(self, v: [Self::F; 4]) -> [f32; 4] {
        v.map(|v| self.sum(v))
    }
    #[inline(always)]
    fn largest(self, v: Self::F) -> f32 {
        v.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
    }
}

/// Runs a generic algorithm `fn name<S: Simd>(token: S, …)` with the instruction set `$isa`.
///
/// The arguments are variables, named with their types because the instances are functions of their own.
macro_rules! dispatch {
    ($isa:expr, $algorithm:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        #[allow(clippy::too_many_arguments)]
        fn avx2(token: $crate::kernels::avx2::Avx2, $($arg: $type),*) $(-> $result)? {
            $algorithm(token, $($arg),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
        #[allow(clippy::too_many_arguments)]
        fn avx512(token: $crate::kernels::avx512::Avx512, $($arg: $type),*) $(-> $result)? {
            $algorithm(token, $($arg),*)
        }
        match $crate::kernels::isa::Isa::kind($isa) {
            $crate::kernels::isa::Kind::Portable => $algorithm($crate::kernels::vector::Portable, $($arg),*),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: an `Isa` is only handed out for what the processor has. No function of its own: the baseline has it.
            $crate::kernels::isa::Kind::Neon => {
                $algorithm(unsafe { $crate::kernels::neon::Neon::assume() }, $($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an `Isa` is only handed out for what the processor has.
            $crate::kernels::isa::Kind::Avx2 => unsafe { avx2($crate::kernels::avx2::Avx2::assume(), $($arg),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::kernels::isa::Kind::Avx512 => unsafe {
                avx512($crate::kernels::avx512::Avx512::assume(), $($arg),*)
            },
        }
    }};
}
pub(super) use dispatch;
