//! A GGUF file of llama.cpp is a model by itself: configuration, weights and tokenizer.

mod common;
use common::{arg, run};
use std::path::{Path, PathBuf};

fn gguf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/gguf").join(format!("{name}.gguf"))
}

/// What it generates, and what it says besides.
fn said(model: &Path, flags: &[&str]) -> (String, String) {
    let texts = ["今天天气很好，我们一起去公园", "请记得 <extra_id_0> 带伞"];
    let all = ["generate", "--model", arg(model), "--min-new-tokens", "10", "--repetition-penalty", "3"];
    let run = run(all.iter().chain(&["--max-new-tokens", "12"]).chain(flags).chain(&texts));
    let said = run.stderr.clone();
    (run.ok(), said)
}

#[test]
fn a_file_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    for (name, quantised) in [("t5-Q8_0", true), ("t5-F16", false), ("mt5-BF16", false)] {
        let (want, note) = said(&gguf(name), &[]);
        assert!(want.lines().count() == 2 && want.len() > 20, "{want}");
        assert_eq!(note.contains("quantised (Q8_0): taken as f32"), quantised, "{note}");
        // What is converted is the same model, and needs the file no more.
        let out = folder.path().join(name);
        run(["convert", "--model", arg(&gguf(name)), "--output", arg(&out)]).ok();
        for file in
            ["config.json", "model.safetensors", "spiece.model", "tokenizer.json", "tokenizer_config.json"]
        {
            assert!(out.join(file).is_file(), "{name}: {file}");
        }
        let (got, quiet) = said(&out, &[]);
        assert_eq!(got, want, "{name}");
        assert!(!quiet.contains("quantised"), "{quiet}");
        let (int8, _) = said(&gguf(name), &["--dtype", "int8"]);
        assert!(int8.lines().count() == 2 && int8.len() > 20, "{int8}");
    }
    // The only one in a folder; with a tokenizer beside it that counts.
    let alone = folder.path().join("alone");
    std::fs::create_dir(&alone).unwrap();
    std::fs::copy(gguf("t5-F16"), alone.join("a.gguf")).unwrap();
    let (got, note) = said(&alone, &[]);
    assert_eq!(got, said(&gguf("t5-F16"), &[]).0);
    assert!(note.contains("a.gguf: taken as the weights"), "{note}");
    std::fs::write(alone.join("spiece.model"), b"\xff").unwrap();
    run(["generate", "--model", arg(&alone), "甲"]).fails(&["spiece.model"]);
}

#[test]
fn its_tokenizer_is_one_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("hf");
    run(["convert", "--model", arg(&gguf("t5-Q8_0")), "--output", arg(&out)]).ok();
    let texts = folder.path().join("texts.txt");
    std::fs::write(&texts, "今天天气很好\n请 <extra_id_3> 好\n").unwrap();
    let ids =
        |tokenizer: &Path| run(["tokenize", "--tokenizer", arg(tokenizer), "--input", arg(&texts)]).ok();
    let want = ids(&out);
    assert!(want.contains("317"), "sentinel 3 is row 221 + 96: {want}");
    assert_eq!(ids(&gguf("t5-Q8_0")), want);
    // A model without one asks for it.
    run(["generate", "--model", arg(&gguf("umt5-F32")), "甲"]).fails(&["no tokenizer"]);
    let out = folder.path().join("bare");
    let bare = run(["convert", "--model", arg(&gguf("umt5-F32")), "--output", arg(&out)]);
    assert!(bare.stderr.contains("no tokenizer was found with the model"), "{}", bare.stderr);
}
