//! The report of a recipe: the whole story on one page, `report.html`, and the same as `report.md`.

mod facts;
mod markdown;
mod page;

use t5kit_formats::lang::Lang;

use crate::state::{State, write_text};
use crate::{Error, How, Recipe, Stage};
use facts::Facts;

/// Name of the page within the output folder.
pub const REPORT: &str = "report.html";
/// Name of the same in Markdown.
pub const MARKDOWN: &str = "report.md";

/// What the report is made from beside what the stages have written.
pub struct Story<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its stages.
    pub stages: &'a [Stage],
    /// What became of them.
    pub state: &'a State,
    /// The language.
    pub lang: Lang,
    /// The program, with its version.
    pub program: &'a str,
    /// The machine, in a line.
    pub machine: &'a str,
    /// When it was, for people.
    pub date: &'a str,
    /// Arguments as one would type them.
    pub typed: &'a dyn Fn(&[String]) -> String,
    /// The command that runs the recipe.
    pub again: &'a str,
}

impl Story<'_> {
    /// The commands that repeat it, stage by stage.
    fn commands(&self) -> Vec<String> {
        self.stages.iter().map(|stage| (self.typed)(&stage.command(&self.recipe.output, How::New))).collect()
    }
}

/// Writes both into the output folder; returns what is worth saying on a terminal.
///
/// # Errors
/// Those of writing; what a stage has written and cannot be read is left out.
pub fn write(story: &Story<'_>) -> Result<String, Error> {
    let facts = Facts::read(story);
    write_text(&story.recipe.output.join(REPORT), &page::page(story, &facts))?;
    let text = markdown::text(story, &facts);
    write_text(&story.recipe.output.join(MARKDOWN), &text)?;
    Ok(markdown::summary(story, &facts))
}

/// 12 s, 4:32 min, 1:05 h.
fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
