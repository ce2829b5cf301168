//! Losses, gradients and optimizers against PyTorch and transformers 4.57 (see `crates/model/tests/goldens/README.md`).

#[path = "../../model/tests/common/mod.rs"]
mod common;

use common::{folder, models, sequences};
use serde_json::Value;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Architecture, Batch, Model, Trainable};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{Device, Gradients, Pool, Precision, emulated};
use t5kit_train::{Optimizer, OptimizerKind, PassOptions, Schedule, TrainOptions, accumulate, gradients};

fn open(name: &str) -> (Model, Value) {
    let mut model = common::open(name);
    model.make_trainable();
    (model, common::golden(name))
}

fn pack(sources: &[Vec<u32>], targets: &[Vec<u32>], which: &[usize]) -> Batch {
    let of = |all: &[Vec<u32>]| which.iter().map(|&i| all[i].clone()).collect::<Vec<_>>();
    Batch::new(of(sources), of(targets), usize::MAX).unwrap()
}

#[test]
fn the_loss_and_every_gradient_are_those_of_the_reference() {
    let kept = PassOptions::default();
    gradients_agree(kept, 1e-5, 1e-4);
    gradients_agree(PassOptions { recompute: true, ..kept }, 1e-5, 1e-4);
}

/// Factors have 8 bits; plain Rust multiplies them where the processor cannot. As near as PyTorch with autocast, whose
/// gradients of these models are off by up to 0.06 to 0.17 of their norm.
#[test]
fn with_products_in_bf16_they_are_near() {
    for recompute in [false, true] {
        gradients_agree(PassOptions { precision: Precision::Bf16, recompute, dropout: None }, 3e-3, 0.17);
    }
}

