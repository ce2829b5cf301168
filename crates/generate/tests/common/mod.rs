//! The golden models, and generating with them.

#![allow(dead_code, unused_imports)] // every test file uses its part

pub mod lab;
#[path = "../../../model/tests/common/mod.rs"]
mod models;

use std::ops::ControlFlow;
use std::path::Path;

pub use models::{ARCHITECTURES, BERTS, T5S, folder, models, sequences};

use serde_json::Value;
use t5kit_generate::{GenerateOptions, Generated, generate};
use t5kit_model::{Model, Seq2Seq};
use t5kit_tensor::Pool;

/// A golden model of any kind, and what is written beside it.
pub fn open(name: &str) -> (Model, Value) {
    (models::open(name), models::golden(name))
}

/// A file of this crate's own goldens.
pub fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Every source's targets.
pub fn run(
    model: &dyn Seq2Seq,
    threads: usize,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
) -> Vec<Vec<Generated>> {
    let mut outputs = vec![Vec::new(); sources.len()];
    generate(model, &Pool::new(threads), sources, options, |i, targets| {
        assert!(outputs[i].is_empty(), "a source is finished once");
        outputs[i] = targets;
        ControlFlow::Continue(())
    })
    .unwrap();
    outputs
}

/// The reference's ids and scores, best first.
pub type Hypotheses = Vec<(Vec<u32>, Option<f64>)>;

/// Compares every source's hypotheses with the reference's; `null` is a close call. Returns how many were compared.
pub fn compare(what: &str, outputs: &[Vec<Generated>], want: &[Hypotheses]) -> usize {
    let mut compared = 0;
    for (i, (got, want)) in outputs.iter().zip(want).enumerate().filter(|(_, (_, want))| !want.is_empty()) {
        assert_eq!(got.len(), want.len(), "{what}, source {i}");
        for (got, (ids, score)) in got.iter().zip(want) {
            assert_eq!(&got.ids, ids, "{what}, source {i}");
            if let Some(score) = score {
                let got = f64::from(got.score.unwrap());
                assert!(
                    (got - score).abs() < 2e-5 * score.abs().max(1.0),
                    "{what}, source {i}: {got} {score}"
                );
            }
        }
        compared += 1;
    }
    compared
}
