//! Models with the tokenizers that people bring: BERT's vocabulary, added tokens, any number of sentinels.

mod common;

use common::lab::Lab;
use common::{arg, file, names, run, run_with_input};
use std::fs;
use std::path::{Path, PathBuf};
use t5kit_formats::spiece::SpieceModel;

/// The ids of the first target of each line that `generate --json` prints.
fn generated(json: &str) -> Vec<(String, Vec<u64>)> {
    let line = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let first = value.get("outputs").and_then(|outputs| outputs.get(0)).unwrap_or(&value);
        let ids = first["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
        (first["text"].as_str().unwrap().to_owned(), ids)
    };
    json.lines().map(line).collect()
}

fn ids(text: &str) -> Vec<Vec<u32>> {
    text.lines().map(|line| line.split(' ').map(|id| id.parse().unwrap()).collect()).collect()
}

/// Trains until two pairs are known by heart.
const BY_HEART: &str = "--model config.json --tokenizer words --train two.tsv --threads 2 --epochs 120 --batch-size 2 \
     --learning-rate 1e-2 --dropout 0 --warmup-steps 0";

/// A model whose sources are `[CLS] … [SEP]`, whose decoder begins with `[CLS]` and whose targets end with `[SEP]`,
/// without a word about it in the configuration.
#[test]
fn berts_vocabulary() {
    let lab = Lab::new(BY_HEART);
    let pieces = "[PAD]\n[unused1]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n甲\n乙\n丙\n丁\n戊\n己\n";
    fs::create_dir(lab.path("words")).unwrap();
    file(&lab.path("words"), "vocab.txt", pieces);
    file(&lab.path(""), "two.tsv", "甲乙丙\t丁戊\n丙乙甲\t己己丁\n");
    lab.finetune("run", &[]).ok();
    let run_folder = lab.path("run");
    let config: serde_json::Value = serde_json::from_slice(&lab.read("run/last/config.json")).unwrap();
    assert_eq!((&config["decoder_start_token_id"], &config["eos_token_id"]), (&3.into(), &4.into()));
    let generate = |model: &Path| {
        generated(&run(["generate", "--model", arg(model), "--json", "甲乙丙", "丙乙甲"]).ok())
    };
    let expected = [("丁戊".to_owned(), vec![9, 10, 4]), ("己己丁".to_owned(), vec![11, 11, 9, 4])];
    assert_eq!(generate(&run_folder), expected);

    // Converted: the same. Trimmed: the same in fewer rows.
    let converted = lab.path("converted");
    run(["convert", "--model", arg(&run_folder), "--output", arg(&converted)]).ok();
    assert_eq!(generate(&converted), expected);
    let counts =
        file(&lab.path(""), "counts.json", r#"{"甲": 9, "乙": 9, "丙": 9, "丁": 9, "戊": 9, "己": 9}"#);
    let cut = lab.path("cut");
    let flags = ["--counts", arg(&counts), "--min-count", "1", "--output", arg(&cut)];
    run(["trim", "--model", arg(&converted)].iter().chain(&flags)).ok();
    assert_eq!(fs::read_to_string(cut.join("vocab.txt")).unwrap(), pieces.replace("[unused1]\n", ""));
    let less = |(text, ids): (String, Vec<u64>)| (text, ids.iter().map(|id| id - 1).collect());
    assert_eq!(generate(&cut), expected.map(less));
}

/// Added tokens are one token each, are learnt, written, and kept by every command that writes a model.
#[test]
fn added_tokens() {
    let lab = Lab::new(BY_HEART);
    let words = lab.path("words");
    fs::create_dir(&words).unwrap();
    fs::copy(lab.path("spiece.model"), words.join("spiece.model")).unwrap();
    // 25 pieces and a hole.
    let pieces = run_with_input(["tokenize", "--tokenizer", arg(&words)], "甲\n".as_bytes()).ok();
    assert!(ids(&pieces)[0].iter().all(|&id| id < 26));
    file(&words, "added_tokens.json", r#"{"<event>": 30, "</event>": 31}"#);
    file(&lab.path(""), "two.tsv", "甲乙丙\t<event>丁</event>\n丙乙甲\t戊\n");
    lab.finetune("run", &[]).ok();
    let folder = lab.path("run/last");
    let check = |folder: &Path, first: u32| {
        let text = "<event>丁</event>\n".as_bytes();
        let ids = &ids(&run_with_input(["tokenize", "--tokenizer", arg(folder)], text).ok())[0];
        assert_eq!((ids[0], ids[ids.len() - 1]), (first, first + 1), "{}", folder.display());
        let outputs = generated(&run(["generate", "--model", arg(folder), "--json", "甲乙丙"]).ok());
        assert_eq!(outputs[0].0, "<event> 丁</event>", "{}", folder.display());
        assert_eq!(outputs[0].1[0], u64::from(first));
    };
    check(&folder, 30);
    let converted = lab.path("converted");
    run(["convert", "--model", arg(&folder), "--output", arg(&converted)]).ok();
    check(&converted, 30);
    let counts =
        file(&lab.path(""), "counts.json", r#"{"▁": 9, "甲": 9, "乙": 9, "丙": 9, "丁": 9, "戊": 9}"#);
    let cut = lab.path("cut");
    let flags = ["--counts", arg(&counts), "--min-count", "1", "--output", arg(&cut)];
    run(["trim", "--model", arg(&converted)].iter().chain(&flags)).ok();
    let kept = fs::read_to_string(cut.join("added_tokens.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    check(&cut, kept["<event>"].as_u64().unwrap() as u32);
}

/// Words become tokens: known by every command, in rows of their own.
#[test]
fn new_tokens() {
    let lab = Lab::new(BY_HEART);
    let words = lab.path("words");
    fs::create_dir(&words).unwrap();
    fs::copy(lab.path("spiece.model"), words.join("spiece.model")).unwrap();
    file(&lab.path(""), "two.tsv", "甲乙丙\t<a>丁\n丙乙甲\t乙乙<bb>\n");
    let list = file(&lab.path(""), "new.txt", "<a>\n\n<bb>\n<a>\n");
    // 26 pieces of 40 rows: there is room.
    let trained = lab.finetune("run", &["--add-tokens", "new.txt", "--max-steps", "60"]);
    assert!(trained.stderr.contains("2 new tokens") && trained.stderr.contains("40 rows"), "{trained:#?}");
    trained.ok();
    let tokens = |folder: &Path| {
        let text = "<a>\n甲<bb>\n".as_bytes();
        let ids = ids(&run_with_input(["tokenize", "--tokenizer", arg(folder)], text).ok());
        (ids[0].clone(), *ids[1].last().unwrap())
    };
    let (first, second) = tokens(&lab.path("run/last"));
    assert_eq!((first.len(), second), (1, first[0] + 1));
    // Going on may say it again.
    lab.finetune("run", &["--resume", "--add-tokens", "new.txt"]).ok();
    assert_eq!(tokens(&lab.path("run/last")), (first, second));
    let model = lab.path("run");
    let outputs = generated(&run(["generate", "--model", arg(&model), "--json", "甲乙丙", "丙乙甲"]).ok());
    assert_eq!((&*outputs[0].0, &*outputs[1].0), ("<a> 丁", "乙乙<bb>"));

    // A model without padding rows grows.
    let more: String = (0..20).map(|i| format!("<more{i}>\n")).collect();
    let more = file(&lab.path(""), "more.txt", more);
    let grown = lab.path("grown");
    let flags = ["--add-tokens", arg(&more), "--output", arg(&grown)];
    run(["convert", "--model", arg(&lab.path("run"))].iter().chain(&flags)).ok();
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(grown.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["vocab_size"], second + 1 + 20);
    let outputs = generated(&run(["generate", "--model", arg(&grown), "--json", "甲乙丙"]).ok());
    assert_eq!(outputs[0].0, "<a> 丁");
    let refused = |text: &str| {
        let list = file(&lab.path(""), "bad.txt", text);
        run([
            "convert",
            "--model",
            arg(&lab.path("run")),
            "--add-tokens",
            arg(&list),
            "--output",
            arg(&lab.path("x")),
        ])
    };
    // In several files: the same model.
    let shards = lab.path("shards");
    let flags = ["--add-tokens", arg(&more), "--max-shard-size", "20KB", "--output", arg(&shards)];
    run(["convert", "--model", arg(&lab.path("run"))].iter().chain(&flags)).ok();
    let files = names(&shards);
    assert!(files.iter().filter(|name| name.ends_with(".safetensors")).count() > 1, "{files:?}");
    assert!(files.contains(&"model.safetensors.index.json".to_owned()), "{files:?}");
    assert!(!names(&lab.path("")).iter().any(|name| name.contains("whole")), "what was between is gone");
    let same = |model: &Path| run(["generate", "--model", arg(model), "--json", "甲乙丙", "丙乙甲"]).ok();
    assert_eq!(same(&shards), same(&grown));
    assert_eq!(tokens(&shards), tokens(&grown));
    assert_eq!(refused("</s>\n").code, 1);
    assert_eq!((refused("\n").code, refused(" a\n").code), (2, 1));
    assert!(list.is_file());
}

/// As many sentinels as the files say stay behind the pieces, whatever is done to the model.
#[test]
fn any_number_of_extra_ids() {
    let lab = Lab::new(BY_HEART);
    let words = lab.path("words");
    fs::create_dir(&words).unwrap();
    let spiece = SpieceModel::parse(&lab.read("spiece.model"), Path::new("spiece.model")).unwrap();
    // Without the sentinel of its own.
    let pieces = spiece.pieces.len() - 1;
    let spiece = spiece.with_pieces(&(0..pieces).collect::<Vec<_>>());
    file(&words, "spiece.model", spiece.to_bytes());
    file(&words, "tokenizer_config.json", r#"{"tokenizer_class": "T5Tokenizer", "extra_ids": 7}"#);
    file(&lab.path(""), "two.tsv", "甲乙丙\t丁\n丙乙甲\t戊\n");
    lab.finetune("run", &["--max-steps", "1"]).ok();
    let sentinel = |folder: &Path| {
        let text = " <extra_id_0>甲\n".as_bytes();
        ids(&run_with_input(["tokenize", "--tokenizer", arg(folder)], text).ok())[0][0] as usize
    };
    let converted = lab.path("converted");
    run(["convert", "--model", arg(&lab.path("run")), "--output", arg(&converted)]).ok();
    assert_eq!(sentinel(&converted), pieces + 6);
    let counts =
        file(&lab.path(""), "counts.json", r#"{"▁": 9, "甲": 9, "乙": 9, "丙": 9, "丁": 9, "戊": 9}"#);
    let cut = lab.path("cut");
    let flags = ["--counts", arg(&counts), "--min-count", "1", "--output", arg(&cut)];
    run(["trim", "--model", arg(&converted)].iter().chain(&flags)).ok();
    // pad, eos, unk, ▁ and five characters.
    assert_eq!(sentinel(&cut), 9 + 6);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(cut.join("tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(config["extra_ids"], 7);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(cut.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["vocab_size"], 9 + 7);
}

/// A blank that mT5's tokenizer does not know as one is said; one with a space before it is one.
#[test]
fn blanks_that_are_none() {
    let lab = Lab::new(BY_HEART);
    fs::create_dir(lab.path("words")).unwrap();
    fs::copy(lab.path("spiece.model"), lab.path("words/spiece.model")).unwrap();
    file(&lab.path(""), "two.tsv", "甲乙丙\t丁\n丙乙甲\t戊\n");
    lab.finetune("run", &["--max-steps", "1"]).ok();
    let model = lab.path("run");
    let generate = |text: &str| run(["generate", "--model", arg(&model), text]);
    let missed = generate("甲<extra_id_0>乙");
    assert!(missed.stderr.contains("1 source names a blank such as <extra_id_0>"), "{missed:#?}");
    let found = generate("甲 <extra_id_0>乙");
    assert!(!found.stderr.contains("blank"), "{found:#?}");
    // `tokenize` says it too, of lines and of tables.
    let tokenize = |text: &str| run_with_input(["tokenize", "--tokenizer", arg(&model)], text.as_bytes());
    let missed = tokenize("甲<extra_id_0>乙\n丙\n甲<extra_id_1>\n");
    assert!(missed.stderr.contains("2 texts name a blank such as <extra_id_0>"), "{missed:#?}");
    assert_eq!(missed.ok().lines().count(), 3);
    let found = tokenize("甲 <extra_id_0>乙\n丙\n");
    assert_eq!((found.code, found.stderr.as_str()), (0, ""));
    let table = file(&lab.path(""), "blanks.csv", "text,n\n甲<extra_id_0>乙,1\n");
    let missed = run(["tokenize", "--tokenizer", arg(&model), "--input", arg(&table)]);
    assert!(missed.stderr.contains("1 text names a blank"), "{missed:#?}");
}

/// BERT's vocabulary has no blanks: a space before one would not help.
#[test]
fn berts_vocabulary_has_no_blanks() {
    let lab = Lab::new(BY_HEART);
    fs::create_dir(lab.path("words")).unwrap();
    file(&lab.path("words"), "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n甲\n乙\n丙\n丁\n");
    file(&lab.path(""), "two.tsv", "甲<extra_id_0>丙\t丁\n丙乙甲\t丁丁\n");
    let said = ["1 source names a blank such as <extra_id_0>, and this vocabulary has none, as BERT's"];
    let trained = lab.finetune("run", &["--max-steps", "1"]);
    let generated = run(["generate", "--model", arg(&lab.path("run")), "甲<extra_id_0>丙"]);
    for told in [&trained, &generated] {
        assert!(told.code == 0 && told.stderr.contains(said[0]), "{told:#?}");
        assert!(!told.stderr.contains("write a space before it"), "{told:#?}");
    }
    let tokenized = run_with_input(
        ["tokenize", "--tokenizer", arg(&lab.path("words"))],
        "甲 <extra_id_0>\n<extra_id_1>乙\n".as_bytes(),
    );
    assert!(
        tokenized.stderr.contains("2 texts name a blank") && tokenized.stderr.contains("BERT's"),
        "{tokenized:#?}"
    );
}

/// A stream prints marks as they come, and says so where the line would have been another.
#[test]
fn a_stream_says_that_marks_are_not_restored() {
    let lab = Lab::new(BY_HEART);
    let words = lab.path("words");
    fs::create_dir(&words).unwrap();
    let spiece = SpieceModel::parse(&lab.read("spiece.model"), Path::new("spiece.model")).unwrap();
    let mut pieces = spiece.pieces.clone();
    pieces.iter_mut().find(|piece| piece.text == "j").unwrap().text = ",".into();
    let spiece = SpieceModel::new(pieces, spiece.trainer_spec.clone(), spiece.normalizer_spec.clone());
    file(&words, "spiece.model", spiece.to_bytes());
    file(&lab.path(""), "two.tsv", "甲乙丙\t甲乙,丁戊\n丙乙甲\t戊\n");
    lab.finetune("run", &[]).ok();
    let model = lab.path("run");
    let base = ["generate", "--model", arg(&model), "--punctuation", "restore", "甲乙丙"];
    assert_eq!(run(base).ok(), "甲乙，丁戊\n");
    let streamed = run(base.iter().chain(&["--stream"]));
    assert!(streamed.stderr.contains("without --stream it is restored"), "{streamed:#?}");
    assert_eq!(streamed.ok(), "甲乙,丁戊\n");
    // Where there is nothing to restore, nothing is said.
    let other = ["generate", "--model", arg(&model), "--punctuation", "restore", "丙乙甲", "--stream"];
    let streamed = run(other);
    assert!(!streamed.stderr.contains("--stream"), "{streamed:#?}");
    assert_eq!(streamed.ok(), "戊\n");
}

/// The right values of `shared/cases`.
mod cases {
    use super::*;

    fn case(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases").join(name)
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn added_tokens_are_generated() {
        let model = case("02-added-tokens");
        let flags = ["--json", "--max-new-tokens", "12", "水运工程"];
        let outputs = generated(&run(["generate", "--model", arg(&model)].iter().chain(&flags)).ok());
        assert_eq!(outputs[0].1, [3100, 5, 985, 889, 3101, 1]);
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn berts_vocabulary() {
        let (model, pairs) = (case("03-bert-vocab/model"), case("03-bert-vocab/pairs.tsv"));
        let scores = run(["score", "--model", arg(&model), "--input", arg(&pairs)]).ok();
        let scores: Vec<f64> =
            scores.lines().map(|l| l.split('\t').next().unwrap().parse().unwrap()).collect();
        assert_eq!(scores.len(), 3);
        for (score, right) in scores.iter().zip([-61.4410, -43.0865, -90.9367]) {
            assert!((score - right).abs() < 2e-3, "{scores:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("run");
        let train = case("03-bert-vocab/train.tsv");
        let flags = ["--epochs", "150", "--batch-size", "2", "--learning-rate", "3e-3", "--dropout", "0"];
        run(["finetune", "--model", arg(&model), "--train", arg(&train), "--output", arg(&output)]
            .iter()
            .chain(&flags))
        .ok();
        for line in fs::read_to_string(&train).unwrap().lines() {
            let (source, target) = line.split_once('\t').unwrap();
            if (source, target) == ("source", "target") {
                continue;
            }
            let outputs = generated(&run(["generate", "--model", arg(&output), "--json", source]).ok());
            assert_eq!((&*outputs[0].0, outputs[0].1.last()), (target, Some(&3)), "{source}");
        }
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn any_number_of_extra_ids() {
        let folder = tempfile::tempdir().unwrap();
        for (name, counts, id, extra) in [("umt5-300", "cu.tsv", 3299, 300), ("t5-96", "c96.tsv", 3095, 96)] {
            let (model, counts) = (case("04-extra-ids").join(name), case("04-extra-ids").join(counts));
            let sentinel = |folder: &Path| {
                let ids = run_with_input(["tokenize", "--tokenizer", arg(folder)], b" <extra_id_0>\n").ok();
                ids.trim().parse::<usize>().unwrap()
            };
            let converted = folder.path().join(format!("{name}-converted"));
            run(["convert", "--model", arg(&model), "--output", arg(&converted)]).ok();
            assert_eq!(sentinel(&converted), id);
            let cut = folder.path().join(format!("{name}-cut"));
            let flags = ["--counts", arg(&counts), "--min-count", "5", "--output", arg(&cut)];
            run(["trim", "--model", arg(&model)].iter().chain(&flags)).ok();
            let read = |file: &str| -> serde_json::Value {
                serde_json::from_slice(&fs::read(cut.join(file)).unwrap()).unwrap()
            };
            assert_eq!(read("tokenizer_config.json")["extra_ids"], extra);
            assert_eq!(read("config.json")["vocab_size"].as_u64().unwrap() as usize, sentinel(&cut) + 1);
        }
    }
}
