//! The golden models (see `../goldens/README.md`) and what is written beside them; the tests of other crates use it too.

#![allow(dead_code)] // every test file uses its part

use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_model::{Config, LoadOptions, Model, Plan};

/// T5 and its family.
pub const T5S: [&str; 6] = ["mt5", "t5-v1_1", "t5-v1_0", "umt5", "byt5", "bert4keras"];

/// BERT and its family, as UniLM.
pub const BERTS: [&str; 4] = ["bert", "bert-long", "nezha", "roformer"];

/// T5 in the other architectures of Raffel et al. 2020.
pub const ARCHITECTURES: [&str; 3] = ["shared", "language-model", "prefix-lm"];

/// All of them.
pub fn models() -> impl Iterator<Item = &'static str> {
    T5S.into_iter().chain(ARCHITECTURES).chain(BERTS)
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/goldens").join(name)
}

pub fn golden(name: &str) -> Value {
    let path = folder(name).join("golden.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The model of any kind, with the positions and the `[SEP]` that its goldens were made with.
pub fn open(name: &str) -> Model {
    let max_positions = golden(name)["max_positions"].as_u64().map(|n| n as usize);
    let options = LoadOptions { max_positions, ..LoadOptions::default() };
    let mut plan = Plan::new(&folder(name), &options).unwrap();
    if let Config::Bert(config) = &mut plan.config {
        config.sep_token_id = config.other["sep_token_id"].as_u64().unwrap() as u32;
    }
    plan.load().unwrap()
}

pub fn sequences(value: &Value) -> Vec<Vec<u32>> {
    serde_json::from_value(value.clone()).unwrap()
}
