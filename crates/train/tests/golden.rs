//! Losses, gradients and AdamW against PyTorch and transformers 4.57 (see `crates/model/tests/goldens/README.md`).

use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{T5, load};
use t5kit_tensor::{Gradients, Packed, Pool};
use t5kit_train::{Optimizer, TrainOptions, gradients};

const MODELS: [&str; 6] = ["mt5", "t5-v1_1", "t5-v1_0", "umt5", "byt5", "bert4keras"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens").join(name)
}

fn open(name: &str) -> (T5, Value) {
    let text = std::fs::read_to_string(folder(name).join("golden.json")).unwrap();
    let mut model = load(&folder(name)).unwrap();
    model.make_trainable();
    (model, serde_json::from_str(&text).unwrap())
}

fn sequences(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn pack(sequences: &[Vec<u32>], which: &[usize]) -> Packed {
    Packed::new(which.iter().map(|&i| &sequences[i])).unwrap()
}

#[test]
fn the_loss_and_every_gradient_are_those_of_the_reference() {
    for name in MODELS {
        let (model, golden) = open(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let all: Vec<usize> = (0..sources.len()).collect();
        let file = SafetensorsFile::open(&folder(name).join("gradients.safetensors")).unwrap();
        for threads in [1, 2] {
            let mut found = Gradients::new();
            let pool = Pool::new(threads);
            // Twice into the same memory: the second must not see the first.
            for _ in 0..2 {
                let loss =
                    gradients(&model, &pool, &pack(&sources, &all), &pack(&targets, &all), None, &mut found);
                let want = golden["loss"].as_f64().unwrap();
                assert!((loss - want).abs() < 1e-5 * want, "{name}: loss {loss}, {want}");
            }
            let mut worst = (0.0, String::new());
            for (id, parameter, _) in model.params.iter() {
                let bytes = file.bytes(parameter).unwrap();
                let want: Vec<f32> =
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                let got = found.param(id).unwrap().data();
                assert_eq!(got.len(), want.len());
                let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
                let d = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest;
                if d > worst.0 {
                    worst = (d, parameter.to_string());
                }
            }
            println!(
                "{name}, {threads} threads: largest relative difference of a gradient {:.1e} ({})",
                worst.0, worst.1
            );
            assert!(worst.0 < 1e-4, "{name}: {worst:?}");
        }
    }
}

#[test]
fn a_batch_gives_the_loss_and_gradients_of_its_examples_one_by_one() {
    for name in MODELS {
        let (model, golden) = open(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let pool = Pool::new(2);
        let all: Vec<usize> = (0..sources.len()).collect();
        let tokens: usize = targets.iter().map(Vec::len).sum();
        let mut whole = Gradients::new();
        let loss = gradients(&model, &pool, &pack(&sources, &all), &pack(&targets, &all), None, &mut whole);
        let mut sums: Vec<Vec<f64>> = model.params.iter().map(|(_, _, w)| vec![0.0; w.len()]).collect();
        let mut sum = 0.0;
        for i in all {
            // An example's mean counts by its share of the tokens.
            let share = targets[i].len() as f64 / tokens as f64;
            let mut one = Gradients::new();
            sum += share
                * gradients(&model, &pool, &pack(&sources, &[i]), &pack(&targets, &[i]), None, &mut one);
            for ((id, _, _), sums) in model.params.iter().zip(&mut sums) {
                if let Some(gradient) = one.param(id) {
                    sums.iter_mut().zip(gradient.data()).for_each(|(s, g)| *s += share * f64::from(*g));
                }
            }
        }
        assert!((sum - loss).abs() < 1e-6 * loss, "{name}: {sum} {loss}");
        for ((id, parameter, _), sums) in model.params.iter().zip(&sums) {
            let largest = sums.iter().fold(0f64, |m, s| m.max(s.abs()));
            for (got, want) in whole.param(id).unwrap().data().iter().zip(sums) {
                assert!((f64::from(*got) - want).abs() < 2e-5 * largest, "{name}, {parameter}: {got} {want}");
            }
        }
    }
}

#[test]
fn twenty_adamw_losses_are_those_of_the_reference() {
    for name in MODELS {
        for (case, weight_decay, max_grad_norm) in
            [("adamw", 0.01, 0.0), ("adamw_clipped", 0.01, 0.5), ("adam", 0.0, 0.0)]
        {
            let (mut model, golden) = open(name);
            let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
            let batches: Vec<Vec<usize>> = serde_json::from_value(golden["train_batches"].clone()).unwrap();
            let want: Vec<f64> = serde_json::from_value(golden["train_losses"][case].clone()).unwrap();
            assert_eq!(want.len(), 20);
            let options = TrainOptions {
                learning_rate: 1e-3,
                weight_decay,
                max_grad_norm,
                dropout: 0.0,
                ..TrainOptions::default()
            };
            let pool = Pool::new(2);
            let mut optimizer = Optimizer::new(&model.params);
            let mut found = Gradients::new();
            for (step, want) in want.iter().enumerate() {
                let batch = &batches[step % batches.len()];
                let loss = gradients(
                    &model,
                    &pool,
                    &pack(&sources, batch),
                    &pack(&targets, batch),
                    None,
                    &mut found,
                );
                assert!((loss - want).abs() < 1e-4 * want, "{name}, {case}, step {step}: {loss} {want}");
                let stepped = optimizer.step(&mut model.params, &found, &pool, &options);
                assert!(stepped.non_finite.is_none());
            }
        }
    }
}
