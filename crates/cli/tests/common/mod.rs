//! The program as a user runs it.

#![allow(dead_code)] // every test file uses its part

pub mod kitchen;
pub mod lab;
pub mod model;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program, ready for more settings.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_t5kit"));
    command
        .env_remove("T5KIT_ISA")
        .env_remove("T5KIT_BF16")
        .env_remove("T5KIT_INT8")
        .env("T5KIT_LANG", "en")
        .stdin(Stdio::null());
    command
}

/// Runs the program with these arguments and no input.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Run {
    finish(program().args(args))
}

/// Runs the program with these arguments and this standard input.
pub fn run_with_input<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>, input: &[u8]) -> Run {
    let mut child = program()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that fails early does not read its input; that is not this thread's business.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    of(output)
}

/// Runs a prepared command to its end.
pub fn finish(command: &mut Command) -> Run {
    of(command.output().expect("the program starts"))
}

fn of(output: std::process::Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("results are UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

impl Run {
    /// The run did what was asked; returns what it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// The run failed with exit code 1, nothing on standard output, and one line, the last, that is the error and holds
    /// every one of `parts`. What was understood of the files may have been said before.
    #[track_caller]
    pub fn fails(&self, parts: &[&str]) {
        assert_eq!(self.code, 1, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        let is_error = |line: &&str| line.starts_with("t5kit: error: ");
        assert_eq!(self.stderr.lines().filter(is_error).count(), 1, "{self:#?}");
        let error = self.stderr.lines().last().filter(is_error);
        let error = error.unwrap_or_else(|| panic!("the error is not the last line: {self:#?}"));
        for part in parts {
            assert!(error.contains(part), "{part:?} in {self:#?}");
        }
    }

    /// The run was refused as wrong usage, with a message that holds `part`.
    #[track_caller]
    pub fn is_wrong_usage(&self, part: &str) {
        assert_eq!(self.code, 2, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        assert!(self.stderr.contains(part), "{part:?} in {self:#?}");
    }
}

/// Writes a file in a folder and returns its path.
pub fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test folders have plain names")
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
