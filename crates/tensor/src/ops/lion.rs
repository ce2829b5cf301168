//! The Lion step (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2).

use crate::{Gradient, Pool, Tensor, Weight, cpu, cuda};

/// One Lion step's numbers, as the paper names them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// Learning rate.
    pub lr: f32,
    /// Share of the momentum in the direction of the step.
    pub beta1: f32,
    /// Decay of the momentum.
    pub beta2: f32,
    /// Decoupled weight decay: every step first multiplies the weights by 1 − lr·weight_decay.
    pub weight_decay: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
}

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
    match weight.core().cloned() {
        None => cpu::update::lion(pool, step, weight, gradient, m, lazy),
        Some(core) => cuda::update::lion(&core, step, weight, gradient, m),
    }
}
