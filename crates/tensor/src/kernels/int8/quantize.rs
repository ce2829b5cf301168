//! Activations in int8, with a scale for every group of columns.

use crate::kernels::Isa;
use crate::kernels::vector::{Simd, dispatch};

/// Columns of activations that share a scale.
pub const GROUP: usize = 128;
/// Columns of 4-bit weights that share a scale, and of which the sums of activations are kept; some make a group.
pub const SHARE: usize = 32;
/// Shares of a group.
const SHARES: usize = GROUP / SHARE;
/// What rows are padded to: what one load of 4-bit weights covers.
const PAD: usize = 8;

/// Rows of quantised activations [rows, cols], perhaps every `step`-th of those that lie there.
#[derive(Clone, Copy)]
pub struct Activations<'a> {
    /// Rows one after another, each padded to a multiple of eight numbers.
    q: &'a [i8],
    /// [all rows, groups]
    scales: &'a [f32],
    /// Sums of the numbers of each share: [all rows, groups, shares], 0 behind the last column.
    sums: &'a [i32],
    cols: usize,
    rows: usize,
    step: usize,
}

impl<'a> Activations<'a> {
    /// Room that `rows` rows need: numbers, scales and sums.
    pub fn room(rows: usize, cols: usize) -> [usize; 3] {
        let groups = cols.div_ceil(GROUP);
        [rows * cols.next_multiple_of(PAD), rows * groups, rows * groups * SHARES]
    }

    /// Rows as [`quantize_row`] left them, all that there are. Panics where the sizes do not fit.
    pub fn new(q: &'a [i8], scales: &'a [f32], sums: &'a [i32], rows: usize, cols: usize) -> Self {
        let room = [q.len(), scales.len(), sums.len()];
        assert!(room == Activations::room(rows, cols), "{rows} rows of {cols}");
        Activations { q, scales, sums, cols, rows, step: 1 }
    }

    /// The rows from `first` on, every `step`-th, `count` of them.
    pub fn every(self, first: usize, step: usize, count: usize) -> Self {
        assert!(
            self.step == 1 && (count == 0 || first + (count - 1) * step < self.rows),
            "rows that are there"
        );
        let [numbers, groups, shares] = Activations::room(first.min(self.rows), self.cols);
        let (q, scales, sums) = (&self.q[numbers..], &self.scales[groups..], &self.sums[shares..]);
        Activations { q, scales, sums, rows: count, step, ..self }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// A row's numbers, its groups' scales and its shares' sums.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> (*const i8, *const f32, *const i32) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let (at, groups) = (row * self.step, self.cols.div_ceil(GROUP));
        let q = self.q[at * self.cols.next_multiple_of(PAD)..].as_ptr();
        let scales = self.scales[at * groups..].as_ptr();
        (q, scales, self.sums[at * groups * SHARES..].as_ptr())
    }
}

/// Quantises a row: `x ≈ scale·q` with q from −127 to 127, symmetric, rounded to nearest even, every [`GROUP`] columns by
/// their own largest magnitude. `q` is as long as `x` filled up to a multiple of eight; where a value of a group is not
/// finite, its scale is not either. The same on every instruction set.
pub fn quantize_row(isa: Isa, x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    assert!([q.len(), scales.len(), sums.len()] == Activations::room(1, x.len()), "room for a row");
    dispatch!(isa, quantize_any(x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]))
}

#[inline(always)]
fn quantize_any<S: Simd>(_: S, x: &[f32], q: &mut [i8], scales: &mut [f32], sums: &mut [i32]) {
    q[x.len()..].fill(0);
    for (group, x) in x.chunks(GROUP).enumerate() {
        let q = &mut q[group * GROUP..][..x.len()];
        // As whole numbers the bits of magnitudes are in order, infinity and NaN above all.
        let most = x.iter().fold(0, |most, x| most.max(x.to_bits() & 0x7fff_ffff));
        let most = f32::from_bits(most);
        // Below the smallest normal number the reciprocal would be infinite.
        let factor = if most >= f32::MIN_POSITIVE { 127.0 / most } else { 0.0 };
        for (q, x) in q.iter_mut().zip(x) {
            // Adding 1.5·2²³ leaves the nearest whole number in the lowest bits.
            *q = (x * factor + 12_582_912.0).to_bits() as i8;
        }
        scales[group] = if factor == 0.0 && most < f32::MIN_POSITIVE { 0.0 } else { most / 127.0 };
        let sums = &mut sums[group * SHARES..][..SHARES];
        sums.fill(0);
        for (sum, q) in sums.iter_mut().zip(q.chunks(SHARE)) {
            *sum = q.iter().map(|&q| i32::from(q)).sum();
        }
    }
}
