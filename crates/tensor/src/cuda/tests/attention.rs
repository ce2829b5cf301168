//! Attention in training on tensor cores, and on cards whose blocks share little memory.

use super::operations::{Case, attention, round};
use super::{close, device};
use crate::cuda::emulated::device_with;
use crate::ops::{self, Columns, Mask, RelativeBias, Span};
use crate::{Graph, ParamId, Precision, Var};

/// What is tried: some queries, and keys and values apart from them, of which some are looked at by nobody.
fn case(d: usize) -> Case {
    Case::new(&[(110, 3 * d), (261, 6 * d + 1)], &[&[8, 3]]).with_dropout()
}

/// Lengths around those of blocks and tiles.
fn attend(g: &mut Graph<'_>, v: &[Var], p: &[ParamId], d: usize, mask: Mask) -> Var {
    let spans = [(0..70, 0..70), (70..71, 70..75), (71..104, 75..120), (104..110, 121..260)];
    let spans = spans.into_iter().map(|(queries, keys)| Span { queries, keys, position: 2, mask }).collect();
    let bias = RelativeBias { weight: p[0], num_buckets: 8, max_distance: 20, bidirectional: true };
    let (q, kv) = (|column| Columns { var: &v[0], column }, |column| Columns { var: &v[1], column });
    ops::attention(g, q(0), kv(0), kv(3 * d + 1), &attention(d, Some(bias), spans))
}

/// In bf16, of numbers that bf16 has, the derivative by the result too: near what they give in f32, since only
/// probabilities, derivatives by scores and the result that the way back reads are rounded, to eight bits (each is off by
/// 2⁻⁹ of itself at most, the result by that times the root of its columns where derivatives by scores are made of it), and
/// not the same.
#[test]
fn in_bf16() {
    let Some(device) = device() else { return };
    for (d, mask) in [
        (1, Mask::Full),
        (16, Mask::Causal),
        (20, Mask::Prefix(6)),
        (64, Mask::Full),
        (80, Mask::Prefix(70)),
        (120, Mask::Causal),
        (128, Mask::Full),
    ] {
        let op = |g: &mut Graph<'_>, v: &[Var], p: &[ParamId]| attend(g, v, p, d, mask);
        let mut case = case(d);
        case.rounded = true;
        case.vars.iter_mut().for_each(round);
        let host = case.run(op);
        case.params.move_to(&device).unwrap();
        case.precision = Precision::Bf16;
        let there = case.run(op);
        assert!(there == case.run(op), "{d} columns: another time there are other bits");
        for (i, (got, want)) in there.iter().flatten().zip(host.iter().flatten()).enumerate() {
            let what = format!("attention in bf16, {d} columns, number {i}");
            close(&what, got, want, 1.5e-2);
            let size = |of: &dyn Fn(usize) -> f32| (0..want.len()).map(|i| of(i).powi(2)).sum::<f32>().sqrt();
            let (error, all) = (size(&|i| got[i] - want[i]), size(&|i| want[i]));
            assert!(error < 1e-2 * all, "{what}: {error} of {all}");
            assert!(got != want, "{d} columns, number {i}");
        }
    }
}

/// Compute capability 7.5: 64 KiB. Wide heads are taken by fewer queries.
#[test]
fn with_little_shared_memory() {
    let small = device_with(64 << 10);
    for (d, mask) in [(64, Mask::Causal), (104, Mask::Full), (128, Mask::Prefix(6))] {
        let mut case = case(d);
        case.bound = 1e-5;
        case.check_on(small.clone(), &format!("{d} columns"), |g, v, p| attend(g, v, p, d, mask));
    }
}
