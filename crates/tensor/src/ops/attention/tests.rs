//! Attention of whole sequences, and to features, against attention written out.

mod steps;

use super::*;
use crate::ops::check::{Case, check};
use crate::ops::{RelativePositions, gather_rows};
use crate::{ParamId, Params, Pool, Regime, Rng, Weight};

const HEADS: usize = 2;
const D_KV: usize = 4;
const INNER: usize = HEADS * D_KV;
const BUCKETS: usize = 8;

/// Consecutive spans of the given (queries, keys), full.
fn spans(lengths: &[(usize, usize)]) -> Vec<Span> {
    let (mut q, mut k) = (0, 0);
    let mut spans = Vec::new();
    for &(queries, keys) in lengths {
        spans.push(Span { queries: q..q + queries, keys: k..k + keys, position: 0, mask: Mask::Full });
        (q, k) = (q + queries, k + keys);
    }
    spans
}

fn bias(weight: ParamId, bidirectional: bool) -> RelativeBias {
    RelativeBias { weight, num_buckets: BUCKETS, max_distance: 20, bidirectional }
}

/// Spans of sequences that look at themselves.
fn own_spans(sequences: &[(usize, Mask)]) -> Vec<Span> {
    let spans = spans(&sequences.iter().map(|&(n, _)| (n, n)).collect::<Vec<_>>());
    spans.into_iter().zip(sequences).map(|(span, &(_, mask))| Span { mask, ..span }).collect()
}

/// An attention of these heads without anything.
fn plain(spans: Vec<Span>) -> Attention {
    Attention {
        num_heads: HEADS,
        d_kv: D_KV,
        scale: 1.0,
        bias: None,
        relative: None,
        dtype: DType::F32,
        spans,
    }
}

/// Whether a query at `position` sees key `j`, by the definitions.
fn sees(mask: Mask, position: usize, j: usize) -> bool {
    match mask {
        Mask::Full => true,
        Mask::Causal => j <= position,
        Mask::Prefix(n) => j < n || j <= position,
    }
}

/// Attention written out. `q`, `k`, `v`: element (row, column of the head's block); `table`: [BUCKETS, HEADS].
fn oracle(
    what: &Attention,
    table: Option<&[f64]>,
    q: impl Fn(usize, usize) -> f64,
    k: impl Fn(usize, usize) -> f64,
    v: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut out = Vec::new();
    for span in &what.spans {
        for i in span.queries.clone() {
            for head in 0..what.num_heads {
                let position = span.position + i - span.queries.start;
                let vector = |j: usize, c: usize| match &what.relative {
                    Some(relative) => {
                        let max = relative.distances() as isize / 2;
                        let distance = (j as isize - position as isize).clamp(-max, max);
                        f64::from(relative.table().row((distance + max) as usize)[c])
                    }
                    None => 0.0,
                };
                let mut weights = Vec::new();
                for j in 0..span.keys.len() {
                    let key = span.keys.start + j;
                    let product =
                        |c: usize| q(i, head * what.d_kv + c) * (k(key, head * what.d_kv + c) + vector(j, c));
                    let mut score = f64::from(what.scale) * (0..what.d_kv).map(product).sum::<f64>();
                    if let (Some(table), Some(bias)) = (table, &what.bias) {
                        score += table[bias.bucket(j as isize - position as isize) * what.num_heads + head];
                    }
                    weights.push(if sees(span.mask, position, j) { score.exp() } else { 0.0 });
                }
                let sum: f64 = weights.iter().sum();
                for c in 0..what.d_kv {
                    let value = |j: usize| {
                        weights[j] / sum * (v(span.keys.start + j, head * what.d_kv + c) + vector(j, c))
                    };
                    out.push((0..span.keys.len()).map(value).sum());
                }
            }
        }
    }
    out
}

/// What the checks say an attention with that bias is, the weight being the first parameter there.
fn first_param() -> ParamId {
    Params::default().add("b", Weight::zeros(&[1]))
}

/// Every mask, alone and side by side, with a bias and scaled.
#[test]
fn self_attention_and_its_derivatives() {
    use Mask::{Causal, Full, Prefix};
    for (scale, bidirectional, sequences) in [
        (1.0, true, vec![(1, Full), (7, Full), (3, Full)]),
        (1.0, false, vec![(9, Causal), (1, Causal), (4, Causal)]),
        (1.0, false, vec![]),
        (0.5, true, vec![(9, Prefix(6)), (5, Prefix(0)), (1, Prefix(1)), (4, Prefix(4)), (3, Prefix(7))]),
        (0.7, true, vec![(4, Prefix(1)), (3, Full), (5, Causal)]),
    ] {
        let tokens: usize = sequences.iter().map(|(n, _)| n).sum();
        let what = Attention {
            scale,
            bias: Some(bias(first_param(), bidirectional)),
            ..plain(own_spans(&sequences))
        };
        let case = Case::new(&[(tokens, 3 * INNER)]).param(&[BUCKETS, HEADS]);
        let op = |g: &mut Graph<'_>, vars: &[Var], params: &[ParamId]| {
            assert_eq!(params[0], first_param());
            let at = |column| Columns { var: &vars[0], column };
            attention(g, at(0), at(INNER), at(2 * INNER), &what)
        };
        check(&case, op, |x| {
            let at = |first: usize| {
                let data = &x[0];
                move |row: usize, column: usize| data[row * 3 * INNER + first + column]
            };
            oracle(&what, Some(&x[1]), at(0), at(INNER), at(2 * INNER))
        });
    }
}

