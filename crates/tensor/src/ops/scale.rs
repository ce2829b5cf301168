//! Multiplication by a constant: T5 1.0 scales its last hidden states by d_model^-0.5.

use crate::{Backward, Context, Gradients, Graph, Tensor, Var};

/// `factor · x`; any shape.
pub fn scale(graph: &mut Graph<'_>, x: Var, factor: f32) -> Var {
    let node = x.node();
    let y = on!(graph.context => elementwise::multiply(graph.context, x.value, factor));
    graph.record(y, || Box::new(ScaleBackward { node, factor }))
}

struct ScaleBackward {
    node: Option<usize>,
    factor: f32,
}

impl Backward for ScaleBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let dx = on!(context => elementwise::multiply(context, dy, self.factor));
        gradients.add(context, self.node, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    #[test]
    fn multiplies() {
        for rows in sizes() {
            let case = Case::new(&[(rows, 7)]);
            check(
                &case,
                |g, v, _| scale(g, v[0].clone(), -0.25),
                |x| x[0].iter().map(|v| -0.25 * v).collect(),
            );
        }
    }
}
