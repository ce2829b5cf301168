//! `trim_report.html`: the report for people, one self-contained page.

use std::fmt::{Display, Write};

use t5kit_formats::html::{self, escape, megabytes, short, thousands};
use t5kit_formats::lang::{Lang, Pages, fill};

use crate::curve::{share_text, svg};
use crate::report::{ModelSizes, Report};
use crate::sample::{BeforeAfter, Change, SampleReport};

/// Of characters that have no piece, so many are shown.
const SHOWN_MISSING: usize = 200;

const STYLE: &str = "
.pieces span { display: inline-block; background: var(--card); border-radius: 5px; padding: 1px 7px; margin: 2px;
  font: 14px/1.5 ui-monospace, monospace; white-space: pre; }
.pieces .other { box-shadow: inset 0 -2px var(--mark); } .pieces small { color: var(--soft); padding-left: 6px; }
.changes td { text-align: left; vertical-align: top; width: 50%; } .changes th { text-align: left; }
.list td, .list th { text-align: left; white-space: nowrap; } .list td:last-child { white-space: normal; width: 100%; }
.list td:nth-child(2) { text-align: right; }
.hash { word-break: break-all; color: var(--soft); font-size: 13px; }
";

/// The page.
pub(crate) fn page(report: &Report, words: fn(&str) -> String, lang: Lang) -> String {
    let t = &lang.texts().pages;
    let mut out = String::with_capacity(64 << 10);
    let v = &report.vocabulary;
    if let Some(coverage) = report.coverage.as_ref().filter(|coverage| coverage.share < crate::LEAST_COVERAGE)
    {
        let warning = fill(t.low_coverage, &[("share", &share_text(coverage.share))]);
        html::warnings(&mut out, lang, &[warning]);
    }
    out.push_str("<div class=\"cards\">\n");
    card(&mut out, t, t.pieces, thousands, v.pieces_before, v.pieces_after);
    if let Some(ModelSizes { before, after }) = &report.model {
        card(&mut out, t, t.parameters, |n| short(lang, n), before.parameters, after.parameters);
        card(&mut out, t, t.of_weights, megabytes, before.bytes, after.bytes);
    }
    if let Some(coverage) = &report.coverage {
        let of = fill(t.of_counted, &[("n", &short(lang, coverage.tokens))]);
        html::card(&mut out, share_text(coverage.share), &[t.tokens_covered, &of]);
    }
    out.push_str("</div>\n");
    if let Some(coverage) = &report.coverage {
        let _ = write!(out, "<h2>{}</h2>\n{}", t.coverage, svg(coverage, v, t));
    }
    sizes(&mut out, report, t);
    if let Some(sample) = &report.sample {
        held_out(&mut out, sample, t);
    }
    pieces(&mut out, report, t);
    repeat(&mut out, report, words, t);
    let choice = words(&report.choice.to_field());
    let subtitle = format!("{} · {choice} · {}", report.tokenizer.file, report.program);
    html::page(lang, t.trim_title, &subtitle, STYLE, &out)
}

fn card(out: &mut String, t: &Pages, what: &str, number: impl Fn(u64) -> String, before: u64, after: u64) {
    let share = format!("{:.1}", 100.0 * after as f64 / before.max(1) as f64);
    let share = fill(t.share_of, &[("share", &share), ("before", &number(before))]);
    html::card(out, number(after), &[what, &share]);
}

