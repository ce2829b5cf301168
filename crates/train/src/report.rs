//! `report.html`: a run for people, one self-contained page made from its log.

mod compare;
mod curves;
mod data;
mod warnings;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use t5kit_formats::html::{self, Chart, Series, escape, short, thousands};
use t5kit_formats::lang::{Lang, fill};
use t5kit_formats::output::AtomicFile;

use crate::log::{EvalRecord, LOG};
use crate::{Error, Examples, Sample, TrainOptions};
pub use compare::compare;
pub use curves::{Curves, TASK_LOSS, thin};
use data::data;
use warnings::{part, warnings};

/// Name of the page within a run's folder.
pub const REPORT: &str = "report.html";

/// Seconds after which a browser loads the page of a run that goes on again.
const RENEWED: u32 = 15;

/// Characters of a text that are shown.
const SHOWN: usize = 240;

const STYLE: &str = "
h3 { font-size: 15px; font-weight: 600; color: var(--soft); margin: 22px 0 4px; }
.texts { table-layout: fixed; } .texts td, .texts th { text-align: left; vertical-align: top; overflow-wrap: anywhere; }
.texts th:first-child, .texts td:first-child { width: 50%; } .texts td { font-size: 14px; }
.texts .same { color: #2f9e63; } .pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(330px, 1fr)); gap: 0 24px; }
.settings td { text-align: left; overflow-wrap: anywhere; padding: 3px 10px; font-size: 14px; }
.settings td:first-child { color: var(--soft); width: 14em; } .wide { overflow-x: auto; }
@media (max-width: 560px) { .pairs { grid-template-columns: 1fr; } .settings td:first-child { width: 9em; }
  .texts, .texts tbody, .texts tr, .texts td, .texts td:first-child { display: block; width: auto; }
  .texts tr:first-child { display: none; } .texts td { border: 0; padding: 4px 0; } .texts tr { padding: 10px 0; border-bottom: 1px solid var(--line); }
  .texts td::before { content: attr(data-label); display: block; color: var(--soft); font-size: 12px; } }
";

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It goes on, for so many steps in all; the page renews itself.
    GoingOn(u64),
    /// It was stopped before so many steps, and can be resumed.
    Stopped(u64),
    /// It has come to its end.
    Ended,
}

/// What the page tells beside the log.
pub struct RunReport<'a> {
    /// The language.
    pub lang: Lang,
    /// The run's name.
    pub run: &'a str,
    /// The model that it begins from.
    pub model: &'a str,
    /// The files that it learns from.
    pub data: &'a str,
    /// When it was, for people.
    pub date: &'a str,
    /// How far it has come.
    pub state: RunState,
    /// Tokens of a source and of a target, at most.
    pub lengths: [usize; 2],
    /// The share of the training tokens that are bytes or unknown.
    pub bytes_share: f64,
    /// The program, with its version.
    pub program: &'a str,
    /// The command that repeats the run.
    pub command: &'a str,
    /// Elements of all parameters.
    pub parameters: usize,
    /// The settings.
    pub options: &'a TrainOptions,
    /// More settings, by name: files, lengths, threads.
    pub settings: &'a [(&'a str, String)],
    /// Training examples.
    pub examples: &'a Examples,
    /// Whether these are but the first of a stream.
    pub sampled: bool,
    /// Validation examples.
    pub valid: Option<&'a Examples>,
    /// Training examples to show: source and target as the model sees them.
    pub shown: &'a [(String, String)],
    /// The best validation.
    pub best: Option<&'a EvalRecord>,
    /// Outputs of the best model, else of the last, for examples of `valid`, else of `examples`.
    pub samples: &'a [Sample],
}

/// Writes the page into the run's folder, from the log there.
///
/// # Errors
/// A log that cannot be read, a page that cannot be written.
pub fn write_report(folder: &Path, report: &RunReport<'_>) -> Result<(), Error> {
    let path = folder.join(LOG);
    let log = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let page = page(report, &Curves::read(&log));
    let mut file = AtomicFile::create(&folder.join(REPORT), true)?;
    file.write_all(page.as_bytes()).map_err(Error::io(folder.join(REPORT)))?;
    Ok(file.commit()?)
}

