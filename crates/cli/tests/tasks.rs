//! `t5kit pretrain`, mixtures and suites as a user runs them: what they write, resume and refuse.

mod common;
use common::lab::Lab;
use common::{Run, arg, file, finish, model, program};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

/// A run of pre-training.
const PRETRAIN: &str =
    "--model config.json --tokenizer spiece.model --max-source-length 24 --max-target-length 12
    --batch-size 4 --threads 2 --learning-rate 1e-2 --shuffle-buffer 1";
/// A run on a mixture.
const FINETUNE: &str =
    "--model config.json --tokenizer spiece.model --batch-size 4 --threads 2 --learning-rate 1e-2
    --max-source-length 24 --max-target-length 8";

/// A folder with a tokenizer that has sentinels, two corpora, and the tables of two tasks.
fn lab(flags: &'static str) -> Lab {
    let lab = Lab::new(flags);
    let folder = lab.path("");
    model::tokenizer_with_sentinels(&folder, 10);
    let characters: Vec<char> = model::CHARACTERS.chars().skip(1).collect();
    let line = |i: usize, step: usize| -> String {
        (0..20 + i % 9).map(|k| characters[(i * 7 + k * step) % characters.len()]).collect()
    };
    let corpus = |step: usize| (0..120).map(|i| line(i, step) + "\n").collect::<String>();
    file(&folder, "a.txt", corpus(3));
    file(&folder, "b.txt", corpus(5));
    let rows = |n: usize| -> String { (0..n).map(|i| format!("{}\t{}\n", line(i, 3), i % 2)).collect() };
    file(&folder, "mood.tsv", rows(40));
    file(&folder, "mood_valid.tsv", rows(6));
    file(&folder, "mixture.toml", MIXTURE);
    lab
}

/// Two tasks: of 40 and of 24 examples.
const MIXTURE: &str = r#"
[task.mood]
train = "mood.tsv"
valid = "mood_valid.tsv"
source = "甲：{1}"
target = "{2}"
labels = { "0" = "乙", "1" = "丙" }

[task.short]
train = "train.tsv"
valid = "valid.tsv"
source = "丁：{1}"
target = "{2}"
metric = "chrf"
"#;

/// A subcommand in the lab's folder, with its flags.
fn start(lab: &Lab, subcommand: &str, rest: &[&str]) -> std::process::Command {
    let mut command = program();
    command.current_dir(lab.path("")).arg(subcommand).args(&lab.flags).args(rest);
    command
}

fn pretrain(lab: &Lab, rest: &[&str]) -> Run {
    finish(&mut start(lab, "pretrain", rest))
}

/// One line and nothing on standard output: wrong usage (2) or a failure (1), with every one of `parts`.
#[track_caller]
fn refused(run: &Run, code: i32, parts: &[&str]) {
    let is_error = |line: &&str| line.starts_with("t5kit: error: ");
    let errors: Vec<&str> = run.stderr.lines().filter(is_error).collect();
    assert_eq!((run.code, run.stdout.as_str(), errors.len()), (code, "", 1), "{run:#?}");
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    for part in parts {
        assert!(errors[0].contains(part), "{part:?} in {run:#?}");
    }
}

#[track_caller]
fn assert_same_weights(lab: &Lab, one: &str, other: &str) {
    for name in ["model.safetensors", "training_state.safetensors"] {
        assert!(lab.read(format!("{one}/last/{name}")) == lab.read(format!("{other}/last/{name}")), "{name}");
    }
    assert_eq!(lab.losses(one), lab.losses(other));
}

#[test]
fn pretraining_learns_and_is_the_same_every_time() {
    let lab = lab(PRETRAIN);
    let flags = ["--data", "a.txt", "b.txt", "--max-steps", "60", "--held-out", "0.1", "--eval-every", "30"];
    let said = pretrain(&lab, &[&flags[..], &["--output", "one"]].concat());
    assert!(said.stderr.contains("held out"), "{said:#?}");
    said.ok();
    pretrain(&lab, &[&flags[..], &["--output", "two", "--threads", "2"]].concat()).ok();
    assert_same_weights(&lab, "one", "two");
    let losses = lab.losses("one");
    assert_eq!(losses.len(), 60);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[50..]) < 0.8 * mean(&losses[..5]), "{losses:?}");
    let valid: Vec<f64> = lab.log("one").iter().filter_map(|r| r["valid_loss"].as_f64()).collect();
    assert!(valid.len() == 2 && valid[1] < valid[0], "{valid:?}");
    assert!(lab.path("one/best/model.safetensors").is_file() && lab.path("one/report.html").is_file());
    // Another seed has other documents held out and another order.
    pretrain(&lab, &[&flags[..], &["--output", "three", "--seed", "1"]].concat()).ok();
    assert_ne!(lab.losses("one"), lab.losses("three"));
    // What is held out is never trained on, and nothing is held out where that is asked.
    let none = ["--data", "a.txt", "--max-steps", "2", "--held-out", "0", "--output", "none"];
    pretrain(&lab, &none).ok();
    assert!(lab.log("none").iter().all(|record| record.get("valid_loss").is_none()));
}