fn sizes(out: &mut String, report: &Report, t: &Pages) {
    let v = &report.vocabulary;
    let (before, after) = (t.before, t.after);
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table>\n<tr><th></th><th>{before}</th><th>{after}</th><th></th></tr>",
        t.sizes
    );
    let mut row = |what: &str, before: u64, after: u64| {
        let left = 100.0 * after as f64 / before.max(1) as f64;
        let _ = writeln!(
            out,
            "<tr><td>{what}</td><td>{}</td><td>{}</td><td>{left:.1} %</td></tr>",
            thousands(before),
            thousands(after)
        );
    };
    row(t.pieces, v.pieces_before, v.pieces_after);
    if let Some(before) = v.rows_before {
        row(t.rows_of_matrices, before, v.rows_after);
    }
    if let Some(ModelSizes { before, after }) = &report.model {
        row(t.parameters, before.parameters, after.parameters);
        row(t.of_vocabulary_matrices, before.vocabulary_parameters, after.vocabulary_parameters);
        let others = |s: &t5kit_model::Sizes| s.parameters - s.vocabulary_parameters;
        row(t.of_everything_else, others(before), others(after));
        row(t.bytes_of_weights, before.bytes, after.bytes);
        row(t.bytes_as_f32, 4 * before.parameters, 4 * after.parameters);
    }
    row(t.bytes_of_spiece, v.tokenizer_bytes_before, v.tokenizer_bytes_after);
    out.push_str("</table>\n");
    let why: [(&str, &dyn Display); 3] = [
        ("indispensable", &thousands(v.indispensable)),
        ("chosen", &thousands(v.chosen)),
        ("required", &thousands(v.required)),
    ];
    let _ = writeln!(out, "<p class=\"soft\">{}</p>", fill(t.kept_why, &why));
}

fn held_out(out: &mut String, s: &SampleReport, t: &Pages) {
    let percent = |part: u64, all: u64| format!("{:.3} %", 100.0 * part as f64 / all.max(1) as f64);
    let says: [(&str, &dyn Display); 5] = [
        ("file", &escape(&s.file)),
        ("texts", &thousands(s.texts)),
        ("bytes", &thousands(s.text_bytes)),
        ("changed", &percent(s.texts_changed, s.texts)),
        ("elsewhere", &percent(s.piece_bytes_changed, s.piece_bytes)),
    ];
    let _ = writeln!(out, "<h2>{}</h2>\n<p>{}</p>", t.held_out, fill(t.held_out_says, &says));
    let (before, after) = (t.before, t.after);
    let _ = writeln!(out, "<table>\n<tr><th></th><th>{before}</th><th>{after}</th><th></th></tr>");
    for (what, BeforeAfter { before, after }) in [
        (t.tokens, s.tokens),
        (t.characters_as_bytes, s.byte_characters),
        (t.byte_tokens, s.byte_tokens),
        (t.unknown_tokens, s.unknown_tokens),
    ] {
        let change = if before == 0 {
            String::new()
        } else {
            format!("{:+.3} %", 100.0 * (after as f64 - before as f64) / before as f64)
        };
        let _ = writeln!(
            out,
            "<tr><td>{what}</td><td>{}</td><td>{}</td><td>{change}</td></tr>",
            thousands(before),
            thousands(after)
        );
    }
    out.push_str("</table>\n");
    examples(out, &s.examples, t);
}

/// The first changed place of some texts, before and after; pieces that the other side does not have there are marked.
fn examples(out: &mut String, examples: &[Change], t: &Pages) {
    if examples.is_empty() {
        return;
    }
    let (before, after) = (t.segmented_before, t.segmented_after);
    let _ = writeln!(out, "<table class=\"changes\">\n<tr><th>{before}</th><th>{after}</th></tr>");
    let marked = |pieces: &[String], others: &[String]| -> String {
        let others = places(others);
        let shown = others.last().map_or(0, |other| other.end);
        let span = |place: &Place| {
            let other = place.start < shown && !others.contains(place);
            let class = if other { " class=\"other\"" } else { "" };
            format!("<span{class}>{}</span>", escape(place.piece))
        };
        places(pieces).iter().map(span).collect()
    };
    for Change { before, after } in examples {
        let _ = writeln!(
            out,
            "<tr><td class=\"pieces\">{}</td><td class=\"pieces\">{}</td></tr>",
            marked(before, after),
            marked(after, before)
        );
    }
    out.push_str("</table>\n");
}

/// A piece and where it is in the text.
#[derive(PartialEq, Eq)]
struct Place<'a> {
    start: usize,
    end: usize,
    piece: &'a str,
}

fn places(pieces: &[String]) -> Vec<Place<'_>> {
    let mut start = 0;
    let place = |piece| {
        let bytes = if is_byte(piece) { 1 } else { piece.len() };
        let place = Place { start, end: start + bytes, piece };
        start = place.end;
        place
    };
    pieces.iter().map(String::as_str).map(place).collect()
}

fn is_byte(piece: &str) -> bool {
    piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>')
}

