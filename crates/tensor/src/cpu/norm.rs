//! RMSNorm and LayerNorm, forwards and backwards.

use super::parts::{cut, elements, row_ranges, row_shares};
use super::sums::Sums;
use crate::ops::LayerNorm;
use crate::{Context, Dropout, ParamId, Tensor, kernels};

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
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(sums.parts());
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, dw))| {
        let at = elements(range, cols);
        let (dy, x, rstd) = (&dy.data()[at.clone()], &x.data()[at], &rstd.data()[range.clone()]);
        kernels::rms_norm_backward(context.isa, dx, accumulate, dw, dy, x, w, rstd);
    });
    (dx, sums)
}

/// Means and reciprocals of the standard deviations of rows: [rows, 1] each.
pub(crate) struct Moments {
    pub(crate) mean: Tensor,
    pub(crate) rstd: Tensor,
}

/// LayerNorm of the rows of `x`.
pub(crate) fn layer(context: Context<'_>, x: &Tensor, norm: LayerNorm) -> (Tensor, Moments) {
    let (rows, cols) = (x.rows(), x.cols());
    let (w, b) = (context.params.vector(norm.weight), context.params.vector(norm.bias));
    let mut y = Tensor::unspecified(rows, cols);
    let [mut mean, mut rstd] = [(); 2].map(|()| Tensor::unspecified(rows, 1));
    let ranges = row_ranges(context.pool, rows, cols);
    let stats = cut(mean.data_mut(), &ranges, 1).into_iter().zip(cut(rstd.data_mut(), &ranges, 1));
    let parts = cut(y.data_mut(), &ranges, cols).into_iter().zip(stats);
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (y, stats))| {
        kernels::layer_norm(context.isa, y, &x.data()[elements(range, cols)], w, b, norm.eps, Some(stats));
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
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(dw.parts().zip(db.parts()));
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, (dw, db)))| {
        let at = elements(range, cols);
        let (dy, x) = (&dy.data()[at.clone()], &x.data()[at]);
        let [mean, rstd] = [&moments.mean, &moments.rstd].map(|m| &m.data()[range.clone()]);
        kernels::layer_norm_backward(context.isa, dx, false, dw, db, dy, x, w, mean, rstd);
    });
    (dx, sums)
}

/// The sum `x + dropout(y + bias)`, in `y`'s memory where nobody shares it, its LayerNorm, and the moments.
pub(crate) fn layer_of_sum(
    context: Context<'_>,
    x: &Tensor,
    y: Tensor,
    bias: Option<ParamId>,
    norm: LayerNorm,
    dropout: Option<Dropout>,
) -> (Tensor, Tensor, Moments) {
    assert_eq!((x.rows(), x.cols()), (y.rows(), y.cols()));
    let (rows, cols, isa) = (y.rows(), y.cols(), context.isa);
    let bias = bias.map(|id| context.params.vector(id));
    let (w, b) = (context.params.vector(norm.weight), context.params.vector(norm.bias));
    let (mut sum, mut normed) = (y.into_unique(), Tensor::unspecified(rows, cols));
    let [mut mean, mut rstd] = [(); 2].map(|()| Tensor::unspecified(rows, 1));
    let ranges = row_ranges(context.pool, rows, cols);
    let stats = cut(mean.data_mut(), &ranges, 1).into_iter().zip(cut(rstd.data_mut(), &ranges, 1));
    let sides = cut(sum.data_mut(), &ranges, cols).into_iter().zip(cut(normed.data_mut(), &ranges, cols));
    let parts = ranges.iter().zip(sides.zip(stats)).collect();
    context.pool.run_parts(parts, |(range, ((sum, normed), (mean, rstd)))| {
        // Row by row, so that each step finds the row in the first cache.
        let rows = sum.chunks_exact_mut(cols.max(1)).zip(normed.chunks_exact_mut(cols.max(1)));
        let stats = mean.chunks_exact_mut(1).zip(rstd.chunks_exact_mut(1));
        for (row, ((sum, normed), stats)) in range.clone().zip(rows.zip(stats)) {
            if let Some(bias) = bias {
                kernels::add(isa, sum, bias);
            }
            if let Some(d) = dropout {
                kernels::dropout_in_place(isa, sum, d.key, (row * cols) as u64, d.rate);
            }
            kernels::add(isa, sum, x.row(row));
            kernels::layer_norm(isa, normed, sum, w, b, norm.eps, Some(stats));
        }
    });
    (normed, sum, Moments { mean, rstd })
}

/// The way back of [`layer_of_sum`].
pub(crate) struct OfSum {
    /// By `x`, and by the branch where dropout makes that another.
    pub(crate) dx: Tensor,
    pub(crate) branch: Option<Tensor>,
    /// By the norm's weight and bias, and by the branch's bias.
    pub(crate) vectors: [Sums; 3],
}

/// The derivatives from that by the result, `dy`.
pub(crate) fn layer_of_sum_backward(
    context: Context<'_>,
    dy: &Tensor,
    sum: &Tensor,
    norm: LayerNorm,
    moments: &Moments,
    dropout: Option<Dropout>,
) -> OfSum {
    let (rows, cols, isa) = (dy.rows(), dy.cols(), context.isa);
    let w = context.params.vector(norm.weight);
    let mut dx = Tensor::unspecified(rows, cols);
    let mut branch = dropout.map(|_| Tensor::unspecified(rows, cols));
    let ranges = row_shares(context.pool, rows, cols);
    let mut vectors = [(); 3].map(|()| Sums::new(ranges.len(), cols));
    let branches: Vec<Option<&mut [f32]>> = match &mut branch {
        Some(branch) => cut(branch.data_mut(), &ranges, cols).into_iter().map(Some).collect(),
        None => ranges.iter().map(|_| None).collect(),
    };
    let [dw, db, dbias] = &mut vectors;
    let sums = dw.parts().zip(db.parts()).zip(dbias.parts());
    let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(branches).zip(sums);
    let parts = ranges.iter().zip(parts).collect();
    context.pool.run_parts(parts, |(range, ((dx, mut branch), ((dw, db), dbias)))| {
        for (index, (row, dx)) in range.clone().zip(dx.chunks_exact_mut(cols.max(1))).enumerate() {
            let [mean, rstd] = [&moments.mean, &moments.rstd].map(|m| &m.data()[row..row + 1]);
            kernels::layer_norm_backward(isa, dx, false, dw, db, dy.row(row), sum.row(row), w, mean, rstd);
            match (dropout, &mut branch) {
                (Some(d), Some(branch)) => {
                    let branch = &mut branch[index * cols..][..cols];
                    kernels::dropout(isa, branch, dx, d.key, (row * cols) as u64, d.rate);
                    kernels::add(isa, dbias, branch);
                }
                _ => kernels::add(isa, dbias, dx),
            }
        }
    });
    OfSum { dx, branch, vectors }
}
