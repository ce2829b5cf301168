//! `t5kit finetune --lora-rank` and `--adapter` as a user runs them.

mod common;
use common::lab::Lab;
use common::{Run, arg, finish, names, program, run};

const FLAGS: &str = "--train train.tsv --valid valid.tsv --batch-size 8 --threads 2 --learning-rate 2e-2";
const LORA: [&str; 4] = ["--lora-rank", "4", "--lora-targets", "wo,v,q"];

/// With `raw`, a model that was trained for a moment, and `base`, the same in half precision.
fn lab() -> Lab {
    let lab = Lab::new(FLAGS);
    of(&lab, "config.json", "raw", &["--tokenizer", "spiece.model", "--epochs", "4"]).ok();
    let [raw, base] = ["raw", "base"].map(|name| lab.path(name));
    run(["convert", "--model", arg(&raw), "--output", arg(&base), "--dtype", "bf16"]).ok();
    lab
}

/// `finetune` of a model into `output`, with more flags.
fn of(lab: &Lab, model: &str, output: &str, flags: &[&str]) -> Run {
    finish(lab.command(output).args(["--model", model]).args(flags))
}

/// `finetune` of the base's adapters into `output`, with more flags.
fn adapters(lab: &Lab, output: &str, flags: &[&str]) -> Run {
    of(lab, "base", output, &[&LORA, flags].concat())
}

#[test]
fn adapters_are_trained_resumed_merged_and_used() {
    let lab = lab();
    adapters(&lab, "whole", &["--epochs", "3"]).ok();
    adapters(&lab, "parts", &["--epochs", "3", "--max-steps", "4"]).ok();
    adapters(&lab, "parts", &["--epochs", "3", "--resume"]).ok();
    assert_eq!(
        names(&lab.path("whole/best")),
        ["adapter_config.json", "adapter_model.safetensors", "generation_config.json", "t5kit.json"]
    );
    let last = names(&lab.path("whole/last"));
    let state = [
        "adapter_config.json",
        "adapter_model.safetensors",
        "generation_config.json",
        "t5kit.json",
        "training_state.json",
        "training_state.safetensors",
    ];
    assert_eq!(last, state);
    for name in ["best", "last"].iter().flat_map(|part| state.map(|file| format!("{part}/{file}"))) {
        if lab.path("whole").join(&name).exists() && !name.ends_with("training_state.json") {
            assert!(lab.read(format!("whole/{name}")) == lab.read(format!("parts/{name}")), "{name} differs");
        }
    }
    let config: serde_json::Value =
        serde_json::from_slice(&lab.read("whole/best/adapter_config.json")).unwrap();
    assert_eq!(config["target_modules"], serde_json::json!(["q", "v", "wo"]));
    assert_eq!((&config["r"], &config["lora_alpha"]), (&4.into(), &8.into()));
    assert_eq!(config["base_model_name_or_path"], "base");
    let valid: Vec<f64> =
        lab.log("whole").iter().filter_map(|record| record["valid_loss"].as_f64()).collect();
    assert!(valid.last() < valid.first(), "it learns: {valid:?}");
    assert!(lab.path("whole/report.html").is_file());

    let paths = [lab.path("base"), lab.path("whole"), lab.path("merged")];
    let [base, adapter, merged] = paths.each_ref().map(|path| arg(path));
    run(["convert", "--model", base, "--adapter", adapter, "--output", merged]).ok();
    let text = "甲丁庚，癸";
    let beside = run(["generate", "--model", base, "--adapter", adapter, text]).ok();
    assert_eq!(beside, run(["generate", "--model", merged, text]).ok());
    let valid = lab.path("valid.tsv");
    let score = |flags: &[&str]| run([&["score", "--input", arg(&valid)], flags].concat()).ok();
    let with = score(&["--model", base, "--adapter", adapter]);
    assert_eq!(with, score(&["--model", merged]));
    assert_ne!(with, score(&["--model", base]));
    // The adapter's folder alone: its base is where the program runs, or beside it, as its settings say.
    let alone =
        |place: &str| finish(program().current_dir(lab.path("")).args(["generate", "--model", place, text]));
    let used = alone("whole");
    assert!(used.stderr.contains("the base of the adapter"), "{used:#?}");
    assert_eq!(used.ok(), beside);
    assert_eq!(alone("whole/last").code, 0);
    // From anywhere else it is found where the training was started, in a folder above.
    assert_eq!(run(["generate", "--model", adapter, text]).ok(), beside);
    let settings = lab.path("whole/best/adapter_config.json");
    let said = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, said.replace("\"base\"", "\"nowhere\"")).unwrap();
    run(["generate", "--model", adapter, "甲"])
        .fails(&["the adapter's base, nowhere, cannot be had", "--adapter"]);
    let elsewhere = said.replace("\"base\"", "\"../../base\"");
    std::fs::write(&settings, elsewhere).unwrap();
    assert_eq!(run(["generate", "--model", adapter, text]).ok(), beside);
    // No adapter on an adapter, and none whose base is one.
    of(&lab, "whole", "stacked", &LORA).is_wrong_usage("--lora-rank lays another on it");
    let elsewhere = std::fs::read_to_string(&settings).unwrap().replace("../../base", "../last");
    std::fs::write(&settings, elsewhere).unwrap();
    run(["generate", "--model", adapter, text]).fails(&["../last, is an adapter itself"]);
}

