//! The loops of the int8 product, once for every instruction set.

use std::ops::Range;

use super::dot::Dot;
use super::pack::{Bits, PANEL, Panels};
use super::quantize::{Activations, GROUP, SHARE};
use crate::MatMut;
use crate::kernels::lines::{LINE, prefetch_to_write};
use crate::kernels::vector::Simd;

/// Outputs of the largest tile.
const MOST_OUTPUTS: usize = 64;
/// Rows that pass over a group's part of a block of panels, one tile after another, before the next group's turn: so many
/// that their sums, that part and their numbers stay in the nearest cache.
const CHUNK: usize = 32;
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
    let parts = x.cols().div_ceil(if FOUR { SHARE } else { GROUP });
    let mut sums = Sums([[0.0; MOST_OUTPUTS]; CHUNK]);
    while panel < end {
        // One row waits for memory alone, which one stream of neighbours is best for.
        let panels = match (end - panel).min(most) {
            _ if x.rows() == 1 => 1,
            4.. => 4,
            2.. => 2,
            _ => 1,
        };
        // Of the first and the last panel perhaps not all.
        let here = outputs.start.max(panel * PANEL)..outputs.end.min((panel + panels) * PANEL);
        for top in (0..x.rows()).step_by(CHUNK) {
            let bottom = x.rows().min(top + CHUNK);
            // The first rows to pass over these panels ask for the next ones, each tile for some of them: where one asked
            // for all, it would wait for them.
            let asks = match (bottom - top).div_ceil(D::ROWS) {
                _ if top > 0 => 0,
                1 => 4,
                2 | 3 => 2,
                _ => 1,
            };
            // A single tile passes over all parts at once.
            let step = if bottom - top <= D::ROWS { parts } else { 1 };
            for part in (0..parts).step_by(step) {
                let (mut row, mut asked) = (top, 0);
                while row < bottom {
                    // Tiles of nearly equal height: 4 + 3 rather than 6 + 1.
                    let rows = (bottom - row).div_ceil((bottom - row).div_ceil(D::ROWS));
                    let weights = first.wrapping_add(panel * bytes);
                    let place = Place { x, row, w, panel, weights, bytes, parts: part..part + step, asked };
                    let sums = &mut sums.0[row - top..][..rows];
                    if part == 0 && x.rows() > CHUNK {
                        // The lines that the sums go to would otherwise be waited for when they are written.
                        for row in row..row + rows {
                            let to = &y.row_mut(row)[here.start - outputs.start..];
                            for at in (0..here.len()).step_by(LINE / size_of::<f32>()) {
                                prefetch_to_write(to.as_ptr().wrapping_add(at).cast());
                            }
                        }
                    }
                    match (panels, asks) {
                        (4, 0) => by_rows::<D, 4, 0, FOUR>(d, sums, place),
                        (4, 1) => by_rows::<D, 4, 1, FOUR>(d, sums, place),
                        (4, 2) => by_rows::<D, 4, 2, FOUR>(d, sums, place),
                        (4, _) => by_rows::<D, 4, 4, FOUR>(d, sums, place),
                        (2, 0) => by_rows::<D, 2, 0, FOUR>(d, sums, place),
                        (2, _) => by_rows::<D, 2, 2, FOUR>(d, sums, place),
                        (_, 0) => by_rows::<D, 1, 0, FOUR>(d, sums, place),
                        (_, _) => by_rows::<D, 1, 1, FOUR>(d, sums, place),
                    }
                    asked += asks;
                    row += rows;
                }
            }
            let (from, to) = (here.start - panel * PANEL, here.end - panel * PANEL);
            for (row, sums) in (top..bottom).zip(&sums.0) {
                let y = &mut y.row_mut(row)[here.start - outputs.start..here.end - outputs.start];
                if FOUR {
                    y.copy_from_slice(&sums[from..to]);
                } else {
                    for ((y, sum), scale) in y.iter_mut().zip(&sums[from..to]).zip(w.scales_of(here.clone()))
                    {
                        *y = sum * scale;
                    }
                }
            }
        }
        panel += panels;
    }
}

/// Sums of a chunk of rows for a block of panels.
#[repr(align(64))]
struct Sums([[f32; MOST_OUTPUTS]; CHUNK]);

/// Where a tile lies: its first row, its first panel, and the parts of the columns that are summed: groups, or shares of
/// them where the weights' scales change too.
#[derive(Clone)]
struct Place<'a> {
    x: Activations<'a>,
    row: usize,
    w: &'a Panels,
    panel: usize,
    /// That panel's numbers, and bytes from one to the next.
    weights: *const i8,
    bytes: usize,
    parts: Range<usize>,
    /// The first of the next panels that is to be asked for, if not all have been.
    asked: usize,
}

