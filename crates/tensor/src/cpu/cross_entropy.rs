//! Losses of rows of logits, which become their derivatives.

use super::parts::{cut, row_ranges};
use crate::ops::CrossEntropy;
use crate::{Context, Tensor, kernels};

/// The loss of every row of `logits` against its target; with `backward` the logits become the derivatives by them.
pub(crate) fn losses(
    context: Context<'_>,
    logits: &mut Tensor,
    targets: &[u32],
    losses: &mut [f32],
    options: CrossEntropy,
    backward: bool,
) {
    let CrossEntropy { scale, label_smoothing: smooth, z_loss, .. } = options;
    let hit = scale * (1.0 - smooth);
    let rows = logits.cols();
    let ranges = row_ranges(context.pool, logits.rows(), rows);
    let parts = cut(logits.data_mut(), &ranges, rows).into_iter().zip(cut(losses, &ranges, 1));
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (logits, losses))| {
        let targets = &targets[range.clone()];
        for ((row, loss), &target) in logits.chunks_exact_mut(rows).zip(losses).zip(targets) {
            let lse = kernels::logsumexp(context.isa, row);
            *loss = lse - row[target as usize] + z_loss * lse * lse;
            if smooth > 0.0 {
                let mean = (kernels::sum(context.isa, row) / rows as f64) as f32;
                *loss += smooth * (row[target as usize] - mean);
            }
            if backward {
                let probability = scale * (1.0 + 2.0 * z_loss * lse);
                kernels::exp_sub_scale(context.isa, row, lse, probability, scale * smooth / rows as f32);
                row[target as usize] -= hit;
            }
        }
    });
}
