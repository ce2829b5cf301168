//! The report as a page.

use std::fmt::Write as _;

use t5kit_formats::html::{self, Chart, Series, escape, megabytes, thousands};
use t5kit_formats::lang::fill;
use t5kit_train::{TASK_LOSS, thin};

use super::facts::{Facts, part_name, shorten};
use super::markdown::cells;
use super::{Story, clock};
use crate::stages::{called, made};

const STYLE: &str = "
.wide { overflow-x: auto; } pre { overflow-wrap: anywhere; } .story td, .story th { text-align: left; vertical-align: top; }
.story td:nth-child(n+3), .story th:nth-child(n+3) { text-align: right; white-space: nowrap; }
.figures th, .figures td { white-space: nowrap; } .figures td i { color: var(--soft); font-style: normal; font-size: 13px; }
.figures tr:first-child th:first-child { width: 100%; }
.texts { table-layout: fixed; } .texts td, .texts th { text-align: left; vertical-align: top; overflow-wrap: anywhere; font-size: 14px; }
.texts th:first-child, .texts td:first-child { width: 42%; } .texts .same { color: #2f9e63; }
a { color: var(--accent); } h3 { font-size: 15px; font-weight: 600; color: var(--soft); margin: 18px 0 4px; }
@media (max-width: 560px) { .story th:nth-child(4), .story td:nth-child(4) { display: none; }
  .texts, .texts tbody, .texts tr, .texts td { display: block; width: auto !important; } .texts tr:first-child { display: none; }
  .texts td { border: 0; padding: 2px 0; } .texts tr { border-bottom: 1px solid var(--line); padding: 8px 0; display: block; }
  .texts td::before { content: attr(data-name) \" \"; color: var(--soft); font-size: 12px; display: block; } }
";

pub fn page(story: &Story<'_>, facts: &Facts) -> String {
    let t = story.lang.texts();
    let mut out = String::with_capacity(32 << 10);
    cards(&mut out, story, facts);
    stages(&mut out, story, facts);
    evaluation(&mut out, story, facts);
    training(&mut out, story, facts);
    data(&mut out, story, facts);
    let _ = writeln!(out, "<h2>{}</h2>\n<pre>{}</pre>", t.pages.to_repeat, escape(story.again));
    let _ = writeln!(
        out,
        "<p class=\"soft\">{}</p>\n<pre>{}</pre>",
        t.recipes.recipe_by_hand,
        escape(&story.commands().join("\n\n"))
    );
    let title = fill(t.recipes.recipe_title, &[("name", &story.recipe.name)]);
    let about = format!("{} · {} · {}", story.date, story.program, story.machine);
    html::page(story.lang, &title, &about, STYLE, &out)
}

fn cards(out: &mut String, story: &Story<'_>, facts: &Facts) {
    let t = story.lang.texts();
    out.push_str("<div class=\"cards\">\n");
    if let Some(table) = &facts.evaluation
        && let Some(first) = table.rows.first()
    {
        for (name, (value, half)) in table.metrics.iter().zip(&first.values).take(4) {
            let sure = half.map_or(String::new(), |half| format!("±{half:.2}"));
            html::card(out, format_args!("{value:.2}"), &[&name.to_uppercase(), &sure]);
        }
        if let Some(rate) = first.samples_per_second {
            html::card(out, format_args!("{rate:.2} /s"), &[t.recipes.recipe_sources_generated]);
        }
    }
    let records: Vec<_> = story.stages.iter().filter_map(|stage| story.state.record(stage.name)).collect();
    html::card(out, clock(records.iter().map(|record| record.seconds).sum()), &[t.recipes.recipe_all_stages]);
    if let Some(peak) = records.iter().map(|record| record.peak_bytes).max().filter(|peak| *peak > 0) {
        html::card(out, megabytes(peak), &[t.pages.of_memory, t.recipes.recipe_the_most]);
    }
    out.push_str("</div>\n");
}

fn stages(out: &mut String, story: &Story<'_>, facts: &Facts) {
    let t = story.lang.texts();
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table class=\"story\">\n<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>",
        t.recipes.recipe_stages,
        t.recipes.recipe_stage,
        t.recipes.recipe_result,
        t.recipes.recipe_time,
        t.recipes.recipe_memory
    );
    for (name, came) in &facts.came {
        let record = story.state.record(name);
        let time = record.map_or(String::new(), |record| clock(record.seconds));
        let memory = record.filter(|r| r.peak_bytes > 0).map_or("–".into(), |r| megabytes(r.peak_bytes));
        let link = match *name {
            "trim" => Some(format!("{}/trim_report.html", made::TRIMMED)),
            "pretrain" => Some(format!("{}/report.html", made::PRETRAINED)),
            "finetune" => Some(format!("{}/report.html", made::RUN)),
            "evaluate" => Some(format!("{}/evaluation.html", made::EVALUATION)),
            _ => None,
        };
        let name = called(name, story.lang);
        let named = link.map_or(name.to_owned(), |link| format!("<a href=\"{link}\">{name}</a>"));
        let _ = writeln!(
            out,
            "<tr><td>{named}</td><td>{}</td><td>{time}</td><td>{memory}</td></tr>",
            escape(came)
        );
    }
    out.push_str("</table>\n");
}

fn evaluation(out: &mut String, story: &Story<'_>, facts: &Facts) {
    let t = story.lang.texts();
    let Some(table) = &facts.evaluation else { return };
    let _ = write!(
        out,
        "<h2>{}</h2>\n<div class=\"wide\"><table class=\"figures\">\n<tr><th>{}</th>",
        t.recipes.recipe_evaluation, t.recipes.recipe_model_column
    );
    for name in &table.metrics {
        let _ = write!(out, "<th>{}</th>", escape(&name.to_uppercase()));
    }
    for name in
        [t.recipes.recipe_samples, t.recipes.recipe_tokens, t.recipes.recipe_speed, t.recipes.recipe_memory]
    {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("</tr>\n");
    for row in &table.rows {
        let _ = write!(out, "<tr><td>{}</td>", escape(&row.model));
        for text in cells(row) {
            let text = escape(&text);
            match text.split_once(" ±") {
                Some((value, half)) => {
                    let _ = write!(out, "<td>{value} <i>±{half}</i></td>");
                }
                None => {
                    let _ = write!(out, "<td>{text}</td>");
                }
            }
        }
        out.push_str("</tr>\n");
    }
    let examples = fill(t.recipes.recipe_table_says, &[("n", &thousands(table.examples))]);
    let _ = writeln!(out, "</table></div>\n<p class=\"soft\">{}</p>", escape(&examples));
    let Some((names, rows)) = facts.outputs.as_ref().filter(|(_, rows)| !rows.is_empty()) else { return };
    let name = |name: &str| match name {
        "source" => t.pages.source.to_owned(),
        "reference" => t.pages.reference.to_owned(),
        other => escape(other),
    };
    let _ = write!(out, "<h3>{}</h3>\n<table class=\"texts\">\n<tr>", t.pages.outputs);
    names.iter().for_each(|column| {
        let _ = write!(out, "<th>{}</th>", name(column));
    });
    out.push_str("</tr>\n");
    for row in rows {
        out.push_str("<tr>");
        for (i, (column, text)) in names.iter().zip(row).enumerate() {
            let same = i > 1 && row.get(1).is_some_and(|right| right.trim() == text.trim());
            let class = if same { " class=\"same\"" } else { "" };
            let _ = write!(out, "<td{class} data-name=\"{}\">{}</td>", name(column), escape(&shorten(text)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn training(out: &mut String, story: &Story<'_>, facts: &Facts) {
    let t = story.lang.texts();
    let Some(curves) = facts.curves.as_ref().filter(|curves| !curves.loss.is_empty()) else { return };
    let rate = thousands((curves.tokens / curves.seconds.max(1e-9)) as u64);
    let said = fill(t.recipes.recipe_training_says, &[("rate", &rate), ("time", &clock(curves.seconds))]);
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<p class=\"soft\">{} <a href=\"{}/report.html\">{}</a></p>",
        t.recipes.recipe_training,
        escape(&said),
        made::RUN,
        t.recipes.recipe_whole_page
    );
    let range = curves.loss.last().map(|last| (0.0, last.0));
    let mark = facts.best.as_ref().map(|(step, _)| (*step as f64, t.pages.best.to_owned()));
    let mut losses =
        vec![Series { name: t.pages.training, points: thin(&curves.loss), dots: false, smooth: false }];
    let valid = |wanted: bool| curves.valid.iter().filter(move |(name, _)| (name == "valid_loss") == wanted);
    losses.extend(valid(true).map(|(_, points)| Series {
        name: t.pages.validation,
        points: points.clone(),
        dots: true,
        smooth: false,
    }));
    let mut chart = |label: &str, series, mark, height| {
        let drawing = Chart { label, x: t.pages.step, series, mark, from_zero: false, range }.svg(height);
        let _ = write!(out, "<h3>{label}</h3>\n{drawing}");
    };
    chart(t.pages.loss, losses, mark.clone(), 280.0);
    let metrics: Vec<Series<'_>> = valid(false)
        .filter(|(name, _)| !name.ends_with(TASK_LOSS))
        .take(html::COLOURS)
        .map(|(name, points)| Series { name, points: points.clone(), dots: true, smooth: false })
        .collect();
    if !metrics.is_empty() {
        chart(t.pages.metrics_of_targets, metrics, mark, 240.0);
    }
}

fn data(out: &mut String, story: &Story<'_>, facts: &Facts) {
    let t = story.lang.texts();
    let Some(data) = &facts.data else { return };
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table>\n<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>",
        t.pages.data,
        t.recipes.recipe_part,
        t.pages.examples,
        t.recipes.recipe_source_characters,
        t.recipes.recipe_target_characters
    );
    for part in &data.parts {
        let characters = |c: &crate::Characters| {
            format!(
                "{:.1} <span class=\"soft wide-only\">· 95 % ≤ {}</span>",
                c.mean,
                thousands(c.p95 as u64)
            )
        };
        let (rows, source, target) =
            (thousands(part.rows as u64), characters(&part.source), characters(&part.target));
        let name = part_name(&part.name, t);
        let _ = writeln!(out, "<tr><td>{name}</td><td>{rows}</td><td>{source}</td><td>{target}</td></tr>");
    }
    out.push_str("</table>\n");
    if !data.input.is_empty() {
        let (files, seed) = (data.input.join(", "), data.seed);
        let said = fill(t.recipes.recipe_split_says, &[("files", &files), ("seed", &seed)]);
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escape(&said));
    }
    let repeated: usize = data.parts.iter().map(|part| part.repeated).sum();
    if repeated > 0 {
        let said = fill(t.recipes.recipe_repeated, &[("n", &thousands(repeated as u64))]);
        html::warnings(out, story.lang, &[said]);
    }
    let Some(first) = data.parts.first().filter(|part| !part.first.is_empty()) else { return };
    let _ = writeln!(
        out,
        "<h3>{}</h3>\n<table class=\"texts\">\n<tr><th>{}</th><th>{}</th></tr>",
        t.recipes.recipe_first, t.pages.source, t.pages.target
    );
    for [source, target] in &first.first {
        let (source, target) = (escape(&shorten(source)), escape(&shorten(target)));
        let _ = writeln!(
            out,
            "<tr><td data-name=\"{}\">{source}</td><td data-name=\"{}\">{target}</td></tr>",
            t.pages.source, t.pages.target
        );
    }
    out.push_str("</table>\n");
}
