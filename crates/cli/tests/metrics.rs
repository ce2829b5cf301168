//! `t5kit metrics` as a user runs it. The numbers themselves are checked in `t5kit-eval`.

mod common;
use common::{arg, file, run};
use serde_json::Value;

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
    // What there was before there was `metrics` comes first, as it was.
    let metrics = ["rouge-1", "rouge-2", "rouge-l", "bleu"];
    let rest = ["examples", "signature", "metrics", "empty_predictions", "empty_references", "bootstrap"];
    assert_eq!(names, [&metrics[..], &rest].concat());
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
        let figure = &json["metrics"][name];
        assert_eq!(figure["value"], value);
        assert!(
            figure["low"].as_f64().unwrap() < value && value < figure["high"].as_f64().unwrap(),
            "{figure}"
        );
    }
    assert_eq!(
        json["metrics"]["bleu"]["signature"],
        "metric:bleu|nrefs:1|case:lc|tok:char|smooth:method1|version:nltk-3.10.4"
    );
    assert_eq!(json["bootstrap"], serde_json::json!({"samples": 1000, "seed": 12345}));
    assert_eq!(json["empty_predictions"], 1);
}

#[test]
fn metrics_by_name_in_the_order_asked_for() {
    let lines = [("正面", "正面"), ("负面 ", "正面"), ("《红楼梦》", "红楼梦")];
    let [predictions, references] =
        [lines.map(|line| line.0), lines.map(|line| line.1)].map(|l| l.join("\n"));
    let object = |names: &[&str]| -> Value {
        let flags: Vec<&str> = names.iter().flat_map(|name| ["--metric", *name]).collect();
        let run = with(predictions.as_bytes(), references.as_bytes(), &flags);
        serde_json::from_str(&run.ok()).unwrap()
    };
    let got = object(&["f1,accuracy", "exact-match,macro-f1", "sacrebleu:zh", "squad", "rouge_score:char"]);
    // Words: all of 2, 1 of 2 and 2, all of 3. Labels: 正面 in 1 of 1 predicted and 2 expected, three others never.
    // BLEU: of 9, 6, 3 and 2 n-grams 6, 3, 1 and none are found, and none counts as a half.
    let bleu = 100.0 * ((6.0f64 / 9.0) * 0.5 * (1.0 / 3.0) * 0.25).powf(0.25);
    let want = [
        ("f1", 2.5 / 3.0),
        ("accuracy", 1.0 / 3.0),
        ("exact-match", 2.0 / 3.0),
        ("macro-f1", 1.0 / 6.0),
        ("sacrebleu:zh", bleu),
        ("exact_match", 1.0 / 3.0),
        ("squad/f1", 1.0 / 3.0),
    ];
    let names: Vec<&String> = got["metrics"].as_object().unwrap().keys().collect();
    let rouge = ["rouge1", "rouge2", "rougeL", "rougeLsum"];
    assert_eq!(names, [&want.map(|(name, _)| name)[..], &rouge].concat());
    for (name, wanted) in want {
        let value = got["metrics"][name]["value"].as_f64().unwrap();
        assert!((value - wanted).abs() < 1e-9, "{name}: {value}, {wanted}");
    }
    assert_eq!(
        got["metrics"]["sacrebleu:zh"]["signature"],
        "nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:2.6.0"
    );
    assert_eq!(got["macro-f1"], got["metrics"]["macro-f1"]["value"]);
    assert_eq!(
        got["classes"][2],
        serde_json::json!({"label": "红楼梦", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1})
    );
    assert_eq!(
        got["confusion"][0],
        serde_json::json!({"reference": "正面", "prediction": "正面", "count": 1})
    );
    // One figure of a name is called by it alone.
    let keys: Vec<String> = object(&["mlqa:zh"])["metrics"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["exact_match", "f1"]);
}

