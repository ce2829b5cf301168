//! `t5kit finetune` as a user runs it: what it writes, refuses, resumes, and what Ctrl-C does.

mod common;
use common::{Run, arg, finish, model, program, run};
use std::path::{Path, PathBuf};

/// A folder with a tokenizer, a configuration and examples.
struct Lab {
    folder: tempfile::TempDir,
    config: PathBuf,
    tokenizer: PathBuf,
    train: PathBuf,
    valid: PathBuf,
}

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        Lab {
            config: model::config(path, 40),
            tokenizer: model::tokenizer(path),
            train: model::pairs(path, "train.tsv", 24),
            valid: model::pairs(path, "valid.tsv", 6),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `finetune` from random weights into `output`, with more flags.
    fn finetune(&self, output: &str, flags: &[&str]) -> Run {
        finish(program().args(self.arguments(output)).args(flags))
    }

    fn arguments(&self, output: &str) -> Vec<String> {
        let output = self.path(output);
        [
            "finetune",
            "--model",
            arg(&self.config),
            "--tokenizer",
            arg(&self.tokenizer),
            "--train",
            arg(&self.train),
            "--valid",
            arg(&self.valid),
            "--output",
            arg(&output),
            "--batch-size",
            "8",
            "--threads",
            "2",
            "--learning-rate",
            "1e-2",
        ]
        .map(String::from)
        .into()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// The training log's records of steps.
    fn steps(&self, output: &str) -> Vec<serde_json::Value> {
        let log = String::from_utf8(self.read(&format!("{output}/train_log.jsonl"))).unwrap();
        let records = log.lines().map(|line| serde_json::from_str(line).unwrap());
        records.filter(|record: &serde_json::Value| record["loss"].is_number()).collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_learns_and_leaves_what_the_guide_says() {
    let lab = Lab::new();
    let out = lab.finetune("run", &["--epochs", "20", "--dropout", "0"]).ok();
    assert_eq!(out, "", "a run has no result to print");
    assert_eq!(names(&lab.path("run")), ["best", "last", "report.html", "train_log.jsonl"]);
    for part in ["best", "last"] {
        let files = names(&lab.path("run").join(part));
        for file in ["config.json", "model.safetensors", "spiece.model"] {
            assert!(files.iter().any(|name| name == file), "{part}: {files:?}");
        }
    }
    let steps = lab.steps("run");
    assert_eq!(steps.len(), 60);
    let loss = |i: usize| steps[i]["loss"].as_f64().unwrap();
    assert!(loss(59) < loss(0) / 2.0, "{} after {}", loss(59), loss(0));
    for key in ["step", "epoch", "lr", "grad_norm", "real_tokens", "seconds", "rss_bytes"] {
        assert!(steps[0][key].is_number(), "{key} in {}", steps[0]);
    }
    // The folder of a run is a model for every other subcommand.
    let run_folder = lab.path("run");
    let shown = run(["inspect", "--model", arg(&run_folder)]).ok();
    assert!(shown.contains("mT5"), "{shown}");
    let generated = run(["generate", "--model", arg(&run_folder), "甲丁庚，癸"]).ok();
    assert_eq!(generated.lines().count(), 1);
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let lab = Lab::new();
    lab.finetune("whole", &["--epochs", "3"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--max-steps", "4"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--resume"]).ok();
    for name in ["last/model.safetensors", "best/model.safetensors", "last/config.json"] {
        assert!(lab.read(&format!("whole/{name}")) == lab.read(&format!("parts/{name}")), "{name} differs");
    }
    let losses = |output| lab.steps(output).iter().map(|step| step["loss"].clone()).collect::<Vec<_>>();
    assert_eq!(losses("whole"), losses("parts"));
    // What is complete stays so.
    lab.finetune("parts", &["--epochs", "3", "--resume"]).ok();
    assert!(lab.read("whole/last/model.safetensors") == lab.read("parts/last/model.safetensors"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_ends() {
    let lab = Lab::new();
    let endless = ["--epochs", "1000000", "--max-steps", "100000000"];
    let mut child = program()
        .args(lab.arguments("run"))
        .args(endless)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log = lab.path("run").join("train_log.jsonl");
    let begun = std::time::Instant::now();
    while std::fs::read_to_string(&log).unwrap_or_default().lines().count() < 3 {
        assert!(begun.elapsed().as_secs() < 60, "training has not begun");
        assert!(child.try_wait().unwrap().is_none(), "training ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("saved after step"), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
    assert!(lab.path("run/last/model.safetensors").is_file());
    let steps = lab.steps("run").len();
    let more = (steps + 2).to_string();
    lab.finetune("run", &["--epochs", "1000000", "--max-steps", &more, "--resume"]).ok();
    assert_eq!(lab.steps("run").len(), steps + 2);
    assert!(
        names(&lab.path("run")).iter().all(|name| !name.contains("tmp")),
        "{:?}",
        names(&lab.path("run"))
    );
}

#[test]
fn nothing_of_the_users_is_overwritten() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("mine")).unwrap();
    common::file(&lab.path("mine"), "thesis.txt", "precious");
    for flags in [&[][..], &["--resume"]] {
        lab.finetune("mine", flags).fails(&["mine", "not empty", "--force"]);
    }
    assert_eq!(names(&lab.path("mine")), ["thesis.txt"]);
    assert_eq!(lab.read("mine/thesis.txt"), b"precious");
    lab.finetune("run", &["--max-steps", "1"]).ok();
    lab.finetune("run", &["--max-steps", "1"]).fails(&["not empty", "--resume"]);
    lab.finetune("run", &["--max-steps", "2", "--force"]).ok();
    assert_eq!(lab.steps("run").len(), 2);
}

#[test]
fn bad_input_is_one_line() {
    let lab = Lab::new();
    let with = |flag: &str, path: &Path| {
        // The last of two equal flags is refused, so the first is replaced.
        let mut arguments = lab.arguments("out");
        let at = arguments.iter().position(|a| a == flag).unwrap();
        arguments[at + 1] = arg(path).into();
        finish(program().args(arguments))
    };
    let bad = |name: &str, content: &str| common::file(lab.folder.path(), name, content);
    with("--train", &lab.path("nowhere.tsv")).fails(&["nowhere.tsv", "No such file"]);
    with("--train", &bad("one.tsv", "只有一列\n")).fails(&["one.tsv"]);
    with("--train", &bad("ragged.tsv", "甲\t乙\n丙\n")).fails(&["ragged.tsv", "line 2"]);
    with("--train", &bad("void.tsv", "甲\t乙\n丙\t\n")).fails(&["void.tsv", "line 2", "target"]);
    with("--train", &bad("empty.tsv", "")).fails(&["empty.tsv"]);
    with("--valid", &bad("broken.tsv", "甲\n")).fails(&["broken.tsv"]);
    with("--tokenizer", &bad("text.model", "no protocol buffer")).fails(&["text.model"]);
    with("--tokenizer", &lab.path("none.model")).fails(&["none.model"]);
    let config = std::fs::read_to_string(&lab.config).unwrap();
    assert!(config.contains("\"d_model\":32"), "{config}");
    with("--model", &bad("torn.json", "{\"d_model\": ")).fails(&["torn.json"]);
    with("--model", &bad("odd.json", &config.replace("\"d_model\":32", "\"d_model\":-3")))
        .fails(&["odd.json", "d_model"]);
    std::fs::create_dir(lab.path("few")).unwrap();
    with("--model", &model::config(&lab.path("few"), 10)).fails(&["pieces", "10 rows"]);
    assert!(!lab.path("out/last").exists());

    lab.finetune("out", &["--source", "nosuch", "--target", "2"]).fails(&["train.tsv", "nosuch"]);
    lab.finetune("out", &["--source", "1", "--target", "9"]).fails(&["train.tsv", "9"]);
    lab.finetune("out", &["--prompt", "3", "--source", "1", "--target", "2"]).fails(&["train.tsv", "3"]);
}

#[test]
fn wrong_usage_is_refused() {
    let lab = Lab::new();
    lab.finetune("out", &["--dropout", "1"]).is_wrong_usage("--dropout");
    lab.finetune("out", &["--weight-decay=-1"]).is_wrong_usage("--weight-decay");
    lab.finetune("out", &["--epochs", "many"]).is_wrong_usage("many");
    lab.finetune("out", &["--metric", "beauty"]).is_wrong_usage("rouge-l");
    lab.finetune("out", &["--metric", "bleu", "--best-metric", "chrf"]).is_wrong_usage("--best-metric");
    lab.finetune("out", &["--eval-every", "0"]).is_wrong_usage("--eval-every");
    run(["finetune", "--model", "a"]).is_wrong_usage("--train");
    let (config, train) = (arg(&lab.config), arg(&lab.train));
    let out = lab.path("out");
    run(["finetune", "--model", config, "--train", train, "--output", arg(&out)])
        .is_wrong_usage("needs --tokenizer");
}