#[inline(always)]
fn by_rows<D: Dot, const PANELS: usize, const ASKS: usize, const FOUR: bool>(
    d: D,
    sums: &mut [[f32; MOST_OUTPUTS]],
    place: Place<'_>,
) {
    match sums.len() {
        1 => by_vectors::<D, 1, PANELS, ASKS, FOUR>(d, sums, place),
        2 => by_vectors::<D, 2, PANELS, ASKS, FOUR>(d, sums, place),
        3 if D::ROWS >= 3 => by_vectors::<D, 3, PANELS, ASKS, FOUR>(d, sums, place),
        4 if D::ROWS >= 4 => by_vectors::<D, 4, PANELS, ASKS, FOUR>(d, sums, place),
        _ => unreachable!("tiles have at most D::ROWS rows"),
    }
}

#[inline(always)]
fn by_vectors<D: Dot, const ROWS: usize, const PANELS: usize, const ASKS: usize, const FOUR: bool>(
    d: D,
    sums: &mut [[f32; MOST_OUTPUTS]],
    place: Place<'_>,
) {
    match (PANELS * PANEL / D::LANES, D::VECTORS) {
        (1, _) => run::<D, ROWS, 1, ASKS, FOUR>(d, sums, place),
        (2, 2..) => run::<D, ROWS, 2, ASKS, FOUR>(d, sums, place),
        (4, 4..) => run::<D, ROWS, 4, ASKS, FOUR>(d, sums, place),
        _ => unreachable!("tiles have at most D::VECTORS vectors"),
    }
}

/// `ROWS` rows by `VECTORS` vectors of outputs: adds the products of some parts to their sums, the first part's written.
/// `ASKS` of the next panels are asked for as it goes.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // i and v are places in x and the weights as well
fn run<D: Dot, const ROWS: usize, const VECTORS: usize, const ASKS: usize, const FOUR: bool>(
    d: D,
    totals: &mut [[f32; MOST_OUTPUTS]],
    place: Place<'_>,
) {
    let Place { x, row, w, panel, weights: first, bytes, parts, asked } = place;
    let s = d.float();
    let per_panel = PANEL / D::LANES;
    // One row passes over panel after panel; several do over a block of panels, and ask for the next.
    let ahead = if ROWS == 1 { AHEAD } else { (VECTORS.div_ceil(per_panel) * bytes).max(AHEAD) };
    // How far one scale reaches.
    let (reach, lines, more) = if FOUR { (SHARE, SHARE / 8, 8) } else { (GROUP, GROUP / 4, 128) };
    let (mut begins, mut factors) = ([std::ptr::null::<i32>(); ROWS], [std::ptr::null::<f32>(); ROWS]);
    // Plain loops: what closures do is not always compiled for the instruction set.
    let (mut weights, mut tokens) = ([std::ptr::null::<i8>(); VECTORS], [std::ptr::null::<i8>(); ROWS]);
    for v in 0..VECTORS {
        // The vectors of a panel lie beside each other.
        weights[v] = first.wrapping_add(v / per_panel * bytes + v % per_panel * 4 * D::LANES);
    }
    for i in 0..ROWS {
        (tokens[i], factors[i], begins[i]) = x.row(row + i);
    }
    // What has been asked for already is asked for where it is near.
    let mut next = [first; ASKS];
    if (asked + ASKS) * per_panel <= VECTORS {
        for i in 0..ASKS {
            next[i] = first.wrapping_add((asked + i) * bytes + ahead);
        }
    }
    assert!(
        totals.len() >= ROWS && parts.end * reach < x.cols() + reach,
        "sums of every row, parts that there are"
    );
    let totals = totals.as_mut_ptr().cast::<f32>();
    for part in parts {
        let mut sums = [[d.begin(0, 0); VECTORS]; ROWS];
        for i in 0..ROWS {
            // SAFETY: a row has sums of all shares of its groups.
            let begin = unsafe {
                let shares = begins[i].add(part * reach / SHARE);
                match FOUR {
                    true => *shares,
                    false => *shares + *shares.add(1) + *shares.add(2) + *shares.add(3),
                }
            };
            sums[i] = [d.begin(begin, more); VECTORS];
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
                    if half == 0 {
                        for to in next {
                            s.prefetch(to.wrapping_add(line * 4 * PANEL).cast());
                        }
                    }
                    for v in 0..VECTORS {
                        let p = weights[v].add(line * 4 * PANEL);
                        let of_weights = if FOUR { d.halves(p)[half] } else { d.weights(p) };
                        for i in 0..ROWS {
                            sums[i][v] = d.dot(sums[i][v], of_weights, of_tokens[i]);
                        }
                    }
                }
            }
        }
        for i in 0..ROWS {
            // SAFETY: a row has a factor for each of its groups.
            let factor = s.splat(unsafe { *factors[i].add(part * reach / GROUP) });
            for v in 0..VECTORS {
                // SAFETY: each row has 64 totals; a vector's worth of scales.
                unsafe {
                    let at = totals.add(i * MOST_OUTPUTS + v * D::LANES);
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
}
