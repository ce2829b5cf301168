//! What training fixed lies in the folders of a run, and is how `generate` and `score` use the model unless they are told
//! otherwise.

mod common;
use common::lab::Lab;
use common::{Run, arg, file, finish, names, program, run};
use std::path::Path;

const FLAGS: &str = "--model config.json --tokenizer spiece.model --train train.tsv --valid valid.tsv
    --batch-size 8 --threads 2 --learning-rate 1e-2 --epochs 2 --dropout 0";
const SOURCES: [&str; 2] = ["甲丁庚，癸", "乙丙丁，戊"];

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A run of titles: prefix, lengths, beams.
fn trained(lab: &Lab) {
    let flags =
        "--source-prefix 壬: --max-source-length 9 --max-target-length 5 --metric rouge-l --eval-num-beams 2";
    lab.finetune("run", &flags.split(' ').collect::<Vec<_>>()).ok();
}

fn generate(model: &Path, flags: &[&str]) -> Run {
    run([&["generate", "--model", arg(model), "--json"], flags, &SOURCES[..]].concat())
}

#[test]
fn a_run_is_used_as_it_was_trained() {
    let lab = Lab::new(FLAGS);
    trained(&lab);
    let by_hand =
        ["--source-prefix", "壬:", "--max-source-length", "9", "--num-beams", "2", "--max-new-tokens", "5"];
    let bare = lab.path("bare");
    std::fs::create_dir(&bare).unwrap();
    for name in ["config.json", "model.safetensors", "spiece.model"] {
        std::fs::copy(lab.path("run/best").join(name), bare.join(name)).unwrap();
    }
    let want = generate(&bare, &by_hand).ok();
    assert_ne!(generate(&bare, &[]).ok(), want, "the flags decide something");
    for model in ["run", "run/best"] {
        let told = generate(&lab.path(model), &[]);
        for part in ["source_prefix \"壬:\"", "max_source_length 9", "num_beams 2", "max_new_tokens 5"] {
            assert!(told.stderr.contains(part), "{part} in {told:#?}");
        }
        assert_eq!(told.ok(), want, "{model}");
    }
    // A flag wins, and is not said to be taken from the folder.
    let plain =
        ["--source-prefix", "", "--max-source-length", "512", "--num-beams", "1", "--max-new-tokens", "64"];
    let told = generate(&lab.path("run"), &plain);
    assert_eq!((told.stderr.as_str(), told.stdout.clone()), ("", generate(&bare, &[]).ok()));
    let some = generate(&lab.path("run"), &["--num-beams", "1"]);
    assert!(some.stderr.contains("max_new_tokens 5") && !some.stderr.contains("num_beams"), "{some:#?}");

    let pairs = file(&lab.path(""), "pairs.tsv", "甲乙丙\t甲丙\n");
    let score = |model: &Path, flags: &[&str]| {
        run([&["score", "--model", arg(model), "--input", arg(&pairs)], flags].concat()).ok()
    };
    let want = score(&bare, &["--source-prefix", "壬:"]);
    assert_eq!(score(&lab.path("run"), &[]), want);
    assert_eq!(score(&lab.path("run"), &["--source-prefix", ""]), score(&bare, &[]));
    assert_ne!(want, score(&bare, &[]));
}

#[test]
fn what_training_fixed_goes_where_the_model_goes_and_is_shown() {
    let lab = Lab::new(FLAGS);
    trained(&lab);
    let run_folder = lab.path("run");
    let fixed = json(&lab.path("run/best/t5kit.json"));
    assert_eq!((&fixed["source_prefix"], &fixed["max_target_length"]), (&"壬:".into(), &5.into()), "{fixed}");
    let generation = json(&lab.path("run/best/generation_config.json"));
    assert_eq!((&generation["num_beams"], &generation["decoder_start_token_id"]), (&2.into(), &0.into()));
    let converted = lab.path("converted");
    run(["convert", "--model", arg(&run_folder), "--output", arg(&converted)]).ok();
    let counts = file(&lab.path(""), "counts.tsv", "甲\t90\n乙\t80\n丙\t70\n▁\t60\n");
    let cut = lab.path("cut");
    let flags = ["--counts", arg(&counts), "--top", "12", "--allow-low-coverage"];
    run([&["trim", "--model", arg(&run_folder), "--output", arg(&cut)], &flags[..]].concat()).ok();
    for folder in ["run/last", "converted", "cut"] {
        assert_eq!(json(&lab.path(folder).join("t5kit.json")), fixed, "{folder}");
        assert_eq!(json(&lab.path(folder).join("generation_config.json"))["num_beams"], 2, "{folder}");
    }
    let shown = run(["inspect", "--model", arg(&run_folder)]).ok();
    for part in ["trained with", "source_prefix \"壬:\"", "generates with", "num_beams 2"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let shown = run(["inspect", "--json", "--model", arg(&run_folder)]).ok();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["trained"]["max_source_length"], &shown["generation"]["num_beams"]),
        (&9.into(), &2.into())
    );

    for (content, key) in
        [("{\"format_version\": 1, \"max_source_length\": \"x\"}", "max_source_length"), ("{", "t5kit.json")]
    {
        std::fs::write(lab.path("converted/t5kit.json"), content).unwrap();
        generate(&converted, &[]).fails(&["converted/t5kit.json", key]);
    }
}

