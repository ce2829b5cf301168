//! `t5kit finetune` as a user runs it: what it writes, refuses, resumes, and what Ctrl-C does.

mod common;
use common::lab::Lab;
use common::{arg, file, finish, model, names, program, run};

/// A run from random weights.
const FLAGS: &str = "--model config.json --tokenizer spiece.model --train train.tsv --valid valid.tsv
    --batch-size 8 --threads 2 --learning-rate 1e-2";

#[test]
fn a_run_learns_and_leaves_what_the_guide_says() {
    let lab = Lab::new(FLAGS);
    let out = lab.finetune("run", &["--epochs", "20", "--dropout", "0"]).ok();
    assert_eq!(out, "", "a run has no result to print");
    let own = ["best", "last", "report.html", "train_log.jsonl"];
    let best = names(&lab.path("run/best"));
    let all = names(&lab.path("run"));
    let others: Vec<&String> = all.iter().filter(|name| !own.contains(&name.as_str())).collect();
    assert!(
        others.iter().eq(&best.iter().collect::<Vec<_>>()),
        "the run's folder is the best model's too: {all:?}"
    );
    for part in ["best", "last"] {
        let files = names(&lab.path("run").join(part));
        for file in ["config.json", "model.safetensors", "spiece.model"] {
            assert!(files.iter().any(|name| name == file), "{part}: {files:?}");
        }
    }
    let losses = lab.losses("run");
    assert_eq!(losses.len(), 60);
    assert!(losses[59] < losses[0] / 2.0, "{} after {}", losses[59], losses[0]);
    let first = &lab.log("run")[0];
    for key in ["step", "epoch", "lr", "grad_norm", "real_tokens", "seconds", "rss_bytes"] {
        assert!(first[key].is_number(), "{key} in {first}");
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
    let lab = Lab::new(FLAGS);
    lab.finetune("whole", &["--epochs", "3"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--max-steps", "4"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--resume"]).ok();
    for name in ["last/model.safetensors", "best/model.safetensors", "last/config.json"] {
        assert!(lab.read(format!("whole/{name}")) == lab.read(format!("parts/{name}")), "{name} differs");
    }
    assert_eq!(lab.losses("whole"), lab.losses("parts"));
    // What is complete stays so.
    lab.finetune("parts", &["--epochs", "3", "--resume"]).ok();
    assert!(lab.read("whole/last/model.safetensors") == lab.read("parts/last/model.safetensors"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_ends() {
    let lab = Lab::new(FLAGS);
    let endless = ["--epochs", "1000000", "--max-steps", "100000000"];
    let mut child = lab
        .command("run")
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
    let steps = lab.losses("run").len();
    let more = (steps + 2).to_string();
    lab.finetune("run", &["--epochs", "1000000", "--max-steps", &more, "--resume"]).ok();
    assert_eq!(lab.losses("run").len(), steps + 2);
    assert!(
        names(&lab.path("run")).iter().all(|name| !name.contains("tmp")),
        "{:?}",
        names(&lab.path("run"))
    );
}

#[test]
fn nothing_of_the_users_is_overwritten() {
    let lab = Lab::new(FLAGS);
    std::fs::create_dir(lab.path("mine")).unwrap();
    file(&lab.path("mine"), "thesis.txt", "precious");
    for flags in [&[][..], &["--resume"]] {
        lab.finetune("mine", flags).fails(&["mine", "not empty", "--force"]);
    }
    assert_eq!(names(&lab.path("mine")), ["thesis.txt"]);
    assert_eq!(lab.read("mine/thesis.txt"), b"precious");
    lab.finetune("run", &["--max-steps", "1"]).ok();
    lab.finetune("run", &["--max-steps", "1"]).fails(&["not empty", "--resume"]);
    lab.finetune("run", &["--max-steps", "2", "--force"]).ok();
    assert_eq!(lab.losses("run").len(), 2);
    // What a run begins from is not what it replaces.
    for (model, tokenizer) in
        [("run", "spiece.model"), ("run/last", "spiece.model"), ("config.json", "run/best")]
    {
        let flags = [
            "--model",
            model,
            "--tokenizer",
            tokenizer,
            "--train",
            "train.tsv",
            "--output",
            "run",
            "--force",
        ];
        let refused = finish(program().current_dir(lab.path("")).arg("finetune").args(flags));
        refused.fails(&["would be replaced by the run that begins from it"]);
    }
    assert!(lab.path("run/last/spiece.model").is_file() && lab.path("run/best/spiece.model").is_file());
}

#[test]
fn bad_input_is_one_line() {
    let lab = Lab::new(FLAGS);
    let with = |flag: &str, name: &str| {
        // The last of two equal flags is refused, so the first is replaced.
        let mut flags = lab.flags.clone();
        let at = flags.iter().position(|a| *a == flag).unwrap();
        flags[at + 1] = name;
        finish(program().current_dir(lab.path("")).arg("finetune").args(flags).args(["--output", "out"]))
    };
    let bad = |flag: &str, name: &str, content: &str| {
        file(&lab.path(""), name, content);
        with(flag, name)
    };
    with("--train", "nowhere.tsv").fails(&["nowhere.tsv", "No such file"]);
    bad("--train", "one.tsv", "只有一列\n").is_wrong_usage("one.tsv");
    bad("--train", "ragged.tsv", "甲\t乙\n丙\n").fails(&["ragged.tsv", "line 2"]);
    bad("--train", "void.tsv", "甲\t乙\n丙\t\n").fails(&["void.tsv", "line 2", "target"]);
    bad("--train", "empty.tsv", "").fails(&["empty.tsv"]);
    bad("--valid", "broken.tsv", "甲\n").is_wrong_usage("broken.tsv");
    bad("--tokenizer", "text.model", "no protocol buffer").fails(&["text.model"]);
    with("--tokenizer", "none.model").fails(&["none.model"]);
    let config = String::from_utf8(lab.read("config.json")).unwrap();
    assert!(config.contains("\"d_model\":32"), "{config}");
    bad("--model", "torn.json", "{\"d_model\": ").fails(&["torn.json"]);
    bad("--model", "odd.json", &config.replace("\"d_model\":32", "\"d_model\":-3"))
        .fails(&["odd.json", "d_model"]);
    std::fs::create_dir(lab.path("few")).unwrap();
    model::config(&lab.path("few"), 10);
    with("--model", "few/config.json").fails(&["pieces", "10 rows"]);
    lab.finetune("out", &["--source", "nosuch", "--target", "2"]).fails(&["train.tsv", "nosuch"]);
    lab.finetune("out", &["--source", "1", "--target", "9"]).fails(&["train.tsv", "9"]);
    lab.finetune("out", &["--prompt", "3", "--source", "1", "--target", "2"]).fails(&["train.tsv", "3"]);
    assert!(!lab.path("out").exists());
}

#[test]
fn wrong_usage_is_refused() {
    let lab = Lab::new(FLAGS);
    lab.finetune("out", &["--dropout", "1"]).is_wrong_usage("--dropout");
    lab.finetune("out", &["--weight-decay=-1"]).is_wrong_usage("--weight-decay");
    lab.finetune("out", &["--epochs", "many"]).is_wrong_usage("many");
    lab.finetune("out", &["--metric", "beauty"]).is_wrong_usage("rouge-l");
    lab.finetune("out", &["--metric", "bleu", "--best-metric", "chrf"]).is_wrong_usage("--best-metric");
    lab.finetune("out", &["--eval-every", "0"]).is_wrong_usage("--eval-every");
    run(["finetune", "--model", "a"]).is_wrong_usage("--train");
    finish(
        program()
            .current_dir(lab.path(""))
            .args("finetune --model config.json --train train.tsv --output out".split(' ')),
    )
    .is_wrong_usage("needs --tokenizer");
}
