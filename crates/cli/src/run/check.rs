//! Whether the program understands the command lines of a recipe's stages; refusals name the recipe's keys.

use anyhow::Result;
use std::ffi::OsString;
use t5kit_recipe::{How, Recipe, Stage};

use super::refused;
use crate::Command;
use crate::commandline;

/// Refuses values and combinations that a stage's subcommand does not take, at their place in the recipe.
pub fn check(recipe: &Recipe, stages: &[Stage]) -> Result<()> {
    for stage in stages {
        let words = stage.command(&recipe.output, How::New);
        let line: Vec<OsString> =
            std::iter::once("t5kit".to_owned()).chain(words).map(OsString::from).collect();
        let parsed =
            commandline::parse(&line).map_err(|error| said(stage, &commandline::in_a_line(&error, &line)))?;
        // What shows only when the flags are put together.
        let together = match &parsed.cli.command {
            Command::Split(args) => args.options().map(drop),
            Command::Pretrain(args) => args.options().map(drop),
            Command::Finetune(args) => args.options().map(drop),
            _ => Ok(()),
        };
        together.map_err(|error| said(stage, &format!("{error:#}")))?;
    }
    Ok(())
}

/// A message about flags as one about keys, at the place of the first that the recipe gives.
fn said(stage: &Stage, message: &str) -> anyhow::Error {
    let (mut out, mut rest, mut place) = (String::new(), message, None);
    while let Some(at) = rest.find("--") {
        let (before, behind) = rest.split_at(at);
        out.push_str(before);
        let end = behind[2..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        let (flag, after) = behind.split_at(end.map_or(behind.len(), |end| end + 2));
        match stage.given.iter().find(|given| given.flag == flag[2..]) {
            Some(given) => {
                place = place.or(Some(&given.place));
                out.push_str(&given.key);
                // Of a key there is no placeholder for its value.
                if let Some(end) = after.strip_prefix(" <").and_then(|value| value.find('>')) {
                    rest = &after[end + 3..];
                    continue;
                }
            }
            None => out.push_str(flag),
        }
        rest = after;
    }
    refused(place.unwrap_or(&stage.place), &(out + rest))
}
