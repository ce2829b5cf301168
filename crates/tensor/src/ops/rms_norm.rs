//! RMSNorm (Zhang and Sennrich 2019; T5's layer norm): no mean, no bias.

use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var};

/// `y = x · w / sqrt(mean(x²) + eps)`, row by row. `x`: [tokens, features], weight: [features].
///
/// Backward, with `r = 1 / sqrt(mean(x²) + eps)`: `dx = r·(w·dy) − x·r³·mean(x·w·dy)`, `dw = Σ dy·x·r`.
pub fn rms_norm(graph: &mut Graph<'_>, x: &Var, weight: ParamId, eps: f32) -> Var {
    let (y, rstd) = on!(graph.context => norm::rms(graph.context, &x.value, weight, eps));
    graph.record(y, || Box::new(RmsNormBackward { x: x.value.clone(), node: x.node(), weight, rstd }))
}

struct RmsNormBackward {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    rstd: Tensor,
}

impl Backward for RmsNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let sum = self.node.and_then(|node| gradients.take(node));
        let (dx, dw) =
            on!(context => norm::rms_backward(context, sum, &dy, &self.x, self.weight, &self.rstd));
        if gradients.wants(self.weight) {
            dw.add_to(context, gradients.param_add(context, self.weight));
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
