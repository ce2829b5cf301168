//! Weights in int8 as the kernels want them: panels of sixteen outputs, four columns of each side by side.

use super::quantize::SHARE;
use crate::Tensor;

/// Outputs of a panel.
pub(super) const PANEL: usize = 16;

/// What a weight takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// −127 to 127 with a scale a row.
    Eight,
    /// −8 to 7 with a scale for every [`SHARE`] columns of a row.
    Four,
}

/// A weight matrix [rows, cols] of whole numbers, packed.
///
/// A panel is sixteen rows; in it lie, for every four columns, the four numbers of the first row, those of the second, and so
/// on: 64 bytes, a line. That is what `vpdpbusd`, `sdot` and AMX's tiles of B read. Of 4 bits a line has eight columns: the
/// first four in the lower halves of its bytes, the others in the upper ones, each with 8 added.
#[derive(Debug)]
pub struct Panels {
    rows: usize,
    cols: usize,
    bits: Bits,
    /// [panels, 16 · lines] words of four bytes: memory of activations' kind, for its huge pages.
    words: Tensor,
    /// [panels, 16], or [panels, shares, 16] of 4 bits; 0 where there is no row.
    scales: Vec<f32>,
}

impl Panels {
    /// Of rows in int8, one after another, and a scale each. Panics where the sizes do not fit.
    pub fn new(rows: usize, cols: usize, q: &[i8], scales: &[f32]) -> Panels {
        assert!(q.len() == rows * cols && scales.len() == rows, "[{rows}, {cols}] in int8");
        Panels::eight(rows, cols, scales, |panel, lines| {
            let first = panel * PANEL;
            for (lane, row) in (first..rows.min(first + PANEL)).enumerate() {
                let (quads, rest) = q[row * cols..(row + 1) * cols].as_chunks::<4>();
                for (line, quad) in lines.iter_mut().zip(quads) {
                    line[lane] = *quad;
                }
                if let Some(line) = lines.get_mut(quads.len()) {
                    line[lane][..rest.len()].copy_from_slice(rest);
                }
            }
        })
    }

    /// Of int8 [depth, outputs] the other way round, an output a column: rows one after another, and a scale a column. Panics
    /// where the sizes do not fit.
    pub fn of_columns(depth: usize, outputs: usize, q: &[i8], scales: &[f32]) -> Panels {
        assert!(
            q.len() == depth * outputs && scales.len() == outputs,
            "[{depth}, {outputs}] in int8, turned"
        );
        Panels::eight(outputs, depth, scales, |panel, lines| {
            let (first, last) = (panel * PANEL, outputs.min((panel + 1) * PANEL));
            for (at, line) in lines.iter_mut().enumerate() {
                let mut four = [[0; PANEL]; 4];
                for (row, four) in (4 * at..depth).zip(&mut four) {
                    four[..last - first].copy_from_slice(&q[row * outputs..][first..last]);
                }
                let [a, b, c, d] = four;
                *line = std::array::from_fn(|lane| [a[lane], b[lane], c[lane], d[lane]]);
            }
        })
    }

    /// Of rows of 4 bits, two columns a byte (the first in its lower half), with 8 added, and scales [rows, shares]. Panics
    /// where the sizes do not fit.
    pub fn four(rows: usize, cols: usize, bytes: &[u8], scales: &[f32]) -> Panels {
        let (of_row, shares) = (cols.div_ceil(2), cols.div_ceil(SHARE));
        assert!(bytes.len() == rows * of_row && scales.len() == rows * shares, "[{rows}, {cols}] in int4");
        let half = |row: usize, col: usize| match col < cols {
            true => (bytes[row * of_row + col / 2] >> (col % 2 * 4)) & 15,
            false => 8,
        };
        let words = filled(rows, cols.div_ceil(8), |panel, lines| {
            let first = panel * PANEL;
            for (lane, row) in (first..rows.min(first + PANEL)).enumerate() {
                for (col, line) in (0..).step_by(8).zip(lines.iter_mut()) {
                    line[lane] =
                        std::array::from_fn(|l| (half(row, col + l) | half(row, col + 4 + l) << 4) as i8);
                }
            }
        });
        let panels = rows.div_ceil(PANEL);
        let mut packed = vec![0.0; panels * shares * PANEL];
        for (row, scales) in scales.chunks_exact(shares.max(1)).enumerate() {
            for (share, &scale) in scales.iter().enumerate() {
                packed[(row / PANEL * shares + share) * PANEL + row % PANEL] = scale;
            }
        }
        Panels { rows, cols, bits: Bits::Four, words, scales: packed }
    }

