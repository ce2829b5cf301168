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
    assert_eq!(names, ["rouge-1", "rouge-2", "rouge-l", "bleu", "examples", "signature"]);
    assert_eq!(json["examples"], 3);
    let signature = json["signature"].as_str().unwrap();
    assert!(signature.starts_with("rouge-1+rouge-2+rouge-l+bleu|n:3|punctuation:kept|t5kit:"), "{signature}");
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
        let figures = json.into_iter().filter(|(name, _)| name != "examples" && name != "signature");
        figures.map(|(name, value)| (name, value.as_f64().unwrap())).collect()
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
    metrics(b"a\nb\n", b"a\n").fails(&["r.txt has 1 text", "p.txt has more"]);
    metrics(b"", b"").fails(&["no texts"]);
    metrics(b"a\n\xff\n", b"a\nb\n").fails(&["p.txt, line 2", "UTF-8"]);
    run(["metrics", "--predictions", "no/p.txt", "--references", "no/r.txt"])
        .fails(&["no/p.txt: cannot be opened", "No such file"]);
}

/// What is printed of these files, but for what the program says of them.
fn figures(folder: &std::path::Path, flags: &[&str]) -> serde_json::Value {
    let mut program = common::program();
    let out = common::finish(program.current_dir(folder).arg("metrics").args(flags)).ok();
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_mark_and_an_encoding_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "今天天气真好\n水运工程项目管理\nhello world 的模型\n";
    file(folder.path(), "p.txt", "今天天气很好\n水运工程管理\nHello World 模型\n");
    file(folder.path(), "r.txt", text);
    file(folder.path(), "mark.txt", format!("\u{feff}{text}"));
    let wide = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
    file(folder.path(), "wide.txt", wide);
    // 今天天气真好 / 水运工程项目管理 / hello world 的模型 in GBK.
    let gbk = b"\xbd\xf1\xcc\xec\xcc\xec\xc6\xf8\xd5\xe6\xba\xc3\n\xcb\xae\xd4\xcb\xb9\xa4\xb3\xcc\xcf\xee\xc4\xbf\xb9\xdc\xc0\xed\nhello world \xb5\xc4\xc4\xa3\xd0\xcd\n";
    file(folder.path(), "gbk.txt", gbk);
    let want = figures(folder.path(), &["--predictions", "p.txt", "--references", "r.txt"]);
    for name in ["mark.txt", "wide.txt", "gbk.txt"] {
        assert_eq!(figures(folder.path(), &["--predictions", "p.txt", "--references", name]), want, "{name}");
    }
}

#[test]
fn columns_of_tables_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "out.csv", "摘要,标题,generated\n\"甲,\n乙\",好,好\n丙,坏,差\n");
    file(folder.path(), "r.jsonl", "{\"标题\":\"好\"}\n{\"标题\":\"差\"}\n");
    for (flags, accuracy) in [
        (&["--predictions", "out.csv", "--reference", "标题"][..], 0.5),
        (&["--predictions", "out.csv", "--prediction", "generated", "--references", "r.jsonl"], 1.0),
        (&["--predictions", "out.csv", "--prediction", "2", "--references", "r.jsonl"], 0.5),
    ] {
        let got = figures(folder.path(), &[flags, &["--metric", "accuracy"]].concat());
        assert_eq!(got["accuracy"], accuracy, "{flags:?}");
        assert_eq!(got["examples"], 2);
    }
    let mut program = common::program();
    let run = common::finish(program.current_dir(&folder).args([
        "metrics",
        "--predictions",
        "out.csv",
        "--reference",
        "标题",
        "--metric",
        "accuracy",
    ]));
    assert!(run.stderr.contains("out.csv: column generated, encoding: UTF-8"), "{run:?}");
}

#[test]
fn punctuation_is_restored_where_the_references_have_it() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "p.txt", "基于模型的方法:设计(一)\n");
    file(folder.path(), "full.txt", "基于模型的方法：设计（一）\n");
    file(folder.path(), "half.txt", "基于模型的方法:设计(一)\n");
    for (reference, flags, accuracy, done) in [
        ("full.txt", &[][..], 1.0, "restored"),
        ("half.txt", &[], 1.0, "kept"),
        ("full.txt", &["--punctuation", "keep"], 0.0, "kept"),
        ("half.txt", &["--punctuation", "restore"], 0.0, "restored"),
    ] {
        let base = ["--predictions", "p.txt", "--references", reference, "--metric", "accuracy"];
        let got = figures(folder.path(), &[&base, flags].concat());
        assert_eq!(got["accuracy"], accuracy, "{reference} {flags:?}");
        let signature = got["signature"].as_str().unwrap();
        assert!(signature.contains(&format!("|punctuation:{done}|")), "{signature}");
    }
}

#[test]
fn wrong_usage() {
    run(["metrics"]).is_wrong_usage("--predictions");
    run(["metrics", "--predictions", "a"]).is_wrong_usage("--reference");
    run(["metrics", "--predictions", "a", "--references", "b", "--preset", "x"]).is_wrong_usage("csl");
    with(b"a\n", b"a\n", &["--metric", "bleu,beauty"]).is_wrong_usage("rouge-l, chrf");
    with(b"a\n", b"a\n", &["--metric", "bleu", "--preset", "csl"]).is_wrong_usage("--preset");
}
