//! A block of 32×32 results from two packed strips, four ways: AMX tiles, AVX-512 BF16 dot products,
//! NEON's `bfmmla` (in `neon`), plain Rust.

use super::pack::{Layout, TILE, TILE_DEPTH, TILE_LINES, place};
#[cfg(target_arch = "x86_64")]
use crate::kernels::amx;

/// A thread's tiles.
#[cfg(target_arch = "x86_64")]
pub(super) type Tiles = amx::Configured;
/// There are none.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Tiles = std::convert::Infallible;

/// Lines of a strip: two tiles.
pub(super) const STRIP: usize = 2 * TILE_LINES;

/// A way to multiply packed strips. Values but `Portable` are only obtained from
/// [`kernels_for`](super::kernels_for), so holding one proves that the processor (and for AMX the operating system)
/// lets this process use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Bf16Kernel {
    /// Plain Rust: correct anywhere, fast nowhere.
    Portable,
    /// `vdpbf16ps`: 16 dot products of two at a time. Nearly twice as fast as the f32 product on AMD's Zen 4 (200
    /// against 107 GFLOP/s a thread); slower on the one Intel processor it was tried on, which has AMX.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(Proof),
    /// `tdpbf16ps`: 16×16 dot products of 32.
    #[cfg(target_arch = "x86_64")]
    Amx(Proof),
    /// `bfmmla`: products of 2×4 by 4×2. Its speed beside the f32 product has not been measured on any processor.
    #[cfg(target_arch = "aarch64")]
    NeonBf16(Proof),
}

/// Cannot be made elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof(());

/// Where a block's results go: at most 32×32 of c.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) c: *mut f32,
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Where the next block's results go; any address.
    pub(super) next: *mut f32,
    /// Whether to add to what is there.
    pub(super) accumulate: bool,
}

/// Results of a whole block, for blocks at the edge of c.
#[repr(align(64))]
struct Whole([f32; STRIP * STRIP]);

impl Bf16Kernel {
    /// The name, for logs and benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Bf16Kernel::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Avx512Bf16(_) => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Amx(_) => "amx",
            #[cfg(target_arch = "aarch64")]
            Bf16Kernel::NeonBf16(_) => "neon-bf16",
        }
    }

    /// Whether it is known to be faster than the f32 product, so that it may be chosen unasked.
    pub(super) fn proven(self) -> bool {
        match self {
            Bf16Kernel::Portable => false,
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Avx512Bf16(_) => true,
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Amx(_) => true,
            #[cfg(target_arch = "aarch64")]
            Bf16Kernel::NeonBf16(_) => false,
        }
    }

    /// Whether it is as fast with few rows of a: it takes the rows by themselves, not a tile of them.
    pub(super) fn multiplies_few(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Avx512Bf16(_) => true,
            _ => false,
        }
    }

    /// The k and the lines of a block: multiples of a tile's depth and of a strip's lines. Half a megabyte; AMX,
    /// which needs less of each for as many operations, does better with shorter strips.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Bf16Kernel::Amx(_) => (256, 1024),
            _ => (512, 512),
        }
    }

    /// Readies the thread; the tiles are given back when the result is dropped.
    pub(super) fn start(self) -> Option<Tiles> {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the kernel's existence proves that AMX is allowed; the tiles belong to no one else.
            Bf16Kernel::Amx(_) => Some(unsafe { Tiles::new() }),
            _ => None,
        }
    }

    /// Multiplies two strips of equal depth into a block. The thread has been readied by [`start`](Self::start).
    ///
    /// # Safety
    /// `block.rows` rows of `block.cols` at `block.c` can be read and written by this thread alone.
    pub(super) unsafe fn run(self, block: Block, a: &[u16], b: &[u16]) {
        assert!(a.len() == b.len() && a.len().is_multiple_of(2 * TILE), "two strips of equal depth");
        if block.rows == STRIP && block.cols == STRIP {
            // SAFETY: the caller's promise.
            return unsafe { self.whole(block, a, b) };
        }
        // The fast kernels write whole blocks; one that lacks rows or columns goes by way of a copy.
        let mut copy = Whole([0.0; STRIP * STRIP]);
        let place = Block { c: copy.0.as_mut_ptr(), stride: STRIP, ..block };
        for row in 0..if block.accumulate { block.rows } else { 0 } {
            // SAFETY: the caller's promise; the copy has room for 32 rows of 32.
            unsafe { block.c.add(row * block.stride).copy_to(place.c.add(row * STRIP), block.cols) };
        }
        // SAFETY: the copy is 32 rows of 32 numbers.
        unsafe { self.whole(place, a, b) };
        for row in 0..block.rows {
            // SAFETY: as for the copy in the other direction.
            unsafe { block.c.add(row * block.stride).copy_from(place.c.add(row * STRIP), block.cols) };
        }
    }

    /// A block with all its rows and columns.
    ///
    /// # Safety
    /// As for [`run`](Self::run), with 32 rows of 32.
    unsafe fn whole(self, block: Block, a: &[u16], b: &[u16]) {
        // SAFETY: the caller's promise; the kernel's existence proves the instruction set, and for AMX the tiles are
        // configured.
        unsafe {
            match self {
                Bf16Kernel::Portable => portable(block, a, b),
                #[cfg(target_arch = "x86_64")]
                Bf16Kernel::Avx512Bf16(_) => avx512_bf16(block, a, b),
                #[cfg(target_arch = "x86_64")]
                Bf16Kernel::Amx(_) => amx(block, a, b),
                #[cfg(target_arch = "aarch64")]
                Bf16Kernel::NeonBf16(_) => super::neon::bfmmla(block, a, b),
            }
        }
    }
}

