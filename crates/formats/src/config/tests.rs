//! Files as they are found, and files that lie.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::error::{Error, Result};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("not an object: {value}") };
    map
}

fn parse(value: Value) -> Result<T5Config> {
    T5Config::from_json(Path::new("config.json"), object(value))
}

/// google/mt5-small's file in the main.
fn mt5() -> Value {
    json!({
        "_name_or_path": "/home/patrick/hugging_face/t5/mt5-small",
        "architectures": ["MT5ForConditionalGeneration"], "d_ff": 1024, "d_kv": 64, "d_model": 512,
        "decoder_start_token_id": 0, "dropout_rate": 0.1, "eos_token_id": 1, "feed_forward_proj": "gated-gelu",
        "initializer_factor": 1.0, "is_encoder_decoder": true, "layer_norm_epsilon": 1e-06,
        "model_type": "mt5", "num_decoder_layers": 8, "num_heads": 6, "num_layers": 8, "pad_token_id": 0,
        "relative_attention_num_buckets": 32, "tie_word_embeddings": false, "tokenizer_class": "T5Tokenizer",
        "transformers_version": "4.10.0.dev0", "use_cache": true, "vocab_size": 250112
    })
}

fn with(mut base: Value, field: &str, value: Value) -> Value {
    base[field] = value;
    base
}

fn without(mut base: Value, field: &str) -> Value {
    base.as_object_mut().unwrap().remove(field);
    base
}

#[test]
fn mt5_small() {
    let c = parse(mt5()).unwrap();
    assert_eq!((c.d_model, c.d_kv, c.d_ff, c.num_heads), (512, 64, 1024, 6));
    assert_eq!((c.num_layers, c.num_decoder_layers, c.vocab_size), (8, 8, 250_112));
    assert_eq!(c.relative_attention_max_distance, 128);
    assert_eq!(c.inner_dim(), 384);
    assert_eq!(c.feed_forward(), Some(FeedForward { activation: Activation::GeluNew, gated: true }));
    assert!(!c.tie_word_embeddings && !c.scales_decoder_outputs() && !c.bias_in_every_layer());
    assert_eq!(c.other["tokenizer_class"], "T5Tokenizer");
}

#[test]
fn what_is_not_ours_is_written_back() {
    let c = parse(with(mt5(), "task_specific_params", json!({"summarization": {"prefix": "x"}}))).unwrap();
    let back = c.to_json();
    assert_eq!(back["task_specific_params"]["summarization"]["prefix"], "x");
    assert_eq!(back["transformers_version"], "4.10.0.dev0");
    for (field, value) in object(mt5()) {
        assert_eq!(back[&field], value, "{field}");
    }
}

#[test]
fn defaults_are_those_of_transformers() {
    let old = json!({
        "architectures": ["T5WithLMHeadModel"], "d_ff": 2048, "d_kv": 64, "d_model": 512, "num_heads": 8,
        "num_layers": 6, "vocab_size": 32128, "decoder_start_token_id": null, "num_decoder_layers": null
    });
    let c = parse(old).unwrap();
    assert_eq!((&*c.model_type, &*c.feed_forward_proj), ("t5", "relu"));
    assert!(c.tie_word_embeddings && c.scales_decoder_outputs());
    assert_eq!(
        (c.num_decoder_layers, c.pad_token_id, c.eos_token_id, c.decoder_start_token_id),
        (6, 0, 1, 0)
    );
    assert!(!parse(without(mt5(), "tie_word_embeddings")).unwrap().tie_word_embeddings);
    let umt5 = with(without(mt5(), "tie_word_embeddings"), "model_type", json!("umt5"));
    let c = parse(umt5).unwrap();
    assert!(c.tie_word_embeddings && c.bias_in_every_layer());
}

