use super::*;
use crate::ops::check::{Case, check};
use crate::ops::{KeyValues, gather_rows};
use crate::{ParamId, Params, Pool, Regime, Rng, Weight};

const HEADS: usize = 2;
const D_KV: usize = 3;
const INNER: usize = HEADS * D_KV;
const BUCKETS: usize = 8;

/// Consecutive spans of the given (queries, keys).
fn spans(lengths: &[(usize, usize)]) -> Vec<Span> {
    let (mut q, mut k) = (0, 0);
    let mut spans = Vec::new();
    for &(queries, keys) in lengths {
        spans.push(Span { queries: q..q + queries, keys: k..k + keys, position: 0 });
        (q, k) = (q + queries, k + keys);
    }
    spans
}

fn bias(weight: ParamId, bidirectional: bool) -> RelativeBias {
    RelativeBias { weight, num_buckets: BUCKETS, max_distance: 20, bidirectional }
}

/// Attention written out. `q`, `k`, `v`: element (row, column of the head's block); `table`: [BUCKETS, HEADS].
fn oracle(
    spans: &[Span],
    causal: bool,
    table: Option<(&[f64], RelativeBias)>,
    q: impl Fn(usize, usize) -> f64,
    k: impl Fn(usize, usize) -> f64,
    v: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut out = Vec::new();
    for span in spans {
        for i in span.queries.clone() {
            for head in 0..HEADS {
                let position = span.position + i - span.queries.start;
                let seen = if causal { span.keys.len().min(position + 1) } else { span.keys.len() };
                let mut weights = Vec::new();
                for j in 0..seen {
                    let key = span.keys.start + j;
                    let mut score: f64 =
                        (0..D_KV).map(|c| q(i, head * D_KV + c) * k(key, head * D_KV + c)).sum();
                    if let Some((table, bias)) = &table {
                        score += table[bias.bucket(j as isize - position as isize) * HEADS + head];
                    }
                    weights.push(score.exp());
                }
                let sum: f64 = weights.iter().sum();
                for c in 0..D_KV {
                    let value = |j: usize| weights[j] / sum * v(span.keys.start + j, head * D_KV + c);
                    out.push((0..seen).map(value).sum());
                }
            }
        }
    }
    out
}

#[test]
fn self_attention_and_its_derivatives() {
    for (causal, lengths) in [(false, vec![1, 7, 3]), (true, vec![9, 1, 4]), (true, vec![])] {
        let spans = spans(&lengths.iter().map(|&n| (n, n)).collect::<Vec<_>>());
        let tokens: usize = lengths.iter().sum();
        let case = Case::new(&[(tokens, 3 * INNER)]).param(&[BUCKETS, HEADS]);
        let op = |g: &mut Graph<'_>, vars: &[Var], params: &[ParamId]| {
            let bias = Some(bias(params[0], !causal));
            let what = Attention { num_heads: HEADS, d_kv: D_KV, bias, causal, spans: spans.clone() };
            let at = |column| Columns { var: &vars[0], column };
            attention(g, at(0), at(INNER), at(2 * INNER), &what)
        };
        check(&case, op, |x| {
            let at = |first: usize| {
                let data = &x[0];
                move |row: usize, column: usize| data[row * 3 * INNER + first + column]
            };
            let bias = bias(Params::default().add("b", Weight::zeros(&[1])), !causal);
            oracle(&spans, causal, Some((&x[1], bias)), at(0), at(INNER), at(2 * INNER))
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
        let op = |g: &mut Graph<'_>, vars: &[Var], params: &[ParamId]| {
            let bias = params.first().map(|&weight| bias(weight, false));
            let what = Attention { num_heads: HEADS, d_kv: D_KV, bias, causal: false, spans: spans.clone() };
            let at = |column| Columns { var: &vars[1], column };
            attention(g, Columns { var: &vars[0], column: 0 }, at(0), at(INNER), &what)
        };
        check(&case, op, |x| {
            let q = |row: usize, column: usize| x[0][row * INNER + column];
            let k = |row: usize, column: usize| x[1][row * 2 * INNER + column];
            let v = |row: usize, column: usize| x[1][row * 2 * INNER + INNER + column];
            let bias = bias(Params::default().add("b", Weight::zeros(&[1])), false);
            oracle(&spans, false, x.get(2).map(|table| (&table[..], bias)), q, k, v)
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
                oracle(&spans, false, None, |row, column| q[row * INNER + column], key, key)
            };
            once(&x[0]).iter().zip(once(&x[2])).map(|(a, b)| a + b).collect()
        });
    }
}