#[test]
fn several_right_texts_are_files_or_columns() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "p.txt", "the cat sat on mats\n好\n");
    file(folder.path(), "a.txt", "a cat sat on mats\n坏\n");
    file(folder.path(), "b.txt", "the cat\n好\n");
    file(
        folder.path(),
        "t.csv",
        "generated,one,two\nthe cat sat on mats,a cat sat on mats,the cat\n好,坏,好\n",
    );
    let metrics = ["--metric", "accuracy,squad,sacrebleu:13a,csl,rouge_score:char"];
    let files = figures(
        folder.path(),
        &[&["--predictions", "p.txt", "--references", "a.txt", "b.txt"][..], &metrics].concat(),
    );
    let twice = ["--predictions", "p.txt", "--references", "a.txt", "--references", "b.txt"];
    assert_eq!(figures(folder.path(), &[&twice[..], &metrics].concat()), files);
    let columns = ["--predictions", "t.csv", "--reference", "one", "--reference", "two"];
    assert_eq!(figures(folder.path(), &[&columns[..], &metrics].concat()), files);
    assert_eq!(files["accuracy"], 0.5);
    assert_eq!(files["metrics"]["exact_match"]["value"], 1.0);
    let signature = files["metrics"]["sacrebleu:13a"]["signature"].as_str().unwrap();
    assert!(signature.starts_with("nrefs:2|"), "{signature}");
    let base =
        ["metrics", "--predictions", "p.txt", "--references", "a.txt", "b.txt", "--metric", "macro-f1"];
    let mut program = common::program();
    common::finish(program.current_dir(&folder).args(base))
        .is_wrong_usage("macro-f1 takes one right text a line, not 2");
}

#[test]
fn two_systems_are_tested_in_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let text = |every: usize| -> String {
        (0..200).map(|i| if i % every == 0 { "坏\n" } else { "好\n" }).collect()
    };
    file(folder.path(), "p.txt", text(10));
    file(folder.path(), "q.txt", text(2));
    file(folder.path(), "r.txt", "好\n".repeat(200));
    let base = ["--predictions", "p.txt", "--references", "r.txt", "--metric", "accuracy"];
    let got = figures(folder.path(), &[&base[..], &["--against", "q.txt"]].concat());
    let (figure, other) = (&got["metrics"]["accuracy"], &got["metrics"]["accuracy"]["against"]);
    assert_eq!(
        (&figure["value"], &other["value"], &other["difference"]),
        (&0.9.into(), &0.5.into(), &0.4.into())
    );
    assert!(
        other["p"].as_f64().unwrap() < 0.01 && other["high"].as_f64() < figure["low"].as_f64(),
        "{figure}"
    );
    // Another seed draws other samples, the same seed the same.
    let bounds =
        |flags: &[&str]| figures(folder.path(), &[&base[..], flags].concat())["metrics"]["accuracy"].clone();
    assert_eq!(bounds(&["--seed", "7"]), bounds(&["--seed", "7"]));
    assert_eq!(bounds(&[])["low"], figure["low"]);
    let none = bounds(&["--bootstrap", "0"]);
    assert!(none["low"].is_null() && none["high"].is_null() && none["value"] == 0.9);
}

#[test]
fn what_is_empty_or_no_number_is_said() {
    let run = with("好\n\n \n".as_bytes(), "好\n好\n\n".as_bytes(), &[]);
    assert!(run.stderr.contains("2 of 3 predictions are empty or missing"), "{run:?}");
    assert!(run.stderr.contains("1 of 3 right texts are empty"), "{run:?}");
    let run = with(b"1.5\nmuch\n3\n", b"1\n2\n3\n", &["--metric", "pearson,spearman"]);
    assert!(run.stderr.contains("1 of 3 predictions are no numbers and count as -1"), "{run:?}");
    let got: Value = serde_json::from_str(&run.ok()).unwrap();
    // Ranks 2, 1, 3 and 1, 2, 3.
    let spearman = got["metrics"]["spearman"]["value"].as_f64().unwrap();
    assert!((spearman - 0.5).abs() < 1e-9 && got["no_numbers"] == 1, "{got}");
    with(b"1\n", b"one\n", &["--metric", "pearson"]).fails(&["compares numbers", "right text 1 is \"one\""]);
    // What is not defined is no number in JSON either.
    let got: Value =
        serde_json::from_str(&with(b"1\n1\n", b"1\n2\n", &["--metric", "pearson"]).ok()).unwrap();
    assert!(got["metrics"]["pearson"]["value"].is_null());
}

