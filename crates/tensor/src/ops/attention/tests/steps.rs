//! Decoding steps with a cache against rows of the whole.

use super::*;
use crate::ops::KeyValues;

/// The same attention of steps, of no span yet.
fn cached<'a>(what: &Attention) -> CachedAttention<'a> {
    let Attention { num_heads, d_kv, scale, bias, relative, .. } = what.clone();
    CachedAttention { num_heads, d_kv, scale, bias, relative, spans: Vec::new() }
}

/// A decoder whose source is part of its past, as UniLM's: every step of two hypotheses of one source, against rows of
/// the whole, whether the source's rows are in the same list as their own or shared and apart; with and without NEZHA's
/// vectors. And the bits are the same in company, alone, and with any number of threads.
#[test]
fn steps_after_a_source_agree_with_the_whole() {
    const WIDE: usize = 4;
    let (source, said, inner) = (150, 9, 2 * WIDE);
    let mut rng = Rng::new(12, 0);
    let mut normal = |rows: usize, cols: usize| {
        Tensor::from_vec(rows, cols, (0..rows * cols).map(|_| rng.normal() as f32).collect())
    };
    // The source's rows, then each hypothesis's.
    let (of_source, of_one, of_other) =
        (normal(source, 3 * inner), normal(said, 3 * inner), normal(said, 3 * inner));
    let params = Params::default();
    for relative in
        [None, Some(RelativePositions::sinusoidal(5, WIDE)), Some(RelativePositions::sinusoidal(500, WIDE))]
    {
        let wholes = [&of_one, &of_other].map(|own| {
            let all = [of_source.data(), own.data()].concat();
            let var = Var::constant(Tensor::from_vec(source + said, 3 * inner, all));
            let spans = own_spans(&[(source + said, Mask::Prefix(source))]);
            let what = Attention {
                num_heads: 2,
                d_kv: WIDE,
                scale: 0.5,
                bias: None,
                relative: relative.clone(),
                dtype: DType::F32,
                spans,
            };
            let pool = Pool::new(2);
            let mut graph = Graph::inference(&params, &pool, Regime::Bulk);
            let at = |column| Columns { var: &var, column };
            (attention(&mut graph, at(0), at(inner), at(2 * inner), &what).value, what)
        });
        let steps = cached(&wholes[0].1);
        // One cache of everything, own rows of the two alternating behind the source's; and the source apart.
        let mut all = KeyValues::new(source + 2 * said, inner, DType::F32);
        all.store(&(0..source as u32).collect::<Vec<_>>(), &of_source, inner);
        let mut apart = KeyValues::new(source, inner, DType::F32);
        apart.store(&(0..source as u32).collect::<Vec<_>>(), &of_source, inner);
        let own = |which: usize, count: usize| -> Vec<u32> {
            (0..count).map(|i| (source + 2 * i + which) as u32).collect()
        };
        for (which, rows) in [&of_one, &of_other].into_iter().enumerate() {
            all.store(&own(which, said), rows, inner);
        }
        for step in [0, 1, 4, said - 1] {
            let queries = Tensor::from_vec(2, 3 * inner, [of_one.row(step), of_other.row(step)].concat());
            let owns = [own(0, step + 1), own(1, step + 1)];
            let lists = owns.clone().map(|own| (0..source as u32).chain(own).collect::<Vec<u32>>());
            let position = source + step;
            let run = |threads: usize, queries: &Tensor, spans: Vec<CachedSpan<'_>>| {
                let pool = Pool::new(threads);
                let graph = Graph::inference(&params, &pool, Regime::Steps);
                attend_cached(&graph, queries, 0, &CachedAttention { spans, ..steps.clone() })
            };
            let listed = |i: usize, queries| CachedSpan {
                queries,
                cache: &all,
                keys: CachedRows::List(&lists[i]),
                position,
            };
            let shared = |first, which: std::ops::Range<usize>| CachedSpan {
                queries: 0..which.len(),
                cache: &all,
                keys: CachedRows::Shared {
                    first,
                    rows: 0..source,
                    own: owns[which].iter().map(|own| &own[..]).collect(),
                },
                position,
            };
            let got = run(2, &queries, vec![listed(0, 0..1), listed(1, 1..2)]);
            for (i, (whole, _)) in wholes.iter().enumerate() {
                for (got, want) in got.row(i).iter().zip(whole.row(position)) {
                    assert!((got - want).abs() < 1e-5, "step {step}: {got} {want}");
                }
                let one = Tensor::from_vec(1, 3 * inner, queries.row(i).to_vec());
                assert_eq!(run(1, &one, vec![shared(&apart, i..i + 1)]).data(), got.row(i));
            }
            for threads in [1, 2, 3] {
                assert_eq!(run(threads, &queries, vec![shared(&apart, 0..2)]).data(), got.data());
                assert_eq!(run(threads, &queries, vec![shared(&all, 0..2)]).data(), got.data());
            }
        }
    }
}

