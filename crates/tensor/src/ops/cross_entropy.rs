//! Softmax and cross-entropy over a large vocabulary, without ever holding all logits.

use crate::ops::Linear;
use crate::ops::linear::project;
use crate::{Gradients, Graph, Var};

/// Options of [`cross_entropy`].
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Logits held at a time (elements): the tokens are taken in equal chunks of at most this many over the vocabulary.
    /// The weight and its gradient pass by once a chunk, so fewer are better.
    pub chunk: usize,
    /// Every token's loss is multiplied by this before gradients are taken: 1 / tokens of the whole batch.
    pub scale: f32,
    /// Share of the target's probability that is spread evenly over all rows: `label_smoothing` of
    /// `torch.nn.functional.cross_entropy` (Szegedy et al. 2016, section 7).
    pub label_smoothing: f32,
    /// Adds this times (log Σ exp logits)² to every token's loss, which keeps the logits from drifting away from 0
    /// (`z_loss` in mesh-tensorflow's `layers.softmax_cross_entropy_with_logits`).
    pub z_loss: f32,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        CrossEntropy { chunk: 32 << 20, scale: 1.0, label_smoothing: 0.0, z_loss: 0.0 }
    }
}

/// What [`cross_entropy`] found.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// The loss of every token, natural logarithm: `−log p(target)`, with label smoothing and z-loss where asked for.
    pub tokens: Vec<f32>,
}

impl Losses {
    /// The sum over all tokens.
    pub fn sum(&self) -> f64 {
        self.tokens.iter().map(|&l| f64::from(l)).sum()
    }
}

