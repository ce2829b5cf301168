//! What a model's `generation_config.json` says, against transformers 4.57 (`tools/generation_config_goldens.py`).

mod common;

use common::{Hypotheses, compare, golden, open, run, sequences};
use serde_json::{Value, json};
use t5kit_formats::generation_config::{GenerationConfig, NAME};
use t5kit_generate::{EarlyStopping, GenerateOptions};
use t5kit_model::SpecialIds;

fn read(file: &Value) -> GenerationConfig {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    std::fs::write(&path, file.to_string()).unwrap();
    GenerationConfig::read(&path).unwrap()
}

#[test]
fn the_file_means_what_it_means_in_transformers() {
    let goldens = golden("generation_config.json");
    let (_, own) = open("mt5");
    let all = sequences(&own["sources"]);
    let which: Vec<usize> = serde_json::from_value(goldens["sources"].clone()).unwrap();
    let sources: Vec<Vec<u32>> = which.iter().map(|&i| all[i].clone()).collect();
    let mut seen = 0;
    for (name, case) in goldens["cases"].as_object().unwrap() {
        let file = read(&case["file"]);
        assert!(file.ignored.is_empty(), "{name}: {file:?}");
        let (model, _) = open("mt5");
        let mut o = GenerateOptions::new(model.rows(), model.special_ids());
        o.prefix = serde_json::from_value(case["prefix"].clone()).unwrap();
        o.apply(&file).unwrap();
        o.check_ids(model.rows()).unwrap();

        let want = &case["effective"];
        let given = 1 + o.prefix.len();
        let real = |field: &str| want[field].as_f64().unwrap_or(0.0) as f32;
        let whole = |field: &str| want[field].as_u64().unwrap() as usize;
        let stop = match o.early_stopping {
            EarlyStopping::Yes => json!(true),
            EarlyStopping::No => json!(false),
            other => json!(format!("{other:?}").to_lowercase()),
        };
        assert_eq!(
            (json!(o.do_sample), stop),
            (want["do_sample"].clone(), want["early_stopping"].clone()),
            "{name}"
        );
        for (got, field) in [
            (o.num_beams, "num_beams"),
            (o.no_repeat_ngram_size, "no_repeat_ngram_size"),
            (o.num_return_sequences, "num_return_sequences"),
            (o.max_new_tokens + given, "max_length"),
        ] {
            assert_eq!(got, whole(field), "{name}: {field}");
        }
        assert_eq!(o.min_new_tokens, whole("min_length").saturating_sub(given), "{name}");
        for (got, field) in [
            (o.temperature, "temperature"),
            (o.top_p, "top_p"),
            (o.min_p, "min_p"),
            (o.length_penalty, "length_penalty"),
            (o.repetition_penalty, "repetition_penalty"),
        ] {
            assert_eq!(got, real(field), "{name}: {field}");
        }
        if o.do_sample {
            assert_eq!(o.top_k, whole("top_k"), "{name}");
            continue;
        }
        let outputs = run(&*model, 2, &sources, &o);
        let want: Vec<Option<Hypotheses>> = serde_json::from_value(case["outputs"].clone()).unwrap();
        let want: Vec<_> = want.into_iter().map(Option::unwrap_or_default).collect();
        seen += compare(name, &outputs, &want);
    }
    assert!(seen > 40, "{seen} outputs");
}

#[test]
fn a_length_that_the_prefix_fills_and_foreign_ids_are_errors() {
    let mut o = GenerateOptions::new(10, SpecialIds::default());
    o.prefix = vec![3, 4];
    let error = o.apply(&read(&json!({"max_length": 3}))).unwrap_err().to_string();
    assert!(error.contains("max_length 3 leaves no room"), "{error}");
    o.apply(&read(&json!({"eos_token_id": [1, 999]}))).unwrap();
    assert_eq!(o.ids.end, [1, 999]);
    let error = o.check_ids(188).unwrap_err().to_string();
    assert!(error.contains("eos_token_id: 999 is not below"), "{error}");
}
