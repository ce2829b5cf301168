//! `count` and `trim` as a user runs them.

mod common;

use common::{arg, file, names, program, run, run_with_input};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A folder with a tokenizer and a corpus in two files.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        common::model::tokenizer(folder.path());
        file(folder.path(), "a.txt", "甲乙丙\n甲甲，\n");
        file(
            folder.path(),
            "b.jsonl",
            "{\"id\": 1, \"body\": \"甲丁。\"}\n\n{\"id\": 2, \"body\": \"ab\"}\n",
        );
        Lab(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn count(&self, output: &str, rest: &[&str]) -> common::Run {
        let (tokenizer, output) = (self.at("spiece.model"), self.at(output));
        run([&["count", "--tokenizer", arg(&tokenizer), "--output", arg(&output)], rest].concat())
    }

    fn trim(&self, output: &str, rest: &[&str]) -> common::Run {
        let (tokenizer, output) = (self.at("spiece.model"), self.at(output));
        run([&["trim", "--tokenizer", arg(&tokenizer), "--output", arg(&output)], rest].concat())
    }

    /// The counts in a TSV file, without its record.
    fn counts(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.at(name)).unwrap();
        let (record, counts) = text.split_once('\n').unwrap();
        assert!(record.starts_with("#t5kit-counts\t{"), "{record}");
        counts.to_owned()
    }
}

const BOTH: &str = "▁\t4\n甲\t4\n乙\t1\n丙\t1\n丁\t1\na\t1\nb\t1\n，\t1\n。\t1\n";

#[test]
fn counts_of_files_merged_and_of_standard_input() {
    let lab = Lab::new();
    let (a, b) = (lab.at("a.txt"), lab.at("b.jsonl"));
    assert_eq!(lab.count("both.tsv", &[arg(&a), arg(&b)]).ok(), "");
    assert_eq!(lab.counts("both.tsv"), BOTH);
    lab.count("a.tsv", &[arg(&a)]).ok();
    lab.count("b.json", &["--field", "body", arg(&b)]).ok();
    assert!(lab.at("b.json.record.json").is_file());
    let (a_counts, b_counts) = (lab.at("a.tsv"), lab.at("b.json"));
    lab.count("merged.tsv", &["--merge", arg(&a_counts), arg(&b_counts)]).ok();
    assert_eq!(lab.counts("merged.tsv"), lab.counts("both.tsv"));
    lab.count("mixed.tsv", &[arg(&a), "--merge", arg(&b_counts)]).ok();
    assert_eq!(lab.counts("mixed.tsv"), lab.counts("both.tsv"));
    let (tokenizer, output) = (lab.at("spiece.model"), lab.at("stdin.tsv"));
    let arguments = ["count", "--tokenizer", arg(&tokenizer), "--output", arg(&output), "-"];
    run_with_input(arguments, &std::fs::read(&a).unwrap()).ok();
    assert_eq!(lab.counts("stdin.tsv"), lab.counts("a.tsv"));
}

#[test]
fn bad_input_is_one_line_and_leaves_nothing() {
    let lab = Lab::new();
    let (a, b, none) = (lab.at("a.txt"), lab.at("b.jsonl"), lab.at("none.txt"));
    let bad = file(lab.0.path(), "bad.jsonl", "{\"text\": \"甲\"}\n{\"text\": 1}\n");
    let two = file(lab.0.path(), "two.jsonl", "{\"x\": \"甲\", \"y\": \"乙\"}\n");
    let before = names(lab.0.path());
    lab.count("c.tsv", &[arg(&none)]).fails(&["none.txt: no such file or folder"]);
    lab.count("c.tsv", &[arg(&bad)]).fails(&["bad.jsonl, line 2: field \"text\" is not a string"]);
    lab.count("c.tsv", &[arg(&two)])
        .fails(&["two.jsonl: which column holds the text?", "--field with one of x, y"]);
    lab.count("c.tsv", &["--field", "text", arg(&b)]).fails(&["no field \"text\"; the fields are id, body"]);
    lab.count("c.tsv", &["--merge", arg(&none)]).fails(&["none.txt: cannot be opened"]);
    lab.count("c.tsv", &["--merge", arg(&a)]).fails(&["a.txt, line 1: not a piece, a tab and its count"]);
    lab.count("a.txt", &[arg(&b)]).fails(&["a.txt: already exists"]);
    lab.count("none/c.tsv", &[arg(&a)]).fails(&["none: cannot write c.tsv there"]);
    lab.trim("cut", &["--counts", arg(&none), "--top", "3"]).fails(&["none.txt: cannot be opened"]);
    lab.trim("cut", &["--counts", arg(&a), "--top", "3"]).fails(&["a.txt, line 1"]);
    lab.trim("cut", &["--keep-tokens", arg(&a)]).fails(&["a.txt: not a JSON list of row numbers"]);
    assert_eq!(names(lab.0.path()), before);
    let skipped = lab.count("c.tsv", &["--on-error", "skip", arg(&bad)]);
    assert!(skipped.stderr.contains("left out: 1 bad rows"), "{skipped:#?}");
    skipped.ok();
    assert_eq!(lab.counts("c.tsv"), "▁\t1\n甲\t1\n");
}