#[test]
fn adapters_learn_at_a_rate_of_their_own() {
    let lab = Lab::new("--train train.tsv --batch-size 8 --threads 2 --max-steps 1");
    of(&lab, "config.json", "base", &["--tokenizer", "spiece.model"]).ok();
    adapters(&lab, "run", &[]).ok();
    adapters(&lab, "given", &["--learning-rate", "5e-4"]).ok();
    let rate = |run: &str| lab.log(run).iter().find_map(|record| record["lr"].as_f64());
    assert_eq!((rate("base"), rate("run"), rate("given")), (Some(2e-4), Some(1e-3), Some(5e-4)));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let lab = lab();
    adapters(&lab, "run", &["--max-steps", "1"]).ok();
    adapters(&lab, "run", &["--max-steps", "2", "--resume", "--lora-alpha", "16"])
        .fails(&["--lora-alpha 8.0, not 16.0"]);
    of(&lab, "base", "run", &["--max-steps", "2", "--resume"]).fails(&["--lora-rank 4, not none"]);
    of(&lab, "raw", "run", &[&["--max-steps", "2", "--resume"], &LORA[..]].concat())
        .fails(&["--model another base model, not this one"]);
    of(&lab, "base", "plain", &["--max-steps", "1"]).ok();
    adapters(&lab, "plain", &["--max-steps", "2", "--resume"]).fails(&["--lora-rank none, not 4"]);
    let odd = ["--lora-rank", "4", "--lora-targets", "wi"];
    of(&lab, "base", "out", &odd).fails(&["wi", "wi_0, wi_1, wo"]);
    let before = lab.read("run/train_log.jsonl");
    of(&lab, "base", "run", &[&odd[..], &["--force"]].concat()).fails(&["wi_0, wi_1, wo"]);
    assert!(lab.read("run/train_log.jsonl") == before && lab.path("run/best").is_dir());
    assert!(adapters(&lab, "run", &["--max-steps", "2", "--resume"]).code == 0);
    assert!(adapters(&lab, "run", &["--max-steps", "1", "--force"]).code == 0);

    let (adapter, base) = (lab.path("run"), lab.path("base"));
    run(["generate", "--model", arg(&base), "--adapter", arg(&base), "甲"]).fails(&["adapter_config.json"]);
    for (flags, message) in [
        (&["--lora-rank", "0"][..], "--lora-rank"),
        (&["--lora-rank", "4", "--lora-alpha", "0"], "--lora-alpha"),
        (&["--lora-rank", "4", "--lora-targets", "x"], "wi_0"),
        (&["--lora-alpha", "4"], "--lora-rank"),
        (&["--lora-rank", "4", "--train-parts", "encoder"], "--train-parts"),
        (&["--lora-rank", "4", "--adapter", arg(&adapter)], "merge it into the model first"),
    ] {
        of(&lab, "base", "out", flags).is_wrong_usage(message);
    }
    of(&lab, "config.json", "out", &["--lora-rank", "4", "--tokenizer", "spiece.model"])
        .is_wrong_usage("give a model");
    assert!(!lab.path("out").exists());
}
