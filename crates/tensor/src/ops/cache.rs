//! Keys and values kept while decoding; they belong to the caller.

use crate::Tensor;

/// Keys and values of one attention: `slots` sequences of up to `capacity` positions each, every row
/// num_heads · d_kv wide. Slot `s` has the rows `s · capacity …`.
#[derive(Clone)]
pub struct KeyValues {
    k: Tensor,
    v: Tensor,
    capacity: usize,
}

impl KeyValues {
    /// Room for `slots` sequences of `capacity` positions, `cols` wide.
    pub fn new(slots: usize, capacity: usize, cols: usize) -> Self {
        KeyValues {
            k: Tensor::zeros(slots * capacity, cols),
            v: Tensor::zeros(slots * capacity, cols),
            capacity,
        }
    }

    /// All rows at once, from keys and values side by side: `kv` is [tokens, 2 · cols].
    pub fn from_packed(kv: &Tensor) -> Self {
        let (rows, cols) = (kv.rows(), kv.cols() / 2);
        let (mut k, mut v) = (Tensor::unspecified(rows, cols), Tensor::unspecified(rows, cols));
        for (i, (k, v)) in
            k.data_mut().chunks_exact_mut(cols).zip(v.data_mut().chunks_exact_mut(cols)).enumerate()
        {
            k.copy_from_slice(&kv.row(i)[..cols]);
            v.copy_from_slice(&kv.row(i)[cols..]);
        }
        KeyValues { k, v, capacity: rows }
    }

    /// Writes the keys and values of one position: row `row` of `from`, columns `column ..` keys, then values.
    pub fn store(&mut self, slot: usize, position: usize, from: &Tensor, row: usize, column: usize) {
        assert!(position < self.capacity, "position {position} of {}", self.capacity);
        let (at, cols) = (slot * self.capacity + position, self.k.cols());
        let source = &from.row(row)[column..][..2 * cols];
        self.k.data_mut()[at * cols..][..cols].copy_from_slice(&source[..cols]);
        self.v.data_mut()[at * cols..][..cols].copy_from_slice(&source[cols..]);
    }

    /// Room for `capacity` positions in each of `slots`, keeping what is there.
    pub fn grow(&mut self, slots: usize, capacity: usize) {
        let cols = self.k.cols();
        let mut larger = KeyValues::new(slots, capacity, cols);
        for (from, to) in [(&self.k, &mut larger.k), (&self.v, &mut larger.v)] {
            let rows = self.capacity.min(capacity) * cols;
            let old = from.data().chunks_exact(self.capacity * cols);
            for (old, new) in old.zip(to.data_mut().chunks_exact_mut(capacity * cols)) {
                new[..rows].copy_from_slice(&old[..rows]);
            }
        }
        *self = larger;
    }

    /// First row of a slot.
    pub fn slot(&self, slot: usize) -> usize {
        slot * self.capacity
    }

    /// Positions a slot has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
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
