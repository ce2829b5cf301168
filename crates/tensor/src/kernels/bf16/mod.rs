//! Matrix products in bf16 with f32 accumulation: training in [`Precision::Bf16`](crate::Precision), and passes over whole sequences
//! with weights that are stored so.
//!
//! Operands in f32 are rounded to bf16 (nearest even) while they are packed into tiles of 1 KiB ([`pack`]); a block
//! of 32×32 results is then computed by one of four kernels ([`micro`]) from the same tiles: AMX, AVX-512 BF16, NEON's
//! `bfmmla`, and plain Rust, which any machine can run and the others are tested against.
//!
//! Blocks: so much of k and of the shorter of m and n at a time ([`Bf16Kernel::block`]), so that this operand's packed
//! part stays in the second-level cache while strips of 32 lines of the other, packed as they are needed, pass through
//! the first-level one. A layer's weights pass by few tokens, and many tokens by the weights.

mod micro;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod strips;
#[cfg(target_arch = "aarch64")]
mod words_neon;
#[cfg(target_arch = "x86_64")]
mod words_x86;

use std::cell::RefCell;
use std::sync::OnceLock;

pub use micro::Bf16Kernel;
pub use strips::{KeyStrips, strips_kernel};

use super::isa::{Isa, IsaError, Kind, environment, isa};
use super::lines::Lines;
use crate::{MatMut, MatRef};
use micro::{Block, STRIP};
use pack::{Layout, Number, Side, pack_strip};

/// Packed operands, kept by each thread: fresh memory for every call would be a page fault every 4 KiB.
struct Scratch {
    held: Lines<u16>,
    passing: Lines<u16>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { held: Lines::new(0), passing: Lines::new(0) });
}

/// The environment variable that forces a bf16 kernel: `portable`, `avx512-bf16`, `amx` or `neon-bf16`.
pub const BF16_VARIABLE: &str = "T5KIT_BF16";

/// Whether [`gemm_bf16`] is fast here: by AMX or AVX-512 BF16. A `T5KIT_ISA` below `avx512` forbids it.
pub fn bf16_products() -> bool {
    best_kernel() != Bf16Kernel::Portable
}

/// The kernel that [`gemm_bf16`] uses, chosen once.
///
/// # Panics
/// When `T5KIT_BF16` is impossible and the program did not ask [`init`](super::init) first.
pub fn best_kernel() -> Bf16Kernel {
    static BEST: OnceLock<Bf16Kernel> = OnceLock::new();
    *BEST.get_or_init(|| from_environment(isa()).unwrap_or_else(|error| panic!("{error}")))
}

/// The kernel that `T5KIT_BF16` names, else the best that has proved faster than f32.
pub(super) fn from_environment(isa: Isa) -> Result<Bf16Kernel, IsaError> {
    choose(isa, environment(BF16_VARIABLE).as_deref())
}

fn choose(isa: Isa, wanted: Option<&str>) -> Result<Bf16Kernel, IsaError> {
    let found = kernels_for(isa);
    match wanted {
        None => Ok(found.into_iter().rev().find(|kernel| kernel.proven()).unwrap_or(Bf16Kernel::Portable)),
        Some(name) => found.iter().copied().find(|kernel| kernel.name() == name).ok_or_else(|| IsaError {
            variable: BF16_VARIABLE,
            wanted: name.escape_debug().to_string(),
            available: found.iter().map(|kernel| kernel.name()).collect(),
        }),
    }
}

/// The kernels that may run when `isa` is the instruction set, the best last.
pub fn kernels_for(isa: Isa) -> Vec<Bf16Kernel> {
    match isa.kind() {
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => micro::available(),
        #[cfg(target_arch = "aarch64")]
        Kind::Neon => micro::available(),
        _ => vec![Bf16Kernel::Portable],
    }
}

/// `c = a·b`, or `c += a·b` with `accumulate`, in bf16 with f32 accumulation; one thread. `a`: [m, k],
/// `b`: [k, n], `c`: [m, n], the inputs with any strides; b is f32 or the bits of bf16.
///
/// The inputs are rounded to bf16, products and sums are not. Subnormal inputs count as zero with every kernel but the
/// portable one. An element's value depends on its row of a, its column of b and k alone, not on m, n or how the work is
/// split. A thread keeps half a megabyte of scratch. Both operands are packed by every call: split the longer
/// side of c over threads.
pub fn gemm_bf16<B: Number>(c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_, B>, accumulate: bool) {
    gemm_bf16_with(best_kernel(), c, a, b, accumulate);
}

