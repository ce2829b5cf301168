//! The loops of the int8 product, once for every instruction set.

use std::ops::Range;

use super::dot::Dot;
use super::pack::{Bits, PANEL, Panels};
use super::quantize::{Activations, GROUP, SHARE};
use crate::MatMut;
use crate::kernels::vector::Simd;

/// Rows and outputs of the largest tile.
const MOST_ROWS: usize = 4;
const MOST_OUTPUTS: usize = 64;
/// Bytes between a weight that is read and the one asked for, at least.
const AHEAD: usize = 2048;

/// Tiles of some rows of activations by some panels of weights: a block of panels stays in the nearest caches while the rows
/// pass over it.
#[inline(always)]
pub(super) fn product<D: Dot>(d: D, y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    match w.bits() {
        Bits::Eight => of_bits::<D, false>(d, y, x, w, outputs),
        Bits::Four => of_bits::<D, true>(d, y, x, w, outputs),
    }
}

#[inline(always)]
fn of_bits<D: Dot, const FOUR: bool>(
    d: D,
    mut y: MatMut<'_>,
    x: Activations<'_>,
    w: &Panels,
    outputs: Range<usize>,
) {
    let end = outputs.end.div_ceil(PANEL);
    let (first, bytes) = w.first();
    let mut panel = outputs.start / PANEL;
    let most = D::VECTORS * D::LANES / PANEL;
    let mut tile = Tile([[0.0; MOST_OUTPUTS]; MOST_ROWS]);
    while panel < end {
        // One row waits for memory alone, which one stream of neighbours is best for.
        let panels = match (end - panel).min(most) {
            _ if x.rows() == 1 => 1,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        let mut row = 0;
        while row < x.rows() {
            // Tiles of nearly equal height: 4 + 3 rather than 6 + 1.
            let left = x.rows() - row;
            let rows = left.div_ceil(left.div_ceil(D::ROWS));
            let weights = first.wrapping_add(panel * bytes);
            let place = Place { x, row, w, panel, weights, bytes };
            // The first rows to pass over these panels ask for the next ones.
            match (panels, row == 0) {
                (4, true) => by_rows::<D, 4, true, FOUR>(d, rows, &mut tile, place),
                (2, true) => by_rows::<D, 2, true, FOUR>(d, rows, &mut tile, place),
                (_, true) => by_rows::<D, 1, true, FOUR>(d, rows, &mut tile, place),
                (4, false) => by_rows::<D, 4, false, FOUR>(d, rows, &mut tile, place),
                (2, false) => by_rows::<D, 2, false, FOUR>(d, rows, &mut tile, place),
                (_, false) => by_rows::<D, 1, false, FOUR>(d, rows, &mut tile, place),
            }
            // Of the first and the last panel perhaps not all.
            let here = outputs.start.max(panel * PANEL)..outputs.end.min((panel + panels) * PANEL);
            let (from, to) = (here.start - panel * PANEL, here.end - panel * PANEL);
            for (i, tile) in tile.0[..rows].iter().enumerate() {
                let y = &mut y.row_mut(row + i)[here.start - outputs.start..here.end - outputs.start];
                y.copy_from_slice(&tile[from..to]);
            }
            row += rows;
        }
        panel += panels;
    }
}

/// A tile's results.
#[repr(align(64))]
struct Tile([[f32; MOST_OUTPUTS]; MOST_ROWS]);

/// Where a tile lies: its first row and its first panel.
#[derive(Clone, Copy)]
struct Place<'a> {
    x: Activations<'a>,
    row: usize,
    w: &'a Panels,
    panel: usize,
    /// That panel's numbers, and bytes from one to the next.
    weights: *const i8,
    bytes: usize,
}

#[inline(always)]
fn by_rows<D: Dot, const PANELS: usize, const FETCH: bool, const FOUR: bool>(
    d: D,
    rows: usize,
    tile: &mut Tile,
    place: Place<'_>,
) {
    match rows {
        1 => by_vectors::<D, 1, PANELS, FETCH, FOUR>(d, tile, place),
        2 => by_vectors::<D, 2, PANELS, FETCH, FOUR>(d, tile, place),
        3 if D::ROWS >= 3 => by_vectors::<D, 3, PANELS, FETCH, FOUR>(d, tile, place),
        4 if D::ROWS >= 4 => by_vectors::<D, 4, PANELS, FETCH, FOUR>(d, tile, place),
        _ => unreachable!("tiles have at most D::ROWS rows"),
    }
}

