//! Matrix products in bf16 with f32 accumulation, from f32 to f32: training with `--precision bf16`.
//!
//! Both operands are rounded to bf16 (nearest even) while they are packed into tiles of 1 KiB ([`pack`]); a block
//! of 32×32 results is then computed by one of three kernels ([`micro`]) from the same tiles: AMX, AVX-512 BF16,
//! and plain Rust, which any machine can run and the others are tested against.
//!
//! Blocks: so much of k and of n at a time ([`Bf16Kernel::block`]), so that the packed part of b stays in the second-level
//! cache while strips of 32 rows of a, packed as they are needed, pass through the first-level one.

mod micro;
mod pack;

use std::cell::RefCell;
use std::sync::OnceLock;

pub use micro::Bf16Kernel;

use super::isa::{Isa, IsaError, Kind, environment, isa};
use super::lines::Lines;
use crate::{MatMut, MatRef};
use micro::{Block, STRIP};
use pack::{Layout, Side, pack_strip};

/// Packed operands, kept by each thread: fresh memory for every call would be a page fault every 4 KiB.
struct Scratch {
    a: Lines<u16>,
    b: Lines<u16>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { a: Lines::new(0), b: Lines::new(0) });
}

/// The environment variable that forces a bf16 kernel: `portable`, `avx512-bf16` or `amx`.
pub const BF16_VARIABLE: &str = "T5KIT_BF16";

/// Whether [`gemm_bf16`] is fast here: by AMX or AVX-512 BF16. A `T5KIT_ISA` below `avx512` forbids it.
pub fn bf16_gemm_available() -> bool {
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
        _ => vec![Bf16Kernel::Portable],
    }
}

/// `c = a·b`, or `c += a·b` with `accumulate`, in bf16 with f32 accumulation; one thread. `a`: [m, k],
/// `b`: [k, n], `c`: [m, n], the inputs with any strides.
///
/// The inputs are rounded to bf16, products and sums are not. Subnormal inputs count as zero with AMX and AVX-512
/// BF16. An element's value depends on its row of a, its column of b and k alone, not on m, n or how the work is
/// split. A thread keeps half a megabyte of scratch. Both operands are packed by every call: split the longer
/// side of c over threads.
pub fn gemm_bf16(c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, accumulate: bool) {
    gemm_bf16_with(best_kernel(), c, a, b, accumulate);
}

/// [`gemm_bf16`] by a kernel of [`kernels_for`], for tests and comparisons.
pub fn gemm_bf16_with(kernel: Bf16Kernel, mut c: MatMut<'_>, a: MatRef<'_>, b: MatRef<'_>, accumulate: bool) {
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
    SCRATCH.with_borrow_mut(|scratch| {
        let _tiles = kernel.start();
        let (depth, width) = kernel.block();
        for n0 in (0..n).step_by(width) {
            for k0 in (0..k).step_by(depth) {
                let part = Part { n0, cols: width.min(n - n0), k0, depth: depth.min(k - k0) };
                multiply_part(kernel, scratch, &mut c, a, b, part, accumulate || k0 > 0);
            }
        }
    });
}

/// The columns and the stretch of k that one packing of b covers.
#[derive(Clone, Copy)]
struct Part {
    n0: usize,
    cols: usize,
    k0: usize,
    depth: usize,
}

/// Adds (or writes) the products over one part to its columns of c, strip by strip.
fn multiply_part(
    kernel: Bf16Kernel,
    scratch: &mut Scratch,
    c: &mut MatMut<'_>,
    a: MatRef<'_>,
    b: MatRef<'_>,
    part: Part,
    accumulate: bool,
) {
    let Part { n0, cols, k0, depth } = part;
    let strip_len = STRIP * depth.next_multiple_of(pack::TILE_DEPTH);
    let b_strips = cols.div_ceil(STRIP);
    scratch.a.reserve(strip_len);
    scratch.b.reserve(strip_len * b_strips);
    let (packed_a, packed_b) = (scratch.a.slice(), scratch.b.slice());
    for (strip, packed) in packed_b[..strip_len * b_strips].chunks_exact_mut(strip_len).enumerate() {
        let at = strip * STRIP;
        let side = Side::new(b.t(), n0 + at, STRIP.min(cols - at), k0, depth);
        pack_strip(kernel, packed, side, Layout::DepthFirst);
    }
    for m0 in (0..c.rows).step_by(STRIP) {
        let rows = STRIP.min(c.rows - m0);
        let packed_a = &mut packed_a[..strip_len];
        pack_strip(kernel, packed_a, Side::new(a, m0, rows, k0, depth), Layout::LineFirst);
        let below = m0 + STRIP;
        let next = (below < c.rows).then(|| Side::new(a, below, STRIP.min(c.rows - below), k0, depth));
        for (strip, packed_b) in packed_b[..strip_len * b_strips].chunks_exact(strip_len).enumerate() {
            if let Some(next) = next {
                next.prefetch(strip, b_strips);
            }
            let at = strip * STRIP;
            let stride = c.stride();
            let block = Block {
                c: c.as_mut_ptr().wrapping_add(m0 * stride + n0 + at),
                stride,
                rows,
                cols: STRIP.min(cols - at),
                accumulate,
            };
            // SAFETY: the block's rows and columns lie within `c`, which is borrowed exclusively.
            unsafe { kernel.run(block, packed_a, packed_b) };
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