#[test]
fn a_run_of_any_objective_begins() {
    let lab = lab(PRETRAIN);
    for objective in ["iid-unique", "bert-style", "mass-style", "drop-tokens", "deshuffling", "prefix-lm"] {
        let flags = ["--data", "a.txt", "--max-steps", "2", "--objective", objective, "--output", objective];
        pretrain(&lab, &flags).ok();
        assert_eq!(lab.losses(objective).len(), 2);
    }
}

#[test]
fn a_pretraining_run_that_was_killed_goes_on_to_the_same_bytes() {
    let lab = lab(PRETRAIN);
    let flags =
        ["--data", "a.txt=2", "b.txt", "--max-steps", "300", "--save-every", "7", "--eval-every", "50"];
    pretrain(&lab, &[&flags[..], &["--output", "whole"]].concat()).ok();
    let mut killed = 0;
    for _ in 0..4 {
        let parts = [&flags[..], &["--output", "parts", "--resume"]].concat();
        let mut child =
            start(&lab, "pretrain", &parts).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Once a checkpoint more is there.
        let log = lab.path("parts/train_log.jsonl");
        let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let before = lines();
        while lines() < before + 30 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        killed += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill(); // SIGKILL; it may have ended by itself
        child.wait().unwrap();
    }
    assert!(killed > 0, "no run was killed at work");
    pretrain(&lab, &[&flags[..], &["--output", "parts", "--resume"]].concat()).ok();
    assert_same_weights(&lab, "whole", "parts");
    // Weights are part of what a run is.
    let other =
        ["--data", "a.txt", "b.txt=2", "--max-steps", "400", "--save-every", "7", "--eval-every", "50"];
    let said = pretrain(&lab, &[&other[..], &["--output", "parts", "--resume"]].concat());
    refused(&said, 1, &["--data other documents", "--resume"]);
}

#[test]
fn pretraining_refuses_what_it_cannot_learn_from() {
    let lab = lab(PRETRAIN);
    let folder = lab.path("");
    pretrain(&lab, &["--data", "a.txt", "--max-steps", "2", "--output", "run"]).ok();
    let before = lab.read("run/last/model.safetensors");
    std::fs::create_dir(folder.join("empty")).unwrap();
    file(&folder, "empty/x.txt", "");
    file(&folder, "empty/y.txt", "\n\n");
    file(&folder, "numbers.csv", "price,size\n1,2\n3,4\n");
    let run = |flags: &[&str]| {
        let common = ["--max-steps", "2", "--output", "run", "--force"];
        pretrain(&lab, &[flags, &common].concat())
    };
    refused(&run(&["--data", "a.txt=0"]), 2, &["--data a.txt=0", "above 0"]);
    refused(&run(&["--data", "a.txt=much"]), 2, &["--data a.txt=much", "above 0"]);
    refused(&run(&["--data", "-"]), 2, &["--data -", "give a file"]);
    refused(&run(&["--data", "nowhere.txt"]), 1, &["nowhere.txt", "no such file"]);
    refused(&run(&["--data", "empty"]), 1, &["empty"]);
    refused(&run(&["--data", "a.txt", "--batch-tokens", "99"]), 2, &["--batch-tokens", "--batch-size"]);
    refused(&run(&["--data", "numbers.csv"]), 1, &["numbers.csv", "price"]);
    refused(&run(&["--data", "numbers.csv", "--field", "text"]), 1, &["numbers.csv", "text"]);
    refused(&run(&["--data", "a.txt", "--held-out", "1"]), 2, &["--held-out", "below 1"]);
    refused(&run(&["--data", "a.txt", "--objective", "fill-in"]), 2, &["fill-in", "span-corruption"]);
    let density = ["--data", "a.txt", "--objective", "full-lm", "--noise-density", "0.5"];
    refused(&run(&density), 2, &["--noise-density", "full-lm"]);
    // No sentinels: of a vocabulary that never had any.
    model::tokenizer_with_sentinels(&folder, 0);
    refused(&run(&["--data", "a.txt"]), 1, &["sentinels", "span-corruption"]);
    model::tokenizer_with_sentinels(&folder, 1);
    let many = ["--data", "a.txt", "--mean-noise-span-length", "1"];
    refused(&run(&many), 1, &["sentinels", "has 1"]);
    assert!(lab.read("run/last/model.safetensors") == before, "the run before is untouched");
}

