//! Products of few rows with a weight matrix: what decoding consists of.
//!
//! y[i, j] = Σ_l x[i, l] · w[j, l], x with few rows. The weights are the traffic, so they are streamed from memory
//! once, a block of rows at a time, while the next block is prefetched; the rows of x pass over the block in
//! registers, `MR × NR` vector accumulators along l at a time.
//!
//! **Every element is computed alike**: one vector accumulator, l ascending, one order of the final halvings.
//! So an element's bits depend on neither m, n nor the tile it falls in, and generation gives the same for a batch
//! of 1 as for one of many.

use super::isa::Isa;
#[cfg(target_arch = "x86_64")]
use super::isa::Kind;
use super::lines::LINE;
use super::vector::{Simd, dispatch};
use crate::MatMut;
use crate::rows::{Elements, Rows};

/// `y[i, j] = Σ_l x[i*ldx + l] · w[j, l]` for y of [m, n], which may be some columns of a larger matrix, and w of
/// [n, k]; meant for m from 1 to a few hundred.
///
/// An element's value depends on its row of x and of w, k and the instruction set alone (see the module).
pub fn matmul_rows(isa: Isa, mut y: MatMut<'_>, x: &[f32], ldx: usize, w: Rows<'_>) {
    let Some(shape) = Shape::of(&mut y, x.len(), ldx, w) else { return };
    let y = Out(y.as_mut_ptr());
    match w.elements() {
        Elements::F32(w) => dispatch!(isa, product(y: Out, x: &[f32], w: &[f32], shape: Shape)),
        Elements::Bf16(w) => {
            let w = Bf16::of(w);
            dispatch!(isa, product(y: Out, x: &[f32], w: &[Bf16], shape: Shape))
        }
        Elements::F16(w) => {
            let w = F16::of(w);
            dispatch!(isa, product(y: Out, x: &[f32], w: &[F16], shape: Shape))
        }
        Elements::Int8(..) | Elements::Panels(..) => panic!("int8 is multiplied by `matmul_int8`"),
    }
}

/// The same with weights in bf16 and x in bf16 too, which the processor multiplies as they are, two at a time: twice as
/// many operations a second, and a result that differs by x's rounding.
///
/// An element's value depends on its row of x and of w, and k, alone.
///
/// # Panics
/// Where [`bf16_rows`] says that there is no instruction for it, or the weights are of another type.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut, unused_variables))]
pub fn matmul_rows_bf16(isa: Isa, mut y: MatMut<'_>, x: &[u16], ldx: usize, w: Rows<'_>) {
    assert!(bf16_rows(isa), "AVX-512 BF16");
    let Elements::Bf16(bits) = w.elements() else { panic!("weights in bf16") };
    let Some(shape) = Shape::of(&mut y, x.len(), ldx, w) else { return };
    let (y, x, w) = (Out(y.as_mut_ptr()), Pairs::of(x), Pairs::of(bits));
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn avx512_bf16(s: super::avx512::Avx512, y: Out, x: &[Pairs], w: &[Pairs], shape: Shape) {
            product(s, y, x, w, shape)
        }
        // SAFETY: `bf16_rows` has seen that the processor has all of it.
        unsafe { avx512_bf16(super::avx512::Avx512::assume(), y, x, w, shape) }
    }
}

/// Whether [`matmul_rows_bf16`] can be used where this is the instruction set.
pub fn bf16_rows(isa: Isa) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(isa.kind(), Kind::Avx512) {
        return is_x86_feature_detected!("avx512bf16");
    }
    let _ = isa;
    false
}

impl Shape {
    /// The sizes, checked; `None` where nothing is left to do.
    fn of(y: &mut MatMut<'_>, x: usize, ldx: usize, w: Rows<'_>) -> Option<Self> {
        let (m, n, ldy, k) = (y.rows, y.cols, y.stride(), w.cols());
        assert_eq!(Some(w.len()), n.checked_mul(k), "weights of a product with {n} columns over {k}");
        if m == 0 || n == 0 {
            return None;
        }
        let end = (m - 1).checked_mul(ldx).and_then(|start| start.checked_add(k));
        assert!(end.is_some_and(|end| end <= x), "x of {m} rows of {k}, {ldx} apart");
        if k == 0 {
            (0..m).for_each(|i| y.row_mut(i).fill(0.0));
            return None;
        }
        Some(Shape { ldy, ldx, m, n, k })
    }
}

/// The first element of the output, exclusively borrowed by [`matmul_rows`] for as long as the product runs.
#[derive(Clone, Copy)]
struct Out(*mut f32);

