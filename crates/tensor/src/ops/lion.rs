//! The Lion step (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2).

use crate::kernels::{self, Lion};
use crate::ops::update::update;
use crate::{Gradient, Pool, Tensor, Weight};

/// Updates a weight and its momentum (the weight's shape) in place, split over the threads. `lazy`: rows without a
/// gradient, where it is kept by rows, are left alone.
pub fn lion(
    pool: &Pool,
    step: &Lion,
    weight: &mut Weight,
    gradient: Gradient<'_>,
    m: &mut Tensor,
    lazy: bool,
) {
    let isa = kernels::isa();
    update(pool, gradient, lazy, [weight.data_mut(), m.data_mut()], |[w, m], g| {
        kernels::lion(isa, step, w, g, m)
    });
}
