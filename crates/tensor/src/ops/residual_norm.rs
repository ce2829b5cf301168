//! Residual connection and LayerNorm in one pass, as models have them that normalise behind each layer (BERT).

use crate::cpu::norm::Moments;
use crate::ops::LayerNorm;
use crate::{Backward, Context, Dropout, Gradients, Graph, ParamId, Tensor, Var};

/// `layer_norm(x + dropout(y + bias))`; all [tokens, features], `bias`: [features], that of the linear layer which made
/// `y`, left out there. The sum is written into `y`'s memory.
pub fn residual_norm(graph: &mut Graph<'_>, x: &Var, y: Var, bias: Option<ParamId>, norm: LayerNorm) -> Var {
    let (context, dropout) = (graph.context, graph.next_dropout());
    let (node, branch) = (x.node(), y.node());
    let (normed, sum, moments) =
        on!(context => norm::layer_of_sum(context, &x.value, y.value, bias, norm, dropout));
    graph
        .record(normed, || Box::new(ResidualNormBackward { node, branch, bias, norm, sum, moments, dropout }))
}

struct ResidualNormBackward {
    node: Option<usize>,
    branch: Option<usize>,
    bias: Option<ParamId>,
    norm: LayerNorm,
    sum: Tensor,
    moments: Moments,
    dropout: Option<Dropout>,
}

impl Backward for ResidualNormBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let (sum, norm, dropout) = (&self.sum, self.norm, self.dropout);
        let found =
            on!(context => norm::layer_of_sum_backward(context, &dy, sum, norm, &self.moments, dropout));
        let ids = [Some(self.norm.weight), Some(self.norm.bias), self.bias];
        for (id, sums) in ids.into_iter().zip(found.vectors) {
            if let Some(id) = id.filter(|&id| gradients.wants(id)) {
                sums.add_to(context, gradients.param_add(context, id));
            }
        }
        let branch = found.branch.unwrap_or_else(|| found.dx.clone());
        gradients.add(context, self.branch, branch);
        gradients.add(context, self.node, found.dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};
    use crate::ops::{layer_norm, linear, residual};
    use crate::{Params, Pool, Rng, Weight};

    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        for rows in sizes() {
            for biased in [false, true] {
                let cols = 19;
                let case =
                    Case::new(&[(rows, cols), (rows, cols)]).param(&[cols]).param(&[cols]).param(&[cols]);
                check(
                    &case,
                    |g, v, p| {
                        let norm = LayerNorm { weight: p[0], bias: p[1], eps: 1e-6 };
                        residual_norm(g, &v[0], v[1].clone(), biased.then_some(p[2]), norm)
                    },
                    |x| {
                        let mut out = Vec::new();
                        for (x_row, y_row) in x[0].chunks(cols).zip(x[1].chunks(cols)) {
                            let bias = |j: usize| if biased { x[4][j] } else { 0.0 };
                            let row: Vec<f64> = (0..cols).map(|j| x_row[j] + y_row[j] + bias(j)).collect();
                            let mean = row.iter().sum::<f64>() / cols as f64;
                            let var = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / cols as f64;
                            let norm = row.iter().map(|v| (v - mean) / (var + 1e-6).sqrt());
                            out.extend(norm.zip(x[2].iter().zip(&x[3])).map(|(v, (w, b))| v * w + b));
                        }
                        out
                    },
                );
            }
        }
    }

    /// In a pass with dropout: the same numbers and gradients as from a biased layer, `residual` and `layer_norm`.
    #[test]
    fn is_what_its_parts_are_with_dropout() {
        let (rows, cols) = (37, 65);
        let mut rng = Rng::new(5, 5);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let mut params = Params::default();
        let shapes: [&[usize]; 4] = [&[cols, cols], &[cols], &[cols], &[cols]];
        let ids = shapes.map(|shape| {
            let name = format!("p{}", params.len());
            params.add(name, Weight::owned(shape, normal(shape.iter().product())))
        });
        let [weight, bias, norm_weight, norm_bias] = ids;
        let norm = LayerNorm { weight: norm_weight, bias: norm_bias, eps: 1e-12 };
        let (x, dy) = (normal(rows * cols), normal(rows * cols));
        let pool = Pool::new(2);
        let run = |fused: bool| {
            let mut graph = Graph::training(&params, &pool, Some(Dropout { rate: 0.3, key: 2 }));
            let x = graph.leaf(Tensor::from_vec(rows, cols, x.clone()));
            let y = if fused {
                let branch = linear(&mut graph, &x, &[weight]);
                residual_norm(&mut graph, &x, branch, Some(bias), norm)
            } else {
                let branch = linear(&mut graph, &x, &[crate::ops::Linear { weight, bias: Some(bias) }]);
                let sum = residual(&mut graph, &x, branch);
                layer_norm(&mut graph, &sum, norm)
            };
            let mut gradients = Gradients::new();
            gradients.put(y.node().unwrap(), Tensor::from_vec(rows, cols, dy.clone()));
            graph.backward(&mut gradients);
            let mut found = vec![y.value.data().to_vec(), gradients.of(&x).unwrap().data().to_vec()];
            found.extend(ids.iter().map(|&id| gradients.param(id).unwrap().data().to_vec()));
            found
        };
        let (fused, apart) = (run(true), run(false));
        assert_eq!(fused[0], apart[0]);
        for (a, b) in fused.iter().flatten().zip(apart.iter().flatten()) {
            assert!((a - b).abs() <= 2e-5 * b.abs().max(1.0), "{a} {b}");
        }
    }
}