/// Keys and values that are kept in bf16: a step gives what it gives with those numbers in f32, whichever way they came to
/// be kept; the whole, whose products are rounded too, is near.
#[test]
fn keys_and_values_in_bf16() {
    let tokens = 37;
    let mut rng = Rng::new(9, 0);
    let data: Vec<f32> = (0..tokens * 3 * INNER).map(|_| rng.normal() as f32).collect();
    let qkv = Tensor::from_vec(tokens, 3 * INNER, data);
    let (params, pool) = (Params::default(), Pool::new(2));
    let mut graph = Graph::inference(&params, &pool, Regime::Bulk);
    let taken = KeyValues::taken(graph.context, &qkv, [0..30, 30..tokens], INNER, INNER, DType::Bf16);
    assert_eq!(taken.iter().map(KeyValues::rows).collect::<Vec<_>>(), [30, 7]);
    let mut rounded = KeyValues::new(10, INNER, DType::Bf16);
    let mut exact = KeyValues::new(tokens, INNER, DType::F32);
    rounded.grow(tokens, 10);
    let all: Vec<u32> = (0..tokens as u32).rev().collect();
    rounded.store(&all, &qkv, INNER);
    for row in 0..tokens {
        let at = tokens - 1 - row;
        let kept = rounded.position(at);
        let (own, first) = if row < 30 { (&taken[0], 0) } else { (&taken[1], 30) };
        assert_eq!(kept, own.position(row - first));
        let want: Vec<f32> =
            qkv.row(row)[INNER..].iter().map(|&x| half::bf16::from_f32(x).to_f32()).collect();
        assert_eq!(kept, want);
        exact.store(&[at as u32], &Tensor::from_vec(1, 2 * INNER, want), 0);
    }
    let spans = own_spans(&[(tokens, Mask::Causal)]);
    let what = Attention { scale: 0.5, dtype: DType::Bf16, ..plain(spans) };
    let query = Tensor::from_vec(1, 3 * INNER, qkv.row(tokens - 1).to_vec());
    let step = |cache: &KeyValues| {
        let span = CachedSpan { queries: 0..1, cache, keys: CachedRows::List(&all), position: tokens - 1 };
        attend_cached(&graph, &query, 0, &CachedAttention { spans: vec![span], ..cached(&what) })
    };
    let got = step(&rounded);
    assert_eq!(got.data(), step(&exact).data());
    let var = Var::constant(qkv.clone());
    let at = |column| Columns { var: &var, column };
    let whole = attention(&mut graph, at(0), at(INNER), at(2 * INNER), &what).value;
    for (got, want) in got.data().iter().zip(whole.row(tokens - 1)) {
        assert!((got - want).abs() < 0.03, "{got} {want}");
    }
}

