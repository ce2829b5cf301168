//! Derivatives by vectors that every row adds to.

use crate::{Context, Tensor, kernels};

/// A derivative by a vector as each thread has summed it: sums of other parts would have other last digits.
pub(crate) struct Sums(Vec<Vec<f32>>);

impl Sums {
    /// Zeros for so many parts.
    pub(crate) fn new(parts: usize, cols: usize) -> Self {
        Sums(vec![vec![0.0; cols]; parts])
    }

    /// Each part's sum.
    pub(crate) fn parts(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        self.0.iter_mut()
    }

    /// Adds them up, to what is there.
    pub(crate) fn add_to(&self, context: Context<'_>, total: &mut Tensor) {
        self.0.iter().for_each(|part| kernels::add(context.isa, total.data_mut(), part));
    }
}
