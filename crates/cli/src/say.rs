//! What is said to people, and how much of it: sizes, numbers, texts that were cut; `--quiet` and `--verbose`.
//!
//! The macros here are the program's own: its modules come after this one, so every `eprintln!` of theirs is silent
//! under `--quiet`, and none panics where standard error is closed.

use std::sync::OnceLock;

use t5kit_formats::lang::fill;

use crate::lang::lang;

/// How much is said on standard error beside errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Quiet,
    /// What one wants to know.
    #[default]
    Usual,
    /// Files, instruction sets, threads and times too.
    Verbose,
}

static LEVEL: OnceLock<Level> = OnceLock::new();

/// Settles how much is said, once.
pub fn set_level(level: Level) {
    LEVEL.get_or_init(|| level);
}

fn level() -> Level {
    LEVEL.get().copied().unwrap_or_default()
}

/// Whether errors alone are said.
pub fn is_quiet() -> bool {
    level() == Level::Quiet
}

/// Whether details are said too.
pub fn is_verbose() -> bool {
    level() == Level::Verbose
}

/// A line on standard error, where it is not closed.
pub fn line(text: std::fmt::Arguments<'_>) {
    let _ = std::io::Write::write_fmt(&mut std::io::stderr().lock(), format_args!("{text}\n"));
}

/// Says something that is no error: not under `--quiet`.
macro_rules! eprintln {
    ($($text:tt)*) => {
        if !$crate::say::is_quiet() {
            $crate::say::line(format_args!($($text)*));
        }
    };
}

/// Says one of the texts for a terminal, in the reader's language, its places filled: `told!(written, place = path)`.
macro_rules! told {
    ($name:ident $(, $place:ident = $value:expr)* $(,)?) => {{
        let text = $crate::errors::in_flags($crate::lang::lang().texts().terminal.$name);
        eprintln!("t5kit: {}", t5kit_formats::lang::fill(&text, &[$((stringify!($place), &$value)),*]));
    }};
}

/// Says what only `--verbose` asks for.
macro_rules! detail {
    ($($text:tt)*) => {
        if $crate::say::is_verbose() {
            $crate::say::line(format_args!("t5kit: {}", format_args!($($text)*)));
        }
    };
}

/// A number of things, with commas between thousands.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut said = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// Says on standard error that `cut` of `all` texts were cut at `most` tokens, if any were; `part` is what they are
/// part of: ` (validation)`, or nothing.
pub fn notice_cut(what: Side, cut: usize, all: usize, most: usize, part: &str) {
    let t = lang().texts();
    let text = match cut {
        0 => return,
        1 => t.terminal.one_was_cut,
        _ => t.terminal.several_were_cut,
    };
    let (n, all) = (count(cut), count(all));
    let values: [(&str, &dyn std::fmt::Display); 5] =
        [("n", &n), ("all", &all), ("what", &what.called(cut)), ("length", &most), ("part", &part)];
    eprintln!("t5kit: {}", fill(text, &values));
}

/// Which of an example's texts is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
    /// No example's.
    Text,
}

impl Side {
    /// The word for so many of them.
    pub fn called(self, n: usize) -> &'static str {
        let t = lang().texts();
        match (self, n) {
            (Side::Source, 1) => t.pages.source,
            (Side::Source, _) => t.pages.sources,
            (Side::Target, 1) => t.pages.target,
            (Side::Target, _) => t.pages.targets,
            (Side::Text, 1) => t.terminal.text,
            (Side::Text, _) => t.terminal.texts,
        }
    }
}

/// The text for one, or that for several with `{n}` filled in; `None` for none.
pub fn counted(n: u64, one: &str, several: &str) -> Option<String> {
    match n {
        0 => None,
        1 => Some(one.to_owned()),
        n => Some(fill(several, &[("n", &count(n as usize))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_have_commas() {
        let said = [0, 7, 999, 1000, 21_800, 1_234_567].map(count);
        assert_eq!(said, ["0", "7", "999", "1,000", "21,800", "1,234,567"]);
    }
}
