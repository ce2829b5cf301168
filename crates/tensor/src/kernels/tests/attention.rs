//! `attend`.

use super::super::{
    Bf16, Cached, Look, Part, ScoreBias, add_by_distance, attend, bf16_to_f32, f32_to_bf16, oracle,
    sum_by_distance,
};
use super::{assert_close, numbers, on_every_isa};
use crate::{MatMut, MatRef};

/// Several queries against the oracle, keys in order and listed; and every query has the bits it has alone.
#[test]
fn positions_match_the_oracle_whatever_the_company() {
    let heads = 3;
    on_every_isa(|isa| {
        for d_kv in [1, 8, 20, 64, 65] {
            for keys in [0, 1, 3, 4, 5, 64, 65, 130] {
                let (width, k_stride, v_stride) = (heads * d_kv, heads * d_kv + 5, 6 * d_kv);
                let most = 7;
                let q = numbers(most * width, 1);
                let (k, v) = (numbers(keys * k_stride, 2), numbers(keys * v_stride, 3));
                let bias = numbers(heads * (keys + 7), 4);
                // The rows backwards, in memory and in the list.
                let rows: Vec<u32> = (0..keys as u32).rev().collect();
                let turned = |x: &[f32], stride: usize| -> Vec<f32> {
                    rows.iter().flat_map(|&row| x[row as usize * stride..][..stride].to_vec()).collect()
                };
                let (k_turned, v_turned) = (turned(&k, k_stride), turned(&v, v_stride));
                for (scale, bias) in [(1.0, None), (1.0, Some((&bias[..], keys + 7))), (0.3, None)] {
                    let run = |queries: std::ops::Range<usize>, list: bool| {
                        let (k, v) = if list { (&k_turned, &v_turned) } else { (&k, &v) };
                        let rows = list.then_some(&rows[..]);
                        let cached = Cached { k, k_stride, v, v_stride, keys, rows };
                        let part = Part { cached, first: 0, queries: 0..queries.len() };
                        let mut out = vec![0.5; queries.len() * width];
                        let mut scratch = vec![f32::NAN; queries.len() * heads * keys];
                        let q = MatRef::new(&q[queries.start * width..], queries.len(), width, width);
                        let view = MatMut::new(&mut out, queries.len(), width, width);
                        let bias = bias.map(|(values, head)| ScoreBias { values, head, query: 0 });
                        let look = Look { heads, d_kv, keys, scale, bias };
                        attend(isa, view, q, &[part], look, &mut scratch);
                        out
                    };
                    let all = run(0..most, false);
                    for i in 0..most {
                        let mut want = vec![0.0; width];
                        let q = &q[i * width..][..width];
                        oracle::attend_one(
                            &mut want,
                            q,
                            &k,
                            k_stride,
                            &v,
                            v_stride,
                            keys,
                            0..heads,
                            d_kv,
                            scale,
                            bias,
                        );
                        let what = format!("{} d_kv {d_kv}, {keys} keys, query {i}", isa.name());
                        assert_close(&what, &all[i * width..][..width], &want, 2e-6, 2e-6);
                        assert!(run(i..i + 1, false) == all[i * width..][..width], "{what} alone");
                    }
                    for queries in [0..2, 1..5, 0..most] {
                        let (from, to) = (queries.start * width, queries.end * width);
                        assert!(run(queries, true) == all[from..to], "{} listed", isa.name());
                    }
                }
            }
        }
    });
}

/// Keys and values in bf16 are those numbers in f32, bit for bit, in order and listed.
#[test]
fn keys_in_bf16_are_what_they_are_in_f32() {
    let heads = 2;
    on_every_isa(|isa| {
        for d_kv in [1, 20, 64, 65] {
            for keys in [1, 3, 4, 65] {
                let (width, stride) = (heads * d_kv, 2 * heads * d_kv);
                let q = numbers(5 * width, 1);
                let mut bits = vec![0u16; keys * stride];
                f32_to_bf16(isa, &mut bits, &numbers(keys * stride, 2));
                let mut wide = vec![0.0; bits.len()];
                bf16_to_f32(isa, &mut wide, &bits);
                let bits = Bf16::of(&bits);
                let list: Vec<u32> = (0..keys as u32).rev().collect();
                for rows in [None, Some(&list[..])] {
                    let look = Look { heads, d_kv, keys, scale: 0.3, bias: None };
                    macro_rules! run {
                        ($numbers:expr) => {{
                            let (k, v) = (&$numbers[..], &$numbers[width..]);
                            let cached = Cached { k, k_stride: stride, v, v_stride: stride, keys, rows };
                            let mut out = vec![0.5; 5 * width];
                            let mut scratch = vec![f32::NAN; 5 * heads * keys];
                            let parts = [Part { cached, first: 0, queries: 0..5 }];
                            let (view, q) =
                                (MatMut::new(&mut out, 5, width, width), MatRef::new(&q, 5, width, width));
                            attend(isa, view, q, &parts, look, &mut scratch);
                            out
                        }};
                    }
                    assert!(run!(bits) == run!(wide), "{} d_kv {d_kv}, {keys} keys", isa.name());
                }
            }
        }
    });
}

/// Numbers by distance, for queries before, within and behind the keys.
#[test]
fn distances_match_the_oracle() {
    on_every_isa(|isa| {
        for keys in [0, 1, 2, 8, 65, 130] {
            for distances in [1, 3, 33, 129] {
                for position in [0, 1, 5, 16, 64, 129, 400] {
                    let (by, s) = (numbers(distances, 5), numbers(keys, 6));
                    let (mut got, mut want) = (s.clone(), s.clone());
                    add_by_distance(isa, &mut got, &by, position);
                    oracle::add_by_distance(&mut want, &by, position);
                    assert_eq!(got, want, "{keys} keys, {distances} distances, position {position}");
                    let (mut got, mut want) = (vec![0.5; distances], vec![0.5; distances]);
                    sum_by_distance(isa, &mut got, &s, position);
                    oracle::sum_by_distance(&mut want, &s, position);
                    assert_close("sums by distance", &got, &want, 1e-5, 1e-6);
                }
            }
        }
    });
}
