//! Activations: matrices of f32, shared by reference count.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::buffer::Buffer;
use crate::{MatMut, MatRef, Rows};

/// A `[rows, cols]` row-major matrix of f32. Cloning shares the elements.
///
/// A packed batch of sequences is `[tokens, features]`; there is no padding and no third dimension.
#[derive(Clone)]
pub struct Tensor {
    buffer: Arc<Buffer>,
    rows: usize,
    cols: usize,
}

impl Tensor {
    /// `[rows, cols]` zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Tensor { buffer: Arc::new(Buffer::zeros(rows * cols)), rows, cols }
    }

    /// `[rows, cols]` zeros that take memory as they are written to: for a matrix most of whose rows may stay zero.
    pub fn untouched(rows: usize, cols: usize) -> Self {
        Tensor { buffer: Arc::new(Buffer::untouched(rows * cols)), rows, cols }
    }

    /// `[rows, cols]` whose elements the caller will all overwrite; until then they are arbitrary numbers.
    pub fn unspecified(rows: usize, cols: usize) -> Self {
        Tensor { buffer: Arc::new(Buffer::unspecified(rows * cols)), rows, cols }
    }

    /// Unspecified elements where the caller overwrites `all` of them, zeros where it may leave some.
    pub(crate) fn to_fill(rows: usize, cols: usize, all: bool) -> Self {
        if all { Tensor::unspecified(rows, cols) } else { Tensor::zeros(rows, cols) }
    }

    /// The same elements as a matrix of another shape; panics when their count differs.
    pub(crate) fn reshaped(self, rows: usize, cols: usize) -> Self {
        assert_eq!(rows * cols, self.data().len(), "elements of a [{rows}, {cols}] tensor");
        Tensor { rows, cols, ..self }
    }

    /// Takes `rows * cols` elements; panics when the count differs.
    pub fn from_vec(rows: usize, cols: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), rows * cols, "elements of a [{rows}, {cols}] tensor");
        Tensor { buffer: Arc::new(Buffer::from(data)), rows, cols }
    }

    /// Number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns (features).
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All elements, row by row.
    pub fn data(&self) -> &[f32] {
        self.buffer.as_slice()
    }

    /// All elements, to write. Panics when the elements are shared: operations write only into tensors they
    /// have made or have asked for with [`Tensor::is_unique`] or [`Tensor::into_unique`].
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        Arc::get_mut(&mut self.buffer).expect("writing to a shared tensor").as_mut_slice()
    }

    /// Whether nobody else holds these elements.
    pub(crate) fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.buffer).is_some()
    }

    /// This tensor if nobody shares it, else a copy.
    pub(crate) fn into_unique(mut self) -> Self {
        if self.is_unique() {
            return self;
        }
        let mut copy = Tensor::unspecified(self.rows, self.cols);
        copy.data_mut().copy_from_slice(self.data());
        copy
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data()[row * self.cols..][..self.cols]
    }

    /// A copy of some rows.
    pub(crate) fn rows_copied(&self, rows: Range<usize>) -> Tensor {
        let mut copy = Tensor::unspecified(rows.len(), self.cols);
        copy.data_mut().copy_from_slice(&self.data()[rows.start * self.cols..rows.end * self.cols]);
        copy
    }

    /// The rows, as files are written from them.
    pub fn as_rows(&self) -> Rows<'_> {
        Rows::f32(self.data(), self.cols)
    }

    /// Reads elements from little-endian bytes, into zeros that nobody has written to: what is zero there too takes no
    /// memory then (see [`Tensor::untouched`]). Panics when their count differs.
    pub fn read_f32(&mut self, bytes: &[u8]) {
        let data = self.data_mut();
        assert_eq!(bytes.len(), size_of_val(data), "bytes of a tensor");
        let pieces = data.chunks_mut(1024).zip(bytes.chunks(4096));
        for (piece, bytes) in pieces.filter(|(_, bytes)| bytes.iter().any(|&b| b != 0)) {
            for (x, bytes) in piece.iter_mut().zip(bytes.chunks_exact(4)) {
                *x = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
    }

    /// A view of the whole matrix.
    pub(crate) fn view(&self) -> MatRef<'_> {
        MatRef::new(self.data(), self.rows, self.cols, self.cols)
    }

    /// A view of the whole matrix, to write; panics when shared.
    pub(crate) fn view_mut(&mut self) -> MatMut<'_> {
        let (rows, cols) = (self.rows, self.cols);
        MatMut::new(self.data_mut(), rows, cols, cols)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.data()[..self.data().len().min(6)];
        write!(f, "Tensor [{}, {}] {start:?}…", self.rows, self.cols)
    }
}
