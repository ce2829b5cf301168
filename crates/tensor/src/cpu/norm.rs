//! RMSNorm and LayerNorm, forwards and backwards.

use super::parts::{cut, elements, row_ranges, row_shares};
use crate::{Context, ParamId, Tensor, kernels};

/// RMSNorm of the rows of `x`, and of every row `1 / sqrt(mean(x²) + eps)`: [rows, 1].
pub(crate) fn rms(context: Context<'_>, x: &Tensor, weight: ParamId, eps: f32) -> (Tensor, Tensor) {
    let (rows, cols) = (x.rows(), x.cols());
    let w = context.params.vector(weight);
    let (mut y, mut rstd) = (Tensor::unspecified(rows, cols), Tensor::unspecified(rows, 1));
    let ranges = row_ranges(context.pool, rows, cols);
    let parts = cut(y.data_mut(), &ranges, cols).into_iter().zip(cut(rstd.data_mut(), &ranges, 1));
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (y, rstd))| {
        kernels::rms_norm(context.isa, y, &x.data()[elements(range, cols)], w, eps, Some(rstd));
    });
    (y, rstd)
}

/// A derivative by a vector as each thread has summed it: sums of other parts would have other last digits.
pub(crate) struct Sums(Vec<Vec<f32>>);

impl Sums {
    fn new(parts: usize, cols: usize) -> Self {
        Sums(vec![vec![0.0; cols]; parts])
    }

    /// Adds them up, to what is there.
    pub(crate) fn add_to(&self, context: Context<'_>, total: &mut Tensor) {
        self.0.iter().for_each(|part| kernels::add(context.isa, total.data_mut(), part));
    }
}

/// The derivatives by `x`, added to `sum` where there is one, and by the weight.
pub(crate) fn rms_backward(
    context: Context<'_>,
    sum: Option<Tensor>,
    dy: &Tensor,
    x: &Tensor,
    weight: ParamId,
    rstd: &Tensor,
) -> (Tensor, Sums) {
    let (rows, cols) = (dy.rows(), dy.cols());
    let w = context.params.vector(weight);
    let accumulate = sum.is_some();
    let mut dx = sum.map_or_else(|| Tensor::unspecified(rows, cols), Tensor::into_unique);
    let ranges = row_shares(context.pool, rows, cols);
    let mut sums = Sums::new(ranges.len(), cols);
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(&mut sums.0);
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, dw))| {
        let at = elements(range, cols);
        let (dy, x, rstd) = (&dy.data()[at.clone()], &x.data()[at], &rstd.data()[range.clone()]);
        kernels::rms_norm_backward(context.isa, dx, accumulate, dw, dy, x, w, rstd);
    });
    (dx, sums)
}

/// Means and reciprocals of the standard deviations of rows: [rows, 1] each.
pub(crate) struct Moments {
    mean: Tensor,
    rstd: Tensor,
}

/// LayerNorm of the rows of `x`.
pub(crate) fn layer(
    context: Context<'_>,
    x: &Tensor,
    [weight, bias]: [ParamId; 2],
    eps: f32,
) -> (Tensor, Moments) {
    let (rows, cols) = (x.rows(), x.cols());
    let (w, b) = (context.params.vector(weight), context.params.vector(bias));
    let mut y = Tensor::unspecified(rows, cols);
    let [mut mean, mut rstd] = [(); 2].map(|()| Tensor::unspecified(rows, 1));
    let ranges = row_ranges(context.pool, rows, cols);
    let stats = cut(mean.data_mut(), &ranges, 1).into_iter().zip(cut(rstd.data_mut(), &ranges, 1));
    let parts = cut(y.data_mut(), &ranges, cols).into_iter().zip(stats);
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (y, stats))| {
        kernels::layer_norm(context.isa, y, &x.data()[elements(range, cols)], w, b, eps, Some(stats));
    });
    (y, Moments { mean, rstd })
}

/// The derivatives by `x`, by the weight and by the bias.
pub(crate) fn layer_backward(
    context: Context<'_>,
    dy: &Tensor,
    x: &Tensor,
    weight: ParamId,
    moments: &Moments,
) -> (Tensor, [Sums; 2]) {
    let (rows, cols) = (dy.rows(), dy.cols());
    let w = context.params.vector(weight);
    let mut dx = Tensor::unspecified(rows, cols);
    let ranges = row_shares(context.pool, rows, cols);
    let mut sums = [(); 2].map(|()| Sums::new(ranges.len(), cols));
    let [dw, db] = &mut sums;
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(dw.0.iter_mut().zip(&mut db.0));
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, (dw, db)))| {
        let at = elements(range, cols);
        let (dy, x) = (&dy.data()[at.clone()], &x.data()[at]);
        let [mean, rstd] = [&moments.mean, &moments.rstd].map(|m| &m.data()[range.clone()]);
        kernels::layer_norm_backward(context.isa, dx, false, dw, db, dy, x, w, mean, rstd);
    });
    (dx, sums)
}
