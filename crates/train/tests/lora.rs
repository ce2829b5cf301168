//! Training adapters: gradients and losses against peft (`crates/model/tests/goldens/lora`).

use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Adapted, Batch, T5, open_adapter};
use t5kit_tensor::{DType, Gradients, Pool};
use t5kit_train::{Optimizer, OptimizerKind, PassOptions, TrainOptions, gradients};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("golden.json")).unwrap()).unwrap()
}

/// The base, in a storage type, with peft's adapter.
fn model(dtype: DType) -> T5 {
    let mut model = T5::load(&folder("mt5")).unwrap();
    model.params.store_matrices_as(dtype);
    let file = open_adapter(&folder("lora"), &model.config).unwrap();
    model.attach_adapters(&file).unwrap();
    model
}

fn sequences(key: &str) -> Vec<Vec<u32>> {
    serde_json::from_value(json("mt5")[key].clone()).unwrap()
}

fn pack(sources: &[Vec<u32>], targets: &[Vec<u32>], which: &[usize]) -> Batch {
    let of = |all: &[Vec<u32>]| which.iter().map(|&i| all[i].clone()).collect::<Vec<_>>();
    Batch::new(of(sources), of(targets), usize::MAX).unwrap()
}

/// Loss and gradients of all examples.
fn backward(model: &T5, threads: usize, pass: PassOptions) -> (f64, Gradients) {
    let (sources, targets) = (sequences("sources"), sequences("targets"));
    let all: Vec<usize> = (0..sources.len()).collect();
    let mut found = Gradients::new();
    let pool = Pool::new(threads);
    let loss = gradients(model, &pool, &pack(&sources, &targets, &all), pass, &mut found);
    (loss, found)
}

/// Largest difference, relative to the largest value.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn the_loss_and_every_gradient_are_those_of_peft() {
    let (model, golden) = (model(DType::F32), json("lora"));
    let file = SafetensorsFile::open(&folder("lora").join("golden.safetensors")).unwrap();
    for (threads, recompute) in [(1, false), (2, false), (2, true)] {
        let (loss, found) = backward(&model, threads, PassOptions { recompute, ..PassOptions::default() });
        let want = golden["loss"].as_f64().unwrap();
        assert!((loss - want).abs() < 1e-5 * want, "loss {loss}, {want}");
        let mut worst = (0.0, String::new());
        for (id, name, _) in model.params.iter() {
            let Some(got) = found.get(id) else {
                assert!(!name.contains("lora_"), "{name} has no gradient");
                continue;
            };
            let bytes = file.bytes(name).unwrap_or_else(|_| panic!("{name} is frozen"));
            let want: Vec<f32> =
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            let d = difference(got.values(), &want);
            if d > worst.0 {
                worst = (d, name.to_string());
            }
        }
        println!(
            "{threads} threads: largest relative difference of a gradient {:.1e} ({})",
            worst.0, worst.1
        );
        assert!(worst.0 < 1e-4, "{worst:?}");
    }
}

/// A base in half precision stays so, and gives the gradients of its rounded weights in f32.
#[test]
fn a_base_in_half_precision_gives_the_gradients_of_its_rounded_weights() {
    for dtype in [DType::Bf16, DType::F16] {
        let pass = PassOptions::default();
        let half = model(dtype);
        let mut wide = T5::load(&folder("mt5")).unwrap();
        wide.params.store_matrices_as(dtype);
        wide.params.store_matrices_as(DType::F32);
        let file = open_adapter(&folder("lora"), &wide.config).unwrap();
        wide.attach_adapters(&file).unwrap();
        let (got, want) = (backward(&half, 2, pass), backward(&wide, 2, pass));
        assert!((got.0 - want.0).abs() < 1e-5 * want.0);
        for (id, name, _) in half.params.iter().filter(|(id, _, _)| half.params.trains(*id)) {
            let d = difference(got.1.get(id).unwrap().values(), want.1.get(id).unwrap().values());
            assert!(d < 1e-5, "{name}: {d:e}");
        }
    }
}

#[test]
fn ten_adamw_losses_are_those_of_peft() {
    let mut model = model(DType::F32);
    let (sources, targets) = (sequences("sources"), sequences("targets"));
    let batches: Vec<Vec<usize>> = serde_json::from_value(json("mt5")["train_batches"].clone()).unwrap();
    let want: Vec<f64> = serde_json::from_value(json("lora")["train_losses"].clone()).unwrap();
    assert_eq!(want.len(), 10);
    let options =
        TrainOptions { weight_decay: 0.01, max_grad_norm: 0.0, dropout: 0.0, ..TrainOptions::default() };
    let (pool, pass) = (Pool::new(2), PassOptions::default());
    let mut found = Gradients::new();
    let mut optimizer = Optimizer::new(OptimizerKind::Adamw, &model.params, &found);
    for (step, want) in want.iter().enumerate() {
        let batch = &batches[step % batches.len()];
        let loss = gradients(&model, &pool, &pack(&sources, &targets, batch), pass, &mut found);
        assert!((loss - want).abs() < 1e-4 * want, "step {step}: {loss} {want}");
        let stepped = optimizer.step(&mut model.params, &found, &pool, &options, 1e-2);
        assert!(stepped.non_finite.is_none());
    }
}
