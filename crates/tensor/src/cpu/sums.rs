//! Derivatives by vectors that every row adds to.

use crate::{Context, Tensor, cuda, kernels};

/// A derivative by a vector in parts, whose sums have other last digits in other parts.
pub(crate) enum Sums {
    /// As each thread has summed it.
    Host(Vec<Vec<f32>>),
    /// As a device has, a part a row.
    Device(Tensor),
}

impl Sums {
    /// Zeros for so many parts.
    pub(crate) fn new(parts: usize, cols: usize) -> Self {
        Sums::Host(vec![vec![0.0; cols]; parts])
    }

    /// Each part's sum.
    pub(crate) fn parts(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        match self {
            Sums::Host(parts) => parts.iter_mut(),
            Sums::Device(_) => unreachable!("threads' sums"),
        }
    }

    /// Adds them up, to what is there.
    pub(crate) fn add_to(&self, context: Context<'_>, total: &mut Tensor) {
        match self {
            Sums::Host(parts) => {
                parts.iter().for_each(|part| kernels::add(context.isa, total.data_mut(), part))
            }
            Sums::Device(parts) => cuda::norm::add_partial_sums(context, total, parts),
        }
    }
}
