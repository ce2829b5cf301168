//! `t5kit generate`, `score` and `inspect` as a user runs them.

mod common;
use common::{arg, file, model, program, run, run_with_input};
use std::path::{Path, PathBuf};

/// A model that was trained for a moment, so that it is not all alike.
fn trained(folder: &Path) -> PathBuf {
    let (config, tokenizer) = (model::config(folder, 40), model::tokenizer(folder));
    let (train, output) = (model::pairs(folder, "train.tsv", 16), folder.join("run"));
    run([
        "finetune",
        "--model",
        arg(&config),
        "--tokenizer",
        arg(&tokenizer),
        "--train",
        arg(&train),
        "--output",
        arg(&output),
        "--max-steps",
        "20",
        "--epochs",
        "100",
        "--learning-rate",
        "1e-2",
    ])
    .ok();
    output
}

#[test]
fn a_line_in_a_line_out_whatever_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let sources = ["甲乙丙，丁", "a", "", "戊己庚辛壬癸abcdefghij，。", "没有的字", "甲乙丙，丁"];
    let input = sources.join("\n");
    let base = ["generate", "--model", arg(&model), "--max-new-tokens", "9"];
    let all = run_with_input(base, input.as_bytes()).ok();
    assert_eq!(all.lines().count(), sources.len(), "{all:?}");
    for size in ["1", "2", "100"] {
        let some = [&base[..], &["--batch-size", size, "--threads", "1"]].concat();
        assert_eq!(run_with_input(some, input.as_bytes()).ok(), all, "batches of {size}");
    }
    let given: Vec<&str> = base.iter().chain(&[sources[0], sources[1]]).copied().collect();
    assert_eq!(run(given).ok().lines().collect::<Vec<_>>(), all.lines().take(2).collect::<Vec<_>>());
    assert_eq!(run_with_input(base, b"").ok(), "");
}

#[test]
fn json_says_text_ids_and_score_and_score_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let source = "乙丙丁，戊";
    let out = run(["generate", "--model", arg(&model), "--json", "--max-new-tokens", "12", source]).ok();
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let output = &json["outputs"][0];
    let ids: Vec<u64> = serde_json::from_value(output["ids"].clone()).unwrap();
    assert_eq!(ids.last(), Some(&1), "{out}");
    let text = output["text"].as_str().unwrap();
    let pairs = file(folder.path(), "pairs.tsv", format!("{source}\t{text}\n"));
    let scored = run(["score", "--model", arg(&model), "--input", arg(&pairs)]).ok();
    let (value, tokens) = scored.trim_end().split_once('\t').unwrap();
    // A text may have another segmentation than the one that was generated; this one has not.
    assert_eq!(tokens.parse::<usize>().unwrap(), ids.len());
    let (scored, generated) = (value.parse::<f64>().unwrap(), output["score"].as_f64().unwrap());
    assert!((scored - generated).abs() < 1e-3, "{scored} {generated}");
}

#[test]
fn scores_are_a_line_a_pair() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let pairs = file(folder.path(), "pairs.tsv", "甲乙\t丙\n丁\t戊己庚\n");
    let out = run(["score", "--model", arg(&model), "--input", arg(&pairs), "--tokens"]).ok();
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        let each: Vec<f64> = line[2].split(' ').map(|x| x.parse().unwrap()).collect();
        assert_eq!(line[1].parse::<usize>().unwrap(), each.len());
        assert!((line[0].parse::<f64>().unwrap() - each.iter().sum::<f64>()).abs() < 1e-4, "{line:?}");
        assert!(each.iter().all(|&x| x < 0.0), "{line:?}");
    }
    let torn = file(folder.path(), "torn.tsv", "甲乙\t丙\n丁\n");
    run(["score", "--model", arg(&model), "--input", arg(&torn)]).fails(&["torn.tsv", "line 2"]);
    run(["score", "--model", arg(&model), "--input", "nowhere.tsv"]).fails(&["nowhere.tsv"]);
}

#[test]
fn models_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for command in [&["inspect"][..], &["generate", "甲"], &["score", "--input", "x.tsv"]] {
        let with = |path: &Path| run(command.iter().copied().chain(["--model", arg(path)]));
        with(&nowhere).fails(&["nowhere"]);
        with(folder.path()).fails(&["model.safetensors"]);
    }
    // A file cut short, and a file of another shape.
    let run_folder = trained(folder.path());
    let weights = run_folder.join("last/model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    run(["generate", "--model", arg(&run_folder), "甲"]).fails(&["model.safetensors"]);
    std::fs::write(&weights, &bytes).unwrap();
    let config = run_folder.join("last/config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"d_ff\": 48", "\"d_ff\": 56");
    assert!(text.contains("56"), "{text}");
    std::fs::write(&config, text).unwrap();
    run(["generate", "--model", arg(&run_folder), "甲"]).fails(&["wi_0", "48", "56"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let input = file(folder.path(), "in.txt", "甲乙\n".repeat(20_000));
    let mut child = program()
        .args(["generate", "--model", arg(&model), "--max-new-tokens", "3"])
        .stdin(std::fs::File::open(input).unwrap())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