/// The sizes of a product, already checked against its slices.
#[derive(Clone, Copy)]
struct Shape {
    ldy: usize,
    ldx: usize,
    m: usize,
    n: usize,
    k: usize,
}

/// The bits of a number in bf16.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bf16(u16);
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct F16(u16);

impl Bf16 {
    /// Bits as what they are.
    pub fn of(bits: &[u16]) -> &[Bf16] {
        // SAFETY: `Bf16` is a transparent u16.
        unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
    }
}

impl F16 {
    pub(super) fn of(bits: &[u16]) -> &[F16] {
        // SAFETY: `F16` is a transparent u16.
        unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
    }
}

/// A stored number.
pub(super) trait Stored: Copy {
    /// # Safety
    /// A vector's worth can be read at `p`.
    unsafe fn load<S: Simd>(s: S, p: *const Self) -> S::F;
    /// The first `count` (fewer than a vector's), then zeros.
    ///
    /// # Safety
    /// `count` can be read at `p`.
    unsafe fn load_part<S: Simd>(s: S, p: *const Self, count: usize) -> S::F;
}

/// A stored weight and how it is multiplied: by what, and how many at a time.
trait Factor: Stored {
    /// What x is made of.
    type X: Copy;
    /// Numbers of a vector, in multiples of its lanes.
    const LANES: usize;
    /// # Safety
    /// A vector's worth can be read at `p`.
    unsafe fn load_x<S: Simd>(s: S, p: *const Self::X) -> S::F;
    /// The first `count` (fewer than a vector's), then zeros.
    ///
    /// # Safety
    /// `count` can be read at `p`.
    unsafe fn load_x_part<S: Simd>(s: S, p: *const Self::X, count: usize) -> S::F;
    /// `sum + x · w`, lane by lane.
    fn mul_add<S: Simd>(s: S, x: S::F, w: S::F, sum: S::F) -> S::F;
}

/// Weights that are widened to f32, by x in f32.
macro_rules! widened {
    ($($weight:ty),*) => {$(
        impl Factor for $weight {
            type X = f32;
            const LANES: usize = 1;
            #[inline(always)]
            unsafe fn load_x<S: Simd>(s: S, p: *const f32) -> S::F {
                // SAFETY: the caller's promise.
                unsafe { s.load(p) }
            }
            #[inline(always)]
            unsafe fn load_x_part<S: Simd>(s: S, p: *const f32, count: usize) -> S::F {
                // SAFETY: the caller's promise.
                unsafe { s.load_part(p, count) }
            }
            #[inline(always)]
            fn mul_add<S: Simd>(s: S, x: S::F, w: S::F, sum: S::F) -> S::F {
                s.mul_add(x, w, sum)
            }
        }
    )*};
}
widened!(f32, Bf16, F16);

/// Weights in bf16, multiplied as they are by x in bf16, two to a lane.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Pairs(u16);

impl Pairs {
    fn of(bits: &[u16]) -> &[Pairs] {
        // SAFETY: `Pairs` is a transparent u16.
        unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
    }
}

impl Stored for Pairs {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const Pairs) -> S::F {
        // SAFETY: the caller's promise: a vector of pairs is as many bytes as one of f32.
        unsafe { s.load(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const Pairs, count: usize) -> S::F {
        let mut padded = [0u16; 32];
        // SAFETY: the caller's promise; no vector has more than 32 of them.
        unsafe {
            std::ptr::copy_nonoverlapping(p.cast(), padded[..count].as_mut_ptr(), count);
            s.load(padded.as_ptr().cast())
        }
    }
}

impl Factor for Pairs {
    type X = Pairs;
    const LANES: usize = 2;
    #[inline(always)]
    unsafe fn load_x<S: Simd>(s: S, p: *const Pairs) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { Self::load(s, p) }
    }
    #[inline(always)]
    unsafe fn load_x_part<S: Simd>(s: S, p: *const Pairs, count: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { Self::load_part(s, p, count) }
    }
    #[inline(always)]
    fn mul_add<S: Simd>(s: S, x: S::F, w: S::F, sum: S::F) -> S::F {
        s.add_pairs(x, w, sum)
    }
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const f32) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load(p) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const f32, count: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_part(p, count) }
    }
}

/// Copies `count` 16-bit weights into a vector's worth of them, zeros after.
///
/// # Safety
/// `count`, at most 16, can be read at `p`.
#[inline(always)]
unsafe fn pad(p: *const u16, count: usize) -> [u16; 16] {
    let mut padded = [0; 16];
    // SAFETY: the caller's promise; the slice checks the count.
    unsafe { std::ptr::copy_nonoverlapping(p, padded[..count].as_mut_ptr(), count) };
    padded
}

