//! RMSNorm (Zhang and Sennrich 2019; T5's layer norm): no mean, no bias.

use crate::ops::{cut, elements, row_ranges, row_shares};
use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var, kernels};

/// `y = x · w / sqrt(mean(x²) + eps)`, row by row. `x`: [tokens, features], weight: [features].
///
/// Backward, with `r = 1 / sqrt(mean(x²) + eps)`: `dx = r·(w·dy) − x·r³·mean(x·w·dy)`, `dw = Σ dy·x·r`.
pub fn rms_norm(graph: &mut Graph<'_>, x: &Var, weight: ParamId, eps: f32) -> Var {
    let context = graph.context;
    let (rows, cols) = (x.value.rows(), x.value.cols());
    let w = context.params.vector(weight);
    let mut y = Tensor::unspecified(rows, cols);
    let mut rstd = vec![0.0; rows];
    let ranges = row_ranges(context.pool, rows, cols);
    let parts = cut(y.data_mut(), &ranges, cols).into_iter().zip(cut(&mut rstd, &ranges, 1));
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (y, rstd))| {
        kernels::rms_norm(context.isa, y, &x.value.data()[elements(range, cols)], w, eps, Some(rstd));
    });
    graph.record(y, || Box::new(RmsNormBackward { x: x.value.clone(), node: x.node(), weight, rstd }))
}

struct RmsNormBackward {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    rstd: Vec<f32>,
}

impl Backward for RmsNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (rows, cols) = (dy.rows(), dy.cols());
        let w = context.params.vector(self.weight);
        let (mut dx, accumulate) = match self.node.and_then(|node| gradients.take(node)) {
            Some(sum) => (sum.into_unique(), true),
            None => (Tensor::unspecified(rows, cols), false),
        };
        let ranges = row_shares(context.pool, rows, cols);
        let mut dw_parts = vec![vec![0.0f32; cols]; ranges.len()];
        let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(&mut dw_parts);
        context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, dw))| {
            let at = elements(range, cols);
            let (dy, x) = (&dy.data()[at.clone()], &self.x.data()[at]);
            kernels::rms_norm_backward(context.isa, dx, accumulate, dw, dy, x, w, &self.rstd[range.clone()]);
        });
        if gradients.wants(self.weight) {
            let dw = gradients.param_add(context, self.weight);
            dw_parts.iter().for_each(|part| kernels::add(context.isa, dw.data_mut(), part));
        }
        if let Some(node) = self.node {
            gradients.put(node, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        for rows in sizes() {
            let cols = 21;
            let case = Case::new(&[(rows, cols)]).param(&[cols]);
            check(
                &case,
                |g, v, p| rms_norm(g, &v[0], p[0], 1e-6),
                |x| {
                    let mut y = Vec::new();
                    for row in x[0].chunks(cols) {
                        let mean = row.iter().map(|v| v * v).sum::<f64>() / cols as f64;
                        y.extend(row.iter().zip(&x[1]).map(|(v, w)| v * w / (mean + 1e-6).sqrt()));
                    }
                    y
                },
            );
        }
    }
}
