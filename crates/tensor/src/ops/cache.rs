//! Keys and values kept while decoding; they belong to the caller.

use crate::Tensor;

/// Keys and values of one attention: rows of num_heads · d_kv numbers each. Which rows belong to which sequence, and in
/// which order, the caller knows; sequences may share rows, as hypotheses share their past.
#[derive(Clone)]
pub struct KeyValues {
    k: Tensor,
    v: Tensor,
}

impl KeyValues {
    /// Room for `rows` positions, `cols` wide.
    pub fn new(rows: usize, cols: usize) -> Self {
        KeyValues { k: Tensor::zeros(rows, cols), v: Tensor::zeros(rows, cols) }
    }

    /// All rows at once, from keys and values side by side: `kv` is [tokens, 2 · cols].
    pub fn from_packed(kv: &Tensor) -> Self {
        let cols = kv.cols() / 2;
        let mut all =
            KeyValues { k: Tensor::unspecified(kv.rows(), cols), v: Tensor::unspecified(kv.rows(), cols) };
        all.store(0, kv, 0);
        all
    }

    /// Writes rows from `first` on, one for each row of `from`: keys in its columns `column ..`, then values.
    pub fn store(&mut self, first: usize, from: &Tensor, column: usize) {
        let (rows, cols) = (from.rows(), self.k.cols());
        assert!(first + rows <= self.k.rows(), "rows up to {} of {}", first + rows, self.k.rows());
        for (part, to) in [&mut self.k, &mut self.v].into_iter().enumerate() {
            let to = to.data_mut()[first * cols..].chunks_exact_mut(cols.max(1));
            for (row, to) in (0..rows).zip(to) {
                to.copy_from_slice(&from.row(row)[column + part * cols..][..cols]);
            }
        }
    }

    /// Room for `rows` positions, keeping what is there.
    pub fn grow(&mut self, rows: usize) {
        let mut larger = KeyValues::new(rows.max(self.rows()), self.cols());
        for (from, to) in [(&self.k, &mut larger.k), (&self.v, &mut larger.v)] {
            to.data_mut()[..from.data().len()].copy_from_slice(from.data());
        }
        *self = larger;
    }

    /// Positions there is room for.
    pub fn rows(&self) -> usize {
        self.k.rows()
    }

    /// Width of a row.
    pub fn cols(&self) -> usize {
        self.k.cols()
    }

    pub(crate) fn keys(&self, row: usize, column: usize) -> &[f32] {
        &self.k.data()[row * self.k.cols() + column..]
    }

    pub(crate) fn values(&self, row: usize, column: usize) -> &[f32] {
        &self.v.data()[row * self.v.cols() + column..]
    }
}
