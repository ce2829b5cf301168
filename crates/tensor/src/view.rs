//! Strided views of matrices: what the matrix products read and write.
//!
//! A [`MatMut`] can be cut by columns as well as by rows into views that never overlap, which a pair of
//! `&mut [f32]` cannot express for a row-major matrix; this is how threads share one output.

use std::marker::PhantomData;
use std::ops::Range;

/// A read-only view of a `[rows, cols]` matrix, of f32 where nothing else is said, with any strides.
#[derive(Clone, Copy)]
pub struct MatRef<'a, T = f32> {
    pub(crate) data: &'a [T],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a, T: Copy> MatRef<'a, T> {
    /// `[rows, cols]`, rows `stride` elements apart, unit stride within a row.
    ///
    /// Panics when `data` is too short.
    pub fn new(data: &'a [T], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        MatRef { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// The transposed view, without moving anything.
    pub fn t(self) -> Self {
        MatRef {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Columns `from..from + cols`.
    pub fn columns(self, from: usize, cols: usize) -> Self {
        assert!(from + cols <= self.cols, "columns {from}+{cols} of {}", self.cols);
        let skip = if self.rows == 0 || cols == 0 { 0 } else { from * self.col_stride };
        MatRef { data: &self.data[skip..], cols, ..self }
    }

    /// Rows `from..from + rows`.
    pub fn rows(self, from: usize, rows: usize) -> Self {
        assert!(from + rows <= self.rows, "rows {from}+{rows} of {}", self.rows);
        let skip = if rows == 0 || self.cols == 0 { 0 } else { from * self.row_stride };
        MatRef { data: &self.data[skip..], rows, ..self }
    }

    /// One element (bounds-checked; for oracles and tests).
    pub fn at(&self, row: usize, col: usize) -> T {
        assert!(row < self.rows && col < self.cols);
        self.data[row * self.row_stride + col * self.col_stride]
    }

    /// One row of a view whose rows are contiguous.
    pub(crate) fn row(&self, row: usize) -> &'a [T] {
        assert!(row < self.rows && (self.col_stride == 1 || self.cols <= 1));
        &self.data[row * self.row_stride..][..self.cols]
    }

    pub(crate) fn as_ptr(&self) -> *const T {
        self.data.as_ptr()
    }
}

/// An exclusive view of a `[rows, cols]` matrix of f32 whose rows are `stride` elements apart.
pub struct MatMut<'a> {
    ptr: *mut f32,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    stride: usize,
    life: PhantomData<&'a mut f32>,
}

// SAFETY: a MatMut is an exclusive borrow of its elements, like `&mut [f32]`; views made by splitting are
// disjoint.
unsafe impl Send for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// `[rows, cols]`, rows `stride` elements apart, unit stride within a row.
    ///
    /// Panics when `data` is too short.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, stride: usize) -> Self {
        check(data.len(), rows, cols, stride);
        MatMut { ptr: data.as_mut_ptr(), rows, cols, stride, life: PhantomData }
    }

    /// A shorter borrow of the same view.
    pub fn reborrow(&mut self) -> MatMut<'_> {
        MatMut { ptr: self.ptr, rows: self.rows, cols: self.cols, stride: self.stride, life: PhantomData }
    }

    /// Columns before `at`, and the others.
    pub fn split_cols(self, at: usize) -> (Self, Self) {
        assert!(at <= self.cols);
        let right = MatMut { ptr: self.ptr.wrapping_add(at), cols: self.cols - at, ..self };
        (MatMut { cols: at, ..self }, right)
    }

    /// The columns of each of these ranges, which follow one another from 0 on.
    pub(crate) fn cut_cols(self, ranges: Vec<Range<usize>>) -> Vec<(Range<usize>, Self)> {
        let mut rest = Some(self);
        let cut = |range: Range<usize>| {
            let (part, right) = rest.take().expect("one remainder a range").split_cols(range.len());
            rest = Some(right);
            (range, part)
        };
        ranges.into_iter().map(cut).collect()
    }

    /// Rows before `at`, and the others.
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        assert!(at <= self.rows);
        let below = MatMut { ptr: self.ptr.wrapping_add(at * self.stride), rows: self.rows - at, ..self };
        (MatMut { rows: at, ..self }, below)
    }

    /// Some rows.
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        self.split_rows(rows.start).1.split_rows(rows.len()).0
    }

    /// One row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: the row lies within the view, and the borrow of self keeps others away.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(row * self.stride), self.cols) }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.ptr
    }

    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

fn check(len: usize, rows: usize, cols: usize, stride: usize) {
    if rows > 0 && cols > 0 {
        assert!(cols <= stride || rows == 1, "rows of {cols} overlap at stride {stride}");
        let need = (rows - 1).checked_mul(stride).and_then(|n| n.checked_add(cols));
        assert!(need.is_some_and(|n| n <= len), "[{rows}, {cols}] at stride {stride} in {len} elements");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_disjoint_and_complete() {
        let mut data: Vec<f32> = vec![0.0; 15];
        let m = MatMut::new(&mut data, 3, 4, 5);
        let (mut a, mut b) = m.split_cols(1);
        for r in 0..3 {
            a.row_mut(r).fill(1.0);
            b.row_mut(r).fill(2.0);
        }
        assert_eq!(data[..5], [1.0, 2.0, 2.0, 2.0, 0.0]);
        let (mut top, mut rest) = MatMut::new(&mut data, 3, 4, 5).split_rows(2);
        top.row_mut(1).fill(7.0);
        rest.row_mut(0).fill(8.0);
        assert_eq!(data[5..14], [7.0, 7.0, 7.0, 7.0, 0.0, 8.0, 8.0, 8.0, 8.0]);
    }

    #[test]
    fn transposed_views_read_the_same_elements() {
        let data: Vec<f32> = (0..12).map(|x| x as f32).collect();
        let m = MatRef::new(&data, 3, 4, 4);
        assert_eq!(m.t().at(3, 2), m.at(2, 3));
        assert_eq!(m.columns(1, 2).at(2, 1), 10.0);
        assert_eq!(m.rows(1, 1).at(0, 0), 4.0);
        assert_eq!(m.t().columns(2, 1).at(1, 0), 9.0);
    }

    #[test]
    #[should_panic(expected = "elements")]
    fn short_data_is_refused() {
        MatRef::new(&[0.0; 7], 2, 4, 4);
    }
}
