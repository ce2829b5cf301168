//! `t5kit evaluate` as a user runs it.

mod common;
use common::{arg, file, lab::Lab, model, names, run};
use serde_json::Value;

fn lab() -> Lab {
    let lab = Lab::new(
        "--model config.json --tokenizer spiece.model --train train.tsv --batch-size 8 --learning-rate 1e-2 --threads 2",
    );
    lab.finetune("short", &["--max-steps", "3"]).ok();
    lab.finetune("long", &["--max-steps", "30", "--epochs", "100"]).ok();
    lab
}

#[test]
fn models_are_compared_with_the_first_and_the_figures_are_those_of_the_predictions() {
    let lab = lab();
    let (short, long, data) = (lab.path("short"), lab.path("long"), lab.path("train.tsv"));
    let output = lab.path("evaluation");
    let base =
        ["evaluate", "--model", arg(&short), arg(&long), "--data", arg(&data), "--output", arg(&output)];
    let few = [
        "--max-new-tokens",
        "8",
        "--speed-sources",
        "6",
        "--bootstrap",
        "100",
        "--metric",
        "csl,sacrebleu:char",
    ];
    let table = run(base.iter().chain(&few)).ok();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("model") && lines[0].contains("ROUGE-L") && lines[0].contains("samples/s"),
        "{table}"
    );
    assert!(lines[1].starts_with("short") && lines[1].contains("1.00x") && lines[1].contains('±'), "{table}");
    assert!(lines[2].starts_with("long"), "{table}");
    assert_eq!(names(&output), ["evaluation.html", "evaluation.json", "predictions.tsv"]);

    let json: Value = serde_json::from_slice(&lab.read("evaluation/evaluation.json")).unwrap();
    assert_eq!((&json["examples"], &json["data"]), (&Value::from(24), &Value::from("train.tsv")));
    let predictions = lab.path("evaluation/predictions.tsv");
    for (number, name) in ["short", "long"].into_iter().enumerate() {
        let of = &json["models"][number];
        assert_eq!(of["model"], name);
        assert!(of["speed"]["samples_per_second"].as_f64() > Some(0.0), "{of}");
        assert_eq!(of["speed"]["sources"], 6);
        let metrics =
            ["metrics", "--predictions", arg(&predictions), "--prediction", name, "--reference", "reference"];
        let kept = ["--punctuation", "keep", "--json", "--metric", "csl,sacrebleu:char"];
        let again: Value = serde_json::from_str(&run(metrics.iter().chain(&kept)).ok()).unwrap();
        for metric in ["rouge-1", "rouge-2", "rouge-l", "bleu", "sacrebleu:char"] {
            assert_eq!(of["metrics"][metric]["value"], again["metrics"][metric]["value"], "{name}: {metric}");
        }
    }
    let learnt = |i: usize| json["models"][i]["metrics"]["rouge-1"]["value"].as_f64().unwrap();
    assert!(learnt(1) > learnt(0), "thirty steps are more than three: {json}");
    let page = String::from_utf8(lab.read("evaluation/evaluation.html")).unwrap();
    assert!(page.contains("t5kit evaluate --model") && page.contains("甲"));

    // What is there stays, unless it is asked for.
    run(base.iter().chain(&few)).fails(&["evaluation", "--force"]);
    run(base.iter().chain(&few).chain(&["--force"])).ok();
}

#[test]
fn the_texts_are_those_that_generate_gives() {
    let lab = lab();
    let (long, data) = (lab.path("long"), lab.path("valid.tsv"));
    let output = lab.path("out");
    let flags = ["--num-beams", "2", "--max-new-tokens", "8"];
    let evaluate = ["evaluate", "--model", arg(&long), "--data", arg(&data), "--output", arg(&output)];
    let json =
        run(evaluate.iter().chain(&flags).chain(&["--speed-sources", "0", "--bootstrap", "0", "--json"]))
            .ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    let of = &json["models"][0];
    assert!(of["speed"].is_null() && of["metrics"]["bleu"]["low"].is_null(), "{of}");
    let generate = ["generate", "--model", arg(&long), "--input", arg(&data), "--source", "1"];
    let texts = run(generate.iter().chain(&flags)).ok();
    let table = String::from_utf8(lab.read("out/predictions.tsv")).unwrap();
    let predictions: Vec<&str> = table.lines().skip(1).map(|line| line.split('\t').nth(2).unwrap()).collect();
    assert_eq!(predictions, texts.lines().collect::<Vec<_>>());
}

