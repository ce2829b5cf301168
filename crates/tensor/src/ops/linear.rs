//! Linear layers without bias: `y = x·Wᵀ`, several weights side by side in one go, with the adapters that weights have
//! (see [`Adapter`](crate::Adapter) and [`adapter`](super::adapter)).

use crate::cpu::matmul::{matmul, matmul_weight};
use crate::ops::adapter::{adapter_backward, add_adapter};
use crate::{Backward, Context, Gradients, Graph, ParamId, Regime, Tensor, Var, Weight, cpu};

/// `x·[W₀; W₁; …]ᵀ`: the outputs of several layers with the same input, side by side.
///
/// `x`: [tokens, in]; each weight: [out_i, in]; result: [tokens, Σ out_i]. Backward: `dx = Σ dyᵢ·Wᵢ`,
/// `dWᵢ = dyᵢᵀ·x`, and what adapters add to both.
pub fn linear(graph: &mut Graph<'_>, x: &Var, weights: &[ParamId]) -> Var {
    let context = graph.context;
    let y = project(context, graph.regime, &x.value, weights);
    graph.record(y, || {
        Box::new(LinearBackward { x: x.value.clone(), node: x.node(), weights: weights.to_vec() })
    })
}

/// `x·Wᵀ` for a softmax matrix, outside of any tape: [tokens, in] × [rows, in] → [tokens, rows].
pub fn logits(graph: &Graph<'_>, x: &Tensor, weight: ParamId) -> Tensor {
    project(graph.context, graph.regime, x, &[weight])
}

pub(crate) fn project(context: Context<'_>, regime: Regime, x: &Tensor, ids: &[ParamId]) -> Tensor {
    let weights: Vec<&Weight> = ids.iter().map(|&id| context.params.get(id)).collect();
    for w in &weights {
        assert_eq!(w.cols(), x.cols(), "a linear layer of {} inputs on {} features", w.cols(), x.cols());
    }
    let mut y = cpu::linear::product(context, regime, x, &weights);
    let mut rest = y.view_mut();
    for (&id, weight) in ids.iter().zip(&weights) {
        let (part, right) = rest.split_cols(weight.rows());
        rest = right;
        if let Some(adapter) = context.params.adapter(id) {
            add_adapter(context, regime, part, x, adapter);
        }
    }
    y
}

struct LinearBackward {
    x: Tensor,
    node: Option<usize>,
    weights: Vec<ParamId>,
}

impl Backward for LinearBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let x = &self.x;
        let mut first = 0;
        for &id in &self.weights {
            let rows = context.params.get(id).rows();
            let dy = dy.view().columns(first, rows);
            first += rows;
            if gradients.wants(id) {
                let (dw, add) = gradients.param_mut(context, id);
                matmul(context, dw.view_mut(), dy.t(), x.view(), add);
            }
        }
        let mut dx = self.node.map(|node| match gradients.take(node) {
            Some(sum) => (sum.into_unique(), true),
            None => (Tensor::unspecified(x.rows(), x.cols()), false),
        });
        let mut first = 0;
        for &id in &self.weights {
            let weight = context.params.get(id);
            let dy = dy.view().columns(first, weight.rows());
            first += weight.rows();
            if let Some((dx, add)) = &mut dx {
                matmul_weight(context, dx.view_mut(), dy, weight, *add);
                *add = true;
            }
            if let Some(adapter) = context.params.adapter(id) {
                adapter_backward(context, x, dy, dx.as_mut().map(|(dx, _)| dx), adapter, gradients);
            }
        }
        if let (Some(node), Some((dx, _))) = (self.node, dx) {
            gradients.put(node, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};
    use crate::{DType, Params, Pool, Precision, Rng};

    #[test]
    fn agrees_with_the_sum_and_its_derivatives() {
        for tokens in sizes() {
            let case = Case::new(&[(tokens, 5)]).param(&[3, 5]).param(&[7, 5]);
            check(
                &case,
                |g, v, p| linear(g, &v[0], p),
                |x| {
                    let (input, w) = (&x[0], [&x[1], &x[2]]);
                    let mut y = Vec::new();
                    for t in 0..tokens {
                        for w in w {
                            for row in w.chunks(5) {
                                y.push(row.iter().zip(&input[t * 5..]).map(|(a, b)| a * b).sum());
                            }
                        }
                    }
                    y
                },
            );
        }
    }

    /// A sequence must get the same bits alone and in company, for every storage type, precision and number of threads;
    /// and they must be the right numbers.
    #[test]
    fn rows_do_not_depend_on_the_batch() {
        let mut rng = Rng::new(3, 0);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let k = 130;
        for dtype in [DType::F32, DType::Bf16, DType::F16] {
            let mut params = Params::default();
            // Wider than what `gemm`, which the portable kernels leave these products to, takes another way.
            let a = params.add("a", Weight::owned(&[151, k], normal(151 * k)).to_dtype(dtype));
            let b = params.add("b", Weight::owned(&[300, k], normal(300 * k)).to_dtype(dtype));
            let x = Tensor::from_vec(40, k, normal(40 * k));
            let run = |threads: usize, rows: usize, regime, precision| {
                let pool = Pool::new(threads);
                let graph = Graph::inference(&params, &pool, regime).with_precision(precision);
                let part = Tensor::from_vec(rows, k, x.data()[..rows * k].to_vec());
                project(graph.context, regime, &part, &[a, b])
            };
            let steps = run(1, 40, Regime::Steps, Precision::Stored);
            for (regime, precision) in [
                (Regime::Steps, Precision::Bf16),
                (Regime::Bulk, Precision::F32),
                (Regime::Bulk, Precision::Stored),
                (Regime::Bulk, Precision::Bf16),
            ] {
                let stored = precision == Precision::Stored && dtype == DType::Bf16;
                let halves = precision == Precision::Bf16 || stored && crate::bf16_products();
                let bound = if regime == Regime::Bulk && halves { 0.2 } else { 1e-4 };
                let all = run(1, 40, regime, precision);
                for (x, y) in steps.data().iter().zip(all.data()) {
                    assert!((x - y).abs() < bound, "{dtype:?}, {regime:?} in {precision:?}");
                }
                for threads in [1, 2, 3] {
                    for rows in [1, 2, 5, 16, 39] {
                        assert_eq!(run(threads, rows, regime, precision).data(), &all.data()[..rows * 451]);
                    }
                }
            }
        }
    }
}
