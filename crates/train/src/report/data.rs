//! The page's table of the examples: how many, how long, how many were cut.

use std::fmt::Write as _;

use t5kit_formats::html::{Bars, thousands};

use super::{RunReport, shorten, texts_row};
use crate::Examples;

/// Bars of a histogram.
const BARS: usize = 30;

pub fn data(out: &mut String, r: &RunReport<'_>) {
    let t = r.lang.texts();
    let columns: Vec<(&str, &Examples)> = [
        (if r.sampled { t.terminal.first_of_stream } else { t.pages.training }, Some(r.examples)),
        (t.pages.validation, r.valid),
    ]
    .into_iter()
    .filter_map(|(name, examples)| Some((name, examples?)))
    .collect();
    let _ = write!(out, "<h2>{}</h2>\n<table>\n<tr><th></th>", t.pages.data);
    columns.iter().for_each(|(name, _)| {
        let _ = write!(out, "<th>{name}</th>");
    });
    out.push_str("</tr>\n");
    let mut row = |what: &str, value: &dyn Fn(&Examples) -> String| {
        let _ = write!(out, "<tr><td>{what}</td>");
        columns.iter().for_each(|(_, examples)| {
            let _ = write!(out, "<td>{}</td>", value(examples));
        });
        out.push_str("</tr>\n");
    };
    let count = |n: usize| thousands(n as u64);
    let mean = |e: &Examples, side: usize| {
        let tokens: usize = lengths(e, side).sum();
        format!("{:.1}", tokens as f64 / e.len().max(1) as f64)
    };
    row(t.pages.examples, &|e| count(e.len()));
    row(t.pages.tokens_with_end, &|e| count(e.tokens()));
    row(t.pages.mean_source, &|e| mean(e, 0));
    row(t.pages.mean_target, &|e| mean(e, 1));
    row(t.pages.longest_source, &|e| count(e.facts.longest[0]));
    row(t.pages.longest_target, &|e| count(e.facts.longest[1]));
    row(t.pages.sources_cut, &|e| count(e.facts.cut[0]));
    row(t.pages.targets_cut, &|e| count(e.facts.cut[1]));
    row(t.pages.bad_rows, &|e| count(e.facts.skipped));
    out.push_str("</table>\n<div class=\"pairs\">\n");
    for (side, name) in [t.pages.tokens_of_a_source, t.pages.tokens_of_a_target].into_iter().enumerate() {
        let _ = writeln!(out, "<div>{}</div>", histogram(lengths(r.examples, side), name));
    }
    out.push_str("</div>\n");
    if !r.shown.is_empty() {
        let _ = writeln!(
            out,
            "<table class=\"texts\">\n<tr><th>{}</th><th>{}</th></tr>",
            t.pages.source, t.pages.target
        );
        for (source, target) in r.shown {
            texts_row(out, &[(t.pages.source, "", shorten(source)), (t.pages.target, "", shorten(target))]);
        }
        out.push_str("</table>\n");
    }
}

fn lengths(examples: &Examples, side: usize) -> impl Iterator<Item = usize> + Clone {
    let length = move |i| if side == 0 { examples.source(i).len() } else { examples.target(i).len() };
    (0..examples.len()).map(length)
}

fn histogram(lengths: impl Iterator<Item = usize> + Clone, label: &str) -> String {
    let longest = lengths.clone().max().unwrap_or(1);
    let width = longest.div_ceil(BARS).max(1);
    let mut counts = vec![0; longest.div_ceil(width)];
    lengths.for_each(|n| counts[n.saturating_sub(1) / width] += 1);
    Bars { label, counts, first: 1.0, width: width as f64 }.svg(260.0)
}