impl Stored for Bf16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const Bf16) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_bf16(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const Bf16, count: usize) -> S::F {
        // SAFETY: the caller's promise; no vector has more than 16 lanes.
        unsafe { s.load_bf16(pad(p.cast(), count).as_ptr()) }
    }
}

impl Stored for F16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, p: *const F16) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_f16(p.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part<S: Simd>(s: S, p: *const F16, count: usize) -> S::F {
        // SAFETY: the caller's promise; no vector has more than 16 lanes.
        unsafe { s.load_f16(pad(p.cast(), count).as_ptr()) }
    }
}

/// `$tile.run::<S, MR, NR>($s)` for the sizes of tiles that there are.
macro_rules! run_tile {
    ($tile:expr, $s:expr, $rows:expr, $width:expr) => {
        match ($rows, $width) {
            (1, 8) => $tile.run::<S, 1, 8>($s),
            (2, 8) => $tile.run::<S, 2, 8>($s),
            (3, 8) => $tile.run::<S, 3, 8>($s),
            (1, 4) => $tile.run::<S, 1, 4>($s),
            (2, 4) => $tile.run::<S, 2, 4>($s),
            (3, 4) => $tile.run::<S, 3, 4>($s),
            (4, 4) => $tile.run::<S, 4, 4>($s),
            (5, 4) => $tile.run::<S, 5, 4>($s),
            (6, 4) => $tile.run::<S, 6, 4>($s),
            (1, 1) => $tile.run::<S, 1, 1>($s),
            (2, 1) => $tile.run::<S, 2, 1>($s),
            (3, 1) => $tile.run::<S, 3, 1>($s),
            (4, 1) => $tile.run::<S, 4, 1>($s),
            (5, 1) => $tile.run::<S, 5, 1>($s),
            (6, 1) => $tile.run::<S, 6, 1>($s),
            _ => unreachable!("tiles have 1 to 6 rows and 1, 4 or 8 columns or vectors"),
        }
    };
}
pub(super) use run_tile;

/// Rows of the weights in a block: what stays in the first-level cache while x passes over it.
const BLOCK: usize = 8;
/// Bytes between a weight that is read and the one asked for, where rows are far apart.
const AHEAD: usize = 512;
/// Bytes of a row that are read after one another, where rows are far apart.
const RUN: usize = 256;

#[inline(always)]
fn product<S: Simd, W: Factor>(s: S, y: Out, x: &[W::X], w: &[W], shape: Shape) {
    let Shape { m, n, k, .. } = shape;
    let row_bytes = k * size_of::<W>();
    // Where memory is all that counts, rows from eight places keep more requests under way than eight neighbours,
    // each of whose pages has to be looked up first. An odd number of rows apart: at even ones they could all compete
    // for the same places in the caches.
    let apart = if m <= S::TILE_ROWS / 2 && n >= 4 * BLOCK { (n / BLOCK - 1) | 1 } else { 1 };
    let far = if apart > 1 { apart * BLOCK } else { 0 };
    let mut at = 0;
    while at < n {
        let columns = if at < far {
            Columns { first: at / BLOCK, apart, count: BLOCK }
        } else {
            Columns { first: at, apart: 1, count: BLOCK.min(n - at) }
        };
        at += columns.count;
        let ahead = if columns.apart > 1 { AHEAD } else { columns.count * row_bytes };
        pass(s, y, x, &w[columns.first * k..], shape, columns, ahead);
    }
}

/// Columns of y, rows of the weights: `first`, `first + apart` and so on.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    apart: usize,
    count: usize,
}

/// All rows of x with one block of weights, whose first row is at the beginning of `w`. What lies `ahead` bytes ahead of
/// the block is prefetched; the tiles share that evenly: all at once it would wait for the memory instead of overlapping
/// with the arithmetic.
#[inline(always)]
fn pass<S: Simd, W: Factor>(s: S, y: Out, x: &[W::X], w: &[W], shape: Shape, columns: Columns, ahead: usize) {
    let Shape { ldy, ldx, m, k, .. } = shape;
    let ldw = columns.apart * k;
    let tiles = m.div_ceil(S::TILE_ROWS);
    let share = k * size_of::<W>() / tiles;
    let (mut i, mut ahead) = (0, ahead);
    while i < m {
        // Tiles of nearly equal height: 4 + 3 rather than 6 + 1.
        let rows = (m - i).div_ceil((m - i).div_ceil(S::TILE_ROWS));
        let mut j = 0;
        while j < columns.count {
            // Few rows of x leave registers for more rows of weights.
            let width = match columns.count - j {
                BLOCK if m <= S::TILE_ROWS / 2 => BLOCK,
                4.. => 4,
                _ => 1,
            };
            let tile = Tile {
                y: y.0.wrapping_add(i * ldy + columns.first + j * columns.apart),
                ldy,
                apart: columns.apart,
                x: x[i * ldx..].as_ptr(),
                ldx,
                w: w[j * ldw..].as_ptr(),
                ldw,
                k,
                ahead,
                share,
            };
            // SAFETY: `matmul_rows` checked that rows i…i+rows of x and y and `width` of the columns from j on
            // exist, and so do their rows of weights.
            unsafe {
                run_tile!(tile, s, rows, width);
            }
            j += width;
        }
        i += rows;
        ahead += share;
    }
}

