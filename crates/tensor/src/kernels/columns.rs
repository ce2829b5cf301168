//! Products of few rows with the transpose of a weight matrix: y[i, j] = Σ_l x[i, l] · w[l, j].
//!
//! The counterpart of `rows`: the weights are read as they lie, `MR` rows by `NV` vectors of y in registers while l
//! passes. An element is one sum, l ascending, whatever tile it falls in: its bits depend on neither m nor n.

use super::Isa;
use super::rows::{Bf16, F16, Stored, run_tile};
use super::vector::{Simd, dispatch};
use crate::MatMut;
use crate::rows::{Elements, Rows};

/// `y[i, j] = Σ_l x[i*ldx + l] · w[l, first + j]` for y of [m, n]; l runs over the rows of `w`.
pub fn matmul_columns(isa: Isa, mut y: MatMut<'_>, x: &[f32], ldx: usize, w: Rows<'_>, first: usize) {
    let (m, n) = (y.rows, y.cols);
    if m == 0 || n == 0 {
        return;
    }
    let (k, ldw) = (w.count(), w.cols());
    assert!(first + n <= ldw, "columns {first}+{n} of rows of {ldw}");
    assert!((m - 1) * ldx + k <= x.len(), "x of {m} rows of {k}, {ldx} apart");
    let shape = Shape { ldy: y.stride(), ldx, ldw, m, n, k };
    let y = Out(y.as_mut_ptr());
    let skip = first.min(w.len());
    match w.elements() {
        Elements::F32(w) => {
            let w = &w[skip..];
            dispatch!(isa, product(y: Out, x: &[f32], w: &[f32], shape: Shape))
        }
        Elements::Bf16(w) => {
            let w = Bf16::of(&w[skip..]);
            dispatch!(isa, product(y: Out, x: &[f32], w: &[Bf16], shape: Shape))
        }
        Elements::F16(w) => {
            let w = F16::of(&w[skip..]);
            dispatch!(isa, product(y: Out, x: &[f32], w: &[F16], shape: Shape))
        }
        Elements::Int8(..) | Elements::Panels(..) => panic!("int8 is multiplied by `matmul_int8`"),
    }
}

/// The first element of the output, exclusively borrowed by [`matmul_columns`] for as long as the product runs.
#[derive(Clone, Copy)]
struct Out(*mut f32);

/// The sizes of a product, already checked against its slices.
#[derive(Clone, Copy)]
struct Shape {
    ldy: usize,
    ldx: usize,
    ldw: usize,
    m: usize,
    n: usize,
    k: usize,
}

#[inline(always)]
fn product<S: Simd, W: Stored>(s: S, y: Out, x: &[f32], w: &[W], shape: Shape) {
    let Shape { ldy, ldx, ldw, m, n, k } = shape;
    let mut j = 0;
    while j < n {
        // Few rows of x leave registers for more columns.
        let vectors = match (n - j) / S::LANES {
            8.. if m <= S::TILE_ROWS / 2 => 8,
            4.. => 4,
            _ => 1,
        };
        let count = (n - j).min(vectors * S::LANES);
        let mut i = 0;
        while i < m {
            // Tiles of nearly equal height: 4 + 3 rather than 6 + 1.
            let rows = (m - i).div_ceil((m - i).div_ceil(S::TILE_ROWS));
            let tile = Tile {
                y: y.0.wrapping_add(i * ldy + j),
                x: x.as_ptr().wrapping_add(i * ldx),
                w: w.as_ptr().wrapping_add(j),
                count,
                // The next columns; after the last ones what lies behind the weights: those of the next head.
                ahead: if j + count < n { count } else { (k * ldw).saturating_sub(j) },
                shape,
            };
            // SAFETY: `matmul_columns` checked that rows i…i+rows of x and y are there, and columns j…j+count of y and
            // of every row of the weights.
            unsafe {
                run_tile!(tile, s, rows, vectors);
            }
            i += rows;
        }
        j += count;
    }
}

/// A tile's place: the first of its elements in y, x and the weights. `count`: its columns, whole vectors but for a
/// single one.
struct Tile<W> {
    y: *mut f32,
    x: *const f32,
    w: *const W,
    count: usize,
    /// Weights from each to what is asked for when it is read.
    ahead: usize,
    shape: Shape,
}

impl<W: Stored> Tile<W> {
    /// Computes `MR` rows by `NV` vectors.
    ///
    /// # Safety
    /// `MR` rows of `count` elements of y can be written, `MR` rows of x and `count` elements of each row of the
    /// weights can be read.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // i and j are places in x and the weights as well
    unsafe fn run<S: Simd, const MR: usize, const NV: usize>(self, s: S) {
        let Tile { y, x, w, count, ahead, shape: Shape { ldy, ldx, ldw, k, .. } } = self;
        let whole = count >= S::LANES;
        let mut sums = [[s.splat(0.0); NV]; MR];
        for l in 0..k {
            let mut weights = [s.splat(0.0); NV];
            for j in 0..NV {
                let at = w.wrapping_add(l * ldw + j * S::LANES);
                s.prefetch(at.wrapping_add(ahead).cast());
                // SAFETY: the caller's promise; a narrower tile than a vector is a single one.
                weights[j] = unsafe { if whole { W::load(s, at) } else { W::load_part(s, at, count) } };
            }
            for i in 0..MR {
                // SAFETY: the caller's promise.
                let x = s.splat(unsafe { *x.add(i * ldx + l) });
                for j in 0..NV {
                    sums[i][j] = s.mul_add(x, weights[j], sums[i][j]);
                }
            }
        }
        for i in 0..MR {
            for j in 0..NV {
                let at = y.wrapping_add(i * ldy + j * S::LANES);
                // SAFETY: the caller's promise.
                unsafe {
                    if whole {
                        s.store(at, sums[i][j]);
                    } else {
                        s.store_part(at, sums[i][j], count);
                    }
                }
            }
        }
    }
}
