//! How failures reach the user: one line on standard error and an exit code.

use clap::CommandFactory;
use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Write};
use t5kit_formats::progress::Stopped;

/// Exit code of wrong usage, clap's own.
pub const USAGE: u8 = 2;
/// Exit code after Ctrl-C, by the shells' convention.
pub const INTERRUPTED: u8 = 130;
const FAILURE: u8 = 1;

/// Wrong usage that only shows after parsing: options that exclude each other in ways clap cannot express.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// An error that ends the program with exit code 2.
pub fn usage(message: impl fmt::Display) -> anyhow::Error {
    Usage(message.to_string()).into()
}

/// The end of a subcommand that saw [`crate::interrupt::requested`]; nothing more is said about it, nor about a
/// library's [`Stopped`].
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// Prints the error as one line and returns the exit code. Silent, and a success, where the reader of standard
/// output went away.
pub fn report(error: &anyhow::Error) -> u8 {
    if error.is::<Interrupted>() || error.chain().any(|e| e.is::<Stopped>()) {
        return INTERRUPTED;
    }
    let closed = |e: &std::io::Error| e.kind() == ErrorKind::BrokenPipe;
    if error.chain().any(|e| e.downcast_ref().is_some_and(closed)) {
        return 0;
    }
    // Nothing can be done where standard error is closed too.
    let _ = writeln!(std::io::stderr().lock(), "t5kit: error: {}", one_line(error.chain()));
    if is_usage(error) { USAGE } else { FAILURE }
}

/// Whether what was asked for is impossible, whatever the files hold.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>()
        || error.downcast_ref().is_some_and(t5kit_pipeline::Error::is_usage)
        || error.downcast_ref().is_some_and(t5kit_recipe::Error::is_usage)
        || error.downcast_ref().is_some_and(t5kit_tasks::objective::Error::is_usage)
        || matches!(error.downcast_ref(), Some(t5kit_generate::Error::Options(_)))
        || matches!(error.downcast_ref(), Some(t5kit_tokenizer::Error::Options { .. }))
        || matches!(
            error.downcast_ref(),
            Some(t5kit_train::Error::Columns { .. } | t5kit_train::Error::Split { .. })
        )
        || matches!(error.downcast_ref(), Some(t5kit_formats::table::Error::Choose { .. }))
}

/// Fields whose flag has another name.
const RENAMED: [(&str, &str); 19] = [
    ("base", "model"),
    ("columns", "field"),
    ("do_sample", "sample"),
    ("data", "data"),
    ("examples", "train"),
    ("lengths.source", "max-source-length"),
    ("mean_span_length", "mean-noise-span-length"),
    ("prompt_lookup_num_tokens", "lookup"),
    ("table.encoding", "encoding"),
    ("table.format", "format"),
    ("table.has_header", "header"),
    ("table.sheet", "sheet"),
    ("validation.best_metric", "best-metric"),
    ("validation.constrain", "constrain"),
    ("validation.eval_every", "eval-every"),
    ("validation.max_examples", "eval-max-examples"),
    ("validation.max_new_tokens", "eval-max-new-tokens"),
    ("validation.metrics", "metric"),
    ("validation.num_beams", "eval-num-beams"),
];

/// A library's message as the program says it: libraries know no flags, and put the name of a field that the caller
/// sets between backticks. What is no field with a flag stays as it is.
pub fn in_flags(message: &str) -> String {
    let mut parts = message.split('`');
    let mut said = parts.next().unwrap_or_default().to_owned();
    let mut flags = None;
    while let Some(field) = parts.next() {
        let Some(after) = parts.next() else {
            return said + "`" + field;
        };
        let renamed = RENAMED.iter().find(|(name, _)| *name == field).map(|&(_, flag)| flag.to_owned());
        let flag = renamed.unwrap_or_else(|| field.replace(['_', '.'], "-"));
        let known = flags.get_or_insert_with(flags_of_all).contains(&flag);
        said += &if known { format!("--{flag}") } else { format!("`{field}`") };
        said += after;
    }
    said
}

/// The long flags of every subcommand.
fn flags_of_all() -> Vec<String> {
    let program = crate::Cli::command();
    let arguments = program.get_subcommands().flat_map(|command| command.get_arguments());
    arguments.filter_map(|argument| argument.get_long().map(String::from)).collect()
}

/// The messages of a chain of causes joined by `: `, without those that the message before already quotes.
fn one_line<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut line = String::new();
    let mut last = String::new();
    for cause in chain {
        let message = in_flags(&cause.to_string()).split_whitespace().collect::<Vec<_>>().join(" ");
        if message.is_empty() || last.contains(&message) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&message);
        last = message;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_joined_once() {
        let e = anyhow!("No such file").context("cannot read x: No such file").context("loading\n the model");
        assert_eq!(one_line(e.chain()), "loading the model: cannot read x: No such file");
    }

    #[test]
    fn fields_become_flags() {
        for (message, said) in [
            ("`num_beams` is 0", "--num-beams is 0"),
            ("add `do_sample` or `temperature`", "add --sample or --temperature"),
            ("`allow.missing` begins", "--allow-missing begins"),
            ("made by `t5kit count`", "made by `t5kit count`"),
            ("`nothing` and ` alone", "`nothing` and ` alone"),
            ("plain num_beams", "plain num_beams"),
        ] {
            assert_eq!(in_flags(message), said);
        }
    }

    #[test]
    fn every_setting_of_a_run_has_a_flag() {
        let options = serde_json::to_value(t5kit_train::TrainOptions::default()).unwrap();
        let validation = options["validation"].as_object().unwrap().keys();
        // These two decide when, not what: a resumed run may have others.
        let when = ["save_every", "early_stopping_patience"];
        let validation = validation.filter(|name| !when.contains(&name.as_str()));
        let fields = options.as_object().unwrap().keys().filter(|name| *name != "validation").cloned();
        for field in fields.chain(validation.map(|name| format!("validation.{name}"))) {
            assert!(in_flags(&format!("`{field}`")).starts_with("--"), "{field}");
        }
        for (field, flag) in RENAMED {
            assert_eq!(in_flags(&format!("`{field}`")), format!("--{flag}"));
        }
    }

    #[test]
    fn codes() {
        assert_eq!(report(&usage("both --top and --min-count")), USAGE);
        assert_eq!(report(&anyhow!("broken file")), FAILURE);
        assert_eq!(report(&Interrupted.into()), INTERRUPTED);
        let stopped = t5kit_train::Error::from(t5kit_formats::Error::from(Stopped));
        assert_eq!(report(&anyhow::Error::from(stopped).context("reading")), INTERRUPTED);
        let pipe: std::io::Result<()> = Err(ErrorKind::BrokenPipe.into());
        assert_eq!(report(&pipe.context("cannot write").unwrap_err()), 0);
    }
}
