//! Why a command line was not understood, in a line that says how to mend it.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::names::{flag_meant, subcommand_meant, value_meant};
use crate::errors;

/// Prints help and versions where they belong, and anything else as one line on standard error; returns the exit code.
pub fn report(error: &Error, arguments: &[OsString]) -> u8 {
    let asked = [
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayVersion,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if asked.contains(&error.kind()) {
        // clap knows where each of them goes. A closed pipe is no news.
        let _ = error.print();
    } else {
        let _ = writeln!(std::io::stderr().lock(), "t5kit: error: {}", in_a_line(error, arguments));
    }
    u8::try_from(error.exit_code()).unwrap_or(errors::USAGE)
}

/// What there is to say about a command line that was not understood.
pub fn in_a_line(error: &Error, arguments: &[OsString]) -> String {
    let program = super::command();
    let subcommand = arguments
        .iter()
        .skip(1)
        .find_map(|word| word.to_str().and_then(|word| program.find_subcommand(word)));
    let help = match subcommand {
        Some(command) => format!("t5kit {} --help", command.get_name()),
        None => "t5kit --help".to_owned(),
    };
    let of = |kind| error.get(kind).map(words).unwrap_or_default();
    let first = |kind| of(kind).into_iter().next().unwrap_or_default();
    let name = first(ContextKind::InvalidArg);
    let flag = name.split([' ', '[']).next().unwrap_or_default();
    let meant = |meant: Option<String>| match meant {
        Some(meant) => format!("; did you mean {meant}?"),
        None => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument if name.starts_with('-') => {
            let ours = flag_meant(&name, subcommand).map(String::from);
            let near =
                || of(ContextKind::SuggestedArg).into_iter().next().map(|near| usual(near, subcommand));
            let close = meant(ours.or_else(near));
            format!("{name}: there is no such flag{close} ({help} lists them)")
        }
        ErrorKind::UnknownArgument => format!("{name}: belongs to no flag ({help} says what is given how)"),
        ErrorKind::InvalidSubcommand => {
            let name = first(ContextKind::InvalidSubcommand);
            let near = || of(ContextKind::SuggestedSubcommand).into_iter().next();
            let close = meant(subcommand_meant(&name).map(String::from).or_else(near));
            format!("{name}: there is no such subcommand{close} ({help} lists them)")
        }
        ErrorKind::InvalidValue => {
            let (value, valid) = (first(ContextKind::InvalidValue), of(ContextKind::ValidValue));
            let there_is = valid.join(", ");
            if value.is_empty() {
                let which = if valid.is_empty() { String::new() } else { format!(": {there_is}") };
                return format!("{flag} needs a value{which}");
            }
            let near = || of(ContextKind::SuggestedValue).into_iter().next();
            let close = meant(value_meant(&value, &valid).or_else(near));
            format!("{flag} {value}: there is {there_is}{close}")
        }
        ErrorKind::ValueValidation => {
            let value = first(ContextKind::InvalidValue);
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            // A number says its range and itself.
            if why.starts_with("must be ") {
                format!("{flag} {why}")
            } else {
                format!("{flag} {value}: {why}")
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = of(ContextKind::InvalidArg);
            let is = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {is} missing ({help} says more)", missing.join(", "))
        }
        ErrorKind::ArgumentConflict => {
            let others = of(ContextKind::PriorArg).join(", ");
            format!("{name} and {others} exclude each other: leave out one")
        }
        _ => {
            // The first paragraph of clap's own words; usage and where to find help follow.
            let all = error.render().to_string();
            let paragraph = all.split("\n\n").next().unwrap_or_default();
            let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            line.strip_prefix("error: ").unwrap_or(&line).to_owned()
        }
    }
}

/// A flag that clap suggests, by its usual name where that is an alias.
fn usual(flag: String, subcommand: Option<&clap::Command>) -> String {
    let name = flag.trim_start_matches('-');
    let has = |argument: &&clap::Arg| argument.get_all_aliases().is_some_and(|all| all.contains(&name));
    let argument = subcommand.and_then(|command| command.get_arguments().find(has));
    argument.and_then(clap::Arg::get_long).map_or(flag.clone(), |long| format!("--{long}"))
}

fn words(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(word) => vec![word.clone()],
        ContextValue::Strings(words) => words.clone(),
        ContextValue::StyledStr(word) => vec![word.to_string()],
        ContextValue::StyledStrs(words) => words.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = super::super::parse(&arguments).err().expect("refused");
        let line = in_a_line(&error, &arguments);
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    #[test]
    fn a_line_says_what_is_wrong_and_what_is_meant() {
        let generate = "t5kit generate --model m";
        for (line, want) in [
            (
                "t5kit train",
                "train: there is no such subcommand; did you mean finetune? (t5kit --help lists them)",
            ),
            (
                "t5kit genrate",
                "genrate: there is no such subcommand; did you mean generate? (t5kit --help lists them)",
            ),
            (
                &format!("{generate} --fp16"),
                "--fp16: there is no such flag; did you mean --dtype f16 (or bf16)? (t5kit generate --help lists them)",
            ),
            (
                &format!("{generate} --num-beam 4"),
                "--num-beam: there is no such flag; did you mean --num-beams? (t5kit generate --help lists them)",
            ),
            (
                &format!("{generate} --xyzzy"),
                "--xyzzy: there is no such flag (t5kit generate --help lists them)",
            ),
            (&format!("{generate} --batch-size 0"), "--batch-size must be at least 1, not 0"),
            (&format!("{generate} --length-penalty much"), "--length-penalty must be a number, not much"),
            (
                &format!("{generate} --dtype fp16"),
                "--dtype fp16: there is f32, bf16, f16, int8, int4; did you mean f16?",
            ),
            (&format!("{generate} --num-beams"), "--num-beams needs a value"),
            (&format!("{generate} --json --stream"), "--json and --stream exclude each other: leave out one"),
            ("t5kit generate", "--model <MODEL> is missing (t5kit generate --help says more)"),
        ] {
            assert_eq!(said(line), want, "{line}");
        }
    }
}