    fn eight(
        rows: usize,
        cols: usize,
        scales: &[f32],
        fill: impl Fn(usize, &mut [[[i8; 4]; PANEL]]),
    ) -> Panels {
        let words = filled(rows, cols.div_ceil(4), fill);
        let mut scales = scales.to_vec();
        scales.resize(rows.next_multiple_of(PANEL), 0.0);
        Panels { rows, cols, bits: Bits::Eight, words, scales }
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What is summed over.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.words.data()) + size_of_val(&self.scales[..])
    }

    /// What a weight takes.
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// The numbers of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = i8> + '_ {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let words = self.words.row(row / PANEL).iter().skip(row % PANEL).step_by(PANEL);
        let numbers = words.flat_map(move |word| {
            let bytes = word.to_ne_bytes();
            let halves = if self.bits == Bits::Four { 2 } else { 1 };
            (0..4 * halves).map(move |l| match halves {
                1 => bytes[l] as i8,
                _ => ((bytes[l % 4] >> (l / 4 * 4)) & 15) as i8 - 8,
            })
        });
        numbers.take(self.cols)
    }

    /// The scales of a row: one, or one a share.
    pub fn scales(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let shares = self.shares();
        (0..shares).map(move |share| self.scales[(row / PANEL * shares + share) * PANEL + row % PANEL])
    }

    /// A row in f32.
    pub fn widen(&self, row: usize, y: &mut [f32]) {
        assert_eq!(y.len(), self.cols, "a row");
        let reach = if self.bits == Bits::Four { SHARE } else { self.cols.max(1) };
        y.iter_mut().zip(self.row(row)).for_each(|(y, q)| *y = f32::from(q));
        for (y, scale) in y.chunks_mut(reach).zip(self.scales(row)) {
            y.iter_mut().for_each(|y| *y *= scale);
        }
    }

    /// Rows `rows` of int8 transposed: an output a column of theirs, with these scales. Their own belong to what is summed
    /// over then, which the caller multiplies into the activations.
    pub fn transposed(&self, rows: std::ops::Range<usize>, scales: &[f32]) -> Panels {
        assert!(self.bits == Bits::Eight && scales.len() == self.cols, "a scale a column of int8");
        let by_rows: Vec<i8> = rows.clone().flat_map(|row| self.row(row)).collect();
        Panels::of_columns(rows.len(), self.cols, &by_rows, scales)
    }

    /// The first number of the first panel; the others follow, as many bytes apart as a panel has.
    pub(super) fn first(&self) -> (*const i8, usize) {
        (self.words.data().as_ptr().cast(), PANEL * 4 * self.lines())
    }

    /// Lines of a panel.
    #[inline(always)]
    pub(super) fn lines(&self) -> usize {
        if self.bits == Bits::Four { self.cols.div_ceil(8) } else { self.cols.div_ceil(4) }
    }

    fn shares(&self) -> usize {
        if self.bits == Bits::Four { self.cols.div_ceil(SHARE) } else { 1 }
    }

    /// The scales of some rows of int8.
    #[inline(always)]
    pub(super) fn scales_of(&self, rows: std::ops::Range<usize>) -> &[f32] {
        &self.scales[rows]
    }

    /// The scales of a share of a panel of 4 bits.
    #[inline(always)]
    pub(super) fn share_scales(&self, panel: usize, share: usize) -> &[f32] {
        let at = (panel * self.cols.div_ceil(SHARE) + share) * PANEL;
        &self.scales[at..at + PANEL]
    }
}

/// [panels, 16 · lines] words: `fill(panel, lines)` writes to the lines of each panel, which are zeros.
fn filled(rows: usize, lines: usize, fill: impl Fn(usize, &mut [[[i8; 4]; PANEL]])) -> Tensor {
    let mut words = Tensor::zeros(rows.div_ceil(PANEL), PANEL * lines);
    if lines > 0 {
        let all: &mut [[[i8; 4]; PANEL]] = bytemuck::cast_slice_mut(words.data_mut());
        all.chunks_exact_mut(lines).enumerate().for_each(|(panel, lines)| fill(panel, lines));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_columns_too() {
        for (rows, cols) in [(1, 1), (16, 4), (17, 7), (40, 130), (3, 0)] {
            let q: Vec<i8> = (0..rows * cols).map(|i| (i * 37 % 255) as i8).collect();
            let scales: Vec<f32> = (0..rows).map(|i| i as f32).collect();
            let packed = Panels::new(rows, cols, &q, &scales);
            for row in 0..rows {
                assert!(packed.scales(row).eq([scales[row]]));
                assert!(packed.row(row).eq(q[row * cols..(row + 1) * cols].iter().copied()));
            }
            let part = rows / 3..rows;
            let turned = packed.transposed(part.clone(), &vec![1.0; cols]);
            assert_eq!((turned.rows(), turned.cols()), (cols, part.len()));
            for col in 0..cols {
                assert!(turned.row(col).eq(part.clone().map(|row| q[row * cols + col])));
            }
        }
    }

    #[test]
    fn four_bits_come_back() {
        for (rows, cols) in [(1, 1usize), (16, 8), (17, 7), (40, 130)] {
            let (of_row, shares) = (cols.div_ceil(2), cols.div_ceil(SHARE));
            let bytes: Vec<u8> = (0..rows * of_row).map(|i| (i * 37 % 256) as u8).collect();
            let scales: Vec<f32> = (0..rows * shares).map(|i| i as f32).collect();
            let packed = Panels::four(rows, cols, &bytes, &scales);
            for row in 0..rows {
                let half = |col: usize| ((bytes[row * of_row + col / 2] >> (col % 2 * 4)) & 15) as i8 - 8;
                assert!(packed.row(row).eq((0..cols).map(half)));
                assert!(packed.scales(row).eq(scales[row * shares..(row + 1) * shares].iter().copied()));
                let mut wide = vec![0.0; cols];
                packed.widen(row, &mut wide);
                assert!((0..cols).all(|c| wide[c] == f32::from(half(c)) * scales[row * shares + c / SHARE]));
            }
        }
    }
}