#[test]
fn ids_may_stand_in_lists() {
    let c = parse(with(with(mt5(), "eos_token_id", json!([2, 7, 2])), "decoder_start_token_id", json!([1])))
        .unwrap();
    assert_eq!((c.eos_token_id, &*c.more_eos_token_ids, c.decoder_start_token_id), (2, &[7][..], 1));
    assert_eq!(c.to_json()["eos_token_id"], json!([2, 7]));
    let again = parse(Value::Object(c.to_json())).unwrap();
    assert_eq!((again.eos_token_id, again.more_eos_token_ids), (2, vec![7]));
    let c = parse(with(mt5(), "eos_token_id", json!([3]))).unwrap();
    assert_eq!(c.to_json()["eos_token_id"], 3);
    // MADLAD-400's.
    let madlad =
        [("pad_token_id", json!(1)), ("eos_token_id", json!(2)), ("decoder_start_token_id", json!(0))];
    let c = parse(madlad.into_iter().fold(mt5(), |c, (field, id)| with(c, field, id))).unwrap();
    assert_eq!((c.pad_token_id, c.eos_token_id, c.decoder_start_token_id), (1, 2, 0));
    for (field, value, part) in [
        ("eos_token_id", json!([1, "a"]), "neither an id nor a list"),
        ("eos_token_id", json!([-1]), "neither an id nor a list"),
        ("eos_token_id", json!([1, 250_112]), "250112 is not below vocab_size"),
        ("decoder_start_token_id", json!([0, 1]), "several ids"),
    ] {
        let error = parse(with(mt5(), field, value)).unwrap_err().to_string();
        assert!(error.contains(&format!("{field}: ")) && error.contains(part), "{error}");
    }
}