/// The losses of `softmax(x·Wᵀ + b)` against `targets`. `x`: [tokens, features], `softmax`: W: [rows, features] and, if
/// it has one, b: [rows]; targets: [tokens], each below `rows`. With `l = x·Wᵀ + b`, smoothing ε, z-loss z and `lse = log Σ exp l`, a token's loss is
/// `lse − (1 − ε)·l[target] − ε·mean(l) + z·lse²`.
///
/// With `gradients`, also begins the backward pass: of `scale · Σ losses`, it sets the gradient of `x` (where that
/// is on the tape) and adds to those of W and b (where these are trained). Doing both while a chunk of logits is
/// there saves keeping or computing it twice:
/// `dl = scale · ((1 + 2·z·lse)·softmax − (1 − ε)·one-hot − ε/rows)`, `dx = dl·W`, `dW = dlᵀ·x`,
/// `db = Σ` of the rows of `dl`.
pub fn cross_entropy(
    graph: &Graph<'_>,
    x: &Var,
    softmax: impl Into<Linear>,
    targets: &[u32],
    options: CrossEntropy,
    mut gradients: Option<&mut Gradients>,
) -> Losses {
    let (context, softmax) = (graph.context, softmax.into());
    let Linear { weight, bias } = softmax;
    let w = context.params.get(weight);
    let (tokens, features, rows) = (x.value.rows(), x.value.cols(), w.rows());
    assert_eq!(targets.len(), tokens, "one target a token");
    let mut losses = vec![0.0f32; tokens];
    let backward = gradients.is_some();
    let mut dx = (backward && x.node().is_some()).then(|| context.unspecified(tokens, features));
    // At least a few tokens a chunk: a product of one row rounds differently.
    let most = (options.chunk / rows.max(1)).max(16);
    let chunk = tokens.div_ceil(tokens.div_ceil(most).max(1)).max(16);
    for start in (0..tokens).step_by(chunk) {
        let end = tokens.min(start + chunk);
        let part = x.value.rows_copied(start..end);
        let mut logits = project(context, graph.regime, &part, &[softmax]);
        let here = start..end;
        on!(context => cross_entropy::losses(
            context,
            &mut logits,
            &targets[here.clone()],
            &mut losses[here],
            options,
            backward,
        ));
        if let Some(dx) = dx.as_mut() {
            on!(context => linear::derivative_by_input(context, dx, start, &logits, 0..rows, w, false));
        }
        if let Some(gradients) = gradients.as_deref_mut() {
            if context.params.trains(weight) {
                let (dw, add) = gradients.param_mut(context, weight);
                on!(context => linear::derivative_by_weight(context, dw, &logits, 0..rows, &part, add));
            }
            if let Some(bias) = bias.filter(|&bias| context.params.trains(bias)) {
                let db = gradients.param_add(context, bias);
                on!(context => elementwise::add_column_sums(context, db, &logits, 0..rows));
            }
        }
    }
    if let (Some(gradients), Some(dx)) = (gradients, dx) {
        gradients.add(context, x.node(), dx);
    }
    Losses { tokens: losses }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Pool, Regime, Rng, Tensor, Weight};

    /// The loss written out in f64, and its derivatives by finite differences, for chunks of every kind, with a bias in
    /// every other case.
    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        let (features, rows, scale) = (5, 13, 0.3f32);
        for (case, (tokens, label_smoothing, z_loss)) in
            [(0, 0.0, 0.0), (1, 0.1, 0.02), (2, 0.0, 0.0), (17, 0.1, 0.0), (17, 0.0, 0.02), (40, 0.2, 0.01)]
                .into_iter()
                .enumerate()
        {
            let biased = case % 2 == 1;
            let (smooth, z) = (f64::from(label_smoothing), f64::from(z_loss));
            let mut rng = Rng::new(4, tokens as u64);
            let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
            let (x, w) = (normal(tokens * features), normal(rows * features));
            let b = if biased { normal(rows) } else { vec![0.0; rows] };
            let targets: Vec<u32> = (0..tokens as u32).map(|t| (t * 7 + 3) % rows as u32).collect();
            let oracle = |x: &[f64], w: &[f64], b: &[f64]| -> Vec<f64> {
                let dot = |t: usize, r: usize| -> f64 {
                    b[r] + (0..features).map(|i| x[t * features + i] * w[r * features + i]).sum::<f64>()
                };
                (0..tokens)
                    .map(|t| {
                        let lse = (0..rows).map(|r| dot(t, r).exp()).sum::<f64>().ln();
                        let of = |r: usize| lse - dot(t, r);
                        let all = (0..rows).map(of).sum::<f64>() / rows as f64;
                        (1.0 - smooth) * of(targets[t] as usize) + smooth * all + z * lse * lse
                    })
                    .collect()
            };
            let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|&v| f64::from(v)).collect() };
            let mut params = Params::default();
            let id = params.add("w", Weight::owned(&[rows, features], w.clone()));
            let bias = params.add("b", Weight::owned(&[rows], b.clone()));
            let softmax = Linear { weight: id, bias: biased.then_some(bias) };
            for (threads, chunk) in [(1, 1), (2, 1 << 20)] {
                let pool = Pool::new(threads);
                let mut graph = Graph::training(&params, &pool, None);
                let var = graph.leaf(Tensor::from_vec(tokens, features, x.clone()));
                let mut gradients = Gradients::new();
                let options = CrossEntropy { chunk, scale, label_smoothing, z_loss };
                let losses = cross_entropy(&graph, &var, softmax, &targets, options, Some(&mut gradients));
                let (x, w, b) = (wide(&x), wide(&w), wide(&b));
                for (got, want) in losses.tokens.iter().zip(oracle(&x, &w, &b)) {
                    assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
                }
                let total =
                    |x: &[f64], w: &[f64], b: &[f64]| f64::from(scale) * oracle(x, w, b).iter().sum::<f64>();
                let close = |got: f32, above: f64, below: f64| {
                    let want = (above - below) / 2e-5;
                    assert!((f64::from(got) - want).abs() < 1e-4, "{got} {want}");
                };
                for i in 0..x.len() {
                    let nudged = |h: f64| {
                        x.iter()
                            .enumerate()
                            .map(|(j, v)| v + if i == j { h } else { 0.0 })
                            .collect::<Vec<_>>()
                    };
                    close(
                        gradients.of(&var).unwrap().data()[i],
                        total(&nudged(1e-5), &w, &b),
                        total(&nudged(-1e-5), &w, &b),
                    );
                }
                for i in 0..w.len() {
                    let nudged = |h: f64| {
                        w.iter()
                            .enumerate()
                            .map(|(j, v)| v + if i == j { h } else { 0.0 })
                            .collect::<Vec<_>>()
                    };
                    let got = gradients.param(id).map_or(0.0, |g| g.data()[i]);
                    close(got, total(&x, &nudged(1e-5), &b), total(&x, &nudged(-1e-5), &b));
                }
                assert_eq!(gradients.param(bias).is_some(), biased && tokens > 0);
                for i in (0..rows).filter(|_| biased) {
                    let nudged = |h: f64| {
                        b.iter()
                            .enumerate()
                            .map(|(j, v)| v + if i == j { h } else { 0.0 })
                            .collect::<Vec<_>>()
                    };
                    let got = gradients.param(bias).map_or(0.0, |g| g.data()[i]);
                    close(got, total(&x, &w, &nudged(1e-5)), total(&x, &w, &nudged(-1e-5)));
                }
                let plain = Graph::inference(&params, &pool, Regime::Bulk);
                let again = cross_entropy(
                    &plain,
                    &Var::constant(var.value.clone()),
                    softmax,
                    &targets,
                    options,
                    None,
                );
                assert_eq!(again.tokens, losses.tokens);
            }
        }
    }
}