/// The kernels of this machine, the best last.
#[cfg(target_arch = "x86_64")]
pub(super) fn available() -> Vec<Bf16Kernel> {
    let mut found = vec![Bf16Kernel::Portable];
    if is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw") {
        found.push(Bf16Kernel::Avx512Bf16(Proof(())));
        if amx::allowed(amx::BF16) {
            found.push(Bf16Kernel::Amx(Proof(())));
        }
    }
    found
}

/// The kernels of this machine, the best last.
#[cfg(target_arch = "aarch64")]
pub(super) fn available() -> Vec<Bf16Kernel> {
    let mut found = vec![Bf16Kernel::Portable];
    if std::arch::is_aarch64_feature_detected!("bf16") {
        found.push(Bf16Kernel::NeonBf16(Proof(())));
    }
    found
}

/// 2×2 tiles of accumulators over the whole depth. Each step also asks for four rows of the next block: its 64 lines,
/// all in different pages, would otherwise be waited for when it is stored.
///
/// # Safety
/// 32 rows of 32 numbers at `c`; tiles configured.
#[cfg(target_arch = "x86_64")]
unsafe fn amx(block: Block, a: &[u16], b: &[u16]) {
    let steps = a.len() / (2 * TILE);
    // SAFETY: the strips hold `steps` times two tiles of 1024 bytes, and the caller's promise about c.
    unsafe {
        let c = block.c;
        std::arch::asm!(
            "test {accumulate:e}, {accumulate:e}",
            "jz 2f",
            "tileloadd tmm0, [{c} + {stride}]",
            "tileloadd tmm1, [{c} + {stride} + 64]",
            "tileloadd tmm2, [{low} + {stride}]",
            "tileloadd tmm3, [{low} + {stride} + 64]",
            "jmp 3f",
            "2:",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm4, [{a} + {line}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "prefetchw [{next}]",
            "prefetchw [{next} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a} + {line} + 1024]",
            "add {next}, {stride}",
            "prefetchw [{next}]",
            "prefetchw [{next} + 64]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {next}, {stride}",
            "prefetchw [{next}]",
            "prefetchw [{next} + 64]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "add {next}, {stride}",
            "prefetchw [{next}]",
            "prefetchw [{next} + 64]",
            "add {next}, {stride}",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, 2048",
            "add {b}, 2048",
            "dec {steps}",
            "jnz 3b",
            "tilestored [{c} + {stride}], tmm0",
            "tilestored [{c} + {stride} + 64], tmm1",
            "tilestored [{low} + {stride}], tmm2",
            "tilestored [{low} + {stride} + 64], tmm3",
            a = inout(reg) a.as_ptr() => _,
            b = inout(reg) b.as_ptr() => _,
            c = in(reg) c,
            next = inout(reg) block.next => _,
            low = in(reg) c.add(TILE_LINES * block.stride),
            stride = in(reg) block.stride * size_of::<f32>(),
            line = in(reg) 64usize,
            steps = inout(reg) steps => _,
            accumulate = in(reg) u32::from(block.accumulate),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// The rows in three groups, the most that their sums have registers for; those without a row of c are left out.
///
/// # Safety
/// 32 rows of 32 numbers at `c`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512_bf16(block: Block, a: &[u16], b: &[u16]) {
    // SAFETY: the caller's promise; 0 to 31 are its rows.
    unsafe {
        avx512_bf16_rows::<11>(block, a, b, 0);
        if block.rows > 11 {
            avx512_bf16_rows::<11>(block, a, b, 11);
        }
        if block.rows > 22 {
            avx512_bf16_rows::<10>(block, a, b, 22);
        }
    }
}

/// `ROWS` rows by 32 columns of accumulators.
///
/// # Safety
/// As for [`avx512_bf16`]; `first + ROWS` is at most 32.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn avx512_bf16_rows<const ROWS: usize>(block: Block, a: &[u16], b: &[u16], first: usize) {
    use std::arch::x86_64::*;
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    // SAFETY: the caller's promise about c; a tile of a has 16 lines of 16 pairs, one of b 16 pairs of 16 lines, 4
    // bytes a pair, so every load lies within its tile.
    unsafe {
        if block.accumulate {
            for (i, sums) in sums.iter_mut().enumerate() {
                let c = block.c.add((first + i) * block.stride);
                *sums = [_mm512_loadu_ps(c), _mm512_loadu_ps(c.add(16))];
            }
        }
        for i in 0..ROWS {
            let next = block.next.wrapping_add((first + i) * block.stride).cast();
            _mm_prefetch::<_MM_HINT_ET0>(next);
            _mm_prefetch::<_MM_HINT_ET0>(next.wrapping_add(64));
        }
        for (a, b) in a.chunks_exact(2 * TILE).zip(b.chunks_exact(2 * TILE)) {
            let lines = a.as_ptr().add(first * TILE_DEPTH).cast::<i32>();
            for pair in 0..TILE_DEPTH / 2 {
                let at = b.as_ptr().add(pair * 2 * TILE_LINES);
                let left: __m512bh = std::mem::transmute(_mm512_loadu_si512(at.cast()));
                let right: __m512bh = std::mem::transmute(_mm512_loadu_si512(at.add(TILE).cast()));
                for (i, sums) in sums.iter_mut().enumerate() {
                    let line = _mm512_set1_epi32(lines.add(i * TILE_DEPTH / 2 + pair).read_unaligned());
                    let line: __m512bh = std::mem::transmute(line);
                    sums[0] = _mm512_dpbf16_ps(sums[0], line, left);
                    sums[1] = _mm512_dpbf16_ps(sums[1], line, right);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let c = block.c.add((first + i) * block.stride);
            _mm512_storeu_ps(c, sums[0]);
            _mm512_storeu_ps(c.add(16), sums[1]);
        }
    }
}

/// What the tile instructions do, written out.
///
/// # Safety
/// 32 rows of 32 numbers at `c`.
unsafe fn portable(block: Block, a: &[u16], b: &[u16]) {
    let wide = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    for row in 0..STRIP {
        let mut sums = [0f32; STRIP];
        let c = block.c.wrapping_add(row * block.stride).cast::<[f32; STRIP]>();
        if block.accumulate {
            // SAFETY: the caller's promise.
            sums = unsafe { c.read_unaligned() };
        }
        for (a, b) in a.chunks_exact(2 * TILE).zip(b.chunks_exact(2 * TILE)) {
            for d in 0..TILE_DEPTH {
                let left = wide(a[row / TILE_LINES * TILE + place(Layout::LineFirst, row % TILE_LINES, d)]);
                for (col, sum) in sums.iter_mut().enumerate() {
                    let right = b[col / TILE_LINES * TILE + place(Layout::DepthFirst, col % TILE_LINES, d)];
                    *sum += left * wide(right);
                }
            }
        }
        // SAFETY: the caller's promise.
        unsafe { c.write_unaligned(sums) };
    }
}
