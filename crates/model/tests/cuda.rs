//! The networks on a GPU's kernels, which the host's processor emulates: the goldens of transformers (logits, whole and
//! step by step), and what the processor's own kernels compute (gradients).

mod common;

use common::{folder, golden, models, open, sequences};
use t5kit_formats::config::T5Config;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Batch, Model, Seq2Seq, T5};
use t5kit_tensor::ops::{self, CrossEntropy};
use t5kit_tensor::{DType, Device, Dropout, Gradients, Graph, Packed, Pool, Precision, Regime, emulated};

fn moved(name: &str, device: &Device) -> Model {
    let mut model = open(name);
    model.move_to(device).unwrap();
    model
}

fn logits_of_transformers(name: &str) -> Vec<f32> {
    let file = SafetensorsFile::open(&folder(name).join("golden.safetensors")).unwrap();
    let bytes = file.bytes("logits").unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Largest difference, relative to the largest value.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    difference_of(got, want, largest(want))
}

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(f32::MIN_POSITIVE, |m, x| m.max(x.abs()))
}

/// The same, relative to a number.
fn difference_of(got: &[f32], want: &[f32], largest: f32) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
        / largest
}

fn batch(name: &str, model: &dyn Seq2Seq) -> Batch {
    let golden = golden(name);
    Batch::new(sequences(&golden["sources"]), sequences(&golden["targets"]), model.rows()).unwrap()
}

fn logits(name: &str, model: &dyn Seq2Seq, precision: Precision) -> Vec<f32> {
    let pool = Pool::new(1);
    let mut graph = Graph::inference(model.params(), &pool, Regime::Bulk).with_precision(precision);
    let hidden = model.hidden(&mut graph, &batch(name, model));
    ops::logits(&graph, &hidden.value, model.softmax()).to_host().data().to_vec()
}

#[test]
fn logits_are_those_of_the_reference() {
    let Some(device) = emulated::device() else { return };
    for name in models() {
        let d = difference(
            &logits(name, &*moved(name, &device), Precision::Stored),
            &logits_of_transformers(name),
        );
        println!("{name}: logits {d:.1e}");
        assert!(d < 1e-5, "{name}: logits {d:e}");
    }
}

/// Weights in half precision, multiplied in it or widened, in int8 and in 4 bits: the same weights widened give the same but for the
/// rounding of what they are multiplied with, and of attention's factors beside all but f16.
#[test]
fn weights_of_other_types_are_close() {
    let Some(device) = emulated::device() else { return };
    for (dtype, bound) in [(DType::Bf16, 6e-2), (DType::F16, 6e-3), (DType::I8, 6e-2), (DType::I4, 6e-2)] {
        let (mut host, mut there) = (open("mt5"), open("mt5"));
        for model in [&mut host, &mut there] {
            model.params_mut().store_matrices_as(dtype);
        }
        host.params_mut().store_matrices_as(DType::F32);
        there.move_to(&device).unwrap();
        let want = logits("mt5", &*host, Precision::F32);
        let wide = difference(&logits("mt5", &*there, Precision::F32), &want);
        let stored = difference(&logits("mt5", &*there, Precision::Stored), &want);
        println!("{}: {wide:.1e} widened, {stored:.1e} as stored", dtype.name());
        assert!(wide < 1e-5 && stored < bound, "{}: {wide:e} {stored:e}", dtype.name());
        assert!(stored > 1e-5, "{}: {stored:e}", dtype.name());
    }
}

