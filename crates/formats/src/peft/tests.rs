use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::DType;
use crate::safetensors::{SafetensorsWriter, TensorSpec};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

fn error(extra: Value) -> String {
    let mut map = object(json!({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q"]}));
    map.extend(object(extra));
    LoraConfig::from_json(Path::new("dir/adapter_config.json"), map).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read() {
    for lora_alpha in [16.0, 0.5] {
        let config = LoraConfig {
            r: 4,
            lora_alpha,
            target_modules: vec!["q".into(), "v".into()],
            base_model_name_or_path: Some("google/mt5-small".into()),
            task_type: (lora_alpha == 16.0).then(|| "SEQ_2_SEQ_LM".into()),
            ..LoraConfig::default()
        };
        assert_eq!(LoraConfig::from_json(Path::new("x"), config.to_json()).unwrap(), config);
        assert_eq!(config.scale(), (lora_alpha / 4.0) as f32);
    }
}

#[test]
fn what_is_not_plain_lora_is_refused_by_its_field() {
    for (extra, field) in [
        (json!({"peft_type": "IA3"}), "peft_type"),
        (json!({"peft_type": null}), "peft_type"),
        (json!({"r": 0}), "r"),
        (json!({"r": -1}), "r"),
        (json!({"lora_alpha": "8"}), "lora_alpha"),
        (json!({"bias": "all"}), "bias"),
        (json!({"lora_bias": true}), "lora_bias"),
        (json!({"use_rslora": 1}), "use_rslora"),
        (json!({"use_dora": true}), "use_dora"),
        (json!({"rank_pattern": {"q": "2"}}), "rank_pattern"),
        (json!({"rank_pattern": ["q"]}), "rank_pattern"),
        (json!({"alpha_pattern": {"q(": 2}}), "alpha_pattern"),
        (json!({"modules_to_save": "lm_head"}), "modules_to_save"),
        (json!({"peft_type": "PREFIX_TUNING"}), "peft_type"),
        (json!({"trainable_token_indices": [1]}), "trainable_token_indices"),
        (json!({"init_lora_weights": "pissa"}), "init_lora_weights"),
        (json!({"of_a_later_version": 1}), "of_a_later_version"),
    ] {
        let error = error(extra);
        assert!(error.starts_with(&format!("dir/adapter_config.json: {field}: ")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn ranks_and_alphas_are_those_of_the_first_pattern_that_names_the_layer() {
    let config = object(json!({
        "peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": true, "modules_to_save": ["lm_head", "o"],
        "rank_pattern": {"^decoder\\.block\\.0\\.layer\\.0\\.SelfAttention\\.q": 16, "q": 2},
        "alpha_pattern": {"SelfAttention.v": 5, "layer.[01].*": 3, "v": 7}
    }));
    let config = LoraConfig::from_json(Path::new("x"), config).unwrap();
    let name = |side: &str, at: usize, a: &str, m: &str| format!("{side}.block.0.layer.{at}.{a}.{m}");
    let encoder_q = name("encoder", 0, "SelfAttention", "q");
    assert_eq!(config.rank(&encoder_q), Some(2));
    assert_eq!(config.rank(&name("decoder", 0, "SelfAttention", "q")), Some(16));
    assert_eq!(config.rank(&name("decoder", 0, "SelfAttention", "v")), Some(4));
    // 5 / √4, 3 / √2, and nothing for layer.2.
    assert_eq!(config.scale_of(&name("decoder", 0, "SelfAttention", "v"), 4), 2.5);
    assert_eq!(config.scale_of(&encoder_q, 2), (3.0 / 2f64.sqrt()) as f32);
    assert_eq!(config.scale_of(&name("decoder", 2, "DenseReluDense", "wi"), 4), 4.0);
    assert!(config.saves("lm_head") && config.saves(&name("encoder", 0, "SelfAttention", "o")));
    assert!(!config.saves("my_lm_head") && !config.saves(&encoder_q));
}

#[test]
fn the_base_is_beside_the_adapter_or_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("adapter");
    fs::create_dir(&adapter).unwrap();
    let with = |name: Option<&str>| {
        let config =
            LoraConfig { r: 2, base_model_name_or_path: name.map(String::from), ..LoraConfig::default() };
        config.write(&adapter.join(CONFIG)).unwrap();
        base_of(&adapter).map_err(|e| e.to_string())
    };
    assert_eq!(with(Some("google/mt5-small")).unwrap(), "google/mt5-small");
    assert_eq!(with(Some("../base")).unwrap(), "../base");
    fs::create_dir(dir.path().join("base")).unwrap();
    assert_eq!(with(Some("../base")).unwrap(), adapter.join("../base").to_string_lossy());
    // As it was typed where the training was started, two folders above.
    assert_eq!(with(Some("runs/base")).unwrap(), "runs/base");
    fs::create_dir_all(dir.path().join("runs/base")).unwrap();
    assert_eq!(with(Some("runs/base")).unwrap(), dir.path().join("runs/base").to_string_lossy());
    assert!(with(None).unwrap_err().contains("base_model_name_or_path: missing"));
    assert!(with(Some("")).is_err());
}

/// A folder whose adapter has these tensors of zeros.
fn folder(tensors: &[(&str, DType, &[usize])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config =
        LoraConfig { r: 2, lora_alpha: 8.0, target_modules: vec!["q".into()], ..LoraConfig::default() };
    config.write(&dir.path().join(CONFIG)).unwrap();
    let specs: Vec<TensorSpec> =
        tensors.iter().map(|&(name, dtype, shape)| TensorSpec::new(name, dtype, shape)).collect();
    let path = dir.path().join(WEIGHTS);
    let mut writer = SafetensorsWriter::new(fs::File::create(&path).unwrap(), &path, &specs, &[]).unwrap();
    for &(name, dtype, shape) in tensors {
        writer.tensor(name, [vec![0u8; dtype.byte_len(shape).unwrap()]]).unwrap();
    }
    writer.finish().unwrap();
    dir
}

#[test]
fn tensors_must_be_the_pairs_that_the_settings_say() {
    let (a, b) = ("base_model.model.x.q.lora_A.weight", "base_model.model.x.q.lora_B.weight");
    let good = folder(&[(a, DType::F32, &[2, 5]), (b, DType::Bf16, &[3, 2])]);
    let file = LoraFile::open(good.path()).unwrap();
    assert_eq!(file.modules, BTreeMap::from([("x.q".to_owned(), [3, 5])]));
    assert_eq!(file.tensor("x.q", Side::B).unwrap().1.len(), 12);
    assert!(file.tensor("x.k", Side::A).is_err());

    for (tensors, named) in [
        (vec![(a, DType::F32, &[2, 5][..])], b),
        (vec![(b, DType::F32, &[3, 2])], a),
        (vec![(a, DType::F32, &[3, 5]), (b, DType::F32, &[3, 2])], a),
        (vec![(a, DType::F32, &[2, 5]), (b, DType::F32, &[2, 3])], b),
        (vec![(a, DType::F32, &[2, 5, 1]), (b, DType::F32, &[3, 2])], a),
        (vec![(a, DType::I32, &[2, 5]), (b, DType::F32, &[3, 2])], a),
        (vec![("base_model.model.x.q.weight", DType::F32, &[2, 5])], "base_model.model.x.q.weight"),
        (vec![("x.q.lora_A.weight", DType::F32, &[2, 5])], "x.q.lora_A.weight"),
        (vec![], "no tensor"),
    ] {
        let error = LoraFile::open(folder(&tensors).path()).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains(WEIGHTS) && !error.contains('\n'), "{error}");
    }
}

/// Cut and damaged files give an error or an adapter, never a panic.
#[test]
fn damage_is_an_error() {
    let (a, b) = ("base_model.model.x.q.lora_A.weight", "base_model.model.x.q.lora_B.weight");
    let good = folder(&[(a, DType::F32, &[2, 5]), (b, DType::F32, &[3, 2])]);
    for name in [CONFIG, WEIGHTS] {
        let path = good.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            fs::write(&path, &bytes[..at]).unwrap();
            assert!(LoraFile::open(good.path()).is_err() || bytes[at..] == *b"\n", "{name} cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            let _ = LoraFile::open(good.path());
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert!(LoraFile::open(good.path()).is_ok());
}
