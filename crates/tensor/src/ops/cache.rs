//! Keys and values kept while decoding; they belong to the caller.

use std::ops::Range;

use crate::ops::gather_rows;
use crate::{Tensor, cpu};

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

    /// Those in some rows of `from`, keys from column `column` on, then values, `cols` wide each.
    pub fn taken(from: &Tensor, rows: Range<usize>, column: usize, cols: usize) -> Self {
        let mut own = Tensor::unspecified(rows.len(), 2 * cols);
        cpu::rows::copy(&mut own, 0..rows.len(), from, rows, column);
        KeyValues { rows: own }
    }

    /// Writes row `to[i]` for every row `i` of `from`: its columns from `column` on.
    pub fn store(&mut self, to: &[u32], from: &Tensor, column: usize) {
        assert_eq!(to.len(), from.rows(), "a place for every row");
        let to = to.iter().map(|&row| row as usize);
        cpu::rows::copy(&mut self.rows, to, from, 0..from.rows(), column);
    }

    /// Room for `rows` positions, keeping the first `used`.
    pub fn grow(&mut self, rows: usize, used: usize) {
        let mut larger = KeyValues::new(rows.max(self.rows()), self.cols());
        cpu::rows::copy(&mut larger.rows, 0..used, &self.rows, 0..used, 0);
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

    /// All rows: [positions, 2 · cols].
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.rows
    }
}
