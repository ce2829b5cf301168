use std::fs;

use super::*;
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
        (json!({"use_rslora": true}), "use_rslora"),
        (json!({"use_dora": true}), "use_dora"),
        (json!({"rank_pattern": {"q": 2}}), "rank_pattern"),
        (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
        (json!({"init_lora_weights": "pissa"}), "init_lora_weights"),
        (json!({"of_a_later_version": 1}), "of_a_later_version"),
    ] {
        let error = error(extra);
        assert!(error.starts_with(&format!("dir/adapter_config.json: {field}: ")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

/// A folder whose adapter has these tensors of zeros.
fn folder(tensors: &[(&str, DType, &[usize])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config =
        LoraConfig { r: 2, lora_alpha: 8.0, target_modules: vec!["q".into()], base_model_name_or_path: None };
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
