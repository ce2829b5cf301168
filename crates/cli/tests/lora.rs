//! `t5kit finetune --lora-rank` and `--adapter` as a user runs them.

mod common;
use common::{Run, arg, finish, model, program, run};
use std::path::{Path, PathBuf};

/// A base model with its tokenizer, of half precision, and examples.
struct Lab {
    folder: tempfile::TempDir,
    train: PathBuf,
    valid: PathBuf,
}

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let (config, tokenizer) = (model::config(path, 40), model::tokenizer(path));
        let lab = Lab {
            train: model::pairs(path, "train.tsv", 24),
            valid: model::pairs(path, "valid.tsv", 6),
            folder,
        };
        let [config, tokenizer, train, raw] =
            [&config, &tokenizer, &lab.train, &lab.path("raw")].map(|path| arg(path).to_owned());
        run([
            "finetune",
            "--model",
            &config,
            "--tokenizer",
            &tokenizer,
            "--train",
            &train,
            "--output",
            &raw,
            "--epochs",
            "4",
            "--learning-rate",
            "1e-2",
            "--threads",
            "2",
        ])
        .ok();
        run(["convert", "--model", &raw, "--output", arg(&lab.path("base")), "--dtype", "bf16"]).ok();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `finetune` of the base's adapters into `output`, with more flags.
    fn finetune(&self, output: &str, flags: &[&str]) -> Run {
        self.finetune_of("base", output, &[&["--lora-rank", "4", "--lora-targets", "wo,v,q"], flags].concat())
    }

    fn finetune_of(&self, base: &str, output: &str, flags: &[&str]) -> Run {
        let paths = [self.path(base), self.train.clone(), self.valid.clone(), self.path(output)];
        let [base, train, valid, output] = paths.each_ref().map(|path| arg(path));
        let common = [
            "finetune",
            "--model",
            base,
            "--train",
            train,
            "--valid",
            valid,
            "--output",
            output,
            "--batch-size",
            "8",
            "--threads",
            "2",
            "--learning-rate",
            "2e-2",
        ];
        finish(program().args(common).args(flags))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
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
fn adapters_are_trained_resumed_merged_and_used() {
    let lab = Lab::new();
    lab.finetune("whole", &["--epochs", "3"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--max-steps", "4"]).ok();
    lab.finetune("parts", &["--epochs", "3", "--resume"]).ok();
    assert_eq!(names(&lab.path("whole/best")), ["adapter_config.json", "adapter_model.safetensors"]);
    let last = names(&lab.path("whole/last"));
    let state = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "training_state.json",
        "training_state.safetensors",
    ];
    assert_eq!(last, state);
    for name in ["best", "last"].iter().flat_map(|part| state.map(|file| format!("{part}/{file}"))) {
        if lab.path("whole").join(&name).exists() && !name.ends_with("training_state.json") {
            assert!(
                lab.read(&format!("whole/{name}")) == lab.read(&format!("parts/{name}")),
                "{name} differs"
            );
        }
    }
    let config: serde_json::Value =
        serde_json::from_slice(&lab.read("whole/best/adapter_config.json")).unwrap();
    assert_eq!(config["target_modules"], serde_json::json!(["q", "v", "wo"]));
    assert_eq!((&config["r"], &config["lora_alpha"]), (&4.into(), &8.into()));
    assert_eq!(config["base_model_name_or_path"], arg(&lab.path("base")));
    let log = String::from_utf8(lab.read("whole/train_log.jsonl")).unwrap();
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let valid: Vec<f64> = records.iter().filter_map(|record| record["valid_loss"].as_f64()).collect();
    assert!(valid.last() < valid.first(), "it learns: {valid:?}");
    assert!(lab.path("whole/report.html").is_file());

    let paths = [lab.path("base"), lab.path("whole"), lab.path("merged")];
    let [base, adapter, merged] = paths.each_ref().map(|path| arg(path));
    run(["convert", "--model", base, "--adapter", adapter, "--output", merged]).ok();
    let text = "甲丁庚，癸";
    let beside = run(["generate", "--model", base, "--adapter", adapter, text]).ok();
    assert_eq!(beside, run(["generate", "--model", merged, text]).ok());
    let score = |flags: &[&str]| run([&["score", "--input", arg(&lab.valid)], flags].concat()).ok();
    let with = score(&["--model", base, "--adapter", adapter]);
    assert_eq!(with, score(&["--model", merged]));
    assert_ne!(with, score(&["--model", base]));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let lab = Lab::new();
    lab.finetune("run", &["--max-steps", "1"]).ok();
    lab.finetune("run", &["--max-steps", "2", "--resume", "--lora-alpha", "16"])
        .fails(&["--lora-alpha 8.0, not 16.0"]);
    lab.finetune_of("base", "run", &["--max-steps", "2", "--resume"]).fails(&["--lora-rank 4, not none"]);
    let lora = ["--lora-rank", "4", "--lora-targets", "wo,v,q"];
    lab.finetune_of("raw", "run", &[&["--max-steps", "2", "--resume"], &lora[..]].concat())
        .fails(&["--model another base model, not this one"]);
    lab.finetune_of("base", "plain", &["--max-steps", "1"]).ok();
    lab.finetune("plain", &["--max-steps", "2", "--resume"]).fails(&["--lora-rank none, not 4"]);
    let odd = ["--lora-rank", "4", "--lora-targets", "wi"];
    lab.finetune_of("base", "out", &odd).fails(&["wi", "wi_0, wi_1, wo"]);
    let before = lab.read("run/train_log.jsonl");
    lab.finetune_of("base", "run", &[&odd[..], &["--force"]].concat()).fails(&["wi_0, wi_1, wo"]);
    assert!(lab.read("run/train_log.jsonl") == before && lab.path("run/best").is_dir());
    assert!(lab.finetune("run", &["--max-steps", "2", "--resume"]).code == 0);
    assert!(lab.finetune("run", &["--max-steps", "1", "--force"]).code == 0);

    let (adapter, base) = (lab.path("run"), lab.path("base"));
    run(["generate", "--model", arg(&adapter), "甲"]).fails(&["an adapter without its model", "--adapter"]);
    run(["generate", "--model", arg(&base), "--adapter", arg(&base), "甲"]).fails(&["adapter_config.json"]);
    for (flags, message) in [
        (&["--lora-rank", "0"][..], "--lora-rank"),
        (&["--lora-rank", "4", "--lora-alpha", "0"], "--lora-alpha"),
        (&["--lora-rank", "4", "--lora-targets", "x"], "wi_0"),
        (&["--lora-alpha", "4"], "--lora-rank"),
        (&["--lora-rank", "4", "--train-parts", "encoder"], "--train-parts"),
        (&["--lora-rank", "4", "--adapter", arg(&adapter)], "merge it into the model first"),
    ] {
        lab.finetune_of("base", "out", flags).is_wrong_usage(message);
    }
    lab.finetune_of(
        "config.json",
        "out",
        &["--lora-rank", "4", "--tokenizer", arg(&lab.path("spiece.model"))],
    )
    .is_wrong_usage("give a model");
    assert!(!lab.path("out").exists());
}
