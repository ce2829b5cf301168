//! Every released size of the family by its configuration, against transformers (`tools/released_goldens.py`): nothing
//! is allocated.

use std::path::Path;

use serde_json::Value;
use t5kit_formats::config::Activation;
use t5kit_model::t5::layout;
use t5kit_model::{Architecture, Part, T5Config};

fn models() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/released.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden["models"].as_array().unwrap().clone()
}

fn read(model: &Value) -> T5Config {
    let path = Path::new(model["name"].as_str().unwrap());
    T5Config::from_json(path, model["config"].as_object().unwrap().clone()).unwrap()
}

/// Parameters by the formula: the sizes alone, without the list that the loader goes by.
fn by_formula(c: &T5Config, gated: bool) -> u64 {
    let [d, ff, rows, heads, kv, layers, decoder, buckets] = [
        c.d_model,
        c.d_ff,
        c.vocab_size,
        c.num_heads,
        c.d_kv,
        c.num_layers,
        c.num_decoder_layers,
        c.relative_attention_num_buckets,
    ]
    .map(|n| n as u64);
    let attention = 4 * d * heads * kv;
    let feed_forward = if gated { 3 } else { 2 } * d * ff;
    let biases = if c.model_type == "umt5" { layers + decoder } else { 2 };
    layers * (attention + feed_forward + 2 * d)
        + decoder * (2 * attention + feed_forward + 3 * d)
        + 2 * d
        + biases * buckets * heads
        + if c.tie_word_embeddings { 1 } else { 2 } * rows * d
}

#[test]
fn every_released_size_is_the_model_that_transformers_builds() {
    let models = models();
    for model in &models {
        let (name, config) = (&model["name"], read(model));
        assert_eq!(config.family(), model["family"].as_str().unwrap(), "{name}");
        for (field, value) in model["config"].as_object().unwrap() {
            let own = config.to_json();
            assert_eq!(&own[field], value, "{name}: {field}");
        }
        let kind = config.feed_forward().unwrap();
        let activation = if model["activation"] == "relu" { Activation::Relu } else { Activation::GeluNew };
        assert_eq!((kind.gated, kind.activation), (model["gated"] == true, activation), "{name}");
        assert_eq!(config.tie_word_embeddings, model["tied"] == true, "{name}");
        assert_eq!(config.scales_decoder_outputs(), model["family"] == "T5 1.0", "{name}");
        let slots = layout(&config);
        assert_eq!(slots.len() as u64, model["tensors"].as_u64().unwrap(), "{name}");
        let count = |part: Option<Part>| -> u64 {
            let here = slots.iter().filter(|slot| part.is_none_or(|part| slot.part == part));
            here.map(|slot| slot.shape.iter().map(|&n| n as u64).product::<u64>()).sum()
        };
        for (part, key) in [
            (Part::Embeddings, "shared"),
            (Part::Encoder, "encoder"),
            (Part::Decoder, "decoder"),
            (Part::Softmax, "lm_head"),
        ] {
            assert_eq!(count(Some(part)), model["parts"][key].as_u64().unwrap_or(0), "{name}: {key}");
        }
        let all = count(None);
        assert_eq!(all, model["parameters"].as_u64().unwrap(), "{name}");
        assert_eq!(all, by_formula(&config, kind.gated), "{name}");
        if let Some(published) = model["published_millions"].as_f64() {
            let ratio = all as f64 / 1e6 / published;
            assert!((0.9..1.1).contains(&ratio), "{name}: {all}, published {published} million");
        }
    }
    assert_eq!(models.len(), 5 + 3 * 5 + 5 + 4 + 5);
}

/// The same models as mesh-tensorflow's `operative_config.gin` describes them; ByT5's and umT5's were made by other
/// programs, but the form is the same.
#[test]
fn every_released_size_is_read_from_gin_too() {
    for model in models() {
        let (name, json) = (&model["name"], read(&model));
        let activation = if json.feed_forward().unwrap().gated { "['gelu', 'linear']" } else { "'relu'" };
        let mut gin = format!(
            "d_model = {}\nd_ff = {}\nd_kv = {}\nnum_heads = {}\n\
             encoder/make_layer_stack.num_layers = {}\ndecoder/make_layer_stack.num_layers = {}\n\
             decoder/Unitransformer.shared_embedding_and_softmax_weights = {}\n",
            json.d_model,
            json.d_ff,
            json.d_kv,
            json.num_heads,
            json.num_layers,
            json.num_decoder_layers,
            if json.tie_word_embeddings { "True" } else { "False" },
        );
        for side in ["encoder", "decoder"] {
            gin += &format!(
                "{side}/DenseReluDense.activation = {activation}\n{side}/DenseReluDense.hidden_size = %d_ff\n\
                 {side}/SelfAttention.key_value_size = %d_kv\n{side}/SelfAttention.num_heads = %num_heads\n\
                 {side}/Unitransformer.d_model = %d_model\n"
            );
        }
        let read = T5Config::from_gin(Path::new("operative_config.gin"), &gin, json.vocab_size).unwrap();
        let sizes = |c: &T5Config| {
            let sizes =
                [c.vocab_size, c.d_model, c.d_ff, c.d_kv, c.num_heads, c.num_layers, c.num_decoder_layers];
            (sizes, c.feed_forward(), c.tie_word_embeddings)
        };
        assert_eq!(sizes(&read), sizes(&json), "{name}");
        if json.model_type == "mt5" {
            assert_eq!(read.model_type, "mt5", "{name}");
        }
    }
}
