//! Sums of squares, and looking for what is not a number.

use super::parts::cut;
use crate::{Context, Gradient, Gradients, ParamId, Weight, kernels};

/// Elements whose squares are summed in one go: fixed, so that the sum does not depend on the threads.
const BLOCK: usize = 64 << 10;

/// The place, in the order of the values kept, and the value of the first that is not finite.
pub(crate) fn first_non_finite(gradient: Gradient<'_>) -> Option<(usize, f32)> {
    first(gradient.values())
}

/// The same of a weight.
pub(crate) fn first_non_finite_weight(weight: &Weight) -> Option<(usize, f32)> {
    first(weight.view_f32(&mut None).data)
}

fn first(data: &[f32]) -> Option<(usize, f32)> {
    kernels::first_non_finite(data).map(|at| (at, data[at]))
}

/// Sum of all squares of all gradients in f64.
pub(crate) fn sum_squares(context: Context<'_>, gradients: &Gradients) -> f64 {
    let of = |(id, _, _): (ParamId, &str, &Weight)| {
        gradients.get(id).map(|gradient| of_gradient(context, gradient))
    };
    context.params.iter().filter_map(of).sum()
}

/// Sum of all squares in f64.
pub(crate) fn of_gradient(context: Context<'_>, gradient: Gradient<'_>) -> f64 {
    let data = gradient.values();
    let mut sums = vec![0.0f64; data.len().div_ceil(BLOCK)];
    let ranges = context.pool.ranges(sums.len(), 1, 1);
    let parts = cut(&mut sums, &ranges, 1);
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, sums)| {
        for (block, sum) in range.clone().zip(sums) {
            let end = data.len().min((block + 1) * BLOCK);
            *sum = kernels::sum_squares(context.isa, &data[block * BLOCK..end]);
        }
    });
    sums.iter().sum()
}
