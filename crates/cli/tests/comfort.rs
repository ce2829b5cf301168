//! What makes the program easy to use: ranges, names from elsewhere, suggestions, presets, quiet and verbose, completions,
//! manual pages, `inspect --json`.

mod common;
use common::lab::Lab;
use common::{Run, arg, names, run};

const FLAGS: &str =
    "--model config.json --tokenizer spiece.model --train train.tsv --threads 2 --max-steps 1";

/// The subcommands, as the program's own help lists them.
fn subcommands() -> Vec<String> {
    let help = run(["--help"]).ok();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

/// Wrong usage, said in one line.
#[track_caller]
fn refused(run: &Run, parts: &[&str]) {
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.lines().count()), (2, "", 1), "{run:#?}");
    assert!(run.stderr.starts_with("t5kit: error: "), "{run:#?}");
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?} in {run:#?}");
    }
}

#[test]
fn every_number_says_its_range() {
    let mut seen = 0;
    for subcommand in subcommands() {
        let help = run([&subcommand, "--help"]).ok();
        for line in help.lines().map(str::trim).filter(|line| line.starts_with('-')) {
            let Some((flag, rest)) =
                line.split_once("--").map(|(_, flag)| flag).and_then(|f| f.split_once(' '))
            else {
                continue;
            };
            if !["<N>", "<X>", "<K>", "<P>", "<R>", "<SHARE>"].contains(&rest.split(' ').next().unwrap()) {
                continue;
            }
            seen += 1;
            let flag = format!("--{flag}");
            refused(&run([&subcommand, &flag, "abc"]), &[&format!("{flag} must be a "), "not abc"]);
            let nan = run([&subcommand, &flag, "nan"]);
            refused(&nan, &[&format!("{flag} must be "), "not nan"]);
            // Short as it is, the line of a demo with a seed of 0 is complete.
            let values = if subcommand == "demo" && flag == "--seed" { &["-1"][..] } else { &["-1", "0"] };
            for &value in values {
                let run = run([&subcommand, &flag, value]);
                // Whatever else is wrong with so short a line, it is not that the number looks like a flag.
                assert_eq!(run.code, 2, "{run:#?}");
                let missing = run.stderr.contains("missing");
                if value == "-1" && flag != "--length-penalty" || !missing {
                    refused(&run, &[&format!("{flag} must be "), &format!("not {value}")]);
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} numbers");
}

#[test]
fn names_from_elsewhere_are_taken_and_the_last_of_two_counts() {
    let lab = Lab::new("");
    let line = "--base_model config.json --tokenizer spiece.model --train-file train.tsv --validation-file valid.tsv
        --num-train-epochs 2 --per-device-train-batch-size 4 --batch-size 8 --lr 1 --lr 1e-3 --max_source_len 20
        --gradient-accumulation-steps 2 --lr-scheduler-type linear --quiet --quiet";
    let line: Vec<&str> = line.split_whitespace().collect();
    let said = common::finish(
        common::program().current_dir(lab.path("")).arg("finetune").args(line).args(["-o", "run"]),
    );
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:#?}");
    let state: serde_json::Value = serde_json::from_slice(&lab.read("run/last/training_state.json")).unwrap();
    let options = &state["options"];
    assert_eq!((options["epochs"].as_u64(), options["batch_size"].as_u64()), (Some(2), Some(8)));
    assert_eq!(
        (options["learning_rate"].as_f64(), options["schedule"].as_str()),
        (Some(1e-3), Some("linear"))
    );
    assert_eq!(options["gradient_accumulation"].as_u64(), Some(2));
    assert!(said.ok().is_empty());
}

#[test]
fn a_wrong_name_suggests_what_is_meant() {
    refused(&run(["train"]), &["did you mean finetune?"]);
    refused(&run(["predict", "--model", "x"]), &["did you mean generate?"]);
    refused(&run(["eval"]), &["did you mean evaluate?"]);
    refused(&run(["rouge"]), &["did you mean metrics?"]);
    refused(&run(["finetune", "--lr-rate", "1"]), &["did you mean --learning-rate?"]);
    refused(&run(["finetune", "--fp16"]), &["did you mean --precision bf16?"]);
    refused(&run(["generate", "--gpu", "1"]), &["did you mean --device cuda"]);
    refused(&run(["count", "--device", "cuda"]), &["--threads"]);
    refused(&run(["generate", "--num-beem", "4"]), &["did you mean --num-beams?"]);
    refused(&run(["convert", "--dtype", "float16"]), &["did you mean f16?"]);
    refused(&run(["finetune", "--optimizer", "adamw_torch"]), &["did you mean adamw?"]);
    refused(&run(["generate"]), &["--model <MODEL> is missing", "t5kit generate --help"]);
}

#[test]
fn a_preset_says_what_it_sets_and_flags_win() {
    let lab = Lab::new(FLAGS);
    let beside = ["--preset", "bojone", "--valid", "valid.tsv", "--epochs", "5"];
    let said = lab.finetune("run", &beside);
    let line = said.stderr.lines().next().unwrap().to_owned();
    assert_eq!(
        line,
        "t5kit: preset bojone: --optimizer adam --learning-rate 2e-4 --schedule constant --max-grad-norm 0 --dropout 0.1 \
         --batch-size 16 --max-source-length 256 --max-target-length 32 --metric bleu --eval-num-beams 1"
    );
    said.ok();
    let state: serde_json::Value = serde_json::from_slice(&lab.read("run/last/training_state.json")).unwrap();
    let options = &state["options"];
    assert_eq!((options["optimizer"].as_str(), options["epochs"].as_u64()), (Some("adam"), Some(5)));
    let validation = &options["validation"];
    assert_eq!(validation["metrics"], serde_json::json!(["bleu"]));
    assert_eq!(
        (validation["num_beams"].as_u64(), validation["max_new_tokens"].as_u64()),
        (Some(1), Some(32))
    );
    // Without validation there is nothing to be the best of.
    let said = lab.finetune("plain", &["--preset", "bojone"]);
    assert!(said.stderr.contains("--epochs 40") && !said.stderr.contains("--metric"), "{said:#?}");
    said.ok();
}

#[test]
fn quiet_says_errors_alone_and_verbose_says_more() {
    let lab = Lab::new(FLAGS);
    let usual = lab.finetune("usual", &[]);
    assert!(
        usual.stderr.contains("training: 1 steps") || usual.stderr.contains("training: 1 of"),
        "{usual:#?}"
    );
    let quiet = lab.finetune("quiet", &["-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "{quiet:#?}");
    assert!(lab.path("quiet/last/model.safetensors").is_file());
    lab.finetune("quiet", &["-q"]).fails(&["not empty"]);
    let verbose = lab.finetune("verbose", &["--verbose"]);
    for part in ["instructions", "threads", "done in"] {
        assert!(
            verbose.stderr.contains(part) && !usual.stderr.contains("instructions"),
            "{part} in {verbose:#?}"
        );
    }
    let model = lab.path("verbose");
    let said = run(["-v", "inspect", "--model", arg(&model)]);
    assert!(said.stderr.contains("weights: ") && said.stderr.contains("tokenizer: "), "{said:#?}");
}

#[test]
fn inspect_tells_programs_too() {
    let lab = Lab::new(FLAGS);
    lab.finetune("run", &[]).ok();
    let found: serde_json::Value =
        serde_json::from_str(&run(["inspect", "--json", "--model", arg(&lab.path("run"))]).ok()).unwrap();
    assert_eq!(found["family"], "mT5");
    assert_eq!(
        (found["config"]["d_model"].as_u64(), found["config"]["vocab_size"].as_u64()),
        (Some(32), Some(40))
    );
    assert_eq!(found["storage"], serde_json::json!(["f32"]));
    assert_eq!(found["tokenizer"]["pieces"].as_u64(), Some(27));
    let parts = found["parts"].as_array().unwrap();
    let sum = |key: &str| parts.iter().map(|part| part[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(
        (Some(sum("parameters")), Some(sum("bytes"))),
        (found["parameters"].as_u64(), found["bytes"].as_u64())
    );
    assert!(found["memory"]["training"]["parameters"].as_u64().unwrap() > 0);
    assert!(found["memory"]["inference"].as_array().unwrap().len() >= 2);
}

#[test]
fn completions_and_manual_pages_know_the_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(["completions", shell]).ok();
        assert!(script.contains("finetune") && script.contains("learning-rate"), "{shell}");
    }
    refused(&run(["completions", "tcsh"]), &["bash"]);
    let folder = tempfile::tempdir().unwrap();
    run(["man", "--output", arg(folder.path())]).ok();
    let pages = names(folder.path());
    assert_eq!(pages.len(), subcommands().len() + 1, "{pages:?}");
    let page = std::fs::read_to_string(folder.path().join("t5kit-finetune.1")).unwrap();
    assert!(page.contains(r"\-\-learning\-rate") && page.contains("T5KIT_ISA"), "{page}");
    assert_eq!(run(["man", "finetune"]).ok(), page);
    refused(&run(["man", "cooking"]), &["cooking"]);
}

#[test]
fn help_ends_with_examples_and_the_environment() {
    for subcommand in subcommands() {
        let help = run([&subcommand, "--help"]).ok();
        let (_, end) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
        assert!(end.contains(&format!("t5kit {subcommand}")) && end.contains("T5KIT_ISA"), "{help}");
    }
}