fn page(r: &RunReport<'_>, curves: &Curves) -> String {
    let mut out = String::with_capacity(64 << 10);
    let t = &r.lang.texts().pages;
    let steps = curves.loss.last().map_or(0, |p| p.0 as u64);
    let unfinished = match r.state {
        RunState::GoingOn(all) => Some((t.run_going_on, all)),
        RunState::Stopped(all) => Some((t.run_stopped, all)),
        RunState::Ended => None,
    };
    if let Some((text, all)) = unfinished {
        let said = fill(text, &[("step", &thousands(steps)), ("steps", &thousands(all))]);
        let _ = writeln!(out, "<p>{}</p>", escape(&said));
    }
    html::warnings(&mut out, r.lang, &warnings(r));
    cards(&mut out, r, curves, steps);
    charts(&mut out, r, curves);
    samples(&mut out, r);
    data(&mut out, r);
    settings(&mut out, r);
    let _ = writeln!(out, "<h2>{}</h2>\n<pre>{}</pre>", t.to_repeat, escape(r.command));
    let title = if r.sampled { t.pretraining_title } else { t.run_title };
    let title = fill(title, &[("run", &r.run)]);
    let about = fill(t.run_subtitle, &[("model", &r.model), ("data", &r.data), ("date", &r.date)]);
    let (all, parameters) = (thousands(steps), short(r.lang, r.parameters as u64));
    let sizes = fill(t.run_sizes, &[("steps", &all), ("parameters", &parameters), ("program", &r.program)]);
    let subtitle = format!("{about} · {sizes}");
    match r.state {
        RunState::GoingOn(_) => html::renewed_page(r.lang, &title, &subtitle, RENEWED, STYLE, &out),
        RunState::Stopped(_) | RunState::Ended => html::page(r.lang, &title, &subtitle, STYLE, &out),
    }
}

fn cards(out: &mut String, r: &RunReport<'_>, curves: &Curves, steps: u64) {
    let t = &r.lang.texts().pages;
    out.push_str("<div class=\"cards\">\n");
    if let Some(best) = r.best {
        let at = fill(t.best_at, &[("step", &thousands(best.step))]);
        for (name, value) in best.metrics.iter().filter(|(name, _)| !name.ends_with(TASK_LOSS)) {
            html::card(out, format_args!("{:.4}", value.as_f64().unwrap_or(f64::NAN)), &[name, &at]);
        }
        html::card(out, format_args!("{:.4}", best.valid_loss), &[t.validation_loss, &at]);
    }
    if let Some((_, loss)) = thin(&curves.loss).last() {
        html::card(out, format_args!("{loss:.4}"), &[t.training_loss, t.at_the_end]);
    }
    let rate = curves.tokens / curves.seconds.max(1e-9);
    let all: [(&str, &dyn std::fmt::Display); 2] =
        [("tokens", &short(r.lang, curves.tokens as u64)), ("steps", &thousands(steps))];
    let tokens = fill(t.tokens_in_steps, &all);
    html::card(out, format_args!("{} /s", thousands(rate as u64)), &[t.real_tokens, &tokens]);
    html::card(out, duration(curves.seconds), &[t.of_training_steps, t.validation_not_counted]);
    if curves.rss > 0.0 {
        html::card(out, html::megabytes(curves.rss as u64), &[t.of_memory, t.the_most_after_a_step]);
    }
    out.push_str("</div>\n");
}

