//! Parts of a pass that are computed again on the way back instead of kept (Chen et al. 2016, "Training deep nets with
//! sublinear memory cost").

use crate::{Backward, Context, Gradients, Graph, Tensor, Var};

/// `f(inputs)`. Where the pass trades time for memory ([`Graph::with_recompute`]), the tape keeps the inputs alone, and
/// the backward pass first runs `f` again, with the same dropout masks, for what its operations need.
pub fn recompute<'a>(
    graph: &mut Graph<'a>,
    inputs: Vec<Var>,
    f: impl Fn(&mut Graph<'a>, Vec<Var>) -> Var + 'a,
) -> Var {
    if !graph.forgets() {
        return f(graph, inputs);
    }
    let again = graph.aside(true);
    let mut once = graph.aside(false);
    let y = f(&mut once, inputs.iter().map(|input| Var::constant(input.value.clone())).collect()).value;
    graph.resume_after(&once);
    graph.record(y, || Box::new(Recompute { graph: again, inputs, f }))
}

struct Recompute<'a, F> {
    /// The pass as it was before `f`.
    graph: Graph<'a>,
    inputs: Vec<Var>,
    f: F,
}

impl<'a, F: Fn(&mut Graph<'a>, Vec<Var>) -> Var> Backward for Recompute<'a, F> {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let Recompute { mut graph, inputs, f } = *self;
        let leaves: Vec<Var> = inputs.iter().map(|input| graph.leaf(input.value.clone())).collect();
        let y = f(&mut graph, leaves.clone());
        let found = gradients.within(graph, &y, dy, &leaves);
        for (input, gradient) in inputs.iter().zip(found) {
            if let Some(gradient) = gradient {
                gradients.add(context, input.node(), gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dropout, ParamId, Params, Pool, Rng, Weight, ops};

    /// Two parts, the second of which sees the first's input as well: the same result, bit for bit, and the same
    /// gradients but for the order of their sums.
    #[test]
    fn gradients_are_those_of_what_is_kept() {
        let mut rng = Rng::new(9, 0);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let mut params = Params::default();
        let weights: Vec<ParamId> =
            (0..2).map(|i| params.add(format!("w{i}"), Weight::owned(&[6, 6], normal(36)))).collect();
        let (x, dy) = (normal(5 * 6), normal(5 * 6));
        let pool = Pool::new(2);
        let part = |weight: ParamId| {
            move |graph: &mut Graph<'_>, inputs: Vec<Var>| {
                let y = ops::linear(graph, &inputs[0], &[weight]);
                let y = ops::dropout(graph, y);
                ops::residual(graph, &inputs[inputs.len() - 1], y)
            }
        };
        let run = |recompute: bool| {
            let mut graph = Graph::training(&params, &pool, Some(Dropout { rate: 0.3, key: 5 }))
                .with_recompute(recompute);
            let x = graph.leaf(Tensor::from_vec(5, 6, x.clone()));
            let first = super::recompute(&mut graph, vec![x.clone()], part(weights[0]));
            let y = super::recompute(&mut graph, vec![first, x.clone()], part(weights[1]));
            let y = ops::dropout(&mut graph, y);
            let mut gradients = Gradients::new();
            gradients.put(y.node().unwrap(), Tensor::from_vec(5, 6, dy.clone()));
            graph.backward(&mut gradients);
            let mut found = vec![y.value.data().to_vec(), gradients.of(&x).unwrap().data().to_vec()];
            found.extend(weights.iter().map(|&w| gradients.param(w).unwrap().data().to_vec()));
            found
        };
        let kept = run(false);
        let again = run(true);
        assert_eq!(again[0], kept[0]);
        for (a, b) in again.iter().flatten().zip(kept.iter().flatten()) {
            assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} {b}");
        }
        assert!(kept.iter().all(|x| x.iter().any(|x| *x != 0.0)));
    }
}