#[test]
fn other_architectures_are_named() {
    for (config, part) in [
        (
            json!({"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12}),
            "\"bert\", beside weights that are none of BERT's kind",
        ),
        (json!({"model_type": "electra", "hidden_size": 768}), "an encoder of BERT's kind"),
        (json!({"model_type": "bart", "d_model": 768}), "an encoder-decoder of another kind"),
        (json!({"model_type": "m2m_100", "d_model": 768}), "an encoder-decoder of another kind"),
        (json!({"model_type": "qwen2", "hidden_size": 768}), "a decoder-only model"),
        (json!({"model_type": "longt5", "d_model": 768}), "a relative of T5"),
        (
            json!({"model_type": "new", "d_model": 768}),
            "\"new\" is not t5, mt5, umt5, bert, nezha or roformer",
        ),
        // Google's bert_config.json.
        (
            json!({"hidden_size": 768, "num_hidden_layers": 12, "type_vocab_size": 2}),
            "the configuration of a BERT",
        ),
    ] {
        let error = parse(config).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn activations_are_read_as_transformers_does() {
    let kind = |proj: &str, act: Option<&str>| {
        let c = T5Config {
            feed_forward_proj: proj.to_owned(),
            dense_act_fn: act.map(str::to_owned),
            ..T5Config::default()
        };
        c.feed_forward().map(|f| (f.activation, f.gated))
    };
    assert_eq!(kind("relu", None), Some((Activation::Relu, false)));
    assert_eq!(kind("gelu", None), Some((Activation::Gelu, false)));
    assert_eq!(kind("gated-gelu", None), Some((Activation::GeluNew, true)));
    assert_eq!(kind("gated-gelu", Some("gelu_new")), Some((Activation::GeluNew, true)));
    assert_eq!(kind("gated-gelu", Some("gelu")), Some((Activation::Gelu, true)));
    assert_eq!(kind("gated-silu", None), Some((Activation::Silu, true)));
    assert_eq!(kind("gated-relu", None), Some((Activation::Relu, true)));
    assert_eq!(kind("half-gelu", None), None);
    assert_eq!(kind("gated-", None), None);
}

#[test]
fn bert4keras_names() {
    // The sample of bojone/t5_in_bert4keras's README.
    let c = parse(json!({
        "hidden_dropout_prob": 0.1, "hidden_size": 512, "initializer_range": 0.02,
        "intermediate_size": 1024, "num_attention_heads": 6, "attention_head_size": 64,
        "num_hidden_layers": 8, "vocab_size": 250112, "hidden_act": ["gelu", "linear"]
    }))
    .unwrap();
    assert_eq!(c, T5Config::default());
    assert!(c.other.is_empty());

    let c = parse(json!({
        "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
        "vocab_size": 32128, "hidden_act": "relu"
    }))
    .unwrap();
    assert_eq!((&*c.model_type, &*c.feed_forward_proj, c.d_kv), ("t5", "relu", 64));
    assert!(c.tie_word_embeddings);
}

#[test]
fn what_cannot_be_is_refused_by_its_field() {
    for (field, value) in [
        ("vocab_size", json!(0)),
        ("vocab_size", json!(-5)),
        ("vocab_size", json!(u64::MAX)),
        ("vocab_size", json!("250112")),
        ("d_model", json!(512.5)),
        ("d_kv", json!(1u64 << 40)),
        ("d_ff", json!([1024])),
        ("num_layers", json!(100_000)),
        ("num_decoder_layers", json!(0)),
        ("num_heads", json!(true)),
        ("relative_attention_num_buckets", json!(2)),
        ("relative_attention_max_distance", json!(16)),
        ("dropout_rate", json!(1.0)),
        ("dropout_rate", json!("a tenth")),
        ("layer_norm_epsilon", json!(0)),
        ("layer_norm_epsilon", json!(1e-300)),
        ("initializer_factor", json!(-1)),
        ("feed_forward_proj", json!("gated-tanhshrink")),
        ("feed_forward_proj", json!(7)),
        ("is_gated_act", json!(false)),
        ("tie_word_embeddings", json!("yes")),
        ("pad_token_id", json!(250_112)),
        ("eos_token_id", json!(-1)),
        ("decoder_start_token_id", json!([0, 1])),
        ("model_type", json!("bart")),
    ] {
        let error = parse(with(mt5(), field, value.clone())).unwrap_err();
        assert!(matches!(&error, Error::Config { field: f, .. } if f == field), "{field} {value}: {error}");
        assert!(error.to_string().starts_with("config.json: "), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    for field in ["vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads"] {
        let error = parse(without(mt5(), field)).unwrap_err();
        assert!(matches!(&error, Error::Config { field: f, .. } if f == field), "{field}: {error}");
    }
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    for text in ["", "{", "[]", "null", "{\"dropout_rate\": NaN}", "{\"d_model\": 1e999}", "\u{0}"] {
        std::fs::write(&path, text).unwrap();
        let error = T5Config::read(&path).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{text}: {error}");
    }
    std::fs::write(&path, [0xff, 0xfe, b'{', b'}']).unwrap();
    assert!(T5Config::read(dir.path()).is_err());
    // Deep nesting must not exhaust the stack.
    std::fs::write(&path, "[".repeat(1 << 20)).unwrap();
    assert!(T5Config::read(&path).is_err());
}

fn configs() -> impl Strategy<Value = T5Config> {
    let sizes =
        (1usize..70_000, 1usize..5000, 1usize..300, 1usize..20_000, 1usize..50, 1usize..50, 1usize..130);
    let kinds = (
        prop::sample::select(vec!["t5", "mt5", "umt5"]),
        prop::sample::select(vec!["relu", "gelu_new", "gated-gelu", "gated-silu"]),
        prop::option::of(any::<bool>()),
        any::<(bool, bool)>(),
        prop::sample::select(T5Architecture::ALL.to_vec()),
    );
    let numbers = (4usize..300, 0.0..0.999, 1e-12..0.5, 0.0..100.0);
    (sizes, kinds, numbers).prop_map(
        |((v, m, k, f, l, d, h), (ty, ff, scale, (tie, cross), architecture), (b, drop, eps, init))| {
            T5Config {
                model_type: ty.to_owned(),
                vocab_size: v + 2,
                d_model: m,
                d_kv: k,
                d_ff: f,
                architecture,
                num_layers: match architecture {
                    T5Architecture::EncoderDecoder => l,
                    T5Architecture::Shared => d,
                    _ => 0,
                },
                num_decoder_layers: d,
                num_heads: h,
                relative_attention_num_buckets: b,
                relative_attention_max_distance: b * 4,
                dropout_rate: drop,
                layer_norm_epsilon: eps,
                initializer_factor: init,
                feed_forward_proj: ff.to_owned(),
                tie_word_embeddings: tie,
                scale_decoder_outputs: scale,
                cross_attention_relative_bias: cross && !architecture.one_stack(),
                ..T5Config::default()
            }
        },
    )
}

#[test]
fn what_was_not_read_does_not_come_back() {
    let config = parse(json!({
        "hidden_act": "relu", "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
        "vocab_size": 99, "feed_forward_proj": "gated-gelu", "num_layers": 7, "use_cache": false, "task": "x"
    }))
    .unwrap();
    let written = config.to_json();
    assert_eq!((&written["feed_forward_proj"], &written["num_layers"]), (&json!("relu"), &json!(1)));
    assert_eq!((&written["use_cache"], &written["task"]), (&json!(false), &json!("x")));
    assert_eq!(parse(Value::Object(written)).unwrap().feed_forward(), config.feed_forward());
}

proptest! {
    #[test]
    fn written_and_read_again_is_the_same(config in configs()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        config.write(&path, false).unwrap();
        let read = T5Config::read(&path).unwrap();
        prop_assert_eq!(read.feed_forward(), config.feed_forward());
        // Written out where it was left to be worked out, and what transformers wants besides.
        let read = T5Config { dense_act_fn: None, other: Map::new(), ..read };
        prop_assert_eq!(read, config);
    }
}

fn berts() -> impl Strategy<Value = BertConfig> {
    let sizes = (6usize..70_000, 1usize..300, 1usize..50, 1usize..20_000, 1usize..50, 2usize..2000);
    let kinds = (
        prop::sample::select(vec!["bert", "nezha", "roformer"]),
        prop::sample::select(vec!["gelu", "gelu_new", "relu", "silu"]),
        any::<(bool, bool)>(),
        2usize..100,
    );
    (sizes, kinds).prop_map(|((v, width, layers, ff, heads, positions), (ty, act, (tie, flag), more))| {
        let hidden_size = 2 * width * heads;
        let (learnt, rotary) = (ty == "bert", ty == "roformer");
        let rows = (learnt && flag).then_some(positions);
        BertConfig {
            model_type: ty.to_owned(),
            vocab_size: v,
            hidden_size,
            embedding_size: if rotary { more } else { hidden_size },
            num_hidden_layers: layers,
            num_attention_heads: heads,
            intermediate_size: ff,
            hidden_act: act.to_owned(),
            max_position_embeddings: rows.map_or(positions, |rows| (rows * rows).min(rows + more)),
            position_rows: rows,
            max_relative_position: if ty == "nezha" { more } else { 64 },
            rotary_value: rotary && flag,
            tie_word_embeddings: tie,
            ..BertConfig::default()
        }
    })
}

proptest! {
    #[test]
    fn a_bert_written_and_read_again_is_the_same(config in berts()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        config.write(&path, false).unwrap();
        prop_assert_eq!(BertConfig { other: Map::new(), ..BertConfig::read(&path).unwrap() }, config);
    }

    /// Whatever stands in a file, it is read or refused in a line.
    #[test]
    fn a_bert_of_anything_is_read_or_refused(
        field in prop::sample::select(vec![
            "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
            "hidden_act", "max_position_embeddings", "position_rows", "type_vocab_size", "layer_norm_eps",
            "tie_word_embeddings", "pad_token_id", "position_embedding_type", "embedding_size",
        ]),
        value in prop::sample::select(vec![
            json!(null), json!(0), json!(-1), json!(1.5), json!(1u64 << 40), json!("x"), json!([1]), json!({}), json!(true),
            json!(99_999_999),
        ]),
    ) {
        let mut map = object(json!({
            "vocab_size": 21128, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 512,
        }));
        map.insert(field.to_owned(), value);
        match BertConfig::from_json(Path::new("bert_config.json"), map) {
            Ok(config) => config.validate().unwrap(),
            Err(error) => {
                let error = error.to_string();
                prop_assert!(error.starts_with("bert_config.json: ") && !error.contains('\n'), "{}", error);
            }
        }
    }
}
