//! The Lion step (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2).

use super::Learning;
use crate::{Pool, cpu, cuda};

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

/// Updates weights and their momentum (the weight's shape) in place, split over the threads.
pub fn lion(pool: &Pool, step: &Lion, of: Learning<'_>) {
    let lazy = of.lazy;
    let (device, parts) = of.parts();
    match device {
        Some(device) => cuda::update::lion(&device, step, parts, lazy),
        None => parts.into_iter().for_each(|part| {
            let [m] = part.state else { panic!("a momentum") };
            cpu::update::lion(pool, step, part.weight, part.gradient, m, lazy);
        }),
    }
}