#[test]
fn each_source_may_have_several_right_texts() {
    let lab = lab();
    let (long, output) = (lab.path("long"), lab.path("out"));
    // What the model has learnt is the second column's; once there is nothing in the first.
    let rows = String::from_utf8(lab.read("train.tsv")).unwrap();
    let rows = rows.lines().map(|line| line.split_once('\t').unwrap()).enumerate();
    let row = |(i, (source, target))| format!("{source},{},{target}\n", ["", "庚", "jj"][i % 3]);
    let rows: String = rows.map(row).collect();
    let data = file(&lab.path(""), "several.csv", format!("摘要,标题,别名\n{rows}"));
    let base = ["evaluate", "--model", arg(&long), "--data", arg(&data), "--output", arg(&output), "--force"];
    let few = ["--speed-sources", "0", "--bootstrap", "0", "--max-new-tokens", "8", "--json"];
    let with = |targets: &[&str]| run(base.iter().chain(&few).chain(&["--source", "摘要"]).chain(targets));
    let both = with(&["--target", "标题", "--target", "别名", "--metric", "csl,sacrebleu:char"]);
    assert!(both.stderr.contains("several.csv: source = 摘要, target = 标题, target = 别名"), "{both:#?}");
    let both: Value = serde_json::from_str(&both.ok()).unwrap();
    let table = String::from_utf8(lab.read("out/predictions.tsv")).unwrap();
    assert_eq!(table.lines().next(), Some("source\treference\treference 2\tlong"));
    let page = String::from_utf8(lab.read("out/evaluation.html")).unwrap();
    assert!(page.contains("庚") && page.contains("jj"));
    // The figures are those that `metrics` gives for both columns, and not those of one.
    let predictions = lab.path("out/predictions.tsv");
    let metrics = ["metrics", "--predictions", arg(&predictions), "--prediction", "long", "--json"];
    let flags = ["--punctuation", "keep", "--metric", "csl,sacrebleu:char"];
    let of = |references: &[&str]| -> Value {
        let references = references.iter().flat_map(|name| ["--reference", *name]);
        let all: Vec<&str> = metrics.iter().chain(&flags).copied().chain(references).collect();
        serde_json::from_str(&run(all).ok()).unwrap()
    };
    let (two, one) = (of(&["reference", "reference 2"]), of(&["reference"]));
    let figure = |value: &Value, name: &str| value["metrics"][name]["value"].clone();
    for name in ["rouge-1", "rouge-l", "sacrebleu:char"] {
        assert_eq!(figure(&both["models"][0], name), figure(&two, name), "{name}");
    }
    assert_ne!(figure(&two, "rouge-1"), figure(&one, "rouge-1"));
    with(&["--target", "标题", "--target", "2"]).is_wrong_usage("--target names the column 标题 twice");
    with(&["--target", "标题", "--target", "题目"]).fails(&["no column \"题目\""]);
}

#[test]
fn an_interrupted_evaluation_goes_on_where_a_model_was_finished() {
    let lab = lab();
    let (short, data, output) = (lab.path("short"), lab.path("valid.tsv"), lab.path("out"));
    let base = ["evaluate", "--data", arg(&data), "--output", arg(&output), "--speed-sources", "0"];
    let second = lab.path("nothing");
    let models = ["--model", arg(&short), arg(&second)];
    // The second model is none: the first was finished.
    run(base.iter().chain(&models)).fails(&["nothing"]);
    assert!(!output.exists() && lab.path("out.unfinished").exists());
    run(base.iter().chain(&models)).fails(&["out.unfinished", "--resume", "--force"]);
    lab.finetune("nothing", &["--max-steps", "1"]).ok();
    let other = ["--resume", "--num-beams", "2"];
    run(base.iter().chain(&models).chain(&other)).fails(&["was asked otherwise"]);
    let done = run(base.iter().chain(&models).chain(&["--resume"]));
    assert!(done.stderr.contains("short: taken from the interrupted evaluation"), "{done:#?}");
    assert_eq!(done.ok().lines().filter(|line| line.starts_with("nothing")).count(), 1);
    assert!(!lab.path("out.unfinished").exists());
}

#[test]
fn what_cannot_be_evaluated_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = model::hugging_face(folder.path());
    let (pairs, empty) = (model::pairs(folder.path(), "pairs.tsv", 4), file(folder.path(), "empty.tsv", ""));
    let output = folder.path().join("out");
    let with = |data, more: &[&str]| {
        let base = ["evaluate", "--model", arg(&model), "--data", arg(data), "--output", arg(&output)];
        run(base.iter().chain(more))
    };
    with(&empty, &[]).is_wrong_usage("holds no example");
    with(&pairs, &["--name", "a,b"]).is_wrong_usage("2 names for 1 models");
    with(&pairs, &["--metric", "rogue"]).is_wrong_usage("rouge");
    with(&pairs, &["--metric", "pearson"]).fails(&["compares numbers"]);
    with(&pairs, &["--source", "5"]).fails(&["5"]);
    with(&folder.path().join("none.tsv"), &[]).fails(&["none.tsv"]);
    assert!(!output.exists());
}
