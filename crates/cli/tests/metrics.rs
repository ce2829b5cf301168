//! `t5kit metrics` as a user runs it. The numbers themselves are checked in `t5kit-eval`.

mod common;
use common::{arg, file, run};
use t5kit_eval::{Metric, Scorer};

fn metrics(predictions: &[u8], references: &[u8]) -> common::Run {
    with(predictions, references, &["--preset", "csl"])
}

fn with(predictions: &[u8], references: &[u8], flags: &[&str]) -> common::Run {
    let folder = tempfile::tempdir().unwrap();
    let (p, r) = (file(folder.path(), "p.txt", predictions), file(folder.path(), "r.txt", references));
    run([&["metrics", "--predictions", arg(&p), "--references", arg(&r)], flags].concat())
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
fn metrics_by_name_in_the_order_asked_for() {
    let lines = [("正面", "正面"), ("负面 ", "正面"), ("《红楼梦》", "红楼梦")];
    let [predictions, references] =
        [lines.map(|line| line.0), lines.map(|line| line.1)].map(|l| l.join("\n"));
    let scores = |flags: &[&str]| -> Vec<(String, f64)> {
        let out = with(predictions.as_bytes(), references.as_bytes(), flags).ok();
        let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&out).unwrap();
        json.into_iter().map(|(name, value)| (name, value.as_f64().unwrap())).collect()
    };
    // Words: all of 2, 1 of 2 and 2, all of 3. Labels: 正面 in 1 of 1 predicted and 2 expected, three others never.
    let want =
        [("f1", 2.5 / 3.0), ("accuracy", 1.0 / 3.0), ("exact-match", 2.0 / 3.0), ("macro-f1", 1.0 / 6.0)];
    let got = scores(&["--metric", "f1,accuracy", "--metric", "exact-match,macro-f1"]);
    assert_eq!(got.len(), want.len());
    for ((name, value), (wanted, score)) in got.iter().zip(want) {
        assert!(name == wanted && (value - score).abs() < 1e-12, "{name}: {value}, {wanted}: {score}");
    }
    let mut scorer = Scorer::new(&Metric::ALL);
    lines.iter().for_each(|(prediction, reference)| scorer.add(prediction, reference));
    let want: Vec<_> =
        scorer.scores().into_iter().map(|(metric, score)| (metric.name().to_owned(), score)).collect();
    assert_eq!(scores(&["--metric", &Metric::ALL.map(Metric::name).join(",")]), want);
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
    with(b"a\n", b"a\n", &["--metric", "bleu,beauty"]).is_wrong_usage("rouge-l, chrf");
    with(b"a\n", b"a\n", &["--metric", "bleu", "--preset", "csl"]).is_wrong_usage("--preset");
}