#[test]
fn counts_of_another_tokenizer_are_refused() {
    let lab = Lab::new();
    let a = lab.at("a.txt");
    lab.count("a.tsv", &[arg(&a)]).ok();
    let text = std::fs::read_to_string(lab.at("a.tsv")).unwrap();
    let at = text.find("tokenizer_sha256").unwrap() + 19;
    let other = file(lab.0.path(), "other.tsv", format!("{}0000{}", &text[..at], &text[at + 4..]));
    let message = ["other.tsv: counts of another tokenizer: of one with 27 pieces and SHA-256 0000"];
    lab.count("sum.tsv", &["--merge", arg(&lab.at("a.tsv")), arg(&other)]).fails(&message);
    lab.trim("cut", &["--counts", arg(&other), "--top", "3"]).fails(&message);
    let foreign = file(lab.0.path(), "foreign.json", r#"{"▁": 3, "foreign": 1}"#);
    let message = ["foreign.json: 1 of its 2 pieces are not in the tokenizer (\"foreign\")"];
    lab.count("sum.tsv", &["--merge", arg(&foreign)]).fails(&message);
    assert!(!lab.at("sum.tsv").exists() && !lab.at("cut").exists());
}

/// A limit on the size of files fails in the middle of writing as a full disk does.
#[cfg(unix)]
#[test]
fn what_cannot_be_written_to_its_end_is_not_there() {
    let lab = Lab::new();
    let a = lab.at("a.txt");
    lab.count("a.tsv", &[arg(&a)]).ok();
    let before = names(lab.0.path());
    let (tokenizer, counts) = (lab.at("spiece.model"), lab.at("a.tsv"));
    let limited = |arguments: &[&str]| {
        let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
        let program = env!("CARGO_BIN_EXE_t5kit");
        let run =
            common::finish(std::process::Command::new("bash").args(["-c", script, program]).args(arguments));
        assert_eq!(run.code, 1, "{run:#?}");
        let last = run.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("t5kit: error: ") && last.contains("cannot write"), "{run:#?}");
        assert_eq!(names(lab.0.path()), before);
    };
    let (c, cut) = (lab.at("c.tsv"), lab.at("cut"));
    limited(&["count", "--tokenizer", arg(&tokenizer), "--output", arg(&c), arg(&a)]);
    let trim = [
        "trim",
        "--tokenizer",
        arg(&tokenizer),
        "--counts",
        arg(&counts),
        "--top",
        "3",
        "--allow-low-coverage",
    ];
    limited(&[&trim[..], &["--output", arg(&cut)]].concat());
}

#[test]
fn wrong_usage() {
    let lab = Lab::new();
    let a = lab.at("a.txt");
    lab.count("c.tsv", &[]).is_wrong_usage("INPUT");
    lab.count("c.tsv", &["--format", "xml", arg(&a)]).is_wrong_usage("xml");
    lab.trim("cut", &["--counts", arg(&a)]).is_wrong_usage("--min-count");
    lab.trim("cut", &["--counts", arg(&a), "--top", "3", "--min-count", "1"])
        .is_wrong_usage("exclude each other");
    lab.trim("cut", &["--top", "3"]).is_wrong_usage("--counts");
    lab.trim("cut", &["--counts", arg(&a), "--coverage", "2"])
        .is_wrong_usage("--coverage must be from 0 to 1");
}

