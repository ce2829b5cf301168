//! What holds for every subcommand: usage, help, exit codes, where messages go.

mod common;
use common::{finish, program, run};
use std::process::Stdio;

const SUBCOMMANDS: [&str; 16] = [
    "tokenize",
    "detokenize",
    "count",
    "trim",
    "inspect",
    "convert",
    "pretrain",
    "finetune",
    "generate",
    "objective",
    "score",
    "metrics",
    "compare",
    "demo",
    "completions",
    "man",
];

#[test]
fn wrong_usage_is_exit_code_2() {
    run([] as [&str; 0]).is_wrong_usage("Usage: t5kit");
    run(["nonsense"]).is_wrong_usage("nonsense");
    run(["--nonsense"]).is_wrong_usage("--nonsense");
    for name in SUBCOMMANDS {
        run([name, "--no-such-flag"]).is_wrong_usage("--no-such-flag");
    }
}

#[test]
fn help_goes_to_standard_output() {
    let help = run(["--help"]).ok();
    for name in SUBCOMMANDS {
        assert!(help.contains(name), "{name} in {help}");
        let help = run([name, "--help"]).ok();
        assert!(help.contains(&format!("Usage: t5kit {name}")), "{help}");
    }
    assert!(run(["--version"]).ok().starts_with("t5kit "));
}

#[test]
fn an_impossible_instruction_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = common::file(folder.path(), "a.txt", "题\n");
    let args = ["metrics", "--predictions", common::arg(&text), "--references", common::arg(&text)];
    finish(program().args(args).env("T5KIT_ISA", "abacus")).is_wrong_usage("abacus");
    finish(program().args(args).env("T5KIT_ISA", "portable")).ok();
}

/// Standard output that cannot be written is a failure; a reader that went away is not.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_full_or_closed() {
    let folder = tempfile::tempdir().unwrap();
    let text = common::file(folder.path(), "a.txt", "题\n");
    let args = ["metrics", "--predictions", common::arg(&text), "--references", common::arg(&text)];
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    finish(program().args(args).stdout(full)).fails(&["No space left"]);

    let mut child = program().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
