//! Keys and values kept while decoding; they belong to the caller.

use crate::Tensor;
use crate::ops::gather_rows;

/// Keys and values of one attention: a row a position, num_heads · d_kv numbers of the key, then as many of the value.
/// Which rows belong to which sequence, and in which order, the caller knows; sequences may share rows, as hypotheses
/// share their past.
#[derive(Clone, Debug)]
pub struct KeyValues {
    rows: Tensor,
}

impl KeyValues {
    /// Room for `rows` positions, keys and values `cols` wide. Where there is much of it, it takes memory only as it is
    /// written to.
    pub fn new(rows: usize, cols: usize) -> Self {
        KeyValues { rows: Tensor::untouched(rows, 2 * cols) }
    }

    /// All rows at once: `kv` is [tokens, 2 · cols].
    pub fn from_packed(kv: Tensor) -> Self {
        KeyValues { rows: kv }
    }

    /// Writes row `to[i]` for every row `i` of `from`: its columns from `column` on.
    pub fn store(&mut self, to: &[u32], from: &Tensor, column: usize) {
        let width = self.rows.cols();
        assert_eq!(to.len(), from.rows(), "a place for every row");
        let data = self.rows.data_mut();
        for (row, &to) in to.iter().enumerate() {
            data[to as usize * width..][..width].copy_from_slice(&from.row(row)[column..][..width]);
        }
    }

    /// Room for `rows` positions, keeping the first `used`.
    pub fn grow(&mut self, rows: usize, used: usize) {
        let mut larger = KeyValues::new(rows.max(self.rows()), self.cols());
        let used = used * self.stride();
        larger.rows.data_mut()[..used].copy_from_slice(&self.rows.data()[..used]);
        *self = larger;
    }

    /// The rows listed: [rows.len(), 2 · cols], keys first.
    pub fn gather(&self, rows: &[usize]) -> Tensor {
        gather_rows(&self.rows, rows)
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
