//! Losses of rows of logits, which become their derivatives.

use super::matrix::device;
use crate::ops::CrossEntropy;
use crate::{Context, Tensor};

/// The loss of every row of `logits` against its target; with `backward` the logits become the derivatives by them.
pub(crate) fn losses(
    context: Context<'_>,
    logits: &mut Tensor,
    targets: &[u32],
    losses: &mut [f32],
    options: CrossEntropy,
    backward: bool,
) {
    let (device, rows, cols) = (device(context), logits.rows(), logits.cols());
    assert!(targets.len() == rows && losses.len() == rows, "a target a row");
    assert!(targets.iter().all(|&target| (target as usize) < cols), "targets with a row");
    let CrossEntropy { scale, label_smoothing, z_loss, .. } = options;
    let (targets, mut found) = (device.upload(targets), Tensor::on(device, rows, 1));
    let arguments = arguments![
        logits,
        &mut found,
        &targets,
        cols as u32,
        scale,
        label_smoothing,
        z_loss,
        backward as u32
    ];
    device.launch("cross_entropy", [rows, 1, 1], 1024, 0, &arguments);
    losses.copy_from_slice(found.to_host().data());
}
