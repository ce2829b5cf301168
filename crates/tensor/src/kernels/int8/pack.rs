//! Weights in int8 as the kernels want them: panels of sixteen outputs, four columns of each side by side.

use crate::Tensor;

/// Outputs of a panel.
pub(super) const PANEL: usize = 16;

/// A weight matrix [rows, cols] in int8 with a scale a row, packed.
///
/// A panel is sixteen rows; in it lie, for every four columns, the four numbers of the first row, those of the second, and so
/// on: 64 bytes, a cache line. That is what `vpdpbusd`, `sdot` and AMX's tiles of B read.
#[derive(Debug)]
pub struct Panels {
    rows: usize,
    cols: usize,
    /// [panels, 16 · quads of columns] words of four numbers: memory of activations' kind, for its huge pages.
    words: Tensor,
    /// [rows filled up to whole panels]
    scales: Vec<f32>,
}

impl Panels {
    /// Of rows one after another. Panics where the sizes do not fit.
    pub fn new(rows: usize, cols: usize, q: &[i8], scales: &[f32]) -> Panels {
        assert!(q.len() == rows * cols && scales.len() == rows, "[{rows}, {cols}] in int8");
        Panels::from_fn(rows, cols, scales, |row, from| {
            let row = &q[row * cols..(row + 1) * cols];
            std::array::from_fn(|l| row.get(from + l).copied().unwrap_or(0))
        })
    }

    /// `quad(row, col)`: the numbers from a column on, zeros behind the last.
    fn from_fn(rows: usize, cols: usize, scales: &[f32], quad: impl Fn(usize, usize) -> [i8; 4]) -> Panels {
        let (panels, quads) = (rows.div_ceil(PANEL), cols.div_ceil(4));
        let mut words = Tensor::zeros(panels, PANEL * quads);
        if quads > 0 {
            for (panel, words) in words.data_mut().chunks_exact_mut(PANEL * quads).enumerate() {
                for lane in 0..PANEL.min(rows - panel * PANEL) {
                    for (at, word) in words[lane..].iter_mut().step_by(PANEL).enumerate() {
                        *word = f32::from_ne_bytes(quad(panel * PANEL + lane, 4 * at).map(|q| q as u8));
                    }
                }
            }
        }
        let mut scales = scales.to_vec();
        scales.resize(panels * PANEL, 0.0);
        Panels { rows, cols, words, scales }
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What is summed over.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The scale of each row.
    pub fn scales(&self) -> &[f32] {
        &self.scales[..self.rows]
    }

    /// The numbers of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = i8> + '_ {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let words = self.words.row(row / PANEL).iter().skip(row % PANEL).step_by(PANEL);
        words.flat_map(|word| word.to_ne_bytes().map(|byte| byte as i8)).take(self.cols)
    }

    /// Rows `rows` transposed: an output a column of theirs, with these scales. Their own belong to what is summed over
    /// then, which the caller multiplies into the activations.
    pub fn transposed(&self, rows: std::ops::Range<usize>, scales: &[f32]) -> Panels {
        let by_rows: Vec<i8> = rows.clone().flat_map(|row| self.row(row)).collect();
        let (cols, count) = (self.cols, rows.len());
        assert_eq!(scales.len(), cols, "a scale a column");
        Panels::from_fn(cols, count, scales, |output, from| {
            std::array::from_fn(|l| if from + l < count { by_rows[(from + l) * cols + output] } else { 0 })
        })
    }

    /// The first number of the first panel; the others follow, as many bytes apart as a panel has.
    pub(super) fn first(&self) -> (*const i8, usize) {
        (self.words.data().as_ptr().cast(), PANEL * 4 * self.quads())
    }

    /// Words of four columns that a row has.
    #[inline(always)]
    pub(super) fn quads(&self) -> usize {
        self.cols.div_ceil(4)
    }

    /// The scales of a panel.
    #[inline(always)]
    pub(super) fn panel_scales(&self, panel: usize) -> &[f32] {
        &self.scales[panel * PANEL..(panel + 1) * PANEL]
    }
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
            assert_eq!(packed.scales(), scales);
            for row in 0..rows {
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
}
