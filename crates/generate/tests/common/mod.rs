//! The golden models, and generating with them.

#![allow(dead_code)] // every test file uses its part

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_generate::{GenerateOptions, Generated, generate};
use t5kit_model::{T5, load};
use t5kit_tensor::Pool;

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens").join(name)
}

pub fn open(name: &str) -> (T5, Value) {
    let text = std::fs::read_to_string(folder(name).join("golden.json")).unwrap();
    (load(&folder(name)).unwrap(), serde_json::from_str(&text).unwrap())
}

pub fn sequences(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Every source's targets.
pub fn run(
    model: &T5,
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