#[inline(always)]
fn by_vectors<D: Dot, const ROWS: usize, const PANELS: usize, const FETCH: bool, const FOUR: bool>(
    d: D,
    tile: &mut Tile,
    place: Place<'_>,
) {
    match (PANELS * PANEL / D::LANES, D::VECTORS) {
        (1, _) => run::<D, ROWS, 1, FETCH, FOUR>(d, tile, place),
        (2, 2..) => run::<D, ROWS, 2, FETCH, FOUR>(d, tile, place),
        (4, 4..) => run::<D, ROWS, 4, FETCH, FOUR>(d, tile, place),
        _ => unreachable!("tiles have at most D::VECTORS vectors"),
    }
}

/// `ROWS` rows by `VECTORS` vectors of outputs.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // i and v are places in x and the weights as well
fn run<D: Dot, const ROWS: usize, const VECTORS: usize, const FETCH: bool, const FOUR: bool>(
    d: D,
    tile: &mut Tile,
    place: Place<'_>,
) {
    let Place { x, row, w, panel, weights: first, bytes } = place;
    let s = d.float();
    let per_panel = PANEL / D::LANES;
    // One row passes over panel after panel; several do over a block of panels, and ask for the next.
    let ahead = if ROWS == 1 { AHEAD } else { (VECTORS.div_ceil(per_panel) * bytes).max(AHEAD) };
    // Plain loops: what closures do is not always compiled for the instruction set.
    let (mut weights, mut tokens) = ([std::ptr::null::<i8>(); VECTORS], [std::ptr::null::<i8>(); ROWS]);
    for v in 0..VECTORS {
        // The vectors of a panel lie beside each other.
        weights[v] = first.wrapping_add(v / per_panel * bytes + v % per_panel * 4 * D::LANES);
    }
    for i in 0..ROWS {
        tokens[i] = x.row(row + i);
    }
    let tile = tile.0.as_mut_ptr().cast::<f32>();
    // How far one scale reaches: a group of activations, or a share of it where the weights' scales change too.
    let (reach, lines, more) = if FOUR { (SHARE, SHARE / 8, 8) } else { (GROUP, GROUP / 4, 128) };
    for part in 0..x.cols().div_ceil(reach) {
        let mut factors = [0.0; ROWS];
        let mut sums = [[d.begin(0, 0); VECTORS]; ROWS];
        for i in 0..ROWS {
            factors[i] = x.scale(row + i, part * reach / GROUP);
            let shares = reach / SHARE;
            let sum = x.sum(row + i, part * shares..(part + 1) * shares);
            for v in 0..VECTORS {
                sums[i][v] = d.begin(sum, more);
            }
        }
        for line in part * lines..w.lines().min((part + 1) * lines) {
            // SAFETY: the line is one of the weights' and of the rows', which have as many columns and are padded to
            // whole lines; a prefetch may go anywhere.
            unsafe {
                for half in 0..if FOUR { 2 } else { 1 } {
                    let at = if FOUR { 8 * line + 4 * half } else { 4 * line };
                    let mut of_tokens = [d.token(tokens[0].add(at)); ROWS];
                    for i in 1..ROWS {
                        of_tokens[i] = d.token(tokens[i].add(at));
                    }
                    for v in 0..VECTORS {
                        let p = weights[v].add(line * 4 * PANEL);
                        if FETCH && half == 0 {
                            s.prefetch(p.wrapping_add(ahead).cast());
                        }
                        let of_weights = if FOUR { d.halves(p)[half] } else { d.weights(p) };
                        for i in 0..ROWS {
                            sums[i][v] = d.dot(sums[i][v], of_weights, of_tokens[i]);
                        }
                    }
                }
            }
        }
        for i in 0..ROWS {
            let factor = s.splat(factors[i]);
            for v in 0..VECTORS {
                // SAFETY: a tile has room for 4 rows of 64; a vector's worth of scales.
                unsafe {
                    let at = tile.add(i * MOST_OUTPUTS + v * D::LANES);
                    // Multiplications and an addition: the plain kernel has no other.
                    let mut term = s.mul(d.widen(sums[i][v]), factor);
                    if FOUR {
                        let scales = &w.share_scales(panel + v / per_panel, part)[v % per_panel * D::LANES..];
                        term = s.mul(term, s.load(scales[..D::LANES].as_ptr()));
                    }
                    s.store(at, if part == 0 { term } else { s.add(s.load(at), term) });
                }
            }
        }
    }
    if FOUR {
        return;
    }
    for v in 0..VECTORS {
        let scales = &w.panel_scales(panel + v / per_panel)[v % per_panel * D::LANES..][..D::LANES];
        for i in 0..ROWS {
            // SAFETY: as above; a vector's worth of scales.
            unsafe {
                let at = tile.add(i * MOST_OUTPUTS + v * D::LANES);
                s.store(at, s.mul(s.load(at), s.load(scales.as_ptr())));
            }
        }
    }
}
