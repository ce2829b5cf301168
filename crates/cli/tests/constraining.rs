//! `--constrain` of `t5kit generate` and `evaluate`, as a user runs it: T5's tokenizer and BERT's.

mod common;
use common::{arg, file, model, run, run_with_input};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A T5 that was trained for a moment.
fn trained(folder: &Path) -> PathBuf {
    let (config, tokenizer) = (model::config(folder, 40), model::tokenizer(folder));
    finetuned(folder, &config, &tokenizer)
}

/// A BERT likewise, its vocabulary words and characters.
fn trained_bert(folder: &Path) -> PathBuf {
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n甲\n乙\n丙\n丁\n戊\n，\n。\nabc\n##d\nd\n##abc\n1\n##1\n2\n##2\n甲乙\n";
    let tokenizer = file(folder, "vocab.txt", vocab);
    let config = serde_json::json!({
        "model_type": "bert", "vocab_size": 21, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 64, "type_vocab_size": 2,
    });
    let config = file(folder, "config.json", config.to_string());
    finetuned(folder, &config, &tokenizer)
}

fn finetuned(folder: &Path, config: &Path, tokenizer: &Path) -> PathBuf {
    let (train, output) = (model::pairs(folder, "train.tsv", 16), folder.join("run"));
    let base = ["finetune", "--model", arg(config), "--tokenizer", arg(tokenizer), "--train", arg(&train)];
    let rest = ["--output", arg(&output), "--max-steps", "5", "--epochs", "100", "--learning-rate", "1e-2"];
    run(base.into_iter().chain(rest)).ok();
    output
}

const SOURCES: &str = "甲乙丙，丁\na\n戊己庚辛壬癸abcdefghij，。\n乙丙，甲\n";

fn lines(model: &Path, flags: &[&str]) -> Vec<String> {
    let base = ["generate", "--model", arg(model), "--max-new-tokens", "12"];
    let out = run_with_input(base.iter().chain(flags), SOURCES.as_bytes()).ok();
    out.lines().map(str::to_owned).collect()
}

/// Every way to search.
const SEARCHES: [&[&str]; 4] = [
    &[],
    &["--num-beams", "3"],
    &["--sample", "--seed", "4", "--temperature", "3"],
    &["--batch-size", "1", "--lookup", "4"],
];

#[test]
fn only_what_is_permitted_comes() {
    for bert in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let model = if bert { trained_bert(folder.path()) } else { trained(folder.path()) };
        let texts = file(folder.path(), "texts.txt", "甲乙丙\n\n甲，乙\r\n丁\n戊甲甲甲\n");
        let in_file = format!("list:@{}", texts.display());
        for search in SEARCHES {
            for text in lines(&model, &[search, &["--constrain", &in_file]].concat()) {
                assert!(["甲乙丙", "甲，乙", "丁", "戊甲甲甲"].contains(&&*text), "{search:?}: {text}");
            }
            for text in
                lines(&model, &[search, &["--constrain", "list:甲，乙", "--constrain", "list:丁"]].concat())
            {
                assert!(["甲", "乙", "丁"].contains(&&*text), "{search:?}: {text}");
            }
            for text in lines(&model, &[search, &["--constrain", "trie:甲乙,丁丙"]].concat()) {
                assert!(text.starts_with("甲乙") || text.starts_with("丁丙"), "{search:?}: {text}");
            }
            for text in lines(&model, &[search, &["--constrain", "regex:(甲乙|丙)+，[甲乙]{2}"]].concat())
            {
                let rest = text.replace("甲乙", "丙");
                let (before, after) = rest.split_once('，').unwrap();
                assert!(!before.is_empty() && before.chars().all(|c| c == '丙'), "{search:?}: {text}");
                assert!(["丙", "甲甲", "乙甲", "乙乙"].contains(&after), "{search:?}: {text}");
            }
        }
        // BERT's spaces are its decoder's, so they count for nothing.
        if bert {
            for text in lines(&model, &["--constrain", "regex:abc d|[12]{3}", "--sample", "--seed", "1"]) {
                let text = text.replace(' ', "");
                assert!(
                    text == "abcd" || text.len() == 3 && text.chars().all(|c| "12".contains(c)),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn labels_have_probabilities() {
    for bert in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let model = if bert { trained_bert(folder.path()) } else { trained(folder.path()) };
        let flags = ["--constrain", "labels:甲乙丙,丁,丁丙"];
        let best = lines(&model, &flags);
        for line in lines(&model, &[&flags[..], &["--json"]].concat()).iter().zip(&best) {
            let outputs: Value = serde_json::from_str(line.0).unwrap();
            let outputs = outputs["outputs"].as_array().unwrap();
            assert_eq!((outputs.len(), outputs[0]["text"].as_str()), (3, Some(&**line.1)));
            let shares: Vec<f64> = outputs.iter().map(|o| o["probability"].as_f64().unwrap()).collect();
            let scores: Vec<f64> = outputs.iter().map(|o| o["score"].as_f64().unwrap()).collect();
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-5 && shares.is_sorted_by(|a, b| a >= b));
            let odds = (shares[1] / shares[0]).ln();
            assert!((odds - (scores[1] - scores[0])).abs() < 1e-4, "{shares:?} {scores:?}");
        }
        let two = lines(&model, &[&flags[..], &["--num-return-sequences", "2"]].concat());
        assert_eq!(two.len(), 8);
        assert!(
            two.iter().step_by(2).zip(&best).all(|(two, best)| two.split_once('\t').unwrap().1 == best),
            "{two:?}"
        );
        // The log-probability is the one of `score`.
        let pairs = file(folder.path(), "pairs.tsv", "甲乙丙，丁\t丁丙\n");
        let scored = run(["score", "--model", arg(&model), "--input", arg(&pairs)]).ok();
        let outputs: Value =
            serde_json::from_str(&lines(&model, &[&flags[..], &["--json"]].concat())[0]).unwrap();
        let of = outputs["outputs"].as_array().unwrap().iter().find(|o| o["text"] == "丁丙").unwrap();
        let score: f64 = scored.split('\t').next().unwrap().parse().unwrap();
        assert!((of["score"].as_f64().unwrap() - score).abs() < 1e-4, "{scored} {of}");

        let (input, output) =
            (file(folder.path(), "in.tsv", "text\n甲乙\n丙\n"), folder.path().join("out.tsv"));
        let table = ["generate", "--model", arg(&model), "--input", arg(&input), "--output", arg(&output)];
        run(table.iter().chain(&flags)).ok();
        let written = std::fs::read_to_string(&output).unwrap();
        assert!(
            written.starts_with("text\tgenerated\tgenerated_probability\n") && written.lines().count() == 3,
            "{written}"
        );
    }
}

#[test]
fn evaluations_take_the_labels_of_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let data = file(folder.path(), "data.tsv", "source\ttarget\n甲乙\t丁\n丙\t甲\n乙\t丁\n");
    let output = folder.path().join("evaluation");
    let base = ["evaluate", "--model", arg(&model), "--data", arg(&data), "--output", arg(&output)];
    let flags = ["--constrain", "labels", "--metric", "accuracy", "--bootstrap", "0", "--speed-sources", "2"];
    let done = run(base.iter().chain(&flags));
    assert!(done.stderr.contains("the 2 labels of the references: 丁, 甲"), "{}", done.stderr);
    done.ok();
    let predictions = std::fs::read_to_string(output.join("predictions.tsv")).unwrap();
    let mut rows = predictions.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap(), ["source", "reference", "run", "probability"]);
    for row in rows {
        let share: f64 = row[3].parse().unwrap();
        assert!(["丁", "甲"].contains(&row[2]) && (0.5..=1.0).contains(&share), "{row:?}");
    }
    let json: Value =
        serde_json::from_slice(&std::fs::read(output.join("evaluation.json")).unwrap()).unwrap();
    assert!(json["models"][0]["metrics"]["accuracy"]["value"].as_f64().is_some(), "{json}");
    assert_eq!(json["models"][0]["speed"]["sources"], 2);
}