/// Steps: the numbers of the whole, and the same bits alone, in company and with any number of threads.
#[test]
fn steps_look_at_features_alike_whatever_the_company() {
    let (keys, width, params) = ([5, 1, 40], HEADS * 20, Params::default());
    let mut rng = Rng::new(9, 0);
    let mut normal = |rows: usize, cols: usize| {
        Tensor::from_vec(rows, cols, (0..rows * cols).map(|_| rng.normal() as f32).collect())
    };
    let (q, x) = (normal(6, width), normal(keys.iter().sum(), 20));
    let spans = spans(&[(2, keys[0]), (1, keys[1]), (3, keys[2])]);
    let of = |span: &Span| gather_rows(&x, &span.keys.clone().collect::<Vec<_>>());
    let features: Vec<Tensor> = spans.iter().map(of).collect();
    let looking: Vec<FeatureSpan<'_>> = (spans.iter().zip(&features))
        .map(|(span, features)| FeatureSpan { queries: span.queries.clone(), features })
        .collect();
    let all = |threads: usize| {
        let pool = Pool::new(threads);
        attend_features(&Graph::inference(&params, &pool, Regime::Steps), &q, HEADS, &looking)
    };
    let pool = Pool::new(2);
    let mut bulk = Graph::inference(&params, &pool, Regime::Bulk);
    let [queries, keys] = [&q, &x].map(|t| Var::constant(t.clone()));
    let whole = attention_to_features(&mut bulk, &queries, &keys, HEADS, &spans).value;
    for threads in [1, 2, 3, 8] {
        let got = all(threads);
        assert!(got.data() == all(1).data(), "{threads} threads");
        for (got, want) in got.data().iter().zip(whole.data()) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
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

/// Sequences longer than a block of queries: forward against the oracle, and a decoding step with a cache against
/// the same row of the whole.
#[test]
fn long_sequences_and_decoding_steps_agree_with_the_whole() {
    let lengths = [300, 2, 150];
    let spans = spans(&lengths.map(|n| (n, n)));
    let tokens: usize = lengths.iter().sum();
    let mut rng = Rng::new(8, 0);
    let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    let mut params = Params::default();
    let weight = params.add("bias", Weight::owned(&[BUCKETS, HEADS], normal(BUCKETS * HEADS)));
    let qkv = Tensor::from_vec(tokens, 3 * INNER, normal(tokens * 3 * INNER));
    for threads in [1, 2, 3] {
        let pool = Pool::new(threads);
        let mut graph = Graph::inference(&params, &pool, Regime::Bulk);
        let what = Attention {
            num_heads: HEADS,
            d_kv: D_KV,
            bias: Some(bias(weight, false)),
            causal: true,
            spans: spans.clone(),
        };
        let var = Var::constant(qkv.clone());
        let at = |column| Columns { var: &var, column };
        let whole = attention(&mut graph, at(0), at(INNER), at(2 * INNER), &what).value;
        let table: Vec<f64> = params.vector(weight).iter().map(|&x| f64::from(x)).collect();
        let from = |first: usize| {
            let data = qkv.data();
            move |row: usize, column: usize| f64::from(data[row * 3 * INNER + first + column])
        };
        let want =
            oracle(&spans, true, Some((&table, bias(weight, false))), from(0), from(INNER), from(2 * INNER));
        for (got, want) in whole.data().iter().zip(&want) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
        }

        // Room for half at first; the rows of every other position are in a list, backwards.
        let mut cache = KeyValues::new(tokens / 2, INNER);
        cache.grow(tokens, tokens / 2);
        let backwards: Vec<u32> = (0..tokens as u32).rev().collect();
        cache.store(&backwards, &qkv, INNER);
        let steps = CachedAttention { num_heads: HEADS, d_kv: D_KV, bias: what.bias, spans: Vec::new() };
        let lists: Vec<Vec<u32>> = [(0, 300), (302, 78)]
            .map(|(first, count)| (first..first + count).map(|row| (tokens - 1 - row) as u32).collect())
            .into();
        let query = |rows: &[usize]| {
            let data: Vec<f32> = rows.iter().flat_map(|&row| qkv.row(row).to_vec()).collect();
            Tensor::from_vec(rows.len(), 3 * INNER, data)
        };
        let span = |queries, list: usize| CachedSpan {
            queries,
            cache: &cache,
            keys: CachedRows::List(&lists[list]),
            position: lists[list].len() - 1,
        };
        let both = CachedAttention { spans: vec![span(0..1, 0), span(1..2, 1)], ..steps.clone() };
        let got = attend_cached(&graph, &query(&[299, 379]), 0, &both);
        for (got, row) in got.data().chunks(INNER).zip([299, 379]) {
            for (a, b) in got.iter().zip(whole.row(row)) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
        // The same bits alone, in company with other queries of the same keys, and from rows in their order.
        let alone = CachedAttention { spans: vec![span(0..1, 1)], ..steps.clone() };
        let one = attend_cached(&graph, &query(&[379]), 0, &alone);
        assert_eq!(one.data(), &got.data()[INNER..]);
        let group = CachedAttention { spans: vec![span(0..7, 1)], ..steps.clone() };
        let rows = [379, 5, 379, 1, 379, 301, 379];
        let company = attend_cached(&graph, &query(&rows), 0, &group);
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| **row == 379) {
            assert_eq!(company.row(at), one.data(), "row {row}");
        }
        let mut straight = KeyValues::new(tokens, INNER);
        straight.store(&(0..tokens as u32).collect::<Vec<_>>(), &qkv, INNER);
        let keys = CachedRows::Range(302..380);
        let range = CachedSpan { queries: 0..1, cache: &straight, keys, position: 77 };
        let ordered = CachedAttention { spans: vec![range], ..steps };
        assert_eq!(attend_cached(&graph, &query(&[379]), 0, &ordered).data(), one.data());
    }
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
    let what = Attention { num_heads: HEADS, d_kv: D_KV, bias: None, causal: false, spans };
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