#[test]
fn a_mixture_says_its_rates_and_its_tasks_have_figures_of_their_own() {
    let lab = lab(FINETUNE);
    let flags = ["--mixture", "mixture.toml", "--epochs", "2", "--eval-every", "8"];
    let said = lab.finetune("whole", &flags);
    for line in [
        "task mood: 40 examples, 6 for validation; 62.5 % of what is trained on",
        "task short: 24 examples, 6 for validation; 37.5 % of what is trained on",
    ] {
        assert!(said.stderr.contains(line), "{line} in {said:#?}");
    }
    said.ok();
    let log = lab.log("whole");
    let evaluations: Vec<&Value> = log.iter().filter(|record| record.get("valid_loss").is_some()).collect();
    for record in &evaluations {
        let (mood, short) =
            (record["mood/accuracy"].as_f64().unwrap(), record["short/chrf"].as_f64().unwrap());
        assert!((record["mean"].as_f64().unwrap() - (mood + short) / 2.0).abs() < 1e-9, "{record}");
        assert!(record["mood/loss"].is_number() && record["short/loss"].is_number(), "{record}");
    }
    // The best is the first of those with the highest mean.
    let means: Vec<f64> = evaluations.iter().map(|record| record["mean"].as_f64().unwrap()).collect();
    let best = evaluations.iter().rfind(|record| record["best"] == true).unwrap()["mean"].as_f64().unwrap();
    assert!(means.iter().all(|&mean| mean <= best), "{means:?} {best}");
    let tasks: Vec<&Value> = log.iter().filter_map(|record| record.get("tasks")).collect();
    assert!(tasks.iter().any(|losses| losses["mood"].is_number()));
    assert!(tasks.iter().any(|losses| losses["short"].is_number()));
    let page = String::from_utf8(lab.read("whole/report.html")).unwrap();
    assert!(page.contains("Training loss by task") && page.contains("Validation loss by task"));

    lab.finetune("parts", &[&flags[..], &["--max-steps", "5"]].concat()).ok();
    lab.finetune("parts", &[&flags[..], &["--resume"]].concat()).ok();
    assert_same_weights(&lab, "whole", "parts");
}