#[test]
fn fewer_texts_and_unfinished_ones_are_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let of = |flags: &[&str]| run(["generate", "--model", arg(&model), "甲乙"].iter().chain(flags));
    let few = of(&["--constrain", "list:甲,乙丙", "--num-beams", "4", "--num-return-sequences", "4"]);
    assert!(few.stderr.contains("the list has 2 texts"), "{}", few.stderr);
    assert_eq!(few.ok().lines().count(), 2);
    let stuck = of(&["--constrain", "list:甲甲甲", "--no-repeat-ngram-size", "1"]);
    assert!(stuck.stderr.contains("1 texts were left unfinished"), "{}", stuck.stderr);
    stuck.ok();
    let whole = of(&["--constrain", "list:甲甲甲", "--stream"]);
    assert!(!whole.stderr.contains("unfinished"), "{}", whole.stderr);
    assert_eq!(whole.ok(), "甲甲甲\n");
    // Behind a prefix it is what follows that is constrained.
    assert_eq!(of(&["--constrain", "regex:乙{3}", "--prefix", "甲"]).ok(), "甲乙乙乙\n");
    assert_eq!(of(&["--constrain", "list:乙丙", "--prefix", "甲"]).ok(), "甲乙丙\n");
}

#[test]
fn impossible_constraints_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path());
    let empty = format!("list:@{}", file(folder.path(), "empty.txt", "\n\n").display());
    for (flags, part) in [
        (&["--constrain", &empty][..], "there is no text in it"),
        (&["--constrain", "list"], "give it list:正面,负面"),
        (&["--constrain", "lists:甲"], "did you mean list:"),
        (&["--constrain", "labels"], "--constrain labels: which?"),
        (&["--constrain", "list:甲,龘"], "\"龘\" has a character that the tokenizer cannot write"),
        (
            &["--constrain", "list:甲乙丙", "--max-new-tokens", "3"],
            "\"甲乙丙\" has 5 tokens with its end, more than --max-new-tokens 3",
        ),
        (&["--constrain", "regex:甲{9}", "--max-new-tokens", "9"], "has 10 tokens with its end"),
        (&["--constrain", "regex:甲("], "at character 2 of the pattern: unclosed group"),
        (&["--constrain", "regex:龘"], "no text that the model's tokenizer can write"),
        (&["--constrain", "labels:甲,乙", "--num-beams", "2"], "--num-beams: use one or the other"),
        (&["--constrain", "labels:甲,乙", "--sample"], "sampling: use one or the other"),
        (&["--constrain", "labels:甲,乙", "--lookup", "2"], "--lookup: use one or the other"),
        (&["--constrain", "labels:甲,乙", "--num-return-sequences", "3"], "more than the 2 labels"),
        (&["--constrain", "labels:甲,乙", "--stream"], "--stream"),
        (&["--constrain", "list:甲", "--constrain", "regex:甲"], "use one or the other"),
    ] {
        run(["generate", "--model", arg(&model), "甲"].iter().chain(flags)).is_wrong_usage(part);
    }
    run(["generate", "--model", arg(&model), "甲", "--constrain", "list:@nowhere.txt"])
        .fails(&["nowhere.txt"]);
}
