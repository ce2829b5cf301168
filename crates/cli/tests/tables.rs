//! Tables as people bring them, in every subcommand that reads one.

mod common;
use common::lab::Lab;
use common::{Run, arg, file, finish, model, program, run, run_with_input};

/// Two steps from random weights, with more flags.
fn finetune(lab: &Lab, flags: &[&str]) -> Run {
    let base = "finetune --model config.json --tokenizer spiece.model --threads 1 --max-steps 1 --output run --force";
    finish(program().current_dir(lab.path("")).args(base.split_whitespace()).args(flags))
}

fn gbk(text: &str) -> Vec<u8> {
    // The few characters of the tests: 甲乙丙丁 and the names of columns.
    text.chars()
        .flat_map(|c| match c {
            '甲' => vec![0xbc, 0xd7],
            '乙' => vec![0xd2, 0xd2],
            '丙' => vec![0xb1, 0xfb],
            '丁' => vec![0xb6, 0xa1],
            '摘' => vec![0xd5, 0xaa],
            '要' => vec![0xd2, 0xaa],
            '标' => vec![0xb1, 0xea],
            '题' => vec![0xcc, 0xe2],
            ascii => vec![u8::try_from(u32::from(ascii)).unwrap()],
        })
        .collect()
}

#[test]
fn finetune_says_what_it_understood() {
    let lab = Lab::new("");
    let rows = "甲乙丙,甲\n乙丙丁,乙\n丙丁甲,丙\n丁甲乙,丁\n";
    let utf8 = |header: &str| format!("{header}{rows}").into_bytes();
    let wide: Vec<u8> = format!("\u{feff}source\ttarget\n{}", rows.replace(',', "\t"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes, flags, said) in [
        (
            "a.csv",
            utf8("source,target\n"),
            &[][..],
            "source = source, target = target, header: yes, encoding: UTF-8",
        ),
        (
            "b.csv",
            utf8("Source, Target \n"),
            &[],
            "source = Source, target = Target, header: yes, encoding: UTF-8",
        ),
        (
            "c.csv",
            gbk(&format!("摘要,标题\n{rows}")),
            &[],
            "source = 摘要, target = 标题, header: yes, encoding: GB18030",
        ),
        ("d.csv", utf8(""), &[], "source = column 1, target = column 2, header: no, encoding: UTF-8"),
        (
            "e.csv",
            utf8("source,target\n"),
            &["--source", "1", "--target", "2"],
            "source = source, target = target, header: yes, encoding: UTF-8",
        ),
        (
            "f.csv",
            utf8("foo,bar\n"),
            &["--source", "foo", "--target", "BAR"],
            "source = foo, target = bar, header: yes, encoding: UTF-8",
        ),
        ("g.tsv", wide, &[], "source = source, target = target, header: yes, encoding: UTF-16LE"),
        (
            "h.txt",
            rows.replace(',', "\t").into_bytes(),
            &[],
            "source = column 1, target = column 2, header: no",
        ),
        (
            "i.tsv",
            format!("source\ttarget\n{}\n\n", rows.replace(',', "\t")).into_bytes(),
            &[],
            "source = source, target = target, header: yes",
        ),
        (
            "j.json",
            rows.lines()
                .map(|row| row.split_once(',').unwrap())
                .map(|(source, target)| serde_json::json!({"summary": target, "document": source}))
                .collect::<serde_json::Value>()
                .to_string()
                .into_bytes(),
            &[],
            "source = document, target = summary, encoding: UTF-8",
        ),
    ] {
        file(&lab.path(""), name, bytes);
        let run = finetune(&lab, &[&["--train", name], flags].concat());
        assert_eq!(run.code, 0, "{name}: {run:#?}");
        assert!(run.stderr.contains(&format!("{name}: {said}")), "{name}: {said}: {}", run.stderr);
        assert!(run.stderr.contains("; 4 examples"), "{name}: {}", run.stderr);
        // The first example as text and as pieces, and how long the texts are.
        assert!(run.stderr.contains("first source: 甲乙丙 → ▁ 甲 乙 丙 </s>"), "{name}: {}", run.stderr);
        assert!(run.stderr.contains("first target: 甲 → ▁ 甲 </s>"), "{name}: {}", run.stderr);
        assert!(
            run.stderr.contains("sources (training): none cut at 512 tokens; 95 % fit in 5, 99 % in 5"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn finetune_asks_where_nobody_can_know() {
    let lab = Lab::new("");
    for (name, text, parts) in [
        ("a.csv", "foo,bar\n甲乙,甲\n乙丙,乙\n", &["1 \"foo\" (甲乙)", "2 \"bar\" (甲)"][..]),
        (
            "b.jsonl",
            "{\"translation\":{\"en\":\"ab\",\"zh\":\"甲\"}}\n",
            &["\"translation.en\" (ab)", "\"translation.zh\""],
        ),
        ("c.tsv", "甲\t乙\t丙\n丁\t丁\t丁\n", &["1 (甲), 2 (乙), 3 (丙)"]),
        ("d.csv", "正文,摘要,标题\n甲,乙,丙\n", &["\"正文\"", "\"标题\""]),
        ("e.txt", "甲\n乙\n", &["1 \"text\" (甲)"]),
    ] {
        file(&lab.path(""), name, text);
        let run = finetune(&lab, &["--train", name]);
        run.is_wrong_usage("--source");
        let run = finetune(&lab, &["--train", name]);
        for part in parts.iter().chain(&["--target"]) {
            assert!(run.stderr.contains(part), "{name}: {part}: {}", run.stderr);
        }
    }
    let run =
        finetune(&lab, &["--train", "b.jsonl", "--source", "translation.zh", "--target", "translation.en"]);
    assert!(run.stderr.contains("source = translation.zh, target = translation.en"), "{}", run.stderr);
}

#[test]
fn a_share_is_set_aside() {
    let lab = Lab::new("");
    let run = finetune(&lab, &["--train", "train.tsv", "--valid-split", "0.25", "--seed", "3"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.stderr.contains("6 of 24 examples are set aside for validation"), "{}", run.stderr);
    assert!(run.stderr.contains("; 18 examples"), "{}", run.stderr);
    assert!(lab.path("run/best/model.safetensors").is_file(), "there is a validation");
    for flags in [
        &["--valid-split", "0"][..],
        &["--valid-split", "1"],
        &["--valid-split", "0.5", "--valid", "valid.tsv"],
    ] {
        finetune(&lab, &[&["--train", "train.tsv"], flags].concat()).is_wrong_usage("--valid-split");
    }
}

#[test]
fn lone_surrogates_are_counted_and_said() {
    let lab = Lab::new("");
    file(
        &lab.path(""),
        "a.jsonl",
        "{\"source\":\"甲\\ud83d乙\",\"target\":\"甲\"}\n{\"source\":\"乙\",\"target\":\"乙\"}\n",
    );
    let run = finetune(&lab, &["--train", "a.jsonl"]);
    assert_eq!(run.code, 0, "{run:#?}");
    assert!(run.stderr.contains("1 lone surrogate was replaced"), "{}", run.stderr);
}

#[test]
fn tokenize_reads_files_columns_and_encodings() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = model::tokenizer(folder.path());
    let tokenizer = arg(&tokenizer);
    let pieces = |flags: &[&str]| {
        let base = ["tokenize", "--tokenizer", tokenizer, "--output", "pieces"];
        finish(program().current_dir(&folder).args(base).args(flags)).ok()
    };
    let input = ["tokenize", "--tokenizer", tokenizer, "--output", "pieces"];
    let wanted = "▁ 甲 乙\n▁ 丙\n";
    assert_eq!(run_with_input(input, "甲乙\n丙\n".as_bytes()).ok(), wanted);
    assert_eq!(run_with_input(input, "\u{feff}甲乙\n丙\n".as_bytes()).ok(), wanted);
    let run = run_with_input(input, &gbk("甲乙\n丙\n"));
    assert!(run.stderr.contains("standard input: read as GB18030"), "{run:?}");
    assert_eq!(run.ok(), wanted);
    file(folder.path(), "a.txt", gbk("甲乙\n丙\n"));
    assert_eq!(pieces(&["--input", "a.txt"]), wanted);
    file(folder.path(), "a.csv", gbk("id,摘要\n1,甲乙\n2,丙\n"));
    assert_eq!(pieces(&["--input", "a.csv"]), wanted);
    assert_eq!(pieces(&["--input", "a.csv", "--field", "摘要", "--threads", "1"]), wanted);
    let wide: Vec<u8> = "甲乙\n丙\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(run_with_input(input.iter().copied().chain(["--encoding", "utf-16be"]), &wide).ok(), wanted);
    run_with_input(input.iter().copied().chain(["--encoding", "klingon"]), b"").is_wrong_usage("gb18030");
}

#[test]
fn detokenize_takes_a_marked_file() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = model::tokenizer(folder.path());
    let ids = file(folder.path(), "ids.txt", "\u{feff}3 4 5\r\n6\n");
    let out = run(["detokenize", "--tokenizer", arg(&tokenizer), "--input", arg(&ids)]).ok();
    assert_eq!(out, "甲乙\n丙\n");
}

#[test]
fn count_reads_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = model::tokenizer(folder.path());
    let count = |name: &str, bytes: &[u8], flags: &[&str]| -> String {
        file(folder.path(), name, bytes);
        let base = ["count", "--tokenizer", arg(&tokenizer), "--output", "counts.tsv", "--force", name];
        finish(program().current_dir(&folder).args(base).args(flags)).ok();
        let counts = std::fs::read_to_string(folder.path().join("counts.tsv")).unwrap();
        counts.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    };
    let wanted = count("a.txt", "甲乙\n丙\n".as_bytes(), &[]);
    assert!(wanted.contains('甲'));
    for (name, bytes, flags) in [
        ("gbk.txt", gbk("甲乙\n丙\n"), &[][..]),
        ("mark.txt", "\u{feff}甲乙\n丙\n".into(), &[]),
        ("array.json", "[{\"text\": \"甲乙\"},\n{\"text\": \"丙\"}]".into(), &[]),
        ("lines.json", "{\"text\": \"甲乙\"}\n{\"text\": \"丙\"}\n".into(), &[]),
        ("head.csv", gbk("摘要,标题\n甲乙,x\n丙,x\n"), &["--field", "摘要"]),
        ("number.csv", gbk("摘要,标题\n甲乙,x\n丙,x\n"), &["--field", "1"]),
    ] {
        assert_eq!(count(name, &bytes, flags), wanted, "{name}");
    }
}

#[test]
fn count_takes_line_ends_within_quotes_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = model::tokenizer(folder.path());
    let count = |name: &str, text: &str| {
        file(folder.path(), name, text);
        let base =
            ["count", "--tokenizer", arg(&tokenizer), "--output", "counts.tsv", "--force", "--field", "text"];
        let run = finish(program().current_dir(&folder).args(base).args([name, "--threads", "2"]));
        assert!(run.stderr.contains("2 lines") || run.stderr.contains("2 texts"), "{name}: {run:#?}");
        run.ok();
        let counts = std::fs::read_to_string(folder.path().join("counts.tsv")).unwrap();
        counts.lines().filter(|line| !line.starts_with('#')).map(String::from).collect::<Vec<_>>()
    };
    let wanted =
        count("a.jsonl", "{\"text\": \"甲乙\\n丙\\\"丁\", \"n\": 1}\n{\"text\": \"戊\", \"n\": 2}\n");
    assert!(wanted.iter().any(|line| line.starts_with("丙\t1")), "{wanted:?}");
    assert_eq!(count("a.csv", "n,text\n1,\"甲乙\n丙\"\"丁\"\n2,戊\n"), wanted);
    assert_eq!(count("crlf.csv", "n,text\r\n1,\"甲乙\n丙\"\"丁\"\r\n2,戊\r\n"), wanted);
    assert_eq!(count("a.tsv", "n\ttext\n1\t\"甲乙\n丙\"\"丁\"\n2\t戊\n"), wanted);
}

/// A run to generate with, and files in its folder.
fn lab() -> Lab {
    let lab =
        Lab::new("--model config.json --tokenizer spiece.model --train train.tsv --threads 1 --max-steps 2");
    lab.finetune("run", &[]).ok();
    lab
}

fn generate(lab: &Lab, flags: &[&str]) -> Run {
    let base = "generate --model run --threads 1 --max-new-tokens 6";
    finish(program().current_dir(lab.path("")).args(base.split_whitespace()).args(flags))
}

#[test]
fn generate_keeps_the_columns_and_adds_its_own() {
    let lab = lab();
    let rows = ["甲乙丙", "丁戊", "己庚辛，壬"];
    file(&lab.path(""), "sources.txt", rows.join("\n"));
    let lines = generate(&lab, &["--input", "sources.txt"]).ok();
    assert_eq!(lines.lines().count(), 3);
    let texts: Vec<&str> = lines.lines().collect();
    // The same from standard input, in any encoding.
    let base = "generate --model run --threads 1 --max-new-tokens 6";
    let wide: Vec<u8> = rows.join("\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut child = program()
        .current_dir(lab.path(""))
        .args(base.split_whitespace())
        .args(["--encoding", "utf-16"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &wide).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(), lines);

    let csv: String = rows.iter().enumerate().map(|(i, row)| format!("{i},\"{row}\",x\n")).collect();
    file(&lab.path(""), "papers.csv", format!("编号,摘要,foo\n{csv}"));
    let run = generate(&lab, &["--input", "papers.csv", "--output", "titles.csv"]);
    assert!(run.stderr.contains("papers.csv: source = 摘要, header: yes, encoding: UTF-8"), "{}", run.stderr);
    assert_eq!(run.ok(), "");
    let quoted = |text: &str| if text.contains(',') { format!("\"{text}\"") } else { text.to_owned() };
    let wanted: String = (rows.iter().zip(&texts).enumerate())
        .map(|(i, (row, text))| format!("{i},{row},x,{}\n", quoted(text)))
        .collect();
    let written = |name: &str| String::from_utf8(lab.read(name)).unwrap();
    assert_eq!(written("titles.csv"), format!("编号,摘要,foo,generated\n{wanted}"));
    assert!(!lab.path("titles.csv.unfinished").exists());
    // Nothing is overwritten unless asked for.
    generate(&lab, &["--input", "papers.csv", "--output", "titles.csv"])
        .fails(&["already exists", "--force"]);
    generate(&lab, &["--input", "papers.csv", "--output", "titles.csv", "--force", "--column", "标题"]).ok();
    assert!(written("titles.csv").starts_with("编号,摘要,foo,标题\n"));

    // Other formats, standard output, several texts.
    let out = generate(&lab, &["--input", "papers.csv", "--source", "2", "--output", "-"]).ok();
    assert_eq!(out.lines().next(), Some("编号\t摘要\tfoo\tgenerated"));
    generate(
        &lab,
        &[
            "--input",
            "papers.csv",
            "--output",
            "titles.jsonl",
            "--num-beams",
            "2",
            "--num-return-sequences",
            "2",
        ],
    )
    .ok();
    let first: serde_json::Value =
        serde_json::from_str(written("titles.jsonl").lines().next().unwrap()).unwrap();
    let names: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["编号", "摘要", "foo", "generated", "generated_score", "generated_2", "generated_2_score"]
    );
    generate(&lab, &["--input", "papers.csv", "--output", "titles.parquet"]).ok();
    let again = generate(&lab, &["--input", "titles.parquet", "--source", "摘要", "--output", "only.txt"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(written("only.txt"), lines);
    generate(&lab, &["--input", "papers.csv", "--output", "titles.xlsx"]).fails(&["name a .csv"]);
    generate(&lab, &["--input", "papers.csv", "--source", "nothing"])
        .fails(&["no column \"nothing\"", "摘要"]);
    file(&lab.path(""), "unknown.csv", "foo,bar\n甲,乙\n丙,丁\n戊,己\n");
    generate(&lab, &["--input", "unknown.csv"])
        .is_wrong_usage("which column holds the sources? Give --source");
    // What is wrong with a row is said before anything is done.
    file(&lab.path(""), "bad.csv", "摘要,foo\n甲,乙\n丙\n");
    generate(&lab, &["--input", "bad.csv", "--output", "bad-out.csv"]);
    assert!(!lab.path("bad-out.csv.unfinished").exists() && !lab.path("bad-out.csv").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_table_goes_on_to_the_same_bytes() {
    let lab = lab();
    let characters: Vec<char> = model::CHARACTERS.chars().skip(1).collect();
    let rows: String = (0..3000)
        .map(|i| {
            let text: String =
                (0..12).map(|k| characters[(i * 7 + k * (i % 5 + 1)) % characters.len()]).collect();
            format!("{i},{text}\n")
        })
        .collect();
    file(&lab.path(""), "many.csv", format!("id,text\n{rows}"));
    let flags = ["--input", "many.csv", "--sample", "--seed", "5"];
    generate(&lab, &[&flags[..], &["--output", "whole.csv"]].concat()).ok();
    let whole = lab.read("whole.csv");
    assert_eq!(whole.iter().filter(|&&byte| byte == b'\n').count(), 3001);

    let kept = lab.path("parts.csv.unfinished");
    let done = || std::fs::read_to_string(&kept).unwrap_or_default().lines().count().saturating_sub(1);
    for signal in ["-KILL", "-INT"] {
        let before = done();
        let mut child = program()
            .current_dir(lab.path(""))
            .args(
                "generate --model run --threads 1 --max-new-tokens 6 --output parts.csv --resume".split(' '),
            )
            .args(flags)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        while done() < before + 100 && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed().as_secs() < 60, "nothing is generated");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let id = child.id().to_string();
        std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        child.wait().unwrap();
        assert!(!lab.path("parts.csv").exists() || done() == 0, "a table is there when it is whole");
    }
    let other = [&flags[..2], &["--output", "parts.csv", "--resume"]].concat();
    generate(&lab, &other).fails(&["begun with another", "--force"]);
    generate(&lab, &[&flags[..], &["--output", "parts.csv"]].concat()).fails(&["--resume", "--force"]);
    let run = generate(&lab, &[&flags[..], &["--output", "parts.csv", "--resume"]].concat());
    assert!(run.stderr.contains("going on after "), "{}", run.stderr);
    run.ok();
    assert!(lab.read("parts.csv") == whole, "the same bytes");
    assert!(!kept.exists());
    let run = generate(&lab, &[&flags[..], &["--output", "parts.csv", "--resume"]].concat());
    assert!(run.stderr.contains("nothing to resume"), "{}", run.stderr);
    run.ok();
}

#[test]
fn score_reads_tables() {
    let lab = lab();
    file(&lab.path(""), "a.tsv", "甲乙丙\t甲\n乙丙丁\t乙\n");
    file(&lab.path(""), "b.csv", "id,标题,正文\n7,甲,甲乙丙\n8,乙,乙丙丁\n");
    let score = |flags: &[&str]| {
        finish(
            program().current_dir(lab.path("")).args("score --model run --threads 1".split(' ')).args(flags),
        )
    };
    let wanted = score(&["--input", "a.tsv"]).ok();
    assert_eq!(wanted.lines().count(), 2);
    let run = score(&["--input", "b.csv"]);
    assert!(run.stderr.contains("b.csv: source = 正文, target = 标题, header: yes"), "{}", run.stderr);
    assert_eq!(run.ok(), wanted);
    score(&["--input", "b.csv", "--output", "scores.csv"]).ok();
    let written = String::from_utf8(lab.read("scores.csv")).unwrap();
    assert!(written.starts_with("id,标题,正文,log_prob,tokens\n7,甲,甲乙丙,-"), "{written}");
    file(&lab.path(""), "c.csv", "foo,bar\n甲,乙\n丙,丁\n");
    score(&["--input", "c.csv"]).is_wrong_usage("--source");
}

#[cfg(unix)]
#[test]
fn interrupted_scores_go_on_to_the_same_bytes() {
    let lab = lab();
    let characters: Vec<char> = model::CHARACTERS.chars().skip(1).collect();
    let text = |i: usize, n: usize| -> String {
        (0..n).map(|k| characters[(i * 7 + k * (i % 5 + 1)) % characters.len()]).collect()
    };
    let rows: String = (0..20_000).map(|i| format!("{i},{},{}\n", text(i, 20), text(i + 3, 9))).collect();
    file(&lab.path(""), "many.csv", format!("id,source,target\n{rows}"));
    let command = |flags: &str| {
        let mut command = program();
        command.current_dir(lab.path("")).args("score --model run --threads 1 --input many.csv".split(' '));
        command.args(flags.split(' ')).stdout(std::process::Stdio::null());
        command
    };
    finish(&mut command("--output whole.csv")).ok();
    let kept = lab.path("parts.csv.unfinished");
    let done = || std::fs::read_to_string(&kept).unwrap_or_default().lines().count().saturating_sub(1);
    let mut child =
        command("--output parts.csv --resume").stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    while done() < 1000 && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed().as_secs() < 60, "nothing is scored");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kept.exists() && !lab.path("parts.csv").exists(), "it was ended too late to tell");
    finish(&mut command("--output parts.csv")).fails(&["--resume", "--force"]);
    finish(&mut command("--output parts.csv --resume --max-source-length 5"))
        .fails(&["begun with another", "--force"]);
    let run = finish(&mut command("--output parts.csv --resume"));
    assert!(run.stderr.contains("going on after "), "{}", run.stderr);
    run.ok();
    assert!(lab.read("parts.csv") == lab.read("whole.csv"), "the same bytes");
    assert!(!kept.exists());
}

#[test]
fn generated_chinese_has_its_punctuation() {
    // A tokenizer that makes marks half-width, as mT5's does, shows it; this one keeps them.
    let lab = lab();
    let auto = generate(&lab, &["甲乙丙，丁"]).ok();
    let keep = generate(&lab, &["--punctuation", "keep", "甲乙丙，丁"]).ok();
    assert_eq!(auto, keep, "nothing was lost, nothing is restored");
    generate(&lab, &["--punctuation", "never", "甲"]).is_wrong_usage("restore");
}