fn gradients_agree(pass: PassOptions, of_loss: f64, of_gradient: f32) {
    for name in models() {
        let (model, golden) = open(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let all: Vec<usize> = (0..sources.len()).collect();
        let file = SafetensorsFile::open(&folder(name).join("gradients.safetensors")).unwrap();
        for threads in [1, 2] {
            let mut found = Gradients::new();
            let pool = Pool::new(threads);
            // Twice into the same memory: the second must not see the first.
            for _ in 0..2 {
                let loss = gradients(&*model, &pool, &pack(&sources, &targets, &all), pass, &mut found);
                let want = golden["loss"].as_f64().unwrap();
                assert!((loss - want).abs() < of_loss * want, "{name}: loss {loss}, {want}");
            }
            let mut worst = (0.0, String::new());
            let wanted = |parameter: &str| -> Vec<f32> {
                let bytes = file.bytes(parameter).unwrap();
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
            };
            let largest = |x: &[f32]| x.iter().fold(0f32, |m, x| m.max(x.abs()));
            // What nothing depends on, such as the bias of BERT's keys, has a gradient of rounding errors alone.
            let of = |(_, parameter, _): (_, &str, _)| largest(&wanted(parameter));
            let all = model.params().iter().map(of).fold(0.0, f32::max);
            let rounding = if pass.precision == Precision::F32 { 1e-3 * all } else { 0.1 * all };
            for (id, parameter, _) in model.params().iter() {
                let want = wanted(parameter);
                let silent = largest(&want) < 1e-9 * all;
                let got = found.param(id).unwrap().data();
                assert_eq!(got.len(), want.len());
                let differences = got.iter().zip(&want).map(|(g, w)| (g - w).abs());
                // Rounding to bf16 is judged by the whole gradient: single elements are sums that cancel.
                let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
                let d = match pass.precision {
                    Precision::F32 | Precision::Tf32 | Precision::Stored => {
                        differences.fold(0.0, f32::max) / if silent { rounding } else { largest(&want) }
                    }
                    Precision::Bf16 if silent => {
                        norm(&mut { differences }) / (rounding * (want.len() as f32).sqrt())
                    }
                    Precision::Bf16 => norm(&mut { differences }) / norm(&mut want.iter().copied()),
                };
                if d > worst.0 {
                    worst = (d, parameter.to_string());
                }
            }
            println!(
                "{name}, {threads} threads, {pass:?}: largest relative difference of a gradient {:.1e} ({})",
                worst.0, worst.1
            );
            assert!(worst.0 < of_gradient, "{name}: {worst:?}");
        }
    }
}

/// The batch, whose gradients the reference gave too, makes keys and values of its sources; of its examples the first
/// and the fifth are so short that alone they look at the source's features.
#[test]
fn a_batch_gives_the_loss_and_gradients_of_its_examples_one_by_one() {
    for name in models() {
        let (model, golden) = open(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let pool = Pool::new(2);
        let all: Vec<usize> = (0..sources.len()).collect();
        let tokens: usize = targets.iter().map(Vec::len).sum();
        let mut whole = Gradients::new();
        let loss =
            gradients(&*model, &pool, &pack(&sources, &targets, &all), PassOptions::default(), &mut whole);
        let mut sums: Vec<Vec<f64>> = model.params().iter().map(|(_, _, w)| vec![0.0; w.len()]).collect();
        let mut sum = 0.0;
        for i in all {
            // An example's mean counts by its share of the tokens.
            let share = targets[i].len() as f64 / tokens as f64;
            let mut one = Gradients::new();
            sum += share
                * gradients(
                    &*model,
                    &pool,
                    &pack(&sources, &targets, &[i]),
                    PassOptions::default(),
                    &mut one,
                );
            for ((id, _, _), sums) in model.params().iter().zip(&mut sums) {
                if let Some(gradient) = one.param(id) {
                    sums.iter_mut().zip(gradient.data()).for_each(|(s, g)| *s += share * f64::from(*g));
                }
            }
        }
        assert!((sum - loss).abs() < 1e-6 * loss, "{name}: {sum} {loss}");
        let largest = |sums: &[f64]| sums.iter().fold(0f64, |m, s| m.max(s.abs()));
        let all = sums.iter().map(|sums| largest(sums)).fold(0.0, f64::max);
        for ((id, parameter, _), sums) in model.params().iter().zip(&sums) {
            // Not below the rounding errors of what nothing depends on.
            let largest = largest(sums).max(1e-2 * all);
            for (got, want) in whole.param(id).unwrap().data().iter().zip(sums) {
                assert!((f64::from(*got) - want).abs() < 2e-5 * largest, "{name}, {parameter}: {got} {want}");
            }
        }
    }
}

/// How the reference trained in a case of `train_losses`; the rate is 1e-3 and constant, the loss cross-entropy,
/// dropout off where nothing else is said.
fn settings(case: &str) -> TrainOptions {
    let base = TrainOptions {
        learning_rate: 1e-3,
        weight_decay: 0.01,
        max_grad_norm: 0.0,
        dropout: 0.0,
        ..TrainOptions::default()
    };
    let scheduled = |schedule| TrainOptions { schedule, warmup_steps: 4, ..base.clone() };
    let adam = TrainOptions { optimizer: OptimizerKind::Adam, weight_decay: 0.0, ..base.clone() };
    let adafactor = TrainOptions { optimizer: OptimizerKind::Adafactor, ..adam.clone() };
    let scaled = TrainOptions { scale_parameter: true, ..adafactor.clone() };
    match case {
        "adamw" => base,
        "adamw_clipped" => TrainOptions { max_grad_norm: 0.5, ..base },
        "adam" => adam,
        "adam_decayed" => TrainOptions { weight_decay: 0.1, ..adam },
        "adafactor" => adafactor,
        "adafactor_scaled" => scaled,
        "adafactor_scaled_decayed" => TrainOptions { weight_decay: 0.1, ..scaled },
        "lion" => {
            TrainOptions { optimizer: OptimizerKind::Lion, learning_rate: 1e-4, weight_decay: 0.1, ..base }
        }
        "adamw_linear" => scheduled(Schedule::Linear),
        "adamw_cosine" => scheduled(Schedule::Cosine),
        "adamw_inverse_sqrt" => scheduled(Schedule::InverseSqrt),
        "adamw_constant_warmup" => scheduled(Schedule::Constant),
        "adamw_label_smoothing" => TrainOptions { label_smoothing: 0.1, ..base },
        "adamw_z_loss" => TrainOptions { z_loss: 1e-2, ..base },
        "adafactor_everything" => TrainOptions {
            max_grad_norm: 0.5,
            label_smoothing: 0.1,
            z_loss: 1e-3,
            schedule: Schedule::Cosine,
            warmup_steps: 4,
            ..scaled
        },
        _ => panic!("{case}: a case of the goldens that this test does not know"),
    }
}

#[test]
fn twenty_losses_are_those_of_the_reference() {
    for name in models() {
        // With the embedding's gradient by rows, as the trainer has it, and without.
        for by_rows in [false, true] {
            twenty_losses(name, by_rows, None, |_| true);
        }
    }
}

/// The same of a GPU that the host's processor emulates.
#[test]
fn twenty_losses_on_a_gpu_are_those_of_the_reference() {
    let Some(device) = emulated::device() else { return };
    let some = ["adamw_z_loss", "adafactor_everything"];
    twenty_losses("mt5", true, Some(&device), |case| some.contains(&case));
}

fn twenty_losses(name: &str, by_rows: bool, device: Option<&Device>, wanted: impl Fn(&str) -> bool) {
    let pool = Pool::new(2);
    let (_, golden) = open(name);
    let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
    let batches: Vec<Vec<usize>> = serde_json::from_value(golden["train_batches"].clone()).unwrap();
    let cases = golden["train_losses"].as_object().unwrap();
    assert_eq!(cases.len(), 15);
    let mut seen = 0;
    for (case, want) in cases.iter().filter(|(case, _)| wanted(case)) {
        let want: Vec<f64> = serde_json::from_value(want.clone()).unwrap();
        assert_eq!(want.len(), 20);
        let options = settings(case);
        let mut model = open(name).0;
        let mut found = Gradients::new();
        if by_rows {
            let words = model.config().vocabulary().embedding;
            found.keep_rows(model.params().id(words).unwrap());
        }
        let mut optimizer = Optimizer::new(options.optimizer, model.params(), &found);
        if let Some(device) = device {
            model.move_to(device).unwrap();
        }
        let mut worst = 0f64;
        for (step, want) in want.iter().enumerate() {
            let batch = &batches[step % batches.len()];
            let batch = pack(&sources, &targets, batch);
            let tokens = batch.targets().tokens();
            let loss = CrossEntropy {
                scale: 1.0 / tokens as f32,
                label_smoothing: options.label_smoothing,
                z_loss: options.z_loss,
                ..CrossEntropy::default()
            };
            found.clear();
            let sum = accumulate(&*model, &pool, &batch, loss, PassOptions::default(), &mut found).sum();
            let loss = sum / tokens as f64;
            worst = worst.max((loss - want).abs() / want);
            assert!(worst < 1e-4, "{name}, {case}, step {step}: {loss} {want}");
            let lr = options.rate(step as u64, 20);
            let stepped = optimizer.step(model.params_mut(), &found, &pool, &options, lr);
            assert!(stepped.non_finite.is_none());
        }
        let place = if device.is_some() { ", on a GPU" } else { "" };
        println!("{name}, {case}{place}: largest relative difference of a loss {worst:.1e}");
        seen += 1;
    }
    assert!(seen > 0, "{name}: no such case");
}
