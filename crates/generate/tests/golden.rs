//! Generation and scoring against transformers 4.57 (see `crates/model/tests/goldens/README.md`).

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_generate::{BatchLimits, GenerateOptions, Generated, generate, score};
use t5kit_model::{T5, load};
use t5kit_tensor::Pool;

const MODELS: [&str; 6] = ["mt5", "t5-v1_1", "t5-v1_0", "umt5", "byt5", "bert4keras"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens").join(name)
}

fn open(name: &str) -> (T5, Value) {
    let text = std::fs::read_to_string(folder(name).join("golden.json")).unwrap();
    (load(&folder(name)).unwrap(), serde_json::from_str(&text).unwrap())
}

fn sequences(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn run(model: &T5, threads: usize, sources: &[Vec<u32>], options: &GenerateOptions) -> Vec<Generated> {
    let mut outputs = vec![Generated::default(); sources.len()];
    generate(model, &Pool::new(threads), sources, options, |i, generated| {
        outputs[i] = generated;
        ControlFlow::Continue(())
    })
    .unwrap();
    outputs
}

#[test]
fn greedy_ids_are_those_of_the_reference() {
    for name in MODELS {
        let (model, golden) = open(name);
        let sources = sequences(&golden["sources"]);
        let mut seen = 0;
        for (case, what) in golden["generate"].as_object().unwrap() {
            let o = &what["options"];
            let known = ["max_new_tokens", "min_new_tokens", "suppress_tokens", "num_beams", "do_sample"];
            let plain = o.as_object().unwrap().keys().all(|k| known.contains(&k.as_str()));
            if !plain || o["num_beams"].as_u64().is_some_and(|n| n > 1) {
                continue; // not greedy
            }
            let mut options = GenerateOptions::new(model.config.vocab_size);
            options.max_new_tokens = o["max_new_tokens"].as_u64().unwrap() as usize;
            options.min_new_tokens = o["min_new_tokens"].as_u64().unwrap_or(0) as usize;
            options.suppress = serde_json::from_value(o["suppress_tokens"].clone()).unwrap_or_default();
            let outputs = run(&model, 2, &sources, &options);
            for (i, output) in outputs.iter().enumerate() {
                let want: Vec<u32> = serde_json::from_value(what["outputs"][i][0]["ids"].clone()).unwrap();
                assert_eq!(output.ids, want, "{name}, {case}, source {i}");
            }
            seen += 1;
        }
        assert!(seen > 0, "{name}: the goldens have a greedy case");
    }
}

#[test]
fn outputs_and_scores_do_not_depend_on_the_batch() {
    for name in MODELS {
        let (model, golden) = open(name);
        let sources = sequences(&golden["sources"]);
        let mut options = GenerateOptions::new(golden["pieces"].as_u64().unwrap() as usize);
        options.scores = true;
        options.max_new_tokens = 20;
        let all = run(&model, 2, &sources, &options);
        for sequences in [1, 2, 4] {
            options.limits = BatchLimits { sequences, tokens: 10_000 };
            let some = run(&model, 1, &sources, &options);
            for (a, b) in all.iter().zip(&some) {
                assert_eq!(a.ids, b.ids, "{name}, batches of {sequences}");
                // The encoder's products of such tiny models round differently by size; a real model's do not.
                let (a, b) = (a.score.unwrap(), b.score.unwrap());
                assert!((a - b).abs() < 1e-4 * a.abs(), "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn log_probabilities_are_those_of_the_reference() {
    for name in MODELS {
        let (model, golden) = open(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let want: Vec<f64> = serde_json::from_value(golden["log_probs"].clone()).unwrap();
        for limits in [BatchLimits::default(), BatchLimits { sequences: 1, tokens: 1 }] {
            let scores = score(&model, &Pool::new(2), &sources, &targets, limits, |_| {}).unwrap();
            for ((score, want), target) in scores.iter().zip(&want).zip(&targets) {
                assert_eq!(score.tokens.len(), target.len());
                assert!(
                    (score.log_prob() - want).abs() < 1e-5 * want.abs(),
                    "{name}: {} {want}",
                    score.log_prob()
                );
            }
        }
    }
}

#[test]
fn foreign_ids_and_empty_sources_are_errors() {
    let (model, _) = open("mt5");
    let options = GenerateOptions::new(188);
    for (sources, message) in [
        (vec![vec![5, 1], vec![200, 1]], "source 2: id 200 in sequence"),
        (vec![vec![]], "source 1: sequence 0 of the batch is empty"),
    ] {
        let error = generate(&model, &Pool::new(1), &sources, &options, |_, _| ControlFlow::Continue(()));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with(message), "{text}");
    }
}
