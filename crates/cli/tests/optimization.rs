//! The flags of `t5kit finetune` that decide how a step changes the model.

mod common;
use common::finish;
use common::lab::Lab;

/// A run from random weights.
const FLAGS: &str = "--model config.json --tokenizer spiece.model --train train.tsv --threads 2";

#[test]
fn presets_are_what_help_says_and_flags_win() {
    let lab = Lab::new(FLAGS);
    for (name, flags, want) in [
        ("none", "", ("adamw", 2e-4, false, 1.0)),
        ("mt5", "--preset mt5", ("adafactor", 1e-3, true, 0.0)),
        ("bojone", "--preset bojone", ("adam", 2e-4, false, 0.0)),
        ("hf", "--preset huggingface", ("adafactor", 1e-3, false, 1.0)),
        ("plain", "--preset mt5 --scale-parameter false", ("adafactor", 1e-3, false, 0.0)),
        ("lion", "--preset mt5 --optimizer lion --learning-rate 1e-4", ("lion", 1e-4, false, 0.0)),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().chain(["--max-steps", "1"]).collect();
        lab.finetune(name, &flags).ok();
        let state = lab.read(format!("{name}/last/training_state.json"));
        let options = serde_json::from_slice::<serde_json::Value>(&state).unwrap()["options"].clone();
        let got = (
            options["optimizer"].as_str().unwrap(),
            options["learning_rate"].as_f64().unwrap(),
            options["scale_parameter"].as_bool().unwrap(),
            options["max_grad_norm"].as_f64().unwrap(),
        );
        assert_eq!(got, want, "{name}");
        assert_eq!(
            (options["batch_size"].as_u64(), options["schedule"].as_str()),
            (Some(16), Some("constant"))
        );
    }
}

#[test]
fn everything_at_once_resumes_with_the_same_bytes() {
    let lab = Lab::new(FLAGS);
    let flags = [
        "--batch-tokens=60",
        "--gradient-accumulation=2",
        "--optimizer=lion",
        "--schedule=inverse_sqrt",
        "--warmup-steps=2",
        "--label-smoothing=0.1",
        "--z-loss=1e-4",
        "--lazy-embeddings",
        "--train-parts=decoder,embeddings",
    ];
    let with = |more: &[&'static str]| [&flags[..], more].concat();
    lab.finetune("whole", &with(&["--epochs", "2"])).ok();
    lab.finetune("parts", &with(&["--epochs", "2", "--max-steps", "2"])).ok();
    lab.finetune("parts", &with(&["--epochs", "2", "--resume"])).ok();
    for file in ["model.safetensors", "training_state.safetensors", "training_state.json"] {
        let read = |run: &str| lab.read(format!("{run}/last/{file}"));
        assert!(read("whole") == read("parts"), "{file} differs");
    }
    let changed = [&flags[1..], &["--batch-tokens=50", "--resume"]].concat();
    lab.finetune("parts", &changed).fails(&["--batch-tokens 60, not 50"]);
    // All that differs is named at once, before the data are looked at.
    std::fs::rename(lab.path("train.tsv"), lab.path("elsewhere.tsv")).unwrap();
    let changed = [&flags[2..8], &["--seed=7", "--resume"]].concat();
    lab.finetune("parts", &changed).fails(&[
        "--batch-tokens 60, not none",
        "--gradient-accumulation 2, not 1",
        "--seed 0, not 7",
        "--train-parts embeddings,decoder, not embeddings,encoder,decoder,softmax",
        "--resume continues the same run",
    ]);
    std::fs::rename(lab.path("elsewhere.tsv"), lab.path("train.tsv")).unwrap();
    let fewer = [&flags[..8], &["--train-parts=decoder", "--resume"]].concat();
    lab.finetune("parts", &fewer).fails(&["--train-parts embeddings,decoder, not decoder"]);
}

#[test]
fn a_rate_beyond_reason_ends_with_the_name_of_what_overflowed() {
    let lab = Lab::new(FLAGS);
    let run = lab.finetune("run", &["--learning-rate", "1e30", "--epochs", "20"]);
    assert_eq!(run.code, 1, "{run:#?}");
    // After what is said of the data: the plan, four skipped steps, the end.
    let lines: Vec<&str> = run.stderr.lines().skip_while(|line| !line.contains("parameters")).collect();
    assert_eq!(lines.len(), 6, "{run:#?}");
    for line in &lines[1..5] {
        assert!(
            line.contains("skipped, ") && line.contains(".weight (") && line.ends_with("is not finite"),
            "{line}"
        );
    }
    assert!(lines[5].starts_with("t5kit: error: step 5: ") && lines[5].contains(".weight ("), "{run:#?}");
    assert!(lines[5].ends_with("is not finite, 4 steps in a row; lower --learning-rate"), "{run:#?}");
}

#[test]
fn wrong_usage_is_refused() {
    let lab = Lab::new(FLAGS);
    for (flags, message) in [
        ("--optimizer sgd", "adafactor"),
        ("--schedule step", "inverse_sqrt"),
        ("--train-parts head", "softmax"),
        ("--preset t6", "mt5"),
        ("--label-smoothing 1", "--label-smoothing"),
        ("--z-loss=-1", "--z-loss"),
        ("--learning-rate 0", "--learning-rate"),
        ("--batch-size 4 --batch-tokens 100", "--batch-tokens"),
        ("--optimizer lion --scale-parameter", "--scale-parameter"),
        ("--preset mt5 --lazy-embeddings", "--lazy-embeddings"),
        ("--gradient-accumulation 0", "--gradient-accumulation"),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        lab.finetune("out", &flags).is_wrong_usage(message);
    }
}

#[test]
fn recomputing_changes_nothing_that_is_learned() {
    let lab = Lab::new(FLAGS);
    lab.finetune("kept", &["--max-steps", "4"]).ok();
    lab.finetune("again", &["--max-steps", "4", "--recompute"]).ok();
    let (kept, again) = (lab.losses("kept"), lab.losses("again"));
    assert_eq!(kept.len(), 4);
    for (a, b) in kept.iter().zip(&again) {
        assert!((a - b).abs() < 1e-4 * a, "{kept:?} {again:?}");
    }
    let run = lab.finetune("again", &["--max-steps", "8", "--resume"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("--recompute"), "{}", run.stderr);
}

#[test]
fn bf16_learns_alike_where_there_is_any_and_is_refused_elsewhere() {
    let lab = Lab::new(FLAGS);
    let command = |output: &str, isa: Option<&str>| {
        let mut command = lab.command(output);
        command.args(["--max-steps", "4", "--precision", "bf16"]);
        if let Some(isa) = isa {
            command.env("T5KIT_ISA", isa);
        }
        finish(&mut command)
    };
    let refused = command("portable", Some("portable"));
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--precision bf16"), "{}", refused.stderr);
    assert!(!lab.path("portable").exists());
    if t5kit_tensor::bf16_products() {
        command("bf16", None).ok();
        lab.finetune("f32", &["--max-steps", "4"]).ok();
        let (half, full) = (lab.losses("bf16"), lab.losses("f32"));
        assert_ne!(half, full);
        for (a, b) in full.iter().zip(&half) {
            assert!((a - b).abs() < 2e-2 * a, "{full:?} {half:?}");
        }
    } else {
        eprintln!("no bf16 products on this machine: only the refusal was tested");
    }
}
