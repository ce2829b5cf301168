//! LayerNorm (Ba et al. 2016), BERT's.

use crate::cpu::norm::Moments;
use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var};

/// A LayerNorm's parameters and constant.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// w: [features].
    pub weight: ParamId,
    /// b: [features].
    pub bias: ParamId,
    /// Added to the variance: `layer_norm_eps`.
    pub eps: f32,
}

/// `y = (x − mean) / sqrt(variance + eps) · w + b`, row by row. `x`: [tokens, features].
pub fn layer_norm(graph: &mut Graph<'_>, x: &Var, norm: LayerNorm) -> Var {
    let (y, moments) = on!(graph.context => norm::layer(graph.context, &x.value, norm));
    graph.record(y, || Box::new(LayerNormBackward { x: x.value.clone(), node: x.node(), norm, moments }))
}

struct LayerNormBackward {
    x: Tensor,
    node: Option<usize>,
    norm: LayerNorm,
    moments: Moments,
}

impl Backward for LayerNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (dx, sums) =
            on!(context => norm::layer_backward(context, &dy, &self.x, self.norm.weight, &self.moments));
        for (id, sums) in [self.norm.weight, self.norm.bias].into_iter().zip(sums) {
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
                |g, v, p| layer_norm(g, &v[0], LayerNorm { weight: p[0], bias: p[1], eps: 1e-6 }),
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

    /// BERT's epsilon of 1e-12, which f32 can add to a small variance only because it is computed around the mean: rows
    /// of tiny numbers, of numbers far from zero, and of one number alone, whose norm is the bias.
    #[test]
    fn tiny_epsilons_count() {
        let (cols, eps) = (768, 1e-12);
        let mut rng = crate::Rng::new(6, 1);
        let mut row = |spread: f64, mean: f64| -> Vec<f32> {
            (0..cols).map(|_| (mean + spread * rng.normal()) as f32).collect()
        };
        let rows = [row(1e-6, 0.0), row(3e-7, 0.0), row(1.0, 1000.0), row(0.0, 0.0), row(0.0, 0.375)];
        let mut params = crate::Params::default();
        let bias: Vec<f32> = (0..cols).map(|i| i as f32 / 100.0).collect();
        let weight = params.add("w", crate::Weight::owned(&[cols], vec![1.0; cols]));
        let bias = params.add("b", crate::Weight::owned(&[cols], bias));
        let pool = crate::Pool::new(1);
        let mut graph = Graph::inference(&params, &pool, crate::Regime::Bulk);
        let x = Var::constant(Tensor::from_vec(rows.len(), cols, rows.concat()));
        let y = layer_norm(&mut graph, &x, LayerNorm { weight, bias, eps }).value;
        for (i, x) in rows.iter().enumerate() {
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            let mean = wide.iter().sum::<f64>() / cols as f64;
            let var = wide.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
            for (j, (got, x)) in y.row(i).iter().zip(&wide).enumerate() {
                let want = (x - mean) / (var + f64::from(eps)).sqrt() + f64::from(params.vector(bias)[j]);
                // Far from zero the mean itself is rounded to 1000·2⁻²⁴.
                let bound = if i == 2 { 2e-4 } else { 1e-5 };
                assert!((f64::from(*got) - want).abs() < bound, "row {i}, {j}: {got} {want}");
            }
        }
    }
}
