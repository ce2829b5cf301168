//! The report as Markdown, and the lines of it for a terminal.

use std::fmt::Write as _;

use t5kit_formats::html::{megabytes, thousands};
use t5kit_formats::lang::fill;

use super::facts::{Facts, Row, Table, part_name};
use super::{Story, clock};
use crate::stages::called;

/// The whole report.
pub fn text(story: &Story<'_>, facts: &Facts) -> String {
    let t = story.lang.texts();
    let mut out = format!("# {}\n\n", fill(t.recipes.recipe_title, &[("name", &story.recipe.name)]));
    let _ = writeln!(out, "{} · {} · {}\n", story.date, story.program, story.machine);
    let _ = writeln!(
        out,
        "## {}\n\n| {} | {} | {} | {} |\n|---|---|---|---|",
        t.recipes.recipe_stages,
        t.recipes.recipe_stage,
        t.recipes.recipe_result,
        t.recipes.recipe_time,
        t.recipes.recipe_memory
    );
    for (name, came) in &facts.came {
        let record = story.state.record(name);
        let (time, memory) = record.map_or(Default::default(), |r| (clock(r.seconds), memory(r.peak_bytes)));
        let name = called(name, story.lang);
        let _ = writeln!(out, "| {name} | {} | {time} | {memory} |", cell(came));
    }
    if let Some(table) = &facts.evaluation {
        let _ = writeln!(out, "\n## {}\n", t.recipes.recipe_evaluation);
        out += &figures(story, table);
    }
    if let Some(data) = &facts.data {
        let _ = writeln!(
            out,
            "\n## {}\n\n| {} | {} | {} | {} |\n|---|---|---|---|",
            t.pages.data,
            t.recipes.recipe_part,
            t.pages.examples,
            t.recipes.recipe_source_characters,
            t.recipes.recipe_target_characters
        );
        for part in &data.parts {
            let (name, rows) = (part_name(&part.name, t), thousands(part.rows as u64));
            let _ = writeln!(out, "| {name} | {rows} | {:.1} | {:.1} |", part.source.mean, part.target.mean);
        }
    }
    let _ = writeln!(
        out,
        "\n## {}\n\n```sh\n{}\n```\n\n{}\n\n```sh\n{}\n```",
        t.pages.to_repeat,
        story.again,
        t.recipes.recipe_by_hand,
        story.commands().join("\n")
    );
    out
}

/// The table of the evaluation.
fn figures(story: &Story<'_>, table: &Table) -> String {
    let t = story.lang.texts();
    let mut out = format!("| {} |", t.recipes.recipe_model_column);
    for name in &table.metrics {
        let _ = write!(out, " {} |", cell(&name.to_uppercase()));
    }
    let _ = writeln!(
        out,
        " {} | {} | {} | {} |",
        t.recipes.recipe_samples, t.recipes.recipe_tokens, t.recipes.recipe_speed, t.recipes.recipe_memory
    );
    let _ = writeln!(out, "|---|{}", "---|".repeat(table.metrics.len() + 4));
    for row in &table.rows {
        let _ = writeln!(out, "| {} | {} |", cell(&row.model), cells(row).join(" | "));
    }
    out
}

/// The figures of a model.
pub fn cells(row: &Row) -> Vec<String> {
    let number = |x: Option<f64>, digits: usize| x.map_or("–".into(), |x| format!("{x:.digits$}"));
    let mut cells: Vec<String> = row
        .values
        .iter()
        .map(|(value, half)| {
            format!("{value:.2}{}", half.map_or(String::new(), |half| format!(" ±{half:.2}")))
        })
        .collect();
    cells.push(number(row.samples_per_second, 2));
    cells.push(number(row.tokens_per_second, 0));
    cells.push(row.relative.map_or("–".into(), |x| format!("{x:.2}x")));
    cells.push(memory(row.peak_bytes.unwrap_or(0)));
    cells
}

fn memory(bytes: u64) -> String {
    if bytes == 0 { "–".into() } else { megabytes(bytes) }
}

/// A text within a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// What is worth saying on a terminal: the stages and the figures.
pub fn summary(story: &Story<'_>, facts: &Facts) -> String {
    let t = story.lang.texts();
    let mut out = String::new();
    for (name, came) in &facts.came {
        let time = story.state.record(name).map_or(String::new(), |record| clock(record.seconds));
        let name = called(name, story.lang);
        let _ = writeln!(out, "{name:<9}{time:>10}  {came}");
    }
    if let Some(table) = &facts.evaluation {
        for row in &table.rows {
            let figures: Vec<String> = table
                .metrics
                .iter()
                .zip(&row.values)
                .map(|(name, (value, _))| format!("{name} {value:.2}"))
                .collect();
            let speed = row
                .samples_per_second
                .map_or(String::new(), |x| format!(", {x:.2} {}", t.recipes.recipe_samples));
            let _ = writeln!(out, "{}: {}{speed}", row.model, figures.join(", "));
        }
    }
    out
}
