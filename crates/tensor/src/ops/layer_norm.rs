//! LayerNorm (Ba et al. 2016), BERT's.

use crate::ops::{cut, elements, row_ranges, row_shares};
use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var, kernels};

/// `y = (x − mean) / sqrt(variance + eps) · w + b`, row by row. `x`: [tokens, features]; weight, bias: [features].
pub fn layer_norm(graph: &mut Graph<'_>, x: &Var, weight: ParamId, bias: ParamId, eps: f32) -> Var {
    let context = graph.context;
    let (rows, cols) = (x.value.rows(), x.value.cols());
    let (w, b) = (context.params.vector(weight), context.params.vector(bias));
    let mut y = Tensor::unspecified(rows, cols);
    let (mut mean, mut rstd) = (vec![0.0; rows], vec![0.0; rows]);
    let ranges = row_ranges(context.pool, rows, cols);
    let stats = cut(&mut mean, &ranges, 1).into_iter().zip(cut(&mut rstd, &ranges, 1));
    let parts = cut(y.data_mut(), &ranges, cols).into_iter().zip(stats);
    context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (y, stats))| {
        kernels::layer_norm(context.isa, y, &x.value.data()[elements(range, cols)], w, b, eps, Some(stats));
    });
    graph.record(y, || {
        Box::new(LayerNormBackward { x: x.value.clone(), node: x.node(), weight, bias, mean, rstd })
    })
}

struct LayerNormBackward {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    bias: ParamId,
    mean: Vec<f32>,
    rstd: Vec<f32>,
}

impl Backward for LayerNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (rows, cols) = (dy.rows(), dy.cols());
        let w = context.params.vector(self.weight);
        let mut dx = Tensor::unspecified(rows, cols);
        let ranges = row_shares(context.pool, rows, cols);
        let mut sums = vec![(vec![0.0f32; cols], vec![0.0f32; cols]); ranges.len()];
        let parts = cut(dx.data_mut(), &ranges, cols).into_iter().zip(&mut sums);
        context.pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (dx, (dw, db)))| {
            let at = elements(range, cols);
            let (dy, x) = (&dy.data()[at.clone()], &self.x.data()[at]);
            let (mean, rstd) = (&self.mean[range.clone()], &self.rstd[range.clone()]);
            kernels::layer_norm_backward(context.isa, dx, false, dw, db, dy, x, w, mean, rstd);
        });
        for (dw, db) in &sums {
            for (id, part) in [(self.weight, dw), (self.bias, db)] {
                if gradients.wants(id) {
                    kernels::add(context.isa, gradients.param_add(context, id).data_mut(), part);
                }
            }
        }
        gradients.add(context, self.node, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        for rows in sizes() {
            let cols = 19;
            let case = Case::new(&[(rows, cols)]).param(&[cols]).param(&[cols]);
            check(
                &case,
                |g, v, p| layer_norm(g, &v[0], p[0], p[1], 1e-6),
                |x| {
                    let mut y = Vec::new();
                    for row in x[0].chunks(cols) {
                        let mean = row.iter().sum::<f64>() / cols as f64;
                        let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
                        let norm = row.iter().map(|v| (v - mean) / (var + 1e-6).sqrt());
                        y.extend(norm.zip(x[1].iter().zip(&x[2])).map(|(v, (w, b))| v * w + b));
                    }
                    y
                },
            );
        }
    }
}
