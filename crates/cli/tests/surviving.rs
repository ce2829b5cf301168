//! `t5kit finetune` killed at any moment and on a full disk: what was saved stays sound, `--resume` ends with the same
//! bytes, and nothing is left over.
#![cfg(unix)]

mod common;
use common::finish;
use common::lab::Lab;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FLAGS: &str = "--model config.json --tokenizer spiece.model --train train.tsv --valid valid.tsv --epochs 6
    --batch-size 4 --threads 2 --eval-every 5 --save-every 3 --metric chrf --learning-rate 1e-2 --tensorboard";

/// Every file under a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            names.extend(files(&path).into_iter().map(|inner| format!("{name}/{inner}")));
            names.push(name);
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// The log without what a clock or the system decides.
fn log(lab: &Lab, output: &str) -> Vec<serde_json::Value> {
    let mut records = lab.log(output);
    for record in &mut records {
        for key in ["seconds", "rss_bytes"] {
            record.as_object_mut().unwrap().remove(key);
        }
    }
    records
}

#[track_caller]
fn assert_same_run(lab: &Lab, parts: &str) {
    let names = files(&lab.path("whole"));
    assert_eq!(names, files(&lab.path(parts)));
    for name in names.iter().filter(|name| name.starts_with("last/") || name.starts_with("best/")) {
        assert!(lab.read(format!("whole/{name}")) == lab.read(format!("{parts}/{name}")), "{name} differs");
    }
    assert_eq!(log(lab, "whole"), log(lab, parts));
}

#[test]
fn a_run_killed_at_random_moments_is_the_run() {
    let lab = Lab::new(FLAGS);
    let begun = Instant::now();
    lab.finetune("whole", &[]).ok();
    let whole_run = begun.elapsed();
    let mut random = 12345u64;
    let mut killed = 0;
    for round in 0..4 {
        let name = format!("parts{round}");
        for _ in 0..8 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let share = (random >> 40) as f64 / (1u64 << 24) as f64;
            let mut child = lab
                .command(&name)
                .arg("--resume")
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // Early enough that most of the eight find the run unfinished.
            std::thread::sleep(Duration::from_secs_f64(whole_run.as_secs_f64() * 0.3 * share));
            killed += u32::from(child.try_wait().unwrap().is_none());
            let _ = child.kill(); // SIGKILL; it may have ended by itself
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{stderr}");
        }
        lab.finetune(&name, &["--resume"]).ok();
        assert_same_run(&lab, &name);
    }
    assert!(killed >= 8, "only {killed} runs were killed at work");
}

#[test]
fn a_full_disk_is_one_line_and_costs_no_checkpoint() {
    let lab = Lab::new(FLAGS);
    lab.finetune("whole", &[]).ok();
    let parts = lab.path("parts");
    // Files end at so many blocks of 512 bytes: first none fits, then some do and the moments or the log do not.
    let limited = |blocks: u64| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut shell = Command::new("sh");
        let command = lab.command("parts");
        shell.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
        finish(shell.arg("--resume").current_dir(lab.path("")).stdin(Stdio::null()))
    };
    let size = |name: &str| lab.read(format!("whole/last/{name}")).len() as u64;
    let (weights, moments) = (size("model.safetensors"), size("training_state.safetensors"));
    assert!(moments > weights);
    for blocks in [0, weights / 1024, weights / 512 + 8] {
        let run = limited(blocks);
        assert_eq!(run.code, 1, "{run:#?}");
        let errors: Vec<&str> = run.stderr.lines().filter(|line| line.contains("error")).collect();
        // The small files are prepared elsewhere, before the run has a folder.
        let named = ["parts", "t5kit-tokenizer"].iter().any(|name| errors[0].contains(name));
        assert!(errors.len() == 1 && named, "{run:#?}");
        assert!(!run.stderr.contains("panicked"), "{run:#?}");
        let left = if parts.exists() { files(&parts) } else { Vec::new() };
        assert!(!left.iter().any(|name| name.contains("tmp")), "{left:?}");
    }
    // A good checkpoint outlives it.
    let mut child = lab.command("parts").arg("--resume").stderr(Stdio::null()).spawn().unwrap();
    while !parts.join("last").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let good = lab.read("parts/last/training_state.json");
    assert_eq!(limited(weights / 512 + 8).code, 1);
    assert!(lab.read("parts/last/training_state.json") == good);
    lab.finetune("parts", &["--resume"]).ok();
    assert_same_run(&lab, "parts");
}