fn charts(out: &mut String, r: &RunReport<'_>, curves: &Curves) {
    let t = &r.lang.texts().pages;
    let mark = r.best.map(|best| (best.step as f64, t.best.to_owned()));
    let line = |points: &[(f64, f64)], name| Series { name, points: thin(points), dots: false, smooth: true };
    let range = curves.loss.last().map(|last| (0.0, last.0));
    html::smoothing(out, r.lang);
    let dotted = |(name, points): &(String, Vec<(f64, f64)>)| -> (String, Vec<(f64, f64)>) {
        (name.clone(), points.clone())
    };
    let mut chart = |title: &str, series: Vec<Series<'_>>, mark: Option<(f64, String)>, height, zero| {
        let drawing = Chart { label: title, x: t.step, series, mark, from_zero: zero, range }.svg(height);
        if !drawing.is_empty() {
            let _ = write!(out, "<h3>{title}</h3>\n{drawing}");
        }
    };
    let valid: Vec<(String, Vec<(f64, f64)>)> = curves.valid.iter().map(dotted).collect();
    let mut losses = vec![line(&curves.loss, t.training)];
    losses.extend(valid.iter().filter(|(name, _)| name == "valid_loss").map(|(_, points)| Series {
        name: t.validation,
        points: points.clone(),
        dots: true,
        smooth: false,
    }));
    chart(t.loss, losses, mark.clone(), 320.0, false);
    // In the order of the validation losses below, so that a task has one colour.
    let place = |task: &str| valid.iter().position(|(name, _)| name.strip_suffix(TASK_LOSS) == Some(task));
    let mut tasks: Vec<_> = curves.tasks.iter().collect();
    tasks.sort_by_key(|(task, _)| place(task).unwrap_or(usize::MAX));
    for tasks in tasks.chunks(html::COLOURS) {
        let series = tasks.iter().map(|(name, points)| line(points, name)).collect();
        chart(t.loss_by_task, series, None, 320.0, false);
    }
    let is_loss = |name: &str| name.ends_with(TASK_LOSS);
    let losses: Vec<_> = valid.iter().filter(|(name, _)| is_loss(name)).collect();
    for tasks in losses.chunks(html::COLOURS) {
        let series = tasks
            .iter()
            .map(|(name, points)| Series {
                name: name.trim_end_matches(TASK_LOSS),
                points: points.clone(),
                dots: true,
                smooth: false,
            })
            .collect();
        chart(t.valid_loss_by_task, series, mark.clone(), 260.0, false);
    }
    let metrics: Vec<_> = valid.iter().filter(|(name, _)| name != "valid_loss" && !is_loss(name)).collect();
    for four in metrics.chunks(4) {
        let series = four
            .iter()
            .map(|(name, points)| Series { name, points: points.clone(), dots: true, smooth: false })
            .collect();
        chart(t.metrics_of_targets, series, mark.clone(), 260.0, false);
    }
    chart(
        t.learning_rate,
        vec![Series { smooth: false, ..line(&curves.lr, t.learning_rate) }],
        None,
        200.0,
        true,
    );
    chart(t.gradient_norm, vec![line(&curves.grad_norm, t.norm)], None, 200.0, true);
    chart(t.tokens_per_second, vec![line(&curves.rate, t.tokens_per_second)], None, 200.0, true);
}

fn samples(out: &mut String, r: &RunReport<'_>) {
    if r.samples.is_empty() {
        return;
    }
    let t = &r.lang.texts().pages;
    let whose = if r.best.is_some() { t.outputs_of_best } else { t.outputs_of_last };
    let whose = fill(whose, &[("part", &part(r.lang, r.valid.is_some()))]);
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<p class=\"soft\">{whose}</p>\n\
         <table class=\"texts\">\n<tr><th>{}</th><th>{}</th><th>{}</th></tr>",
        t.outputs, t.source, t.reference, t.output
    );
    for Sample { source, reference, output } in r.samples {
        let class = if reference.trim() == output.trim() { " class=\"same\"" } else { "" };
        let (source, reference, output) = (shorten(source), shorten(reference), shorten(output));
        let cells = [(t.source, "", source), (t.reference, "", reference), (t.output, class, output)];
        texts_row(out, &cells);
    }
    out.push_str("</table>\n");
}

