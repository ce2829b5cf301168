//! `t5kit generate` and `score` with every option, as a user runs them.

mod common;
use common::{arg, file, finish, model, program, run, run_with_input};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model that was trained for a moment, so that it is not all alike.
fn trained(folder: &Path) -> PathBuf {
    let (config, tokenizer) = (model::config(folder, 40), model::tokenizer(folder));
    let (train, output) = (model::pairs(folder, "train.tsv", 16), folder.join("run"));
    let common =
        ["finetune", "--model", arg(&config), "--tokenizer", arg(&tokenizer), "--train", arg(&train)];
    let rest = ["--output", arg(&output), "--max-steps", "20", "--epochs", "100", "--learning-rate", "1e-2"];
    run(common.into_iter().chain(rest)).ok();
    output
}

const SOURCES: [&str; 4] = ["甲乙丙，丁", "a", "戊己庚辛壬癸abcdefghij，。", "乙丙，甲"];

/// Runs with `--json` on all sources and returns each one's outputs.
fn json(model: &Path, flags: &[&str]) -> Vec<Vec<Value>> {
    let base = ["generate", "--model", arg(model), "--json", "--max-new-tokens", "8"];
    let out = run_with_input(base.iter().chain(flags), SOURCES.join("\n").as_bytes()).ok();
    let outputs = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap();
        object["outputs"].as_array().unwrap().clone()
    };
    let all: Vec<_> = out.lines().map(outputs).collect();
    assert_eq!(all.len(), SOURCES.len(), "{out}");
    all
}

#[test]
fn every_mode_gives_the_same_alone_and_in_company() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    for flags in [
        &[
            "--num-beams",
            "3",
            "--num-return-sequences",
            "2",
            "--length-penalty",
            "0.6",
            "--early-stopping",
            "never",
        ][..],
        &["--num-beams", "4", "--length-normalization", "t5", "--early-stopping", "true"],
        &[
            "--num-beams",
            "4",
            "--num-beam-groups",
            "2",
            "--diversity-penalty",
            "1.5",
            "--num-return-sequences",
            "4",
        ],
        &["--sample", "--seed", "5", "--num-return-sequences", "3"],
        &["--temperature", "1.5", "--top-k", "20", "--top-p", "0.9", "--min-p", "0.01"],
        &["--repetition-penalty", "1.3", "--no-repeat-ngram-size", "2", "--min-new-tokens", "3"],
        &["--dtype", "bf16"],
    ] {
        let ids = |all: &[Vec<Value>]| -> Vec<Vec<Value>> {
            all.iter().map(|outputs| outputs.iter().map(|o| o["ids"].clone()).collect()).collect()
        };
        let all = json(&model, flags);
        let one = json(&model, &[flags, &["--batch-size", "1", "--threads", "1"]].concat());
        let few = json(&model, &[flags, &["--batch-tokens", "9"]].concat());
        assert_eq!(ids(&all), ids(&one), "{flags:?}");
        assert_eq!(ids(&all), ids(&few), "{flags:?}");
        for output in all.iter().flatten() {
            assert!(output["score"].as_f64().unwrap() < 0.0 && output["text"].is_string(), "{output}");
        }
        if let Some(at) = flags.iter().position(|f| *f == "--num-return-sequences") {
            let count: usize = flags[at + 1].parse().unwrap();
            assert!(all.iter().all(|outputs| outputs.len() == count), "{flags:?}");
        }
    }
}

#[test]
fn several_texts_are_scored_lines() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let flags = [
        "generate",
        "--model",
        arg(&model),
        "--num-beams",
        "3",
        "--num-return-sequences",
        "3",
        "甲乙丙，丁",
        "a",
    ];
    let out = run(flags).ok();
    let scores: Vec<f64> =
        out.lines().map(|line| line.split_once('\t').unwrap().0.parse().unwrap()).collect();
    assert_eq!(scores.len(), 6, "{out}");
    assert!(scores[0] >= scores[1] && scores[3] >= scores[4], "best first: {out}");
}

