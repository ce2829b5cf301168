//! LayerNorm (Ba et al. 2016), BERT's.

use crate::cpu::norm::Moments;
use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var, cpu};

/// `y = (x − mean) / sqrt(variance + eps) · w + b`, row by row. `x`: [tokens, features]; weight, bias: [features].
pub fn layer_norm(graph: &mut Graph<'_>, x: &Var, weight: ParamId, bias: ParamId, eps: f32) -> Var {
    let (y, moments) = cpu::norm::layer(graph.context, &x.value, [weight, bias], eps);
    graph.record(y, || {
        Box::new(LayerNormBackward { x: x.value.clone(), node: x.node(), weight, bias, moments })
    })
}

struct LayerNormBackward {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    bias: ParamId,
    moments: Moments,
}

impl Backward for LayerNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (dx, sums) = cpu::norm::layer_backward(context, &dy, &self.x, self.weight, &self.moments);
        for (id, sums) in [self.weight, self.bias].into_iter().zip(sums) {
            if gradients.wants(id) {
                sums.add_to(context, gradients.param_add(context, id));
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
