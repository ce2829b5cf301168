//! UniLM against bert4keras 0.11.5 itself, from the same TensorFlow checkpoints (`tools/bert4keras_check.py`).

use std::path::Path;

use serde_json::Value;
use t5kit_model::{Batch, Config, LoadOptions, Plan};
use t5kit_tensor::{Graph, Pool, Regime, ops};

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn logits_are_those_of_bert4keras() {
    for name in ["bert", "nezha", "roformer"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bert/{name}-google"));
        let text = std::fs::read_to_string(folder.join("unilm.json")).unwrap();
        let examples: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(examples.len(), if name == "bert" { 4 } else { 3 });
        for example in examples {
            let max_positions = example["long"].as_bool().unwrap().then_some(64);
            let options = LoadOptions { max_positions, ..LoadOptions::default() };
            let mut plan = Plan::<Config>::of(&folder, &options).unwrap();
            if let Config::Bert(config) = &mut plan.config {
                // bert4keras has this number in its code, whatever the configuration says.
                config.max_relative_position = 64;
            }
            let model = plan.load().unwrap();
            let (source, target): (Vec<u32>, Vec<u32>) = (list(&example["source"]), list(&example["target"]));
            let batch = Batch::new([source], [target], model.rows()).unwrap();
            let pool = Pool::new(2);
            let mut graph = Graph::inference(model.params(), &pool, Regime::Bulk);
            let hidden = model.hidden(&mut graph, &batch);
            let logits = ops::logits(&graph, &hidden.value, model.softmax());
            let want: Vec<f32> = list(&example["logits"]);
            assert_eq!(logits.data().len(), want.len());
            let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
            let difference = logits.data().iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("{name}, {} tokens: {:.1e}", batch.tokens(), difference / largest);
            assert!(difference < 1e-5 * largest, "{name}: {difference}");
        }
    }
}
