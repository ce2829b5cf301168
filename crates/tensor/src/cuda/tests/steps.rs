//! Steps that are put off and run as graphs, against what runs at once.

use super::{device, tensor};
use crate::cuda::Device;
use crate::ops::{self, CachedAttention, CachedRows, CachedSpan, KeyValues, RelativeBias};
use crate::{DType, Graph, ParamId, Params, Pool, Regime, Rng, Tensor, Var, Weight};

/// A layer or two of what a decoder does, without a model: embedding, norm, products, a cache that grows, attention to it.
struct Toy {
    params: Params,
    ids: Vec<ParamId>,
    bias: RelativeBias,
}

const HEADS: usize = 2;
const D: usize = 8;
const INNER: usize = HEADS * D;

impl Toy {
    fn new(device: &Device) -> Toy {
        let mut rng = Rng::new(3, 3);
        let mut params = Params::default();
        let shapes: [&[usize]; 6] =
            [&[50, INNER], &[INNER], &[3 * INNER, INNER], &[INNER, INNER], &[90, INNER], &[8, HEADS]];
        let ids: Vec<ParamId> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let (rows, cols) = if shape.len() == 2 { (shape[0], shape[1]) } else { (1, shape[0]) };
                let data = tensor(&mut rng, rows, cols).data().to_vec();
                params.add(format!("p{i}"), Weight::owned(shape, data))
            })
            .collect();
        params.move_to(device).unwrap();
        let bias = RelativeBias { weight: ids[5], num_buckets: 8, max_distance: 20, bidirectional: false };
        Toy { params, ids, bias }
    }

    /// Feeds tokens to sequences with these pasts; the logits behind each.
    fn step(&self, graph: &mut Graph<'_>, fed: &[u32], pasts: &[Vec<u32>], cache: &mut KeyValues) -> Tensor {
        let mut x = ops::embedding(graph, self.ids[0], fed);
        for _ in 0..2 {
            let normed = ops::rms_norm(graph, &x, self.ids[1], 1e-6);
            let qkv = ops::linear(graph, &normed, &[self.ids[2]]).value;
            let newest: Vec<u32> = pasts.iter().map(|past| *past.last().unwrap()).collect();
            cache.store(&newest, &qkv, INNER);
            let span = |(row, past): (usize, &'_ Vec<u32>)| (row, past.len() - 1);
            let spans = pasts
                .iter()
                .enumerate()
                .map(|(row, past)| CachedSpan {
                    queries: row..row + 1,
                    cache,
                    keys: CachedRows::List(past),
                    position: span((row, past)).1,
                })
                .collect();
            let bias = Some(self.bias);
            let what = CachedAttention { num_heads: HEADS, d_kv: D, scale: 0.5, bias, relative: None, spans };
            let found = Var::constant(ops::attend_cached(graph, &qkv, 0, &what));
            let branch = ops::linear(graph, &found, &[self.ids[3]]);
            x = ops::residual(graph, &x, branch);
        }
        ops::logits(graph, &x.value, self.ids[4])
    }

    /// Many steps of sequences that come and go and change places, the cache growing on the way.
    fn run(&self, regime: Regime) -> Vec<f32> {
        let pool = Pool::new(1);
        let mut rng = Rng::new(9, 0);
        let mut cache = KeyValues::new(40, INNER, DType::F32);
        let (mut pasts, mut used): (Vec<Vec<u32>>, u32) = (vec![Vec::new(); 3], 0);
        let mut all = Vec::new();
        for step in 0..40 {
            match step {
                11 => drop(pasts.remove(1)),
                17 => pasts.reverse(),
                23 => pasts.push(Vec::new()),
                _ => {}
            }
            for past in &mut pasts {
                past.push(used);
                used += 1;
            }
            if used as usize > cache.rows() {
                cache.grow(2 * cache.rows(), used as usize - pasts.len());
            }
            let fed: Vec<u32> = pasts.iter().map(|_| rng.below(50) as u32).collect();
            let mut graph = Graph::inference(&self.params, &pool, regime);
            let mut logits = self.step(&mut graph, &fed, &pasts, &mut cache);
            // Half of them are read in two goes: what was put off is done before, and the rest goes on.
            if step % 2 == 1 {
                let first = ops::gather_rows(&logits, &[0]);
                all.extend_from_slice(first.to_host().data());
            }
            logits = ops::gather_rows(&logits, &(0..pasts.len()).rev().collect::<Vec<_>>());
            all.extend_from_slice(logits.to_host().data());
        }
        all
    }
}

/// What changes from step to step is read from the device's memory, or makes another graph: the same bits as at once.
#[test]
fn a_graph_does_what_its_step_asks_for() {
    let Some(device) = device() else { return };
    let toy = Toy::new(&device);
    let want = toy.run(Regime::Bulk);
    assert_eq!(device.counts().replayed, 0);
    let uploads = device.counts().uploads;
    let got = toy.run(Regime::Steps);
    assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{} numbers", want.len());
    let counts = device.counts();
    // Of 40 steps, 60 parts, most are like one before.
    assert!((20..60).contains(&counts.replayed), "{counts:?}");
    // A step's lists go in one upload, each part's.
    let (at_once, together) = (uploads, counts.uploads - uploads);
    assert!(together <= 64 && at_once > 5 * together, "{at_once} uploads at once, {together} in steps");
}

/// After a failure in a step nothing of it is left.
#[test]
fn a_step_that_fails_leaves_nothing_behind() {
    let Some(device) = device() else { return };
    let toy = Toy::new(&device);
    let (used, _) = device.used();
    let error = crate::failures(|| {
        let pool = Pool::new(1);
        let mut graph = Graph::inference(&toy.params, &pool, Regime::Steps);
        let x = ops::embedding(&mut graph, toy.ids[0], &[1, 2, 3]);
        let large = Tensor::on(&device, 5 << 20, 1 << 10);
        drop((x, large));
    });
    assert!(error.unwrap_err().to_string().contains("no memory left"));
    assert_eq!(device.used().0, used);
    assert_eq!(toy.run(Regime::Steps), toy.run(Regime::Bulk));
}
