//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1 / (1 − rate).

use crate::{Backward, Context, Dropout, Gradients, Graph, Tensor, Var};

/// Drops elements of `x` at random in training; nothing happens in inference.
///
/// Masks are never stored: backward computes them again from the key.
pub fn dropout(graph: &mut Graph<'_>, x: Var) -> Var {
    let Some(dropout) = graph.next_dropout() else { return x };
    let node = x.node();
    let y = on!(graph.context => dropout::drop_elements(graph.context, dropout, x.value));
    graph.record(y, || Box::new(DropoutBackward { node, dropout }))
}

struct DropoutBackward {
    node: Option<usize>,
    dropout: Dropout,
}

impl Backward for DropoutBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let dx = on!(context => dropout::drop_elements(context, self.dropout, dy));
        gradients.add(context, self.node, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Pool};

    #[test]
    fn backward_uses_the_masks_of_forward_and_the_rate_is_kept() {
        let (rows, cols, rate) = (200, 100, 0.3);
        let params = Params::default();
        let pool = Pool::new(2);
        let mut graph = Graph::training(&params, &pool, Some(Dropout { rate, key: 5 }));
        let ones = || Tensor::from_vec(rows, cols, vec![1.0; rows * cols]);
        let x = graph.leaf(ones());
        let y = dropout(&mut graph, x.clone());
        let again = dropout(&mut graph, x.clone());
        assert_ne!(y.value.data(), again.value.data(), "every dropout has masks of its own");
        assert_eq!(x.value.data()[0], 1.0, "the input is shared and must not change");
        let kept = y.value.data().iter().filter(|&&v| v != 0.0).count() as f32 / (rows * cols) as f32;
        assert!((kept - 0.7).abs() < 0.02, "{kept}");
        assert!(y.value.data().iter().all(|&v| v == 0.0 || (v - 1.0 / 0.7).abs() < 1e-6));
        let mut gradients = Gradients::new();
        gradients.put(y.node().unwrap(), ones());
        graph.backward(&mut gradients);
        assert_eq!(gradients.of(&x).unwrap().data(), y.value.data());
    }
}