#[test]
fn a_mixture_with_a_mistake_is_refused_at_its_place() {
    let lab = lab(FINETUNE);
    let folder = lab.path("");
    lab.finetune("run", &["--mixture", "mixture.toml", "--max-steps", "1"]).ok();
    let before = lab.read("run/last/model.safetensors");
    file(&folder, "empty.tsv", "");
    let said = |text: String| {
        file(&folder, "bad.toml", text);
        lab.finetune("run", &["--mixture", "bad.toml", "--max-steps", "1", "--force"])
    };
    let with = |from: &str, to: &str| {
        assert!(MIXTURE.contains(from), "{from}");
        said(MIXTURE.replacen(from, to, 1))
    };
    let on_top = |line: &str| said(format!("{line}\n{MIXTURE}"));
    // Line 2 of the file is [task.mood].
    refused(&with("target = ", "targte = "), 2, &["bad.toml", "targte", "did you mean target?"]);
    refused(&on_top("temprature = 2"), 2, &["bad.toml", "1:1", "temprature", "did you mean temperature?"]);
    refused(&with("{1}", "{text}"), 1, &["bad.toml", "text"]);
    refused(&with("{1}", "{1"), 1, &["bad.toml", "{1"]);
    refused(&with(r#""1" = "丙""#, r#""2" = "丙""#), 1, &["mood.tsv", "line 2", "\"1\"", "0, 2"]);
    refused(&with("mood.tsv", "empty.tsv"), 1, &["empty.tsv"]);
    refused(&with("mood.tsv", "nowhere.tsv"), 2, &["bad.toml", "nowhere.tsv", "no such file"]);
    refused(&on_top("mixing = 'equal'\ntemperature = 2"), 2, &["bad.toml", "temperature", "equal"]);
    refused(&on_top("mixing = 'temperature'"), 2, &["bad.toml", "temperature"]);
    refused(&on_top("temperature = 0"), 2, &["bad.toml", "above 0"]);
    refused(&on_top("mixing = 'evenly'"), 2, &["bad.toml", "evenly", "examples, temperature, equal, rates"]);
    refused(&on_top("mixing = 'rates'"), 2, &["bad.toml", "mood", "rate"]);
    let rates = MIXTURE.replacen("[task.mood]", "[task.mood]\nrate = 0.5", 1);
    let rates = rates.replacen("[task.short]", "[task.short]\nrate = 0.25", 1);
    refused(&said(format!("mixing = 'rates'\n{rates}")), 2, &["bad.toml", "0.75", "not to 1"]);
    refused(&with("metric = \"chrf\"", "metric = \"chref\""), 2, &["bad.toml", "chref"]);
    refused(&said("mixing = 'equal'\n".into()), 2, &["bad.toml", "[task.NAME]"]);
    let suite = |task: &str, folder: &str| {
        said(format!("{MIXTURE}\n[task.third]\nsuite = '{task}'\nfolder = '{folder}'\n"))
    };
    refused(&suite("glue/sst3", "glue"), 2, &["bad.toml", "sst3", "did you mean sst2?"]);
    refused(&suite("gleu/sst2", "glue"), 2, &["bad.toml", "gleu", "did you mean glue?"]);
    refused(&suite("glue/sst2", "glue"), 1, &["bad.toml", "sst2", "SST-2/train.tsv"]);
    let nowhere = lab.finetune("run", &["--mixture", "nowhere.toml", "--max-steps", "1", "--force"]);
    refused(&nowhere, 1, &["nowhere.toml"]);
    assert!(lab.read("run/last/model.safetensors") == before, "the run before is untouched");
}

#[test]
fn validation_permits_what_constrain_says() {
    let lab = lab(FINETUNE);
    let folder = lab.path("");
    let mixture = ["--mixture", "mixture.toml", "--max-steps", "1", "--eval-max-new-tokens", "6"];
    let log = |output: &str, rest: &[&str]| {
        lab.finetune(output, &[&mixture[..], rest].concat()).ok();
        lab.log(output).into_iter().find(|record| record.get("valid_loss").is_some()).unwrap()
    };
    // A model that has learnt nothing says no label by itself; of the two one is told in any case.
    let (free, labels) = (log("free", &[]), log("labels", &["--constrain", "labels"]));
    assert_eq!(free["mood/accuracy"], 0.0, "{free}");
    assert_eq!(labels["mood/accuracy"], 0.5, "{labels}");
    // A task whose targets are any text is as it was, and so is what is learnt.
    for name in ["short/chrf", "valid_loss"] {
        assert_eq!(free[name], labels[name], "{name}");
    }
    assert_eq!(lab.losses("free"), lab.losses("labels"));
    let evaluated = finish(program().current_dir(&folder).args([
        "evaluate",
        "--model",
        "labels",
        "--mixture",
        "mixture.toml",
        "--constrain",
        "labels",
        "--json",
    ]));
    let evaluated: Value = serde_json::from_str(&evaluated.ok()).unwrap();
    assert_eq!(
        evaluated["tasks"][0]["figures"]["labels"]["accuracy"], labels["mood/accuracy"],
        "{evaluated}"
    );
    let page = String::from_utf8(lab.read("labels/report.html")).unwrap();
    assert!(page.contains("乙") || page.contains("丙"));

    // Without a mixture: the validation file's own labels, or a list that every output is of.
    file(&folder, "mood_words.tsv", "甲乙丙\t丁\n乙丙甲\t戊\n");
    let table = [
        "--train",
        "mood_words.tsv",
        "--valid",
        "mood_words.tsv",
        "--metric",
        "accuracy",
        "--max-steps",
        "1",
    ];
    let of = |output: &str, constrain: &[&str]| lab.finetune(output, &[&table[..], constrain].concat());
    let said = of("own", &["--constrain", "labels"]);
    assert!(said.stderr.contains("丁, 戊"), "{said:#?}");
    said.ok();
    let accuracy = |output: &str| lab.log(output).last().unwrap()["accuracy"].as_f64().unwrap();
    of("right", &["--constrain", "list:丁"]).ok();
    of("pattern", &["--constrain", "regex:丁"]).ok();
    of("wrong", &["--constrain", "list:甲"]).ok();
    let found = ["own", "right", "pattern", "wrong"].map(accuracy);
    assert_eq!(found, [0.5, 0.5, 0.5, 0.0]);

    for (flags, code, parts) in [
        (&["--constrain", "regex:("][..], 2, &["--constrain"][..]),
        (
            &["--constrain", "labels", "--eval-num-beams", "2"],
            2,
            &["--constrain labels and --eval-num-beams"],
        ),
        (
            &["--constrain", "list:甲乙丙丁戊己", "--eval-max-new-tokens", "3"],
            2,
            &["--eval-max-new-tokens 3"],
        ),
        (&["--constrain", "lists:甲"], 2, &["did you mean list:"]),
    ] {
        refused(&of("none", flags), code, parts);
    }
    let loss_alone = ["--train", "train.tsv", "--valid", "valid.tsv", "--constrain", "list:甲"];
    refused(&lab.finetune("none", &loss_alone), 2, &["--constrain", "--metric"]);
    assert!(!lab.path("none").exists());
    // Another constraint would have found another best.
    let resumed = of("right", &["--constrain", "list:甲", "--max-steps", "2", "--resume"]);
    refused(&resumed, 1, &["--constrain list:丁, not list:甲"]);
}

/// A file as XQuAD publishes it, with so many questions.
fn xquad(folder: &Path, language: &str, questions: usize) {
    let answers = serde_json::json!([{"text": "乙", "answer_start": 1}]);
    let question =
        |i: usize| serde_json::json!({"id": format!("{language}{i}"), "question": "甲", "answers": answers});
    let questions: Vec<Value> = (0..questions).map(question).collect();
    let paragraph = serde_json::json!({"context": "甲乙丙", "qas": questions});
    let data = serde_json::json!({"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]});
    file(folder, &format!("xquad.{language}.json"), data.to_string());
}

#[test]
fn a_suite_is_measured_by_language_and_a_mixture_by_task() {
    let lab = lab(FINETUNE);
    let folder = lab.path("");
    lab.finetune("run", &["--mixture", "mixture.toml", "--epochs", "2"]).ok();
    for (language, questions) in [("en", 2), ("zh", 3)] {
        xquad(&folder, language, questions);
    }
    let evaluate = |rest: &[&str]| {
        let base = ["evaluate", "--model", "run", "--max-new-tokens", "6", "--threads", "2"];
        finish(program().current_dir(&folder).args(base).args(rest))
    };
    let suite = ["--suite", "zero-shot", "--task", "xquad", "--data", "."];
    let table = evaluate(&[&suite[..], &["--language", "en,zh", "--output", "table"]].concat()).ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["xquad", "figure", "en", "zh", "mean"], "{table}");
    for (row, figure) in rows[1..].iter().zip(["em", "f1"]) {
        let number = |i: usize| row[i].parse::<f64>().unwrap();
        assert_eq!(row[1], figure, "{table}");
        assert!((number(4) - (number(2) + number(3)) / 2.0).abs() < 0.06, "{table}");
    }
    // Where one text alone may come, it does: all answers are right by the right one, and wrong by another.
    for (only, figure) in [("list:乙", 1.0), ("list:丁", 0.0)] {
        let flags = ["--language", "en,zh", "--constrain", only, "--output", "only", "--force", "--json"];
        let found: Value = serde_json::from_str(&evaluate(&[&suite[..], &flags].concat()).ok()).unwrap();
        let tasks = found["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), 2, "{found}");
        for task in tasks {
            let figures = &task["figures"]["run"];
            assert!(figures["em"] == figure && figures["f1"] == figure, "{only}: {found}");
        }
    }
    let page = String::from_utf8(lab.read("only/evaluation.html")).unwrap();
    assert!(page.contains("xquad.zh/evaluation.html") && lab.path("only/xquad.zh/evaluation.html").is_file());
    let missing = evaluate(&[&suite[..], &["--output", "missing"]].concat());
    refused(&missing, 1, &["xquad.ar.json", "--language"]);
    refused(
        &evaluate(&["--suite", "glue", "--data", ".", "--output", "missing"]),
        1,
        &["cola", "CoLA/dev.tsv"],
    );
    assert!(!lab.path("missing").exists());
    let no_task = ["--suite", "glue", "--task", "sst9", "--data", ".", "--output", "missing"];
    refused(&evaluate(&no_task), 2, &["sst9", "sst2"]);

    let mixture = ["--mixture", "mixture.toml", "--constrain", "labels", "--output", "mixed"];
    let table = evaluate(&mixture).ok();
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[1][..3], ["mood", "accuracy", "6"], "{table}");
    assert_eq!(cells[2][..3], ["short", "chrf", "6"], "{table}");
    let predictions = String::from_utf8(lab.read("mixed/mood/predictions.tsv")).unwrap();
    for line in predictions.lines().skip(1) {
        assert!(["乙", "丙"].contains(&line.split('\t').nth(2).unwrap()), "{line}");
    }
    let other = ["--mixture", "mixture.toml", "--task", "long", "--output", "missing"];
    refused(&evaluate(&other), 2, &["long", "mood, short"]);
    assert!(arg(&folder).len() > 1);
}
