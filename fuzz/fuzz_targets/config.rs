//! Any text as a configuration, in JSON (a model's, and an adapter's) and in gin; what is accepted is written and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use t5kit_formats::T5Config;
use t5kit_formats::config::BertConfig;
use t5kit_formats::peft::LoraConfig;

fuzz_target!(|text: &str| {
    let path = Path::new("(memory)");
    let _ = T5Config::from_gin(path, text, 1000);
    let Ok(map) = serde_json::from_str::<Map<String, Value>>(text) else { return };
    if let Ok(lora) = LoraConfig::from_json(path, map.clone()) {
        LoraConfig::from_json(path, lora.to_json()).expect("what is written is read");
        for module in ["encoder.block.0.layer.0.SelfAttention.q", "lm_head", ""] {
            let rank = lora.rank(module).unwrap_or(1).max(1);
            let _ = (lora.scale_of(module, rank), lora.saves(module));
        }
    }
    if let Ok(config) = BertConfig::from_json(path, map.clone()) {
        config.validate().expect("what is read is valid");
        let again = BertConfig::from_json(path, config.to_json()).expect("what is written is read");
        assert_eq!((again.positions(), again.position_rows), (config.positions(), config.position_rows));
    }
    if let Ok(config) = T5Config::from_json(path, map) {
        config.validate().expect("what is read is valid");
        let again = T5Config::from_json(path, config.to_json()).expect("what is written is read");
        assert_eq!(again.feed_forward(), config.feed_forward());
    }
});