/// NEZHA's vectors by relative position, distances clipped and not, queries that begin behind the first key.
#[test]
fn attention_by_vectors_of_relative_positions_and_its_derivatives() {
    const WIDE: usize = 4;
    for max in [0, 2, 20] {
        let relative = Some(RelativePositions::sinusoidal(max, WIDE));
        let mut spans = own_spans(&[(9, Mask::Prefix(6)), (4, Mask::Causal), (3, Mask::Full)]);
        spans.push(Span { queries: 16..18, keys: 16..22, position: 3, mask: Mask::Causal });
        let what = Attention {
            num_heads: 1,
            d_kv: WIDE,
            scale: 0.5,
            bias: None,
            relative,
            dtype: DType::F32,
            spans,
        };
        let case = Case::new(&[(18, WIDE), (22, 2 * WIDE)]);
        let op = |g: &mut Graph<'_>, vars: &[Var], _: &[ParamId]| {
            let at = |column| Columns { var: &vars[1], column };
            attention(g, Columns { var: &vars[0], column: 0 }, at(0), at(WIDE), &what)
        };
        check(&case, op, |x| {
            let q = |row: usize, column: usize| x[0][row * WIDE + column];
            let kv = |row: usize, column: usize| x[1][row * 2 * WIDE + column];
            oracle(&what, None, q, kv, |row, column| kv(row, WIDE + column))
        });
    }
}

#[test]
fn cross_attention_and_its_derivatives() {
    let spans = spans(&[(2, 5), (4, 1), (1, 6)]);
    // T5 has no bias here; models of bert4keras have the decoder's.
    for biased in [false, true] {
        let case = Case::new(&[(7, INNER), (12, 2 * INNER)]);
        let case = if biased { case.param(&[BUCKETS, HEADS]) } else { case };
        let what = Attention { bias: biased.then(|| bias(first_param(), false)), ..plain(spans.clone()) };
        let op = |g: &mut Graph<'_>, vars: &[Var], _: &[ParamId]| {
            let at = |column| Columns { var: &vars[1], column };
            attention(g, Columns { var: &vars[0], column: 0 }, at(0), at(INNER), &what)
        };
        check(&case, op, |x| {
            let q = |row: usize, column: usize| x[0][row * INNER + column];
            let k = |row: usize, column: usize| x[1][row * 2 * INNER + column];
            let v = |row: usize, column: usize| x[1][row * 2 * INNER + INNER + column];
            oracle(&what, x.get(2).map(|table| &table[..]), q, k, v)
        });
    }
}

/// Heads that look at the source's features themselves, one of the sources twice as long as a block of queries; and
/// where the same rows are looked at twice, the derivatives are the sum.
#[test]
fn attention_to_features_and_its_derivatives() {
    for lengths in [vec![(2, 5), (4, 1), (1, 6)], vec![(70, 3)], vec![]] {
        let spans = spans(&lengths);
        let (queries, keys) = lengths.iter().fold((0, 0), |(q, k), (a, b)| (q + a, k + b));
        let case = Case::new(&[(queries, INNER), (keys, D_KV), (queries, INNER)]);
        let op = |g: &mut Graph<'_>, vars: &[Var], _: &[ParamId]| {
            let first = attention_to_features(g, &vars[0], &vars[1], HEADS, &spans);
            let second = attention_to_features(g, &vars[2], &vars[1], HEADS, &spans);
            crate::ops::residual(g, &first, second)
        };
        check(&case, op, |x| {
            let once = |q: &Vec<f64>| {
                let key = |row: usize, column: usize| x[1][row * D_KV + column % D_KV];
                oracle(&plain(spans.clone()), None, |row, column| q[row * INNER + column], key, key)
            };
            once(&x[0]).iter().zip(once(&x[2])).map(|(a, b)| a + b).collect()
        });
    }
}

