//! Products of each head's columns with that head's rows of a weight: how attention to the source does without keys and
//! values.
//!
//! With x the source's features, a head's scores are `q·(x·Wₖᵀ)ᵀ = (q·Wₖ)·xᵀ`, and its output is
//! `p·(x·Wᵥᵀ) = (p·x)·Wᵥᵀ`: the weights may be multiplied into the query and into what it finds instead of into every
//! token of the source (the absorbed weights of DeepSeek-V2, 2024, §2.1.2). Where targets are short against the source
//! that is less arithmetic, and instead of keys and values of every layer there is one x for all of them.

use crate::cpu::heads::{bulk, derivative, steps};
use crate::{Backward, Context, Gradients, Graph, ParamId, Regime, Tensor, Var};

/// `x_h·W_h` for every head, side by side: queries in terms of the features that keys would be made of.
///
/// `x`: [tokens, num_heads · d_kv]; `weight`: [num_heads · d_kv, d]; result: [tokens, num_heads · d]. Backward:
/// `dx_h = dy_h·W_hᵀ`, `dW_h = x_hᵀ·dy_h`.
pub fn heads_to_features(graph: &mut Graph<'_>, x: &Var, weight: ParamId, num_heads: usize) -> Var {
    per_head(graph, x, weight, num_heads, Way::ToFeatures)
}

/// `x_h·W_hᵀ` for every head, side by side: values of what the heads have found among features.
///
/// `x`: [tokens, num_heads · d]; `weight`: [num_heads · d_kv, d]; result: [tokens, num_heads · d_kv]. Backward:
/// `dx_h = dy_h·W_h`, `dW_h = dy_hᵀ·x_h`.
pub fn heads_from_features(graph: &mut Graph<'_>, x: &Var, weight: ParamId, num_heads: usize) -> Var {
    per_head(graph, x, weight, num_heads, Way::FromFeatures)
}

/// Which way.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    ToFeatures,
    FromFeatures,
}

impl Way {
    fn back(self) -> Way {
        match self {
            Way::ToFeatures => Way::FromFeatures,
            Way::FromFeatures => Way::ToFeatures,
        }
    }

    /// Widths of a head before and after.
    pub(crate) fn widths(self, d_kv: usize, d: usize) -> (usize, usize) {
        match self {
            Way::ToFeatures => (d_kv, d),
            Way::FromFeatures => (d, d_kv),
        }
    }
}

fn per_head(graph: &mut Graph<'_>, x: &Var, weight: ParamId, num_heads: usize, way: Way) -> Var {
    let context = graph.context;
    let y = match graph.regime {
        Regime::Bulk => bulk(context, &x.value, weight, num_heads, way),
        Regime::Steps => steps(context, &x.value, weight, num_heads, way),
    };
    graph.record(y, || Box::new(PerHead { x: x.value.clone(), node: x.node(), weight, num_heads, way }))
}

struct PerHead {
    x: Tensor,
    node: Option<usize>,
    weight: ParamId,
    num_heads: usize,
    way: Way,
}

impl Backward for PerHead {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let PerHead { x, node, weight, num_heads, way } = *self;
        if gradients.wants(weight) {
            let (dw, add) = gradients.param_mut(context, weight);
            derivative(context, dw, &x, &dy, num_heads, way, add);
        }
        if node.is_some() {
            gradients.add(context, node, bulk(context, &dy, weight, num_heads, way.back()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};
    use crate::{DType, Params, Pool, Rng, Weight};

    const HEADS: usize = 3;
    const D_KV: usize = 4;
    const D: usize = 7;

    /// Element (row, column) of the result, heads of the given widths before and after.
    fn written_out(x: &[f64], w: &[f64], tokens: usize, way: Way) -> Vec<f64> {
        let (before, after) = way.widths(D_KV, D);
        let mut y = Vec::new();
        for t in 0..tokens {
            for (head, j) in (0..HEADS).flat_map(|head| (0..after).map(move |j| (head, j))) {
                let weight = |i: usize, j: usize| w[(head * D_KV + i) * D + j];
                let term = |l: usize| {
                    let w = if way == Way::ToFeatures { weight(l, j) } else { weight(j, l) };
                    x[(t * HEADS + head) * before + l] * w
                };
                y.push((0..before).map(term).sum());
            }
        }
        y
    }

    #[test]
    fn agree_with_the_sums_and_their_derivatives() {
        for tokens in sizes() {
            for way in [Way::ToFeatures, Way::FromFeatures] {
                let before = way.widths(D_KV, D).0;
                let case = Case::new(&[(tokens, HEADS * before)]).param(&[HEADS * D_KV, D]);
                check(
                    &case,
                    |g, v, p| per_head(g, &v[0], p[0], HEADS, way),
                    |x| written_out(&x[0], &x[1], tokens, way),
                );
            }
        }
    }

    /// Steps: right for every storage type, the same bits alone and in company and with any number of threads.
    #[test]
    fn steps_do_not_depend_on_the_batch() {
        let mut rng = Rng::new(3, 1);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let (heads, d_kv, d, most) = (3, 40, 130, 9);
        for dtype in [DType::F32, DType::Bf16, DType::F16] {
            for way in [Way::ToFeatures, Way::FromFeatures] {
                let (before, after) = way.widths(d_kv, d);
                let mut params = Params::default();
                let weight = Weight::owned(&[heads * d_kv, d], normal(heads * d_kv * d)).to_dtype(dtype);
                let id = params.add("w", weight);
                let x = normal(most * heads * before);
                let run = |threads: usize, rows: std::ops::Range<usize>| {
                    let pool = Pool::new(threads);
                    let graph = Graph::inference(&params, &pool, Regime::Steps);
                    let x = x[rows.start * heads * before..rows.end * heads * before].to_vec();
                    let x = Tensor::from_vec(rows.len(), heads * before, x);
                    (steps(graph.context, &x, id, heads, way), bulk(graph.context, &x, id, heads, way))
                };
                let (all, want) = run(2, 0..most);
                for (got, want) in all.data().iter().zip(want.data()) {
                    assert!((got - want).abs() < 2e-4, "{got} {want}");
                }
                for threads in [1, 2, 3] {
                    for rows in [0..0, 0..1, 4..5, 2..9, 0..6] {
                        let width = heads * after;
                        let part = &all.data()[rows.start * width..rows.end * width];
                        assert!(
                            run(threads, rows.clone()).0.data() == part,
                            "{threads} threads, rows {rows:?}"
                        );
                    }
                }
            }
        }
    }
}