/// A row of a table of texts: for each the name of its column, which stands over it where the page is narrow, attributes,
/// and the text as HTML.
fn texts_row(out: &mut String, cells: &[(&str, &str, String)]) {
    out.push_str("<tr>");
    for (label, attributes, text) in cells {
        let _ = write!(out, "<td data-label=\"{label}\"{attributes}>{text}</td>");
    }
    out.push_str("</tr>\n");
}

fn settings(out: &mut String, r: &RunReport<'_>) {
    let _ = writeln!(out, "<h2>{}</h2>\n<table class=\"settings\">", r.lang.texts().pages.settings);
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    };
    r.settings.iter().for_each(|(name, value)| row(name, value));
    // By way of text, in which numbers look as they were given.
    let options: serde_json::Value =
        serde_json::to_string(r.options).and_then(|text| serde_json::from_str(&text)).unwrap_or_default();
    let mut flat = Vec::new();
    flatten(&options, "", &mut flat);
    flat.iter().for_each(|(name, value)| row(name, value));
    out.push_str("</table>\n");
}

/// The leaves of an object by name; what is unset is left out.
fn flatten(value: &Value, name: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(value, key, out)),
        Value::Array(items) => {
            let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            out.push((name.to_owned(), items.iter().map(text).collect::<Vec<_>>().join(", ")));
        }
        Value::String(text) => out.push((name.to_owned(), text.clone())),
        other => out.push((name.to_owned(), other.to_string())),
    }
}

/// The beginning of a text, as HTML, without the bytes of a character that was cut through.
fn shorten(text: &str) -> String {
    let text = text.trim_end_matches('\u{fffd}');
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => escape(&text[..end]) + "…",
        None => escape(text),
    }
}