fn pieces(out: &mut String, report: &Report, t: &Pages) {
    if let Some(coverage) = &report.coverage
        && !coverage.most_frequent_dropped.is_empty()
    {
        let _ = write!(out, "<h2>{}</h2>\n<p class=\"pieces\">", t.left_out);
        for (piece, n) in &coverage.most_frequent_dropped {
            let _ = write!(out, "<span>{}<small>{}</small></span>", escape(piece), thousands(*n));
        }
        out.push_str("</p>\n");
    }
    if report.required.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<table class=\"list\">\n<tr><th>{}</th><th>{}</th><th>{}</th></tr>",
        t.required, t.set_or_file, t.pieces, t.without_piece
    );
    for required in &report.required {
        let missing = match &required.missing[..] {
            [] => t.none.into(),
            missing => spans(missing.iter().take(SHOWN_MISSING).map(String::as_str)),
        };
        let more = match required.missing.len().saturating_sub(SHOWN_MISSING) {
            0 => String::new(),
            n => fill(t.and_more, &[("n", &thousands(n as u64))]),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"pieces\">{missing}{more}</td></tr>",
            escape(&required.name),
            thousands(required.pieces as u64)
        );
    }
    out.push_str("</table>\n");
}

fn repeat(out: &mut String, report: &Report, words: fn(&str) -> String, t: &Pages) {
    let mut command = format!("t5kit trim `tokenizer` {}", report.tokenizer.file);
    for counts in &report.counts {
        let _ = write!(command, " `counts` {}", counts.file.file);
    }
    let _ = write!(command, " {}", report.choice.to_field());
    for required in &report.required {
        let _ = write!(command, " `require` {}", required.name);
    }
    if report.model.is_some() {
        command.push_str(" `model` MODEL");
    }
    if let Some(sample) = &report.sample {
        let _ = write!(command, " `sample` {}", sample.file);
        for field in &sample.fields {
            let _ = write!(command, " `columns` {field}");
        }
    }
    command.push_str(" `output` DIR");
    let _ = writeln!(out, "<h2>To repeat it</h2>\n<pre>{}</pre>", escape(&words(&command)));
    let mut hash = |what: &str, name: &str, sha256: &str| {
        let _ = writeln!(out, "<p class=\"hash\">{what} {}: SHA-256 {}</p>", escape(name), escape(sha256));
    };
    hash("tokenizer", &report.tokenizer.file, &report.tokenizer.sha256);
    for counts in &report.counts {
        hash("counts", &counts.file.file, &counts.file.sha256);
    }
    if let crate::report::ChoiceRecord::KeepTokens(list) = &report.choice {
        hash("rows to keep", &list.file, &list.sha256);
    }
    for required in &report.required {
        if let Some(sha256) = &required.sha256 {
            hash("required", &required.name, sha256);
        }
    }
    if let Some(sample) = &report.sample {
        let what = format!("{} bytes of held-out text, the first 64 KiB of", thousands(sample.disk_bytes));
        hash(&what, &sample.file, &sample.head_sha256);
    }
    for record in report.counts.iter().filter_map(|counts| counts.record.as_ref()) {
        let total = &record.total;
        let counted: [(&str, &dyn Display); 5] = [
            ("lines", &thousands(total.lines)),
            ("bytes", &thousands(total.text_bytes)),
            ("tokens", &thousands(total.tokens)),
            ("distinct", &thousands(record.distinct_pieces as u64)),
            ("bad", &thousands(total.bad_rows)),
        ];
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", fill(t.counted, &counted));
    }
}

fn spans<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
    pieces.map(|piece| format!("<span>{}</span>", escape(piece))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_other_side_has_elsewhere_is_marked() {
        let pieces = |list: &[&str]| list.iter().map(|p| p.to_string()).collect::<Vec<_>>();
        let mut out = String::new();
        let before = pieces(&["电网", "<0xE9>", "模型", "一", "一", "末"]);
        let after = pieces(&["电", "网", "<0xE9>", "模型", "一一"]);
        examples(&mut out, &[Change { before, after }], &Lang::En.texts().pages);
        let marked: Vec<&str> =
            out.split("class=\"other\">").skip(1).map(|s| s.split('<').next().unwrap()).collect();
        // What is behind the other side's last piece is not known to differ.
        assert_eq!(marked, ["电网", "一", "一", "电", "网", "一一"]);
    }
}