#[test]
fn prompts_are_given_as_in_training() {
    let lab = Lab::new("--model config.json --tokenizer spiece.model --batch-size 8 --threads 2 --epochs 2");
    let rows = |prompts: &[&str]| -> String {
        let row = |(i, prompt): (usize, &&str)| format!("{prompt}\t甲{}丙\t甲\n", ["乙", "丁", "戊"][i % 3]);
        "任务\t正文\t标题\n".to_owned() + &prompts.iter().enumerate().map(row).collect::<String>()
    };
    file(&lab.path(""), "same.tsv", rows(&["壬"; 12]));
    file(&lab.path(""), "two.tsv", rows(&["壬", "癸"].repeat(6)));
    let columns = ["--prompt", "任务", "--source", "正文", "--target", "标题"];
    lab.finetune("same", &[&["--train", "same.tsv"], &columns[..]].concat()).ok();
    lab.finetune("two", &[&["--train", "two.tsv"], &columns[..]].concat()).ok();
    let fixed = json(&lab.path("same/last/t5kit.json"));
    assert_eq!((&fixed["prompt"], &fixed["prompt_text"]), (&"任务".into(), &"壬".into()), "{fixed}");
    assert_eq!(json(&lab.path("two/last/t5kit.json")).get("prompt_text"), None);

    // The same before every source: it is put there.
    let told = generate(&lab.path("same"), &[]);
    assert!(told.stderr.contains("prompt_text \"壬\""), "{told:#?}");
    let by_hand = generate(&lab.path("same"), &["--source-prefix", "壬: "]);
    assert!(!by_hand.stderr.contains("prompt"), "{by_hand:#?}");
    assert_eq!(told.ok(), by_hand.ok());
    // Different ones: the column is found in a table, else it is said that they are missing.
    let missing = generate(&lab.path("two"), &[]);
    assert!(missing.stderr.contains("(column 任务)") && missing.stderr.contains("--prompt"), "{missing:#?}");
    let table = lab.path("two.tsv");
    let told =
        run(["generate", "--model", arg(&lab.path("two")), "--input", arg(&table), "--source", "正文"]);
    assert!(told.stderr.contains("prompt = 任务, source = 正文"), "{told:#?}");
    assert!(!told.stderr.contains("was trained with a prompt"), "{told:#?}");
}

#[cfg(unix)]
#[test]
fn the_runs_own_folder_is_its_best_model_and_goes_with_it() {
    let lab = Lab::new(FLAGS);
    let weights = |name: &str| std::fs::read(lab.path(name)).unwrap();
    // Without validation it is the last one.
    let flags = FLAGS.replace("--valid valid.tsv", "");
    let last = |flags: &[&str]| {
        let all = flags.iter().copied();
        finish(program().current_dir(lab.path("")).arg("finetune").args(["--output", "run"]).args(all)).ok()
    };
    last(&flags.split_whitespace().collect::<Vec<_>>());
    assert_eq!(weights("run/model.safetensors"), weights("run/last/model.safetensors"));
    assert!(!names(&lab.path("run")).iter().any(|name| name.starts_with("training_state")));
    last(&[&flags.split_whitespace().collect::<Vec<_>>()[..], &["--resume", "--epochs", "3"]].concat());
    assert_eq!(weights("run/model.safetensors"), weights("run/last/model.safetensors"));
    // Another run replaces it, and with one that has a best model it is that.
    lab.finetune("run", &["--force", "--learning-rate", "1"]).ok();
    assert_eq!(weights("run/model.safetensors"), weights("run/best/model.safetensors"));
    lab.finetune("run", &["--force", "--lora-rank", "2", "--model", "mt5"]).fails(&["mt5"]);
    assert!(std::fs::symlink_metadata(lab.path("run/config.json")).unwrap().is_symlink());
    // What is somebody else's stays.
    let mine = lab.path("run/special_tokens_map.json");
    std::fs::remove_file(&mine).unwrap();
    std::fs::write(&mine, "{ }").unwrap();
    lab.finetune("run", &["--force"]).ok();
    assert_eq!(weights("run/special_tokens_map.json"), b"{ }");
}