/// [`gemm_bf16`] by a kernel of [`kernels_for`], for tests and comparisons.
pub fn gemm_bf16_with<B: Number>(
    kernel: Bf16Kernel,
    mut c: MatMut<'_>,
    a: MatRef<'_>,
    b: MatRef<'_, B>,
    accumulate: bool,
) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    assert!(
        a.rows == m && b.rows == k && b.cols == n,
        "[{m}, {n}] = [{}, {k}]·[{}, {}]",
        a.rows,
        b.rows,
        b.cols
    );
    if k == 0 && !accumulate {
        (0..m).for_each(|row| c.row_mut(row).fill(0.0));
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    // The shorter side is held, and the longer one packed only once.
    if m < n {
        Product { kernel, held: a, passing: b.t(), a_held: true }.run(&mut c, accumulate);
    } else {
        Product { kernel, held: b.t(), passing: a, a_held: false }.run(&mut c, accumulate);
    }
}

/// The two operands, each as its lines (rows of a, columns of b) by k.
struct Product<'a, H, P> {
    kernel: Bf16Kernel,
    /// The one whose packed lines stay in the second-level cache, a block at a time.
    held: MatRef<'a, H>,
    /// The one whose lines pass by them, strip by strip.
    passing: MatRef<'a, P>,
    /// Which is which.
    a_held: bool,
}

/// The lines and the stretch of k that one packing of what is held covers.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    lines: usize,
    k0: usize,
    depth: usize,
}

impl<H: Number, P: Number> Product<'_, H, P> {
    fn run(&self, c: &mut MatMut<'_>, accumulate: bool) {
        let (depth, width) = self.kernel.block();
        let (lines, k) = (self.held.rows, self.held.cols);
        SCRATCH.with_borrow_mut(|scratch| {
            let _tiles = self.kernel.start();
            for first in (0..lines).step_by(width) {
                for k0 in (0..k).step_by(depth) {
                    let part = Part { first, lines: width.min(lines - first), k0, depth: depth.min(k - k0) };
                    self.part(scratch, c, part, accumulate || k0 > 0);
                }
            }
        });
    }

    /// Adds (or writes) the products over one part to its rows or columns of c.
    fn part(&self, scratch: &mut Scratch, c: &mut MatMut<'_>, part: Part, accumulate: bool) {
        let Part { first, lines, k0, depth } = part;
        let strip_len = STRIP * depth.next_multiple_of(pack::TILE_DEPTH);
        let strips = lines.div_ceil(STRIP);
        scratch.held.reserve(strip_len * strips);
        scratch.passing.reserve(strip_len);
        let held = &mut scratch.held.slice()[..strip_len * strips];
        let passing = &mut scratch.passing.slice()[..strip_len];
        let (held_layout, passing_layout) = match self.a_held {
            true => (Layout::LineFirst, Layout::DepthFirst),
            false => (Layout::DepthFirst, Layout::LineFirst),
        };
        for (strip, packed) in held.chunks_exact_mut(strip_len).enumerate() {
            let at = strip * STRIP;
            let side = Side::new(self.held, first + at, STRIP.min(lines - at), k0, depth);
            pack_strip(self.kernel, packed, side, held_layout);
        }
        let side = |from: usize| {
            let lines = STRIP.min(self.passing.rows - from);
            Side::new(self.passing, from, lines, k0, depth)
        };
        for from in (0..self.passing.rows).step_by(STRIP) {
            let here = side(from);
            pack_strip(self.kernel, passing, here, passing_layout);
            let next = (from + STRIP < self.passing.rows).then(|| side(from + STRIP));
            for (strip, held) in held.chunks_exact(strip_len).enumerate() {
                if let Some(next) = next {
                    next.prefetch(strip, strips);
                }
                let at = strip * STRIP;
                let (h, p) = ((first + at, STRIP.min(lines - at)), (from, here.lines()));
                let ((row, rows), (col, cols)) = if self.a_held { (h, p) } else { (p, h) };
                let stride = c.stride();
                let c = c.as_mut_ptr().wrapping_add(row * stride + col);
                let next = c.wrapping_add(STRIP * if self.a_held { stride } else { 1 });
                let block = Block { c, stride, rows, cols, next, accumulate };
                let (a, b): (&[u16], &[u16]) = if self.a_held { (held, passing) } else { (passing, held) };
                // SAFETY: the block's rows and columns lie within `c`, which is borrowed exclusively.
                unsafe { self.kernel.run(block, a, b) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_among_what_there_is() {
        for isa in crate::kernels::available() {
            for kernel in kernels_for(isa) {
                assert_eq!(choose(isa, Some(kernel.name())), Ok(kernel));
            }
            let error = choose(isa, Some("mmx")).unwrap_err().to_string();
            assert!(error.starts_with("T5KIT_BF16=mmx: ") && error.contains("portable"), "{error}");
            let default = choose(isa, None).unwrap();
            assert!(default == Bf16Kernel::Portable || default.proven());
        }
    }
}
