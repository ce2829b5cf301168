//! Activations of the feed-forward layers, plain and gated.

use crate::{Backward, Context, Gradients, Graph, Tensor, Var};

/// What stands between the two products of a feed-forward block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// GELU by the tanh approximation: x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))); T5 1.1 and mT5.
    GeluTanh,
    /// GELU itself: x·Φ(x); BERT.
    GeluErf,
    /// max(0, x); T5 1.0.
    Relu,
    /// x / (1 + e^−x)
    Silu,
}
/// `act(x)`, element by element; any shape.
pub fn activate(graph: &mut Graph<'_>, activation: Activation, x: &Var) -> Var {
    apply(graph, Form::Plain, activation, x)
}

/// `act(x[:, ..n]) · x[:, n..]` (Shazeer 2020, "GLU Variants Improve Transformer"). `x`: [tokens, 2n], the outputs of
/// `wi_0` and `wi_1` side by side; result: [tokens, n].
pub fn gated(graph: &mut Graph<'_>, activation: Activation, x: &Var) -> Var {
    apply(graph, Form::Gated, activation, x)
}

/// With or without a gate.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Plain,
    Gated,
}

fn apply(graph: &mut Graph<'_>, form: Form, activation: Activation, x: &Var) -> Var {
    let y = on!(graph.context => activation::forward(graph.context, form, activation, &x.value));
    graph.record(y, || Box::new(ActivationBackward { x: x.value.clone(), node: x.node(), form, activation }))
}

struct ActivationBackward {
    x: Tensor,
    node: Option<usize>,
    form: Form,
    activation: Activation,
}

impl Backward for ActivationBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let dx = on!(context => activation::backward(context, self.form, self.activation, &self.x, &dy));
        gradients.add(context, self.node, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    fn oracle(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::GeluTanh => {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }
            Activation::GeluErf => {
                // erf by its integral, Simpson's rule: slow and obvious
                let (n, z) = (2000, x / std::f64::consts::SQRT_2);
                let f = |i: usize| (-(z * i as f64 / n as f64).powi(2)).exp();
                let sum: f64 = (1..n).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
                let erf = (sum + f(0) + f(n)) * z / n as f64 / 3.0 * 2.0 / std::f64::consts::PI.sqrt();
                0.5 * x * (1.0 + erf)
            }
            Activation::Relu => x.max(0.0),
            Activation::Silu => x / (1.0 + (-x).exp()),
        }
    }

    #[test]
    fn agree_with_the_formulas_and_their_derivatives() {
        for activation in [Activation::GeluTanh, Activation::GeluErf, Activation::Relu, Activation::Silu] {
            for rows in sizes() {
                let case = Case::new(&[(rows, 5)]);
                check(
                    &case,
                    |g, v, _| activate(g, activation, &v[0]),
                    |x| x[0].iter().map(|&x| oracle(activation, x)).collect(),
                );
                let case = Case::new(&[(rows, 10)]);
                check(
                    &case,
                    |g, v, _| gated(g, activation, &v[0]),
                    |x| {
                        let gate = |r: &[f64]| {
                            (0..5).map(|i| oracle(activation, r[i]) * r[5 + i]).collect::<Vec<_>>()
                        };
                        x[0].chunks(10).flat_map(gate).collect()
                    },
                );
            }
        }
    }
}
