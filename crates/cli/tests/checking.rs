//! `t5kit convert --check` as a user runs it.

mod common;
use common::{arg, file, lab::Lab, names, run};
use serde_json::Value;

fn lab() -> Lab {
    let lab = Lab::new(
        "--model config.json --tokenizer spiece.model --train train.tsv --batch-size 8 --learning-rate 1e-2 --threads 2",
    );
    lab.finetune("run", &["--max-steps", "20", "--epochs", "100"]).ok();
    lab
}

#[test]
fn the_same_type_changes_nothing_and_int8_little() {
    let lab = lab();
    let (model, data) = (lab.path("run"), lab.path("train.tsv"));
    let check = |dtype: &str, more: &[&str]| {
        let output = lab.path(dtype);
        let base = ["convert", "--model", arg(&model), "--dtype", dtype, "--output", arg(&output), "--force"];
        let check = ["--check", arg(&data), "--bootstrap", "50", "--max-new-tokens", "8"];
        run(base.iter().chain(&check).chain(more)).ok()
    };
    let same: Value = serde_json::from_str(&check("f32", &["--json"])).unwrap();
    assert_eq!(same["examples"], 24);
    assert_eq!(same["against_original"]["accuracy"]["value"], 1.0);
    assert_eq!((&same["log_prob"]["difference"], &same["log_prob"]["greatest"]), (&0.0.into(), &0.0.into()));
    assert_eq!(same["log_prob_of"], "targets");
    for name in ["accuracy", "rouge-l", "bleu"] {
        let figure = &same["against_targets"][name];
        assert_eq!(figure["value"], figure["first"], "{name}");
    }

    let int8: Value = serde_json::from_str(&check("int8", &["--json"])).unwrap();
    let number = |key: &str| int8["log_prob"][key].as_f64().unwrap();
    assert!(number("difference") != 0.0 && number("difference").abs() < 0.5, "{int8}");
    assert!(number("low") <= number("difference") && number("difference") <= number("high"), "{int8}");
    assert!(names(&lab.path("int8")).contains(&"model.safetensors".to_owned()));

    let table = check("bf16", &["--max-examples", "6"]);
    assert!(table.contains("identical") && table.contains("ROUGE-L") && table.contains("BLEU"), "{table}");
    for row in ["converted against original", "original against targets", "converted against targets"] {
        assert!(table.contains(row), "{table}");
    }
    assert!(table.contains("6 examples, in percent; greedy"), "{table}");
}

#[test]
fn sources_alone_are_enough() {
    let lab = lab();
    let (model, output) = (lab.path("run"), lab.path("int8"));
    let lines = file(&lab.path(""), "sources.txt", "甲乙丙\n丁戊，己\n");
    let base = ["convert", "--model", arg(&model), "--dtype", "int8", "--output", arg(&output)];
    let json = run(base.iter().chain(&["--check", arg(&lines), "--json"])).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["examples"], &json["against_targets"]), (&2.into(), &Value::Null));
    assert_eq!(json["log_prob_of"], "outputs");
}

#[test]
fn what_cannot_be_checked_is_said_before_anything_is_converted() {
    let lab = lab();
    let (model, output) = (lab.path("run"), lab.path("int8"));
    let base = ["convert", "--model", arg(&model), "--dtype", "int8", "--output", arg(&output)];
    let with = |more: &[&str]| run(base.iter().chain(more));
    let three = file(&lab.path(""), "three.tsv", "甲\t乙\t丙\n甲\t乙\t丙\n");
    let broken = file(
        &lab.path(""),
        "broken.jsonl",
        "{\"source\": \"甲\", \"target\": \"乙\"}
{\"source\": \"甲\", \"target\"
",
    );
    let empty = file(&lab.path(""), "empty.tsv", "");
    with(&["--check", "nowhere.tsv"]).fails(&["nowhere.tsv"]);
    with(&["--check", arg(&broken)]).fails(&["broken.jsonl"]);
    with(&["--check", arg(&three)]).is_wrong_usage("three.tsv");
    with(&["--check", arg(&empty)]).is_wrong_usage("holds no example");
    with(&["--json"]).is_wrong_usage("--check");
    let config = lab.path("config.json");
    let tokenizer = lab.path("spiece.model");
    let random =
        ["convert", "--model", arg(&config), "--tokenizer", arg(&tokenizer), "--output", arg(&output)];
    run(random.iter().chain(&["--check", arg(&lab.path("train.tsv"))])).is_wrong_usage("bare configuration");
    assert!(!output.exists());
}