/// Steps: the numbers of the whole, and the same bits alone, in company and with any number of threads.
#[test]
fn steps_look_at_features_alike_whatever_the_company() {
    let (keys, width) = ([5, 1, 40], HEADS * 20);
    let mut rng = Rng::new(9, 0);
    let mut normal = |rows: usize, cols: usize| {
        Tensor::from_vec(rows, cols, (0..rows * cols).map(|_| rng.normal() as f32).collect())
    };
    let (q, x) = (normal(6, width), normal(keys.iter().sum(), 20));
    let spans = spans(&[(2, keys[0]), (1, keys[1]), (3, keys[2])]);
    let of = |span: &Span| gather_rows(&x, &span.keys.clone().collect::<Vec<_>>());
    let exact: Vec<Features> = spans.iter().map(of).map(Features::new).collect();
    look_at(&q, &x, &spans, &exact, 1e-5);
    let (params, pool) = (Params::default(), Pool::new(2));
    let context = Context::new(&params, &pool);
    for (dtype, tolerance) in [(DType::I8, 0.1), (DType::Bf16, 0.06)] {
        let weight = Weight::owned(&[1, 1], vec![1.0]).to_dtype(dtype).packed();
        let rounded: Vec<Features> =
            spans.iter().map(|span| Features::beside(context, of(span), &weight)).collect();
        look_at(&q, &x, &spans, &rounded, tolerance);
    }
}

fn look_at(q: &Tensor, x: &Tensor, spans: &[Span], features: &[Features], tolerance: f32) {
    let (params, width) = (Params::default(), q.cols());
    let looking: Vec<FeatureSpan<'_>> = (spans.iter().zip(features))
        .map(|(span, features)| FeatureSpan { queries: span.queries.clone(), features })
        .collect();
    let all = |threads: usize| {
        let pool = Pool::new(threads);
        attend_features(&Graph::inference(&params, &pool, Regime::Steps), q, HEADS, &looking)
    };
    let pool = Pool::new(2);
    let mut bulk = Graph::inference(&params, &pool, Regime::Bulk);
    let [queries, keys] = [q, x].map(|t| Var::constant(t.clone()));
    let whole = attention_to_features(&mut bulk, &queries, &keys, HEADS, spans).value;
    for threads in [1, 2, 3, 8] {
        let got = all(threads);
        assert!(got.data() == all(1).data(), "{threads} threads");
        for (got, want) in got.data().iter().zip(whole.data()) {
            assert!((got - want).abs() < tolerance, "{got} {want}");
        }
    }
    for span in &looking {
        for row in span.queries.clone() {
            let one = Tensor::from_vec(1, width, q.row(row).to_vec());
            let alone = [FeatureSpan { queries: 0..1, ..span.clone() }];
            let graph = Graph::inference(&params, &pool, Regime::Steps);
            let alone = attend_features(&graph, &one, HEADS, &alone);
            assert!(alone.data() == all(2).row(row), "row {row}");
        }
    }
    assert_eq!(attend_features(&bulk, &Tensor::zeros(0, width), HEADS, &[]).rows(), 0);
}

/// With dropout, forward is linear in the values and in each row's dropped probabilities: the derivative by the
/// values must use the same masks, and the derivative by the queries must agree with differences of forward.
#[test]
fn dropout_masks_of_backward_are_those_of_forward() {
    let tokens = 12;
    let spans = spans(&[(5, 5), (7, 7)]);
    let mut rng = Rng::new(6, 0);
    let params = Params::default();
    let pool = Pool::new(2);
    let data: Vec<f32> = (0..tokens * 3 * INNER).map(|_| rng.normal() as f32).collect();
    let dy: Vec<f32> = (0..tokens * INNER).map(|_| rng.normal() as f32).collect();
    for (relative, scale) in [(None, 1.0), (Some(RelativePositions::sinusoidal(3, D_KV)), 0.5)] {
        let what = Attention { relative, scale, ..plain(spans.clone()) };
        let pass = |data: Vec<f32>, gradients: Option<&mut Gradients>| -> (f64, Option<Tensor>) {
            let mut graph = Graph::training(&params, &pool, Some(Dropout { rate: 0.4, key: 3 }));
            let x = graph.leaf(Tensor::from_vec(tokens, 3 * INNER, data));
            let at = |column| Columns { var: &x, column };
            let y = attention(&mut graph, at(0), at(INNER), at(2 * INNER), &what);
            let sum = y.value.data().iter().zip(&dy).map(|(a, b)| f64::from(a * b)).sum();
            let found = gradients.map(|gradients| {
                gradients.put(y.node().unwrap(), Tensor::from_vec(tokens, INNER, dy.clone()));
                graph.backward(gradients);
                gradients.of(&x).unwrap().clone()
            });
            (sum, found)
        };
        let (_, dx) = pass(data.clone(), Some(&mut Gradients::new()));
        let dx = dx.unwrap();
        for i in 0..data.len() {
            let nudged = |h: f32| {
                let mut data = data.clone();
                data[i] += h;
                pass(data, None).0
            };
            let want = (nudged(1e-2) - nudged(-1e-2)) / 2e-2;
            let got = f64::from(dx.data()[i]);
            assert!((got - want).abs() < 2e-3 * want.abs().max(1.0), "element {i}: {got} {want}");
        }
    }
}
