//! A linear layer and its activation: what BERT's feed-forward blocks and its head begin with.

use crate::ops::linear::{LinearBackward, fits, project};
use crate::ops::{Activation, Form, Linear, activate, linear};
use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var};

/// `act(x·Wᵀ + b)`: [tokens, in] → [tokens, out]. Bias and activation are one pass over the product, or part of it, and
/// backward one over its derivative; for the way back the product is kept, and with [`Activation::Relu`] the result alone,
/// which tells where its derivative is 0.
pub fn dense(graph: &mut Graph<'_>, x: &Var, layer: Linear, activation: Activation) -> Var {
    let context = graph.context;
    if !graph.trains() || activation == Activation::Relu {
        fits(context, &x.value, &layer);
        let y = on!(context => linear::dense(context, graph.regime, &x.value, layer, activation));
        let kept = y.clone();
        return graph.record(y, || {
            let linear = LinearBackward { x: context.factor(&x.value), node: x.node(), layers: vec![layer] };
            Box::new(DenseBackward { linear, bias: None, kept, activation })
        });
    }
    let Some(bias) = layer.bias else {
        let inner = linear(graph, x, &[layer]);
        return activate(graph, activation, &inner);
    };
    let inner = project(context, graph.regime, &x.value, &[layer.weight.into()]);
    let y = on!(context => activation::biased(context, activation, &inner, bias));
    graph.record(y, || {
        let linear =
            LinearBackward { x: context.factor(&x.value), node: x.node(), layers: vec![layer.weight.into()] };
        Box::new(DenseBackward { linear, bias: Some(bias), kept: inner, activation })
    })
}

struct DenseBackward {
    linear: LinearBackward,
    /// What `kept` is without, and `linear` too.
    bias: Option<ParamId>,
    /// What the activation is told of, or with ReLU its result.
    kept: Tensor,
    activation: Activation,
}

impl Backward for DenseBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let DenseBackward { linear, bias, kept, activation } = *self;
        let d = match bias {
            None => on!(context => activation::backward(context, Form::Plain, activation, &kept, &dy)),
            Some(bias) => {
                let (d, sums) =
                    on!(context => activation::biased_backward(context, activation, &kept, bias, &dy));
                if gradients.wants(bias) {
                    sums.add_to(context, gradients.param_add(context, bias));
                }
                d
            }
        };
        drop((kept, dy));
        Box::new(linear).backward(context, d, gradients);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    /// With and without bias, and with an adapter, which the activation sees too.
    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        for tokens in sizes() {
            for (biased, activation) in
                [Activation::Silu, Activation::Relu].into_iter().flat_map(|act| [(false, act), (true, act)])
            {
                let case = Case::new(&[(tokens, 5)]).param(&[7, 5]).param(&[7]).param(&[2, 5]).param(&[7, 2]);
                check(
                    &case.adapter(0, [2, 3], 0.75),
                    |g, v, p| {
                        let layer = Linear { weight: p[0], bias: biased.then_some(p[1]) };
                        dense(g, &v[0], layer, activation)
                    },
                    |x| {
                        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                        let mut y = Vec::new();
                        for row in x[0].chunks(5) {
                            let down: Vec<f64> = x[3].chunks(5).map(|a| dot(a, row)).collect();
                            for (i, w) in x[1].chunks(5).enumerate() {
                                let bias = if biased { x[2][i] } else { 0.0 };
                                let inner = dot(w, row) + bias + 0.75 * dot(&x[4][2 * i..][..2], &down);
                                y.push(match activation {
                                    Activation::Relu => inner.max(0.0),
                                    _ => inner / (1.0 + (-inner).exp()),
                                });
                            }
                        }
                        y
                    },
                );
            }
        }
    }
}
