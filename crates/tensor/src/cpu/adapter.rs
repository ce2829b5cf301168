//! What an adapter adds to its linear layer.

use super::linear::{Side, rows_of_weights};
use super::matmul::{TINY, matmul_weight_t};
use crate::{Adapter, Context, MatMut, Regime, Tensor};

/// Products with so many rows at least sum in the order of all larger ones (see `gemm`).
const MANY: usize = 65;

/// `y`: [tokens, out] += for `x`: [tokens, in]. A row gets the same bits whatever else is in the batch.
pub(crate) fn add_adapter(
    context: Context<'_>,
    regime: Regime,
    mut y: MatMut<'_>,
    x: &Tensor,
    adapter: Adapter,
) {
    let (tokens, rank) = (x.rows(), context.params.get(adapter.a).rows());
    let enough = MANY.max(TINY / rank.max(1) + 1);
    match regime {
        Regime::Steps => {
            let (a, b) = (context.params.get(adapter.a), context.params.get(adapter.b));
            let (mut down, mut up) =
                (Tensor::unspecified(tokens, rank), Tensor::unspecified(tokens, b.rows()));
            rows_of_weights(context, &mut down, x, &[Side { weight: a, bias: None }]);
            times(&mut down, adapter.scale);
            rows_of_weights(context, &mut up, &down, &[Side { weight: b, bias: None }]);
            for row in 0..tokens {
                y.row_mut(row).iter_mut().zip(up.row(row)).for_each(|(y, up)| *y += up);
            }
        }
        Regime::Bulk if tokens < enough => {
            let (mut xs, mut ys) = (Tensor::zeros(enough, x.cols()), Tensor::zeros(enough, y.cols));
            xs.data_mut()[..x.data().len()].copy_from_slice(x.data());
            let mut sums = ys.view_mut();
            (0..tokens).for_each(|row| sums.row_mut(row).copy_from_slice(y.row_mut(row)));
            many_rows(context, sums, &xs, adapter);
            (0..tokens).for_each(|row| y.row_mut(row).copy_from_slice(ys.row(row)));
        }
        Regime::Bulk => many_rows(context, y, x, adapter),
    }
}

fn many_rows(context: Context<'_>, y: MatMut<'_>, x: &Tensor, adapter: Adapter) {
    let down = down(context, x, adapter);
    matmul_weight_t(context, y, down.view(), context.params.get(adapter.b), true);
}

/// `scale·x·Aᵀ`: [tokens, rank].
pub(crate) fn down(context: Context<'_>, x: &Tensor, adapter: Adapter) -> Tensor {
    let a = context.params.get(adapter.a);
    let mut down = Tensor::unspecified(x.rows(), a.rows());
    matmul_weight_t(context, down.view_mut(), x.view(), a, false);
    times(&mut down, adapter.scale);
    down
}

fn times(x: &mut Tensor, scale: f32) {
    x.data_mut().iter_mut().for_each(|x| *x *= scale);
}