#[test]
fn sources_are_compared_where_a_metric_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "p.txt", "甲乙丁\n丙\n");
    file(folder.path(), "s.txt", "甲乙丙\n甲乙丙\n");
    file(folder.path(), "t.csv", "摘要,generated\n甲乙丙,甲乙丁\n甲乙丙,丙\n");
    let metrics = ["--metric", "copy,distinct:1"];
    let got =
        figures(folder.path(), &[&["--predictions", "p.txt", "--sources", "s.txt"][..], &metrics].concat());
    // 2 of 3 characters and all of 1; 4 different ones.
    assert!((got["metrics"]["copy"]["value"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12, "{got}");
    assert_eq!(got["metrics"]["distinct:1"]["value"], 1.0);
    let columns = ["--predictions", "t.csv", "--source", "摘要"];
    assert_eq!(figures(folder.path(), &[&columns[..], &metrics].concat()), got);
    let mut program = common::program();
    common::finish(program.current_dir(&folder).args([
        "metrics",
        "--predictions",
        "p.txt",
        "--metric",
        "copy",
    ]))
    .is_wrong_usage("copy compares with the sources: --sources FILE");
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
        ("full.txt", &["--punctuation", "auto"][..], 1.0, "restored"),
        ("half.txt", &["--punctuation", "auto"], 1.0, "half-width"),
        // As the packages have it on the texts as they are.
        ("full.txt", &[], 0.0, "kept"),
        ("half.txt", &[], 1.0, "kept"),
        ("half.txt", &["--punctuation", "restore"], 0.0, "restored"),
    ] {
        let base = ["--predictions", "p.txt", "--references", reference, "--metric", "accuracy"];
        let got = figures(folder.path(), &[&base, flags].concat());
        assert_eq!(got["accuracy"], accuracy, "{reference} {flags:?}");
        let signature = got["signature"].as_str().unwrap();
        assert!(signature.contains(&format!("|punctuation:{done}|")), "{signature}");
        let own = got["metrics"]["accuracy"]["signature"].as_str().unwrap();
        assert_eq!(own.ends_with(&format!("|punctuation:{done}")), done != "kept", "{own}");
    }
    let mut program = common::program();
    let run = common::finish(program.current_dir(&folder).args([
        "metrics",
        "--predictions",
        "p.txt",
        "--references",
        "full.txt",
    ]));
    assert!(run.stderr.contains("1 of 1 predictions have half-width punctuation"), "{run:?}");
}

#[test]
fn wrong_usage() {
    run(["metrics"]).is_wrong_usage("--predictions");
    run(["metrics", "--predictions", "a"]).is_wrong_usage("--reference");
    run(["metrics", "--predictions", "a", "--references", "b", "--preset", "x"]).is_wrong_usage("csl");
    with(b"a\n", b"a\n", &["--metric", "bleu,beauty"])
        .is_wrong_usage("there is no metric beauty; there is csl, bleu");
    with(b"a\n", b"a\n", &["--metric", "sacreblue:zh"]).is_wrong_usage("did you mean sacrebleu?");
    with(b"a\n", b"a\n", &["--metric", "sacrebleu:zn"]).is_wrong_usage("sacrebleu:zh, sacrebleu:char");
    with(b"a\n", b"a\n", &["--metric", "bleu", "--preset", "csl"]).is_wrong_usage("--preset");
}
