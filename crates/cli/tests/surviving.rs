//! `t5kit finetune` killed at any moment and on a full disk: what was saved stays sound, `--resume` ends with the same
//! bytes, and nothing is left over.
#![cfg(unix)]

mod common;
use common::{arg, finish, model, program};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn flags(lab: &Path, output: &str) -> Vec<String> {
    let at = |name: &str| arg(&lab.join(name)).to_owned();
    let mut flags: Vec<String> =
        ["finetune", "--epochs", "6", "--batch-size", "4", "--threads", "2", "--eval-every", "5"]
            .map(String::from)
            .into();
    flags.extend(
        ["--save-every", "3", "--metric", "chrf", "--learning-rate", "1e-2", "--tensorboard"]
            .map(String::from),
    );
    for (flag, value) in [
        ("--model", "config.json"),
        ("--tokenizer", "spiece.model"),
        ("--train", "train.tsv"),
        ("--valid", "valid.tsv"),
        ("--output", output),
    ] {
        flags.extend([flag.to_owned(), at(value)]);
    }
    flags
}

fn lab() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model::config(folder.path(), 40);
    model::tokenizer(folder.path());
    model::pairs(folder.path(), "train.tsv", 24);
    model::pairs(folder.path(), "valid.tsv", 6);
    folder
}

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
fn log(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("train_log.jsonl")).unwrap();
    let record = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["seconds", "rss_bytes"] {
            value.as_object_mut().unwrap().remove(key);
        }
        value
    };
    text.lines().map(record).collect()
}

#[track_caller]
fn assert_same_run(whole: &Path, parts: &Path) {
    assert_eq!(files(whole), files(parts));
    for name in files(whole).iter().filter(|name| name.starts_with("last/") || name.starts_with("best/")) {
        assert!(
            std::fs::read(whole.join(name)).unwrap() == std::fs::read(parts.join(name)).unwrap(),
            "{name} differs"
        );
    }
    assert_eq!(log(whole), log(parts));
}

#[test]
fn a_run_killed_at_random_moments_is_the_run() {
    let lab = lab();
    let begun = Instant::now();
    finish(program().args(flags(lab.path(), "whole"))).ok();
    let whole_run = begun.elapsed();
    let mut random = 12345u64;
    let mut killed = 0;
    for round in 0..4 {
        let name = format!("parts{round}");
        for _ in 0..8 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let share = (random >> 40) as f64 / (1u64 << 24) as f64;
            let mut child = program()
                .args(flags(lab.path(), &name))
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
        finish(program().args(flags(lab.path(), &name)).arg("--resume")).ok();
        assert_same_run(&lab.path().join("whole"), &lab.path().join(&name));
    }
    assert!(killed >= 8, "only {killed} runs were killed at work");
}

#[test]
fn a_full_disk_is_one_line_and_costs_no_checkpoint() {
    let lab = lab();
    finish(program().args(flags(lab.path(), "whole"))).ok();
    let (whole, parts) = (lab.path().join("whole"), lab.path().join("parts"));
    // Files end at so many blocks of 512 bytes: first none fits, then some do and the moments or the log do not.
    let limited = |blocks: u64| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh", program().get_program().to_str().unwrap()]);
        finish(shell.args(flags(lab.path(), "parts")).arg("--resume").stdin(Stdio::null()))
    };
    let size = |name: &str| std::fs::metadata(whole.join(name)).unwrap().len();
    let (weights, moments) = (size("last/model.safetensors"), size("last/training_state.safetensors"));
    assert!(moments > weights);
    for blocks in [0, weights / 1024, weights / 512 + 8] {
        let run = limited(blocks);
        assert_eq!(run.code, 1, "{run:#?}");
        let errors: Vec<&str> = run.stderr.lines().filter(|line| line.contains("error")).collect();
        assert!(errors.len() == 1 && errors[0].contains("parts"), "{run:#?}");
        assert!(!run.stderr.contains("panicked"), "{run:#?}");
        assert!(!files(&parts).iter().any(|name| name.contains("tmp")), "{:?}", files(&parts));
    }
    // A good checkpoint outlives it.
    let mut child =
        program().args(flags(lab.path(), "parts")).arg("--resume").stderr(Stdio::null()).spawn().unwrap();
    while !parts.join("last").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let good = std::fs::read(parts.join("last/training_state.json")).unwrap();
    assert_eq!(limited(weights / 512 + 8).code, 1);
    assert!(std::fs::read(parts.join("last/training_state.json")).unwrap() == good);
    finish(program().args(flags(lab.path(), "parts")).arg("--resume")).ok();
    assert_same_run(&whole, &parts);
}
