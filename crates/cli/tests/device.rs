//! `--device` as a user gives it, with a GPU that the host's processor emulates.

mod common;
use common::lab::Lab;
use common::{Run, arg, finish, program, run};
use std::path::{Path, PathBuf};

/// A run from random weights, as small as one can be.
const FLAGS: &str = "--model config.json --tokenizer spiece.model --train train.tsv --valid valid.tsv
    --batch-size 8 --threads 1 --learning-rate 1e-2 --epochs 1";

/// The emulation's library; none, which is said, where there is no C++ compiler.
fn library() -> Option<PathBuf> {
    match t5kit_tensor::emulated::build() {
        Ok(library) => Some(library),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

fn on_gpu(library: &Path, args: &[&str]) -> Run {
    finish(program().env(t5kit_tensor::emulated::VARIABLE, library).args(args))
}

/// Losses, texts and scores are the processor's; a resumed run ends with the bytes of one that was never stopped.
#[test]
fn training_resuming_generating_and_scoring() {
    let Some(library) = library() else { return };
    let lab = Lab::new(FLAGS);
    lab.finetune("cpu", &[]).ok();
    let gpu = |run: &str, more: &[&str]| {
        let mut command = lab.command(run);
        command.env(t5kit_tensor::emulated::VARIABLE, &library).args(["--device", "cuda"]).args(more);
        finish(&mut command).ok();
    };
    gpu("gpu", &[]);
    let (host, there) = (lab.losses("cpu"), lab.losses("gpu"));
    assert_eq!((host.len(), there.len()), (3, 3));
    for (a, b) in host.iter().zip(&there) {
        assert!((a - b).abs() < 1e-4 * a.abs(), "losses {host:?} {there:?}");
    }
    gpu("parts", &["--max-steps", "2"]);
    gpu("parts", &["--resume"]);
    for name in ["last/model.safetensors", "last/config.json"] {
        assert!(lab.read(format!("gpu/{name}")) == lab.read(format!("parts/{name}")), "{name} differs");
    }

    let model = lab.path("cpu");
    for flags in [&["--max-new-tokens", "5"][..], &["--max-new-tokens", "4", "--num-beams", "2"]] {
        let base = [&["generate", "--model", arg(&model), "甲乙丙，丁", "a"], flags].concat();
        let there = on_gpu(&library, &[&base[..], &["--device", "cuda:0"]].concat()).ok();
        assert_eq!(there, run(base).ok());
    }
    let pairs = lab.path("valid.tsv");
    let base = ["score", "--model", arg(&model), "--input", arg(&pairs)];
    let there = on_gpu(&library, &[&base[..], &["--device", "auto"]].concat()).ok();
    let host = run(base).ok();
    let scores = |text: &str| -> Vec<f64> {
        text.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect()
    };
    let (host, there) = (scores(&host), scores(&there));
    assert!(!host.is_empty() && host.len() == there.len());
    assert!(host.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs()), "{host:?} {there:?}");
}

/// Every other way of training: the losses and the validation by generated texts are the processor's.
#[test]
fn training_in_other_ways() {
    let Some(library) = library() else { return };
    let lab = Lab::new(FLAGS);
    for (i, flags) in [
        "--gradient-accumulation 2 --batch-size 4 --optimizer adafactor --metric chrf --eval-num-beams 2",
        "--optimizer lion --lazy-embeddings --learning-rate 1e-3 --label-smoothing 0.1",
        "--model cpu0 --lora-rank 2 --recompute --metric chrf",
    ]
    .into_iter()
    .enumerate()
    {
        let flags: Vec<&str> = flags.split(' ').collect();
        lab.finetune(&format!("cpu{i}"), &flags).ok();
        let mut command = lab.command(&format!("gpu{i}"));
        command.env(t5kit_tensor::emulated::VARIABLE, &library).args(["--device", "cuda"]).args(&flags);
        finish(&mut command).ok();
        let [host, there] = ["cpu", "gpu"].map(|run| lab.log(&format!("{run}{i}")));
        assert_eq!(host.len(), there.len());
        let mut compared = 0;
        for (host, there) in host.iter().zip(&there) {
            for name in ["loss", "valid_loss"] {
                let (Some(a), Some(b)) = (host[name].as_f64(), there[name].as_f64()) else { continue };
                assert!((a - b).abs() < 1e-4 * a.abs(), "{flags:?}: {host} {there}");
                compared += 1;
            }
            assert_eq!(host["chrf"], there["chrf"], "{flags:?}");
        }
        assert!(compared >= 4, "{host:?}");
        let scored = host.iter().any(|record| record["chrf"].is_f64());
        assert_eq!(scored, flags.contains(&"--metric"), "{host:?}");
    }
    let mut command = lab.command("overflow");
    command.env(t5kit_tensor::emulated::VARIABLE, &library).args(["--device", "cuda"]);
    let run = finish(command.args(["--learning-rate", "1e30", "--epochs", "20"]));
    run.fails(&["error: step 5: ", ".weight (", "is not finite, 4 steps in a row; lower --learning-rate"]);
}

/// Two GPUs share out what one does alone: the losses, the gradients' norms and the validation, with dropout, an embedding
/// by rows and a step with a batch too few; and a resumed run ends with the bytes of one that was never stopped.
#[test]
fn two_gpus_share_the_batches_of_a_step() {
    let Some(library) = library() else { return };
    let mut lab = Lab::new(FLAGS);
    lab.flags.extend(["--batch-size", "3", "--gradient-accumulation", "3", "--lazy-embeddings"]);
    let run = |output: &str, device: &str, more: &[&str]| {
        let mut command = lab.command(output);
        command.env(t5kit_tensor::emulated::VARIABLE, &library).args(["--device", device]).args(more);
        finish(&mut command)
    };
    run("one", "cuda", &[]).ok();
    run("two", "cuda:1,0", &[]).ok();
    let [one, two] = ["one", "two"].map(|output| lab.log(output));
    assert_eq!(one.len(), two.len());
    for name in ["loss", "grad_norm", "valid_loss"] {
        let of = |log: &[serde_json::Value]| -> Vec<f64> {
            log.iter().filter_map(|record| record[name].as_f64()).collect()
        };
        let (one, two) = (of(&one), of(&two));
        assert!(!one.is_empty() && one.len() == two.len(), "{name}");
        for (a, b) in one.iter().zip(&two) {
            assert!((a - b).abs() < 1e-6 * a.abs(), "{name}: {one:?} {two:?}");
        }
    }
    run("parts", "cuda:0,1", &["--max-steps", "2"]).ok();
    run("parts", "cuda:0,1", &["--resume"]).ok();
    for name in ["last/model.safetensors", "last/training_state.safetensors"] {
        assert!(lab.read(format!("two/{name}")) == lab.read(format!("parts/{name}")), "{name} differs");
    }
    let fails = |output: &str, device, more: &[&str], said| run(output, device, more).fails(&[said]);
    fails("x", "cuda:0,1", &["--gradient-accumulation", "1"], "--gradient-accumulation 1: GPUs share");
}

/// TF32 rounds: the losses are near f32's and not the same. The processor has none.
#[test]
fn tf32_is_a_gpus() {
    let lab = Lab::new(FLAGS);
    // Before anything is read: the files need not be there.
    let refused = "--precision tf32: only GPUs multiply TF32, by --device";
    lab.finetune("none", &["--precision", "tf32", "--train", "nowhere.tsv"]).is_wrong_usage(refused);
    let pretrain = "pretrain --model nowhere.json --tokenizer nowhere.model --data nowhere.txt
        --max-steps 1 --output none --precision tf32";
    run(pretrain.split_whitespace().collect::<Vec<_>>()).is_wrong_usage(refused);
    let Some(library) = library() else { return };
    for precision in ["f32", "tf32"] {
        let mut command = lab.command(precision);
        command.env(t5kit_tensor::emulated::VARIABLE, &library).args(["--device", "cuda"]);
        finish(command.args(["--precision", precision, "--max-steps", "2"])).ok();
    }
    let [exact, rounded] = ["f32", "tf32"].map(|run| lab.losses(run));
    assert!(exact != rounded);
    for (a, b) in exact.iter().zip(&rounded) {
        assert!((a - b).abs() < 3e-3 * a.abs(), "{exact:?} {rounded:?}");
    }
}

/// What a run would take of the GPU is known before anything of it is there.
#[test]
fn a_run_that_does_not_fit_is_refused_with_what_would() {
    let Some(library) = library() else { return };
    let lab = Lab::new(FLAGS);
    let run = |bytes: &str| {
        let mut command = lab.command("run");
        command
            .env(t5kit_tensor::emulated::VARIABLE, &library)
            .env(t5kit_tensor::emulated::MEMORY_VARIABLE, bytes);
        finish(command.args(["--device", "cuda", "--batch-size", "24"]))
    };
    let said =
        ["of memory, 0.0 GiB are free: lower --batch-size (", "would fit; --gradient-accumulation keeps"];
    run("700000").fails(&said);
    run("200000").fails(&["not even 1 would fit"]);
    assert!(!lab.path("run").exists());
}

#[test]
fn what_is_no_device_is_said_in_a_line() {
    let lab = Lab::new(FLAGS);
    let config = lab.path("config.json");
    let wrong = run(["score", "--model", arg(&config), "--input", "-", "--device", "gpu"]);
    assert_eq!(wrong.code, 2, "{wrong:#?}");
    assert!(wrong.stderr.contains("take auto, cpu, cuda, cuda:N or cuda:N,M"), "{}", wrong.stderr);
    for (device, said) in [
        ("cuda:0,0", "GPU number 0 is named twice"),
        ("cuda:0,1", "several GPUs are for training; name one of them"),
    ] {
        let wrong = run(["score", "--model", arg(&config), "--input", "-", "--device", device]);
        assert_eq!(wrong.code, 2, "{wrong:#?}");
        assert!(wrong.stderr.contains(said), "{}", wrong.stderr);
    }
    let Some(library) = library() else { return };
    let args = ["score", "--model", arg(&config), "--input", "-", "--device", "cuda:7"];
    on_gpu(&library, &args).fails(&["there is no GPU number 7: this machine has 2, numbered from 0"]);
    // A library that is none is found out when it is opened.
    let args = ["score", "--model", arg(&config), "--input", "-", "--device", "cuda"];
    on_gpu(&config, &args).fails(&["opening the emulation failed on the GPU"]);
    // No machine has so many.
    let none = run(["score", "--model", arg(&config), "--input", "-", "--device", "cuda:4000"]);
    assert!(none.code == 1 && none.stderr.lines().count() == 1, "{none:#?}");
    let said = [
        "no NVIDIA driver is found",
        "there is no GPU number 4000",
        "driver is too old",
        "failed on the GPU",
    ];
    assert!(said.iter().any(|text| none.stderr.contains(text)), "{}", none.stderr);
    assert!(!none.stderr.contains('`'), "{}", none.stderr);
}