#[test]
fn an_unfinished_count_is_not_forgotten() {
    let lab = Lab::new();
    let a = lab.at("a.txt");
    // Without a state --resume begins at the beginning; what is complete stays so.
    lab.count("c.tsv", &["--resume", arg(&a)]).ok();
    let again = lab.count("c.tsv", &["--resume", arg(&a)]);
    assert!(again.stderr.contains("nothing to resume"), "{again:#?}");
    again.ok();
    file(lab.0.path(), "d.tsv.unfinished", "{\"version\": 1");
    lab.count("d.tsv", &[arg(&a)]).is_wrong_usage("go on with --resume, or begin anew with --force");
    lab.count("d.tsv", &["--resume", arg(&a)]).fails(&["d.tsv.unfinished: ", "damaged"]);
    lab.count("d.tsv", &["--force", arg(&a)]).ok();
    assert_eq!(lab.counts("d.tsv"), lab.counts("c.tsv"));
    assert!(!lab.at("d.tsv.unfinished").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_in_order() {
    let lab = Lab::new();
    let (tokenizer, output) = (lab.at("spiece.model"), lab.at("c.tsv"));
    let mut child = program()
        .args(["count", "--tokenizer", arg(&tokenizer), "--output", arg(&output), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // An endless corpus: it ends when nobody reads it any more.
    let mut pipe = child.stdin.take().unwrap();
    let corpus = "甲乙丙，\n".repeat(10_000);
    pipe.write_all(corpus.as_bytes()).unwrap();
    let writer = std::thread::spawn(move || while pipe.write_all(corpus.as_bytes()).is_ok() {});
    // By now it reads, and so its handler is installed.
    let signal = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("standard input cannot be resumed"), "{stderr}");
    assert_eq!(names(lab.0.path()), ["a.txt", "b.jsonl", "spiece.model"]);
}

#[test]
fn a_trimmed_tokenizer_tokenizes() {
    let lab = Lab::new();
    let (a, b) = (lab.at("a.txt"), lab.at("b.jsonl"));
    lab.count("c.tsv", &[arg(&a), arg(&b)]).ok();
    let counts = lab.at("c.tsv");
    let need = file(lab.0.path(), "need.txt", "戊\n");
    let sample = ["--sample", arg(&a), "--require", arg(&need)];
    let trimmed = lab.trim(
        "cut",
        &[&["--counts", arg(&counts), "--min-count", "4", "--allow-low-coverage"], &sample[..]].concat(),
    );
    assert!(trimmed.stderr.contains("pieces: 7 of 27 kept (4 indispensable, 2 chosen, 1 only required)"));
    trimmed.ok();
    let cut = lab.at("cut");
    assert_eq!(
        names(&cut),
        [
            "keep_tokens.json",
            "special_tokens_map.json",
            "spiece.model",
            "tokenizer.json",
            "tokenizer_config.json",
            "trim_report.html",
            "trim_report.json"
        ]
    );
    let ids =
        run_with_input(["tokenize", "--tokenizer", arg(&cut), "--output", "pieces"], "甲戊\n".as_bytes())
            .ok();
    assert_eq!(ids, "▁ 甲 戊\n");
    lab.trim("cut", &["--counts", arg(&counts), "--top", "1"]).fails(&["cut: already exists"]);
    lab.trim("cut", &["--counts", arg(&counts), "--top", "1", "--force", "--allow-low-coverage"]).ok();
    assert_eq!(std::fs::read_to_string(cut.join("keep_tokens.json")).unwrap(), "[0, 1, 2, 3, 26, 27, 28]");
}

/// T5's sentinels are not in its spiece.model: they are counted, and kept as rows behind the pieces.
#[test]
fn sentinels_beside_the_pieces_survive_count_and_trim() {
    let lab = Lab::new();
    let folder = lab.at("t5");
    std::fs::create_dir(&folder).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tokenizer/tests/goldens/bytes.model");
    std::fs::copy(model, folder.join("spiece.model")).unwrap();
    file(&folder, "tokenizer_config.json", "{\"tokenizer_class\": \"T5Tokenizer\"}");
    let text = "今天<extra_id_0>天气\n";
    file(lab.0.path(), "c.txt", text);
    let (counts, cut) = (lab.at("c.tsv"), lab.at("cut"));
    let counted =
        run(["count", "--tokenizer", arg(&folder), "--output", arg(&counts), arg(&lab.at("c.txt"))]);
    assert_eq!(counted.code, 0, "{}", counted.stderr);
    assert!(lab.counts("c.tsv").contains("<extra_id_0>\t1\n"));
    let trimmed = run([
        "trim",
        "--tokenizer",
        arg(&folder),
        "--counts",
        arg(&counts),
        "--min-count",
        "1",
        "--output",
        arg(&cut),
    ]);
    assert_eq!(trimmed.code, 0, "{}", trimmed.stderr);
    let again = run_with_input(["tokenize", "--tokenizer", arg(&cut), "--output", "pieces"], text.as_bytes());
    assert_eq!(again.stdout, "▁ 今 天 <extra_id_0> 天气\n");
}

#[test]
fn flags_of_a_vocab_txt_are_wrong_usage_elsewhere() {
    let lab = Lab::new();
    for command in ["tokenize", "detokenize"] {
        for flags in [["--lower-case", "true"], ["--strip-accents", "false"], ["--pre-tokenize", "none"]] {
            let tokenizer = lab.at("spiece.model");
            let base = [command, "--tokenizer", arg(&tokenizer)];
            run(base.iter().chain(&flags)).is_wrong_usage(flags[0]);
        }
    }
}
