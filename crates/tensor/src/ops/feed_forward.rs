//! What comes behind a norm in int8: normed rows are rounded at once, and a feed-forward block's parts follow one another
//! in the cache.

use crate::cpu::int8::Quantized;
use crate::cpu::linear::{Side, product_in_int8};
use crate::kernels::Panels;
use crate::ops::Activation;
use crate::{Graph, ParamId, Tensor};

/// A block's parameters: `wo·(act(wi₀·n) · (wi₁·n))` of `n = rms_norm(x)`, or `wo·act(wi₀·n)`.
#[derive(Clone, Copy, Debug)]
pub struct FeedForward<'a> {
    /// The norm's weight: [features].
    pub norm: ParamId,
    /// What the norm adds to the mean of squares.
    pub eps: f32,
    /// One or, where it is gated, two: [inner, features].
    pub wi: &'a [ParamId],
    /// Between the products.
    pub activation: Activation,
    /// [features, inner]
    pub wo: ParamId,
}

/// Rows that each thread has at least where it takes rows rather than outputs: enough for every thread to read all weights.
const ROWS: usize = 32;

/// The block of `x`, [tokens, features], before what is added to it; nothing where the pass keeps or looks at what is within,
/// or where the weights are not gated, without adapters and in int8. To the bit what
/// [`rms_norm`](super::rms_norm()), [`linear`](super::linear()), [`gated`](super::gated()) and `linear` give, with fewer passes
/// over memory: normed and activated rows are rounded at once, those of many tokens as they leave the products.
pub fn feed_forward_in_int8(graph: &Graph<'_>, x: &Tensor, block: FeedForward<'_>) -> Option<Tensor> {
    let context = graph.context;
    let &[gate, linear] = block.wi else { return None };
    let [gate, linear, wo] = [gate, linear, block.wo].map(|id| in_panels(graph, id));
    let ((gate, of_gate), (linear, of_linear), (wo, _)) = (gate?, linear?, wo?);
    let normed = Quantized::normed(context, x, context.params.vector(block.norm), block.eps);
    let inner = if x.rows() >= ROWS * context.pool.threads() {
        Quantized::gated_product(context, &normed, block.activation, [of_gate, of_linear])
    } else {
        let inner = product_in_int8(context, &normed, &[gate, linear]);
        Quantized::gated(context, block.activation, &inner)
    };
    Some(product_in_int8(context, &inner, &[wo]))
}

/// `rms_norm(x)·[W₀; W₁; …]ᵀ`, [tokens, Σ out_i], likewise: the normed rows are nowhere but in int8.
pub fn normed_linear_in_int8(
    graph: &Graph<'_>,
    x: &Tensor,
    norm: ParamId,
    eps: f32,
    layers: &[ParamId],
) -> Option<Tensor> {
    let context = graph.context;
    let sides = layers.iter().map(|&id| Some(in_panels(graph, id)?.0)).collect::<Option<Vec<_>>>()?;
    let normed = Quantized::normed(context, x, context.params.vector(norm), eps);
    Some(product_in_int8(context, &normed, &sides))
}

/// A layer's weight, if it is in panels of int8 without an adapter and the pass neither keeps nor looks at what goes in.
fn in_panels<'a>(graph: &Graph<'a>, id: ParamId) -> Option<(Side<'a>, &'a Panels)> {
    let params = graph.context.params;
    let weight = params.get(id);
    let plain = params.adapter(id).is_none() && !graph.trains() && !graph.watches();
    weight.panels().filter(|_| plain).map(|panels| (Side { weight, bias: None }, panels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{gated, linear, rms_norm};
    use crate::{DType, Params, Pool, Regime, Rng, Var, Weight};

    #[test]
    fn has_the_bits_of_its_parts() {
        for (features, inner) in [(40, 130), (128, 256), (130, 7)] {
            for dtype in [DType::I8, DType::I4] {
                let mut params = Params::default();
                let mut random = |name: &str, shape: [usize; 2]| {
                    let weight = Weight::normal(&shape, 0.3, Rng::new(3, name.len() as u64));
                    params.add(name, weight.to_dtype(dtype).packed())
                };
                let (wi, wo) = (
                    [random("a", [inner, features]), random("bb", [inner, features])],
                    random("ccc", [features, inner]),
                );
                let norm = params.add("norm", Weight::normal(&[features], 1.0, Rng::new(4, 0)));
                for (threads, rows) in [(1, 1), (1, 31), (1, 32), (1, 100), (2, 5), (2, 64), (3, 200), (2, 0)]
                {
                    let pool = Pool::new(threads);
                    let mut rng = Rng::new(5, rows as u64);
                    let x = (0..rows * features).map(|_| rng.normal() as f32).collect();
                    let x = Tensor::from_vec(rows, features, x);
                    let mut graph = Graph::inference(&params, &pool, Regime::Bulk);
                    let bits = |x: &Tensor| x.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                    let normed = rms_norm(&mut graph, &Var::constant(x.clone()), norm, 1e-6);
                    let alone = normed_linear_in_int8(&graph, &x, norm, 1e-6, &wi).expect("weights in int8");
                    assert_eq!(bits(&alone), bits(&linear(&mut graph, &normed, &wi).value));
                    for activation in [Activation::GeluTanh, Activation::Relu] {
                        let block = FeedForward { norm, eps: 1e-6, wi: &wi, activation, wo };
                        let fused = feed_forward_in_int8(&graph, &x, block).expect("weights in int8");
                        let inner = linear(&mut graph, &normed, &wi);
                        let active = gated(&mut graph, activation, &inner);
                        let want = linear(&mut graph, &active, &[wo]).value;
                        assert_eq!(bits(&fused), bits(&want), "{rows} rows, {threads} threads, {dtype:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn is_not_for_passes_that_keep_or_for_other_weights() {
        let mut params = Params::default();
        let mut add = |name: &str, shape: &[usize], int8: bool| {
            let weight = Weight::normal(shape, 0.3, Rng::new(3, 0));
            params.add(name, if int8 { weight.to_dtype(DType::I8).packed() } else { weight })
        };
        let norm = add("norm", &[8], false);
        let (a, b, o, wide) = (
            add("a", &[16, 8], true),
            add("b", &[16, 8], true),
            add("o", &[8, 16], true),
            add("w", &[8, 16], false),
        );
        let pool = Pool::new(1);
        let x = Tensor::zeros(3, 8);
        let block = FeedForward { norm, eps: 1e-6, wi: &[a, b], activation: Activation::GeluTanh, wo: o };
        let graph = Graph::inference(&params, &pool, Regime::Steps);
        assert!(feed_forward_in_int8(&graph, &x, block).is_some());
        assert!(feed_forward_in_int8(&graph, &x, FeedForward { wi: &[a], ..block }).is_none());
        assert!(feed_forward_in_int8(&graph, &x, FeedForward { wo: wide, ..block }).is_none());
        for graph in [Graph::training(&params, &pool, None), Graph::watching(&params, &pool, None)] {
            assert!(feed_forward_in_int8(&graph, &x, block).is_none());
            assert!(normed_linear_in_int8(&graph, &x, norm, 1e-6, &[a, b]).is_none());
        }
    }
}
