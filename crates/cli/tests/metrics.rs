//! `t5kit metrics` as a user runs it. The numbers themselves are checked in `t5kit-eval`.

mod common;
use common::{arg, file, run};

fn metrics(predictions: &[u8], references: &[u8]) -> common::Run {
    let folder = tempfile::tempdir().unwrap();
    let (p, r) = (file(folder.path(), "p.txt", predictions), file(folder.path(), "r.txt", references));
    run(["metrics", "--predictions", arg(&p), "--references", arg(&r), "--preset", "csl"])
}

#[test]
fn prints_one_json_object() {
    let out = metrics("今天天气很好\nabc\n\n".as_bytes(), "今天天气好\nABC\n空\n".as_bytes()).ok();
    assert_eq!(out.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(names, ["rouge-1", "rouge-2", "rouge-l", "bleu"]);
    // rouge 1.0.1 and nltk 3.10.4 on the same three lines.
    for (name, expected) in [
        ("rouge-1", 0.6296296263168725),
        ("rouge-2", 0.5555555522427983),
        ("rouge-l", 0.6296296263168725),
        ("bleu", 0.36654209703404),
    ] {
        let value = json[name].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-9, "{name}: {value}");
    }
}

#[test]
fn bad_input_is_one_line() {
    metrics(b"a\nb\n", b"a\n").fails(&["r.txt has 1 lines", "p.txt has more"]);
    metrics(b"", b"").fails(&["no lines"]);
    metrics(b"a\n\xff\n", b"a\nb\n").fails(&["p.txt, line 2", "UTF-8"]);
    run(["metrics", "--predictions", "no/p.txt", "--references", "no/r.txt"])
        .fails(&["cannot read no/p.txt", "No such file"]);
}

#[test]
fn wrong_usage() {
    run(["metrics"]).is_wrong_usage("--predictions");
    run(["metrics", "--predictions", "a"]).is_wrong_usage("--references");
    run(["metrics", "--predictions", "a", "--references", "b", "--preset", "x"]).is_wrong_usage("csl");
}