#[test]
fn prefixes_and_bad_words() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let text = |flags: &[&str]| -> Vec<String> {
        let first = |outputs: &Vec<Value>| outputs[0]["text"].as_str().unwrap().to_owned();
        json(&model, flags).iter().map(first).collect()
    };
    for mode in [&["--sample"][..], &["--num-beams", "3"], &[]] {
        assert!(
            text(&[mode, &["--prefix", "壬癸"]].concat()).iter().all(|t| t.starts_with("壬癸")),
            "{mode:?}"
        );
        let plain = text(mode);
        let seen: std::collections::BTreeSet<char> = plain.iter().flat_map(|t| t.chars()).collect();
        let word = seen.iter().find(|c| model::CHARACTERS.contains(**c)).unwrap().to_string();
        let without = text(&[mode, &["--bad-words", &word]].concat());
        assert!(without.iter().all(|t| !t.contains(&word)), "{word} in {without:?}");
        let words = file(folder.path(), "words.txt", format!("{word}\n\n丁\n"));
        let named = format!("@{}", arg(&words));
        let without = text(&[mode, &["--bad-words", &named]].concat());
        assert!(without.iter().all(|t| !t.contains(&word) && !t.contains('丁')), "{word} in {without:?}");
    }
}

#[test]
fn a_stream_prints_what_a_line_would() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    for flags in [&[][..], &["--sample", "--seed", "3"], &["--prefix", "丁"]] {
        let base = ["generate", "--model", arg(&model), "--max-new-tokens", "9", SOURCES[2]];
        let whole = run(base.iter().chain(flags)).ok();
        assert_eq!(run(base.iter().chain(flags).chain(&["--stream"])).ok(), whole, "{flags:?}");
    }
    let two = ["generate", "--model", arg(&model), "--stream", "甲", "乙"];
    run(two).is_wrong_usage("--stream takes one source");
}

/// The same texts, ids and scores, whatever is looked up, and `--verbose` says in how many steps.
#[test]
fn lookup_changes_the_steps_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    // After so little training it says the same over and over, which is looked up in what it said.
    let base = [
        "generate",
        "--model",
        arg(&model),
        "--json",
        "--max-new-tokens",
        "40",
        "--min-new-tokens",
        "39",
        "-v",
    ];
    let input = SOURCES.join("\n");
    let of = |flags: &[&str]| {
        let out = run_with_input(base.iter().chain(flags), input.as_bytes());
        let said = out.stderr.lines().find(|line| line.contains("a step and text")).unwrap().to_owned();
        (out.ok(), said)
    };
    let (plain, without) = of(&["--batch-size", "1"]);
    assert!(without.contains("160 tokens in 160 steps, 1.00 a step and text; none looked up"), "{without}");
    assert_eq!(of(&["--lookup", "0", "--batch-size", "1"]), (plain.clone(), without));
    for batch in ["1", "4"] {
        let (looked_up, with) = of(&["--lookup", "8", "--batch-size", batch]);
        assert_eq!(looked_up, plain);
        let a_step = with.split(", ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(a_step.parse::<f64>().unwrap() > 1.0 && with.contains("% of them right"), "{with}");
    }
    // Drawing at temperature 0 takes the best.
    let cold = of(&["--temperature", "0", "--lookup", "8", "--batch-size", "1"]);
    assert_eq!(cold.0, plain);
    let stream = |flags: &[&str]| {
        let all = ["generate", "--model", arg(&model), "--max-new-tokens", "20", "--stream", SOURCES[0]];
        run(all.iter().chain(flags)).ok()
    };
    assert_eq!(stream(&["--lookup", "5"]), stream(&[]));
}