/// 4:32 min, 12 s, 1:05 h.
fn duration(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{}:{:02} min", s / 60, s % 60),
        _ => format!("{}:{:02} h", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::curves::POINTS;
    use super::*;

    #[test]
    fn the_page_shows_what_the_log_says_and_is_markup_whatever_the_texts() {
        let mut log = String::new();
        for step in 1..=1000 {
            let loss = 5.0 / f64::from(step);
            let _ = writeln!(
                log,
                "{{\"step\":{step},\"epoch\":1.0,\"loss\":{loss},\"lr\":0.001,\"grad_norm\":null,\
                \"real_tokens\":10,\"seconds\":0.5,\"rss_bytes\":1000000}}"
            );
        }
        log.push_str(
            "{\"step\":1000,\"epoch\":1.0,\"valid_loss\":0.25,\"best\":true,\"bleu\":0.5}\n{\"step\":10",
        );
        let curves = Curves::read(&log);
        assert_eq!((curves.loss.len(), curves.seconds, curves.tokens), (1000, 500.0, 10_000.0));
        assert_eq!(
            curves.valid.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["valid_loss", "bleu"]
        );
        assert!(thin(&curves.loss).len() <= POINTS);
        let examples = Examples::from_ids([(&[5, 6, 1][..], &[7, 1][..]), (&[1][..], &[1][..])]);
        let best: EvalRecord = serde_json::from_str(log.lines().nth(1000).unwrap()).unwrap();
        let sample = Sample {
            source: "<b>".into(),
            reference: "甲".into(),
            output: format!("</td>{}", "长".repeat(999)),
        };
        let report = RunReport {
            lang: Lang::En,
            run: "run<1>",
            model: "mt5",
            data: "train.tsv",
            date: "2026-01-01",
            state: RunState::Ended,
            lengths: [256, 32],
            bytes_share: 0.5,
            program: "t5kit 0",
            command: "t5kit finetune 'a<b'",
            parameters: 5,
            options: &TrainOptions::default(),
            settings: &[("train", "a<b".into())],
            examples: &examples,
            sampled: false,
            valid: Some(&examples),
            shown: &[("甲".into(), "<i>".into())],
            best: Some(&best),
            samples: &[sample],
        };
        let unvalidated = page(&RunReport { valid: None, best: None, ..report }, &curves);
        assert!(unvalidated.contains("The model after the last step on the first training examples."));
        assert!(unvalidated.contains("Nothing was held out"));
        let unfinished = |state| page(&RunReport { state, lang: Lang::Zh, ..report }, &curves);
        let stopped = unfinished(RunState::Stopped(2000));
        assert!(!stopped.contains("http-equiv") && stopped.contains("停在第 1,000 步，共 2,000 步"));
        let going_on = unfinished(RunState::GoingOn(2000));
        assert!(going_on.contains("http-equiv=\"refresh\"") && going_on.contains("第 1,000 步，共 2,000 步"));
        let page = page(&report, &curves);
        let streamed = super::page(&RunReport { sampled: true, ..report }, &curves);
        assert!(
            streamed.contains("run&lt;1&gt; · pre-training") && streamed.contains("the first of the stream")
        );
        assert!(page.contains("run&lt;1&gt; · fine-tuning") && page.contains("50 % of the tokens are bytes"));
        assert!(page.contains("The best checkpoint on the first validation examples."));
        for part in
            ["<b>0.5000</b><span>bleu</span>", "&lt;b&gt;", "a&lt;b", "batch_size", "<rect", "&lt;/td&gt;长"]
        {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<b></td>") && !page.contains("NaN") && page.matches("<script").count() == 1);
        assert!(page.matches("<table").count() == page.matches("</table>").count());
    }

    #[test]
    fn a_mixture_has_losses_by_task_and_they_are_no_metrics() {
        let log = "{\"step\":1,\"loss\":3,\"tasks\":{\"a<b\":2.5},\"lr\":1,\"real_tokens\":1,\"seconds\":1}\n\
             {\"step\":2,\"loss\":2,\"tasks\":{\"a<b\":1.5,\"title\":4},\"lr\":1,\"real_tokens\":1,\"seconds\":1}\n\
             {\"step\":2,\"epoch\":1,\"valid_loss\":2,\"a<b/loss\":1.25,\"title/bleu\":0.5,\"best\":true}\n";
        let curves = Curves::read(log);
        assert_eq!(curves.tasks.len(), 2);
        assert_eq!(curves.tasks[0], ("a<b".to_owned(), vec![(1.0, 2.5), (2.0, 1.5)]));
        assert_eq!(curves.tasks[1], ("title".to_owned(), vec![(2.0, 4.0)]));
        let examples = Examples::from_ids([(&[5, 1][..], &[7, 1][..])]);
        let best: EvalRecord = serde_json::from_str(log.lines().nth(2).unwrap()).unwrap();
        let report = RunReport {
            lang: Lang::En,
            run: "run",
            model: "mt5",
            data: "mixture.toml",
            date: "2026-01-01",
            state: RunState::Ended,
            lengths: [256, 32],
            bytes_share: 0.0,
            program: "t5kit 0",
            command: "t5kit finetune",
            parameters: 5,
            options: &TrainOptions::default(),
            settings: &[],
            examples: &examples,
            sampled: false,
            valid: Some(&examples),
            shown: &[],
            best: Some(&best),
            samples: &[],
        };
        let page = page(&report, &curves);
        for title in ["Training loss by task", "Validation loss by task", "Metrics of generated targets"] {
            assert_eq!(page.matches(&format!("<h3>{title}</h3>")).count(), 1, "{title}");
        }
        let (before, metrics) = page.split_once("<h3>Metrics of generated targets</h3>").unwrap();
        let (metrics, _) = metrics.split_once("<h3>").unwrap();
        assert!(metrics.contains("title/bleu") && !metrics.contains("a&lt;b"), "{metrics}");
        assert!(before.contains("a&lt;b") && !page.contains("a<b") && !page.contains("a&lt;b/loss"));
    }
}
