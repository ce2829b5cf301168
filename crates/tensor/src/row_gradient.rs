//! The gradient of a matrix of which a step touches few rows: those rows alone.

use std::collections::HashMap;

use crate::cpu::embedding::add_to_rows_of;
use crate::{Context, MatMut, Tensor};

/// Gradients of some rows of a matrix; that of every other row is zero.
#[derive(Default)]
pub struct RowGradient {
    /// The rows in the order in which they were first met.
    ids: Vec<u32>,
    slots: HashMap<u32, usize>,
    values: Vec<f32>,
    cols: usize,
}

impl RowGradient {
    /// `row ids[t] += dy[t]` for every `t`. `dy`: [ids, cols].
    pub(crate) fn add(&mut self, context: Context<'_>, ids: &[u32], dy: &Tensor) {
        self.cols = dy.cols();
        let mut slot = |&id: &u32| {
            *self.slots.entry(id).or_insert_with(|| {
                self.ids.push(id);
                self.ids.len() - 1
            })
        };
        let slots: Vec<usize> = ids.iter().map(&mut slot).collect();
        self.values.resize(self.ids.len() * self.cols, 0.0);
        add_to_rows_of(
            context,
            MatMut::new(&mut self.values, self.ids.len(), self.cols, self.cols),
            &slots,
            dy,
        );
    }

    /// Forgets all rows, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.slots.clear();
        self.values.clear();
    }

    /// The rows with a gradient and where theirs begins in [`RowGradient::values`] (in rows), by ascending row.
    pub fn sorted(&self) -> Vec<(usize, usize)> {
        let mut rows: Vec<(usize, usize)> =
            self.ids.iter().enumerate().map(|(at, &id)| (id as usize, at)).collect();
        rows.sort_unstable();
        rows
    }

    /// Columns of the matrix.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, row by row in the order of [`RowGradient::row_of`].
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values at a place that [`RowGradient::sorted`] names.
    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.cols..][..self.cols]
    }

    /// Which row of the matrix the values at a place belong to.
    pub fn row_of(&self, at: usize) -> usize {
        self.ids[at] as usize
    }
}

/// The gradient of a parameter, as it is kept.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// Every element: `[rows, cols]` as the weight.
    Dense(&'a Tensor),
    /// The rows that have one.
    Rows(&'a RowGradient),
}

impl<'a> Gradient<'a> {
    /// All values that are kept, whichever row they belong to.
    pub fn values(self) -> &'a [f32] {
        match self {
            Gradient::Dense(tensor) => tensor.data(),
            Gradient::Rows(rows) => rows.values(),
        }
    }
}