/// Keys and values of sources, which need not lie in rows: what they keep is the same, a step gives nearly the same as from
/// rows, and a query's result depends neither on the others nor on how the work is shared out.
#[test]
fn keys_and_values_of_sources() {
    let (lengths, each) = ([40, 1, 33], 5);
    let tokens: usize = lengths.iter().sum();
    let mut rng = Rng::new(10, 0);
    let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    let kv = Tensor::from_vec(tokens, 2 * INNER, normal(tokens * 2 * INNER));
    let q = Tensor::from_vec(3 * each, INNER, normal(3 * each * INNER));
    let ranges: Vec<_> = lengths
        .iter()
        .scan(0, |at, n| {
            *at += n;
            Some(*at - n..*at)
        })
        .collect();
    let params = Params::default();
    let look = |threads: usize, cache: &[KeyValues], of: &[usize], q: &Tensor| {
        let pool = Pool::new(threads);
        let graph = Graph::inference(&params, &pool, Regime::Steps);
        let count = q.rows() / of.len();
        let span = |(at, &i): (usize, &usize)| CachedSpan {
            queries: at * count..(at + 1) * count,
            cache: &cache[i],
            keys: CachedRows::Range(0..cache[i].rows()),
            position: 0,
        };
        let what = Attention { scale: 0.3, ..plain(Vec::new()) };
        let spans = of.iter().enumerate().map(span).collect();
        attend_cached(&graph, q, 0, &CachedAttention { spans, ..cached(&what) })
    };
    let pool = Pool::new(2);
    let context = Graph::inference(&params, &pool, Regime::Steps).context;
    let rows = KeyValues::taken(context, &kv, ranges.clone(), 0, INNER, DType::Bf16);
    let own = KeyValues::of_sources(context, &kv, ranges, HEADS, INNER, DType::Bf16);
    for (own, rows) in own.iter().zip(&rows) {
        assert_eq!(own.rows(), rows.rows());
        (0..own.rows()).for_each(|row| assert_eq!(own.position(row), rows.position(row)));
    }
    let got = look(1, &own, &[0, 1, 2], &q);
    for (got, want) in got.data().iter().zip(look(1, &rows, &[0, 1, 2], &q).data()) {
        assert!((got - want).abs() < 0.03, "{got} {want}");
    }
    for threads in [2, 3, 5] {
        assert_eq!(look(threads, &own, &[0, 1, 2], &q).data(), got.data());
    }
    for row in 0..3 * each {
        let one = Tensor::from_vec(1, INNER, q.row(row).to_vec());
        assert_eq!(look(2, &own, &[row / each], &one).data(), got.row(row));
    }
}

/// Sequences longer than a block of queries: forward against the oracle, and a decoding step with a cache against
/// the same row of the whole.
#[test]
fn long_sequences_and_decoding_steps_agree_with_the_whole() {
    let lengths = [300, 2, 150];
    let tokens: usize = lengths.iter().sum();
    let mut rng = Rng::new(8, 0);
    let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    let mut params = Params::default();
    let weight = params.add("bias", Weight::owned(&[BUCKETS, HEADS], normal(BUCKETS * HEADS)));
    let qkv = Tensor::from_vec(tokens, 3 * INNER, normal(tokens * 3 * INNER));
    for threads in [1, 2, 3] {
        let pool = Pool::new(threads);
        let mut graph = Graph::inference(&params, &pool, Regime::Bulk);
        let spans = own_spans(&lengths.map(|n| (n, Mask::Causal)));
        let what = Attention { bias: Some(bias(weight, false)), ..plain(spans) };
        let var = Var::constant(qkv.clone());
        let at = |column| Columns { var: &var, column };
        let whole = attention(&mut graph, at(0), at(INNER), at(2 * INNER), &what).value;
        let table: Vec<f64> = params.vector(weight).iter().map(|&x| f64::from(x)).collect();
        let from = |first: usize| {
            let data = qkv.data();
            move |row: usize, column: usize| f64::from(data[row * 3 * INNER + first + column])
        };
        let want = oracle(&what, Some(&table), from(0), from(INNER), from(2 * INNER));
        for (got, want) in whole.data().iter().zip(&want) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
        }

        // Room for half at first; the rows of every other position are in a list, backwards.
        let mut cache = KeyValues::new(tokens / 2, INNER, DType::F32);
        cache.grow(tokens, tokens / 2);
        let backwards: Vec<u32> = (0..tokens as u32).rev().collect();
        cache.store(&backwards, &qkv, INNER);
        let steps = cached(&what);
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
        let mut straight = KeyValues::new(tokens, INNER, DType::F32);
        straight.store(&(0..tokens as u32).collect::<Vec<_>>(), &qkv, INNER);
        let keys = CachedRows::Range(302..380);
        let range = CachedSpan { queries: 0..1, cache: &straight, keys, position: 77 };
        let ordered = CachedAttention { spans: vec![range], ..steps };
        assert_eq!(attend_cached(&graph, &query(&[379]), 0, &ordered).data(), one.data());
    }
}