/// Targets fed token by token; others leave and change places on the way.
#[test]
fn decoding_step_by_step_is_decoding_at_once() {
    let Some(device) = emulated::device() else { return };
    for name in ["mt5", "bert4keras", "prefix-lm", "roformer", "nezha"] {
        let (model, golden) = (moved(name, &device), golden(name));
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let (pool, packed) = (Pool::new(1), Packed::new(&sources).unwrap());
        let mut cache = model.cache();
        let mut graph = Graph::inference(model.params(), &pool, Regime::Bulk);
        model.start(&mut graph, &mut cache, &packed, &vec![1; packed.len()]);
        let inputs = Packed::new(&targets).unwrap().shifted_right(model.special_ids().start);
        let mut rows = vec![Vec::new(); inputs.tokens()];
        let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
        let mut live: Vec<usize> = (0..inputs.len()).collect();
        for position in 0..targets.iter().map(Vec::len).max().unwrap() {
            let mut next: Vec<usize> =
                live.iter().copied().filter(|&i| position < inputs.range(i).len()).collect();
            if position % 2 == 1 {
                next.reverse();
            }
            let place = |i: &usize| live.iter().position(|other| other == i).unwrap();
            cache.select(&next.iter().map(place).collect::<Vec<_>>());
            live = next;
            let ids: Vec<u32> = live.iter().map(|&i| inputs.sequence(i)[position]).collect();
            let hidden = model.step(&mut steps, &Packed::singles(&ids), &mut cache);
            let logits = ops::logits(&steps, &hidden, model.softmax()).to_host();
            for (row, &sequence) in live.iter().enumerate() {
                rows[inputs.range(sequence).start + position] = logits.row(row).to_vec();
            }
        }
        let d = difference(&rows.concat(), &logits_of_transformers(name));
        println!("{name}: logits step by step {d:.1e}");
        assert!(d < 1e-5, "{name}: {d:e}");
    }
}

/// The gradients of every parameter, with dropout, kept and computed again.
#[test]
fn gradients_are_those_of_the_processor() {
    let Some(device) = emulated::device() else { return };
    for (name, recompute) in models().map(|name| (name, false)).chain([("mt5", true)]) {
        let run = |model: &dyn Seq2Seq| {
            let (pool, batch) = (Pool::new(1), batch(name, model));
            let mut gradients = Gradients::new();
            let mut graph = Graph::training(model.params(), &pool, Some(Dropout { rate: 0.1, key: 3 }))
                .with_recompute(recompute);
            let hidden = model.hidden(&mut graph, &batch);
            let options = CrossEntropy { scale: 0.1, label_smoothing: 0.1, ..CrossEntropy::default() };
            let targets = batch.targets().ids();
            let losses =
                ops::cross_entropy(&graph, &hidden, model.softmax(), targets, options, Some(&mut gradients));
            drop(hidden);
            graph.backward(&mut gradients);
            let of = |id| gradients.param(id).map(|g| g.to_host().data().to_vec());
            let all =
                model.params().iter().map(|(id, name, _)| (name.to_owned(), of(id))).collect::<Vec<_>>();
            (losses.tokens, all)
        };
        let (host, there) = (run(&*open(name)), run(&*moved(name, &device)));
        assert!(difference(&there.0, &host.0) < 1e-5, "{name}: losses");
        // Where all terms cancel (BERT's keys' biases) the rest is rounding.
        let gradients = || host.1.iter().filter_map(|(_, gradient)| gradient.as_ref());
        let least = 1e-2 * gradients().map(|g| largest(g)).fold(0.0, f32::max);
        let mut worst = 0f32;
        for ((what, got), (_, want)) in there.1.iter().zip(&host.1) {
            assert_eq!(got.is_some(), want.is_some(), "{name}: {what}");
            if let (Some(got), Some(want)) = (got, want) {
                let d = difference_of(got, want, largest(want).max(least));
                assert!(d < 5e-5, "{name}: {what}: {d:e}");
                worst = worst.max(d);
            }
        }
        println!("{name}, computed again: {recompute}: gradients {worst:.1e}");
    }
}

#[test]
fn what_there_are_no_kernels_for_is_refused() {
    let Some(device) = emulated::device() else { return };
    let config =
        T5Config { d_model: 8, d_kv: 130, d_ff: 8, num_heads: 1, vocab_size: 16, ..T5Config::default() };
    let mut model = T5::random(config, 1).unwrap();
    let error = model.move_to(&device).unwrap_err().to_string();
    let want = "a GPU has no kernels for attention heads of 130 columns, only up to 128; set `device` to cpu";
    assert_eq!((error.as_str(), model.params().device().is_none()), (want, true));
}
