//! Keys and values kept while decoding; they belong to the caller.

use crate::Tensor;

/// Keys and values of one attention: a row a position, num_heads · d_kv numbers of the key, then as many of the value.
/// Which rows belong to which sequence, and in which order, the caller knows; sequences may share rows, as hypotheses
/// share their past.
#[derive(Clone)]
pub struct KeyValues {
    rows: Tensor,
}

impl KeyValues {
    /// Room for `rows` positions, keys and values `cols` wide.
    pub fn new(rows: usize, cols: usize) -> Self {
        KeyValues { rows: Tensor::zeros(rows, 2 * cols) }
    }

    /// All rows at once: `kv` is [tokens, 2 · cols].
    pub fn from_packed(kv: Tensor) -> Self {
        KeyValues { rows: kv }
    }

    /// Writes rows from `first` on, one for each row of `from`: its columns from `column` on.
    pub fn store(&mut self, first: usize, from: &Tensor, column: usize) {
        let (rows, width) = (from.rows(), self.rows.cols());
        assert!(first + rows <= self.rows(), "rows up to {} of {}", first + rows, self.rows());
        let to = self.rows.data_mut()[first * width..].chunks_exact_mut(width.max(1));
        for (row, to) in (0..rows).zip(to) {
            to.copy_from_slice(&from.row(row)[column..][..width]);
        }
    }

    /// Room for `rows` positions, keeping what is there.
    pub fn grow(&mut self, rows: usize) {
        let mut larger = KeyValues::new(rows.max(self.rows()), self.cols());
        larger.rows.data_mut()[..self.rows.data().len()].copy_from_slice(self.rows.data());
        *self = larger;
    }

    /// Positions there is room for.
    pub fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// Width of a key or a value.
    pub fn cols(&self) -> usize {
        self.rows.cols() / 2
    }

    /// The keys from `row` and `column` on, [`KeyValues::stride`] apart.
    pub(crate) fn keys(&self, row: usize, column: usize) -> &[f32] {
        &self.rows.data()[row * self.stride() + column..]
    }

    /// The values, alike.
    pub(crate) fn values(&self, row: usize, column: usize) -> &[f32] {
        self.keys(row, self.cols() + column)
    }

    /// Distance between the rows.
    pub(crate) fn stride(&self) -> usize {
        self.rows.cols()
    }
}
