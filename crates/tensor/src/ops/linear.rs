//! Linear layers: `y = x·Wᵀ + b`, several side by side in one go, with the adapters that weights have (see
//! [`Adapter`](crate::Adapter) and [`adapter`](super::adapter)).

use std::ops::Range;

use crate::ops::adapter::adapter_backward;
use crate::{Backward, Context, Gradients, Graph, ParamId, Regime, Tensor, Var};

/// A linear layer's parameters. A [`ParamId`] is one without bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// W: [out, in].
    pub weight: ParamId,
    /// b: [out], in f32.
    pub bias: Option<ParamId>,
}

impl From<ParamId> for Linear {
    fn from(weight: ParamId) -> Self {
        Linear { weight, bias: None }
    }
}

/// `x·[W₀; W₁; …]ᵀ + [b₀; b₁; …]`: the outputs of several layers with the same input, side by side.
///
/// `x`: [tokens, in]; each weight: [out_i, in], its bias, if any: [out_i]; result: [tokens, Σ out_i]. Backward:
/// `dx = Σ dyᵢ·Wᵢ`, `dWᵢ = dyᵢᵀ·x`, `dbᵢ = Σ` of the rows of `dyᵢ`, and what adapters add to the first two.
pub fn linear<L: Copy + Into<Linear>>(graph: &mut Graph<'_>, x: &Var, layers: &[L]) -> Var {
    let layers: Vec<Linear> = layers.iter().map(|&layer| layer.into()).collect();
    let y = project(graph.context, graph.regime, &x.value, &layers);
    let context = graph.context;
    graph.record(y, || Box::new(LinearBackward { x: context.factor(&x.value), node: x.node(), layers }))
}

/// `x·Wᵀ + b` for a softmax, outside of any tape: [tokens, in] × [rows, in] → [tokens, rows].
pub fn logits(graph: &Graph<'_>, x: &Tensor, softmax: impl Into<Linear>) -> Tensor {
    project(graph.context, graph.regime, x, &[softmax.into()])
}

pub(crate) fn project(context: Context<'_>, regime: Regime, x: &Tensor, layers: &[Linear]) -> Tensor {
    layers.iter().for_each(|layer| fits(context, x, layer));
    on!(context => linear::project(context, regime, x, layers))
}

/// Panics where features are not what a layer takes.
pub(super) fn fits(context: Context<'_>, x: &Tensor, layer: &Linear) {
    assert_eq!(context.params.get(layer.weight).cols(), x.cols(), "inputs of a linear layer, and features");
}

/// What the way back of linear layers reads.
pub(super) struct LinearBackward {
    /// A factor ([`Context::factor`]).
    pub(super) x: Tensor,
    pub(super) node: Option<usize>,
    pub(super) layers: Vec<Linear>,
}

impl Backward for LinearBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let x = &self.x;
        let mut first = 0;
        let mut columns = |rows: usize| {
            first += rows;
            first - rows..first
        };
        let ranges: Vec<Range<usize>> =
            self.layers.iter().map(|layer| columns(context.params.get(layer.weight).rows())).collect();
        for (layer, range) in self.layers.iter().zip(&ranges) {
            if gradients.wants(layer.weight) {
                let (dw, add) = gradients.param_mut(context, layer.weight);
                on!(context => linear::derivative_by_weight(context, dw, &dy, range.clone(), x, add));
            }
            if let Some(bias) = layer.bias.filter(|&bias| gradients.wants(bias)) {
                let db = gradients.param_add(context, bias);
                on!(context => elementwise::add_column_sums(context, db, &dy, range.clone()));
            }
        }
        let mut dx = self.node.map(|node| match gradients.take(node) {
            Some(sum) => (sum.into_unique(), true),
            None => (context.unspecified(x.rows(), x.cols()), false),
        });
        for (layer, range) in self.layers.iter().zip(ranges) {
            if let Some((dx, add)) = &mut dx {
                let weight = context.params.get(layer.weight);
                on!(context => linear::derivative_by_input(context, dx, 0, &dy, range.clone(), weight, *add));
                *add = true;
            }
            if let Some(adapter) = context.params.adapter(layer.weight) {
                adapter_backward(context, x, &dy, range, dx.as_mut().map(|(dx, _)| dx), adapter, gradients);
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
    use crate::{DType, Params, Pool, Precision, Rng, Weight};

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

    /// Three layers side by side: with a bias, without, and with a bias and an adapter.
    #[test]
    fn biases_agree_with_the_sum_and_its_derivatives() {
        for tokens in sizes() {
            let case = Case::new(&[(tokens, 5)]).param(&[3, 5]).param(&[3]).param(&[7, 5]).param(&[4, 5]);
            let case = case.param(&[4]).param(&[2, 5]).param(&[4, 2]).adapter(3, [5, 6], 0.5);
            check(
                &case,
                |g, v, p| {
                    let layer = |weight: usize, bias: Option<usize>| Linear {
                        weight: p[weight],
                        bias: bias.map(|bias| p[bias]),
                    };
                    linear(g, &v[0], &[layer(0, Some(1)), layer(2, None), layer(3, Some(4))])
                },
                |x| {
                    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                    let mut y = Vec::new();
                    for row in x[0].chunks(5) {
                        y.extend(x[1].chunks(5).zip(&x[2]).map(|(w, b)| dot(w, row) + b));
                        y.extend(x[3].chunks(5).map(|w| dot(w, row)));
                        let down: Vec<f64> = x[6].chunks(5).map(|a| dot(a, row)).collect();
                        let up = x[7].chunks(2).map(|b| 0.5 * dot(b, &down));
                        y.extend(x[4].chunks(5).zip(&x[5]).zip(up).map(|((w, b), up)| dot(w, row) + b + up));
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
            let bias = Some(params.add("b.bias", Weight::owned(&[300], normal(300))));
            let layers = [a.into(), Linear { weight: b, bias }];
            let x = Tensor::from_vec(40, k, normal(40 * k));
            let run = |threads: usize, rows: usize, regime, precision| {
                let pool = Pool::new(threads);
                let graph = Graph::inference(&params, &pool, regime).with_precision(precision);
                let part = Tensor::from_vec(rows, k, x.data()[..rows * k].to_vec());
                project(graph.context, regime, &part, &layers)
            };
            let steps = run(1, 40, Regime::Steps, Precision::F32);
            for (regime, precision) in [
                (Regime::Steps, Precision::F32),
                (Regime::Steps, Precision::Stored),
                (Regime::Steps, Precision::Bf16),
                (Regime::Bulk, Precision::F32),
                (Regime::Bulk, Precision::Stored),
                (Regime::Bulk, Precision::Bf16),
            ] {
                let stored = precision == Precision::Stored && dtype == DType::Bf16;
                let bulk = regime == Regime::Bulk && precision == Precision::Bf16;
                let bound = if bulk || stored && crate::bf16_products() { 0.2 } else { 1e-4 };
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