/// Beams of the model's own file are no less beams.
#[test]
fn lookup_goes_without_beams() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let best = model.join("best");
    let best = if best.is_dir() { best } else { model.clone() };
    std::fs::write(best.join("generation_config.json"), r#"{"num_beams": 3}"#).unwrap();
    let run = |flags: &[&str]| run(["generate", "--model", arg(&best), "甲"].iter().chain(flags));
    run(&["--lookup", "4"])
        .is_wrong_usage("--lookup tries what one text would say next, and 3 beams have no one text");
    run(&["--lookup", "4", "--num-beams", "1"]).ok();
    run(&["--lookup", "0"]).ok();
}

#[test]
fn impossible_flags_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    for (flags, part) in [
        (&["--num-beams", "2", "--sample"][..], "num-beams"),
        (&["--num-return-sequences", "2"], "num-return-sequences"),
        (&["--num-beams", "4", "--num-beam-groups", "3", "--diversity-penalty", "1"], "num-beam-groups 3"),
        (&["--num-beams", "4", "--num-beam-groups", "2"], "diversity-penalty"),
        (&["--num-beams", "4", "--no-sample", "--top-k", "3"], "--no-sample"),
        (
            &[
                "--num-beams",
                "4",
                "--num-beam-groups",
                "2",
                "--diversity-penalty",
                "1",
                "--early-stopping",
                "t5",
            ],
            "t5",
        ),
        (&["--length-penalty", "2"], "--num-beams"),
        (&["--early-stopping", "maybe", "--num-beams", "2"], "maybe"),
        (&["--seed", "3"], "--seed"),
        (&["--temperature=-1"], "temperature"),
        (&["--lookup", "3", "--num-beams", "2"], "--lookup tries what one text would say next, and 2 beams"),
        (&["--lookup", "3", "--sample"], "--lookup tries the best token, and at --temperature 1"),
        (&["--lookup", "-3"], "-3"),
        (&["--top-p", "1.5"], "top-p"),
        (&["--repetition-penalty", "0"], "repetition-penalty"),
        (&["--stream", "--json"], "--stream"),
        (&["--bad-words", "龘"], "龘"),
        (&["--dtype", "int3"], "int3"),
    ] {
        run(["generate", "--model", arg(&model), "甲"].iter().chain(flags)).is_wrong_usage(part);
    }
    run(["generate", "--model", arg(&model), "甲", "--bad-words", "@nowhere.txt"]).fails(&["nowhere.txt"]);
}

#[test]
fn long_texts_are_cut_with_a_notice_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let base = ["generate", "--model", arg(&model), "--max-source-length", "5", "甲", SOURCES[2]];
    let cut = run(base);
    assert!(cut.stderr.contains("1 source of 2 was cut at 5 tokens"), "{cut:#?}");
    assert_eq!(cut.ok().lines().count(), 2);
    let refused = run(base.iter().chain(&["--on-long", "fail"]));
    refused.fails(&["source 2", "20 tokens", "more than 5", "--max-source-length"]);
    let pairs = file(folder.path(), "pairs.tsv", "甲\t乙\n甲\t甲乙丙丁戊己庚辛\n");
    let score = ["score", "--model", arg(&model), "--input", arg(&pairs), "--max-target-length", "4"];
    let cut = run(score);
    assert!(cut.stderr.contains("1 target of 2 was cut at 4 tokens"), "{cut:#?}");
    assert_eq!(cut.ok().lines().last().unwrap().split('\t').nth(1), Some("4"));
    run(score.iter().chain(&["--on-long", "fail"])).fails(&[
        "target 2",
        "more than 4",
        "--max-target-length",
    ]);
    let all = run(["score", "--model", arg(&model), "--input", arg(&pairs)]).ok();
    let flags = ["--batch-size", "1", "--batch-tokens", "3", "--threads", "1"];
    let one = run(["score", "--model", arg(&model), "--input", arg(&pairs)].iter().chain(&flags)).ok();
    assert_eq!(all.lines().count(), 2);
    for (a, b) in all.lines().zip(one.lines()) {
        let value = |line: &str| line.split('\t').next().unwrap().parse::<f64>().unwrap();
        assert!((value(a) - value(b)).abs() < 1e-3, "{a} {b}");
    }
}