/// A tile's place: the first of its elements in y, x and the weights.
struct Tile<W: Factor> {
    y: *mut f32,
    ldy: usize,
    /// Between columns of y.
    apart: usize,
    x: *const W::X,
    ldx: usize,
    w: *const W,
    ldw: usize,
    k: usize,
    /// Bytes from each row of weights to what is to be prefetched, and how much of it.
    ahead: usize,
    share: usize,
}

impl<W: Factor> Tile<W> {
    /// Computes `MR` rows by `NR` columns (a multiple of 4, or 1).
    ///
    /// # Safety
    /// `MR` rows of y with `NR` columns can be written, `MR` rows of x and `NR` of the weights can be read.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // i and j are places in x and the weights as well
    unsafe fn run<S: Simd, const MR: usize, const NR: usize>(self, s: S) {
        let Tile { y, ldy, apart, x, ldx, w, ldw, k, ahead, share } = self;
        let mut fetch = w.cast::<u8>().wrapping_add(ahead);
        let mut sums = [[s.splat(0.0); NR]; MR];
        let lanes = W::LANES * S::LANES;
        let whole = k / lanes * lanes;
        // One request a step and column, evenly spread: where they are closer than a line they cost next to nothing.
        let spread = share / (k / lanes).max(1);
        let mut done = 0;
        if NR == BLOCK {
            // Several lines of a row after one another: pages are looked up less often in turn.
            let run = RUN / (lanes * size_of::<W>());
            done = whole / (run * lanes) * run * lanes;
            for l in (0..done).step_by(run * lanes) {
                for j in 0..NR {
                    // SAFETY: l + run * lanes ≤ k, and the caller's promise; a prefetch may go anywhere.
                    unsafe {
                        let fetch = fetch.wrapping_add(j * ldw * size_of::<W>());
                        for line in (0..RUN).step_by(LINE) {
                            s.prefetch(fetch.wrapping_add(line));
                        }
                        for l in (l..l + run * lanes).step_by(lanes) {
                            let weights = W::load(s, w.add(j * ldw + l));
                            for i in 0..MR {
                                let x = W::load_x(s, x.add(i * ldx + l));
                                sums[i][j] = W::mul_add(s, x, weights, sums[i][j]);
                            }
                        }
                    }
                }
                fetch = fetch.wrapping_add(RUN);
            }
        }
        for l in (done..whole).step_by(lanes) {
            // SAFETY: l + lanes ≤ k, and the caller's promise; a prefetch may go anywhere.
            unsafe {
                let mut xs = [s.splat(0.0); MR];
                for i in 0..MR {
                    xs[i] = W::load_x(s, x.add(i * ldx + l));
                }
                for j in 0..NR {
                    let at = w.add(j * ldw + l);
                    s.prefetch(fetch.wrapping_add(j * ldw * size_of::<W>()));
                    let weights = W::load(s, at);
                    for i in 0..MR {
                        sums[i][j] = W::mul_add(s, xs[i], weights, sums[i][j]);
                    }
                }
                fetch = fetch.wrapping_add(spread);
            }
        }
        if whole < k {
            // SAFETY: as above, for the k − whole elements that are left.
            unsafe {
                for j in 0..NR {
                    let weights = W::load_part(s, w.add(j * ldw + whole), k - whole);
                    for i in 0..MR {
                        let xs = W::load_x_part(s, x.add(i * ldx + whole), k - whole);
                        sums[i][j] = W::mul_add(s, xs, weights, sums[i][j]);
                    }
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                if NR == 1 {
                    *y.add(i * ldy) = s.sum(sums[0]);
                } else {
                    for (group, four) in sums.chunks_exact(4).enumerate() {
                        let four = s.sum4([four[0], four[1], four[2], four[3]]);
                        let y = y.add(i * ldy + 4 * group * apart);
                        if apart == 1 {
                            y.cast::<[f32; 4]>().write_unaligned(four);
                        } else {
                            for (j, sum) in four.into_iter().enumerate() {
                                *y.add(j * apart) = sum;
                            }
                        }
                    }
                }
            }
        }
    }
}