/// Nothing but `<extra_id_0>` is learnt here, as in a checkpoint as it was published.
#[test]
fn an_untuned_model_is_noticed_and_sentinels_are_allowed_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let (config, tokenizer) = (model::config(folder.path(), 40), model::tokenizer(folder.path()));
    let lines: String = SOURCES.iter().map(|s| format!("{s}\t<extra_id_0>甲\n")).collect();
    let (train, output) = (file(folder.path(), "blanks.tsv", lines), folder.path().join("blanks"));
    let common =
        ["finetune", "--model", arg(&config), "--tokenizer", arg(&tokenizer), "--train", arg(&train)];
    let rest = ["--output", arg(&output), "--max-steps", "60", "--epochs", "200", "--learning-rate", "1e-2"];
    run(common.into_iter().chain(rest)).ok();
    for mode in [&[][..], &["--num-beams", "2"], &["--stream"]] {
        let plain = run(["generate", "--model", arg(&output), SOURCES[0]].iter().chain(mode));
        assert!(plain.stderr.contains("needs fine-tuning"), "{plain:#?}");
        assert!(!plain.ok().contains("extra_id"));
        let allowed =
            run(["generate", "--model", arg(&output), SOURCES[0], "--allow-sentinels"].iter().chain(mode));
        assert!(!allowed.stderr.contains("needs fine-tuning"), "{allowed:#?}");
        assert!(allowed.ok().contains("<extra_id_0>"), "{mode:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_line_is_answered_before_the_input_ends() {
    use std::io::{BufRead, Write};
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let mut child = common::program()
        .args(["generate", "--model", arg(&model), "--max-new-tokens", "4"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    for source in ["甲乙\n", "丙\n"] {
        input.write_all(source.as_bytes()).unwrap();
        input.flush().unwrap();
        answers.next().unwrap().unwrap();
    }
    drop(input);
    assert!(answers.next().is_none());
    assert!(child.wait().unwrap().success());
}

/// The file becomes the defaults and goes with the model; flags win.
#[test]
fn the_models_own_values_are_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path()).join("best");
    let model = if model.is_dir() { model } else { model.with_file_name("last") };
    let says = |content: &str| file(&model, "generation_config.json", content);
    let told =
        |flags: &[&str]| run(["generate", "--model", arg(&model), "--json", SOURCES[2]].iter().chain(flags));
    let beams =
        ["--num-beams", "3", "--length-penalty", "2", "--max-new-tokens", "5", "--num-return-sequences", "2"];
    let (by_flags, greedy) = (told(&beams).ok(), told(&[]).ok());
    says(
        r#"{"num_beams": 3, "length_penalty": 2.0, "max_new_tokens": 5, "num_return_sequences": 2, "eos_token_id": 1}"#,
    );
    let quiet = told(&[]);
    assert_eq!(quiet.stdout, by_flags);
    let taken =
        "generation_config.json: max_new_tokens 5, num_return_sequences 2, num_beams 3, length_penalty 2\n";
    assert!(quiet.stderr.ends_with(taken) && quiet.stderr.lines().count() == 1, "{quiet:#?}");
    assert_eq!(told(&["--num-beams", "1", "--max-new-tokens", "64"]).ok(), greedy);
    // A flag of beams alone is enough where the file has beams.
    assert_ne!(told(&["--length-penalty", "-3", "--num-return-sequences", "1"]).ok(), "");

    says(
        r#"{"do_sample": true, "temperature": 2.0, "typical_p": 0.5, "forced_eos_token_id": 1, "max_new_tokens": 9}"#,
    );
    let drawn = told(&[]);
    assert_eq!(drawn.stderr.lines().count(), 2, "{drawn:#?}");
    for part in ["generation_config.json: ", "typical_p 0.5", "forced_eos_token_id 1", "--no-sample"] {
        assert!(drawn.stderr.contains(part), "{part} in {drawn:#?}");
    }
    let by_flags = told(&["--temperature", "2", "--top-k", "50", "--max-new-tokens", "9"]).ok();
    assert_eq!(drawn.ok(), by_flags);
    assert_eq!(told(&["--no-sample", "--max-new-tokens", "64"]).ok(), greedy);
    let three = told(&["--seed", "7", "--num-return-sequences", "3"]).ok();
    assert_eq!(three.matches("\"ids\"").count(), 3, "{three}");
    // What flags ask for is not said to be the file's.
    says("{}");
    assert_eq!(told(&["--do-sample"]).stderr, "");
    assert_eq!(told(&["--top-k", "3", "--num-return-sequences", "2"]).stderr, "");
    says(r#"{"do_sample": true, "temperature": 2.0, "max_new_tokens": 9}"#);
    // Beams that are asked for replace the drawing.
    assert_eq!(told(&beams).ok().matches("\"ids\"").count(), 2);
    says(r#"{"do_sample": true, "num_beams": 2}"#);
    assert!(told(&[]).stderr.contains("do_sample with num_beams"));
    assert_eq!(run(["generate", "--model", arg(&model), "--stream", SOURCES[2]]).code, 0);

    for (content, parts) in [
        ("{", &["generation_config.json"][..]),
        (r#"{"num_beams": "x"}"#, &["generation_config.json", "num_beams"]),
        (r#"{"temperature": -1}"#, &["generation_config.json", "temperature"]),
        (r#"{"eos_token_id": 4000}"#, &["generation_config.json", "eos_token_id", "4000"]),
    ] {
        says(content);
        told(&[]).fails(parts);
    }
    says(r#"{"num_beams": 2}"#);
    let out = folder.path().join("out");
    run(["convert", "--model", arg(&model), "--output", arg(&out)]).ok();
    let copied = std::fs::read_to_string(out.join("generation_config.json")).unwrap();
    assert_eq!(copied, r#"{"num_beams": 2}"#);
    let (again, train) = (folder.path().join("again"), model::pairs(folder.path(), "more.tsv", 4));
    let flags = ["--train", arg(&train), "--output", arg(&again), "--max-steps", "1"];
    run(["finetune", "--model", arg(&out)].iter().chain(&flags)).ok();
    let kept = std::fs::read_to_string(again.join("last/generation_config.json")).unwrap();
    assert!(kept.contains("\"num_beams\": 2") && kept.contains("\"max_new_tokens\": 128"), "{kept}");
}

/// With weights in bf16: products in bf16 where the machine has them, else, or where that is forbidden, in f32.
#[test]
fn products_in_bf16_score_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (model, pairs) = (trained(folder.path()), model::pairs(folder.path(), "pairs.tsv", 8));
    let scores = |dtype: &str, env: Option<(&str, &str)>| -> Vec<f64> {
        let args =
            ["score", "--model", arg(&model), "--input", arg(&pairs), "--dtype", dtype, "--threads", "2"];
        let out = finish(program().args(args).envs(env)).ok();
        out.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect()
    };
    let full = scores("f32", None);
    let half = scores("bf16", None);
    let widened = scores("bf16", Some(("T5KIT_BF16", "portable")));
    let portable = scores("bf16", Some(("T5KIT_ISA", "portable")));
    if t5kit_tensor::bf16_products() {
        assert_ne!(half, widened);
    }
    for (i, want) in full.iter().enumerate() {
        for (scores, bound) in [(&half, 2e-2), (&widened, 2e-2), (&portable, 2e-2)] {
            assert!(
                (scores[i] - want).abs() < bound * want.abs(),
                "{full:?} {half:?} {widened:?} {portable:?}"
            );
        }
        assert!((widened[i] - portable[i]).abs() < 1e-4 * want.abs(), "{widened:?} {portable:?}");
    }
}
