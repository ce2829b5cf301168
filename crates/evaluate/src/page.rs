//! The page of an evaluation: figures, scores of single texts, and the texts beside each other.
//!
//! The tables are HTML; histogram and texts are drawn by `page.js` from the data in the page, so that thousands of
//! examples can be sorted, filtered and searched. Nothing is loaded from elsewhere.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use t5kit_eval::Figure;
use t5kit_formats::html;
use t5kit_formats::lang::{Lang, fill};

use crate::evaluation::chance;
use crate::{Evaluation, ModelFigures};

const SCRIPT: &str = include_str!("page.js");
pub(crate) const STYLE: &str = include_str!("page.css");

/// The page in a language; `date` is shown, `samples` are those of the intervals, `commands` repeat the evaluation.
pub fn page(evaluation: &Evaluation, lang: Lang, date: &str, samples: usize, commands: &[String]) -> String {
    let t = &lang.texts().pages;
    let names: Vec<&str> = evaluation.models.iter().map(|model| &*model.name).collect();
    let title = fill(t.evaluation_title, &[("data", &evaluation.data)]);
    let n = html::thousands(evaluation.examples.sources.len() as u64);
    let subtitle = fill(t.evaluation_subtitle, &[("models", &names.join(", ")), ("n", &n), ("date", &date)]);
    let mut body = String::new();
    figures(&mut body, evaluation, lang);
    notes(&mut body, evaluation, lang, samples);
    let has_scores = shown_scores(evaluation).next().is_some();
    if has_scores {
        let _ = write!(
            body,
            "<h2>{}</h2>\n<div class=\"choices\"><label>{} <select id=\"metric\"></select></label></div>\n\
             <div id=\"histogram\"></div>\n",
            html::escape(t.sentence_scores),
            html::escape(t.score_shown)
        );
    }
    let _ = write!(
        body,
        "<h2>{}</h2>\n<div class=\"choices\">\n<input id=\"search\" type=\"search\" placeholder=\"{search}\" \
         aria-label=\"{search}\">\n<label>{} <select id=\"order\"></select></label>\n\
         <label>{} <select id=\"filter\"></select></label>\n</div>\n<p class=\"soft\" id=\"shown\"></p>\n\
         <div id=\"texts\"></div>\n<button id=\"more\" hidden></button>\n<p class=\"soft\">{}</p>\n",
        html::escape(t.texts_beside_each_other),
        html::escape(t.sorted_by),
        html::escape(t.which_texts),
        html::escape(t.difference_note),
        search = html::escape(t.search_texts),
    );
    if !commands.is_empty() {
        let lines = html::escape(&commands.join("\n"));
        let _ = writeln!(body, "<h2>{}</h2>\n<pre>{lines}</pre>", html::escape(t.to_repeat));
    }
    signatures(&mut body, evaluation, lang);
    let _ = writeln!(
        body,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>\n{SCRIPT}</script>",
        in_script(&data(evaluation, lang))
    );
    html::page(lang, &title, &subtitle, STYLE, &body)
}

/// How a figure of 0 to 1, or to 100, is shown: in percent.
fn percent(figure: &Figure, value: f64) -> String {
    match value.is_nan() {
        true => "–".to_owned(),
        false => format!("{:.2}", value * 100.0 / figure.most),
    }
}

/// A row a model: figures with intervals, speeds, memory.
fn figures(body: &mut String, evaluation: &Evaluation, lang: Lang) {
    let t = &lang.texts().pages;
    let Some(first) = evaluation.models.first() else { return };
    let measured = evaluation.models.iter().any(|model| model.outputs.speed.is_some());
    let mut head = vec![t.evaluation_model.to_owned()];
    head.extend(first.report.figures.iter().map(|figure| title(&figure.name)));
    if measured {
        head.extend([t.samples_a_second, t.new_tokens_a_second, t.relative_speed].map(String::from));
    }
    head.push(t.peak_memory.to_owned());
    body.push_str("<div class=\"scroll\"><table>\n<tr>");
    for name in &head {
        let _ = write!(body, "<th>{}</th>", html::escape(name));
    }
    body.push_str("</tr>\n");
    for model in &evaluation.models {
        let _ = write!(body, "<tr><td class=\"model\">{}</td>", html::escape(&model.name));
        for figure in &model.report.figures {
            let mut small = String::new();
            if let Some((low, high)) = figure.interval {
                small = format!("{}–{}", percent(figure, low), percent(figure, high));
            }
            if let Some(p) = chance(figure) {
                let _ = write!(small, " p={p:.3}");
            }
            let _ = write!(body, "<td>{}<small>{small}</small></td>", percent(figure, figure.value));
        }
        if measured {
            match &model.outputs.speed {
                Some(speed) => {
                    let relative = evaluation.relative_speed(model).unwrap_or(f64::NAN);
                    let _ = write!(
                        body,
                        "<td>{:.2}</td><td>{:.1}</td><td>{relative:.2}x</td>",
                        speed.samples_per_second(),
                        speed.tokens_per_second()
                    );
                }
                None => body.push_str("<td>–</td><td>–</td><td>–</td>"),
            }
        }
        let peak = model.peak_bytes.map_or("–".to_owned(), html::megabytes);
        let _ = writeln!(body, "<td>{peak}</td></tr>");
    }
    body.push_str("</table></div>\n");
}

/// What has to be known to read the table.
fn notes(body: &mut String, evaluation: &Evaluation, lang: Lang, samples: usize) {
    let t = &lang.texts().pages;
    let mut note = |text: &str| {
        let _ = writeln!(body, "<p class=\"soft\">{}</p>", html::escape(text));
    };
    if samples > 0 {
        note(&fill(t.interval_note, &[("samples", &samples)]));
    }
    if let Some(speed) = evaluation.models.iter().find_map(|model| model.outputs.speed.as_ref()) {
        let o = speed.options;
        note(&fill(
            t.speed_note,
            &[("sources", &o.sources), ("batch", &o.batch_size), ("rounds", &o.rounds)],
        ));
    }
    if evaluation.has_different_pieces() {
        note(t.pieces_differ_note);
    }
}

fn signatures(body: &mut String, evaluation: &Evaluation, lang: Lang) {
    let Some(first) = evaluation.models.first() else { return };
    let _ = writeln!(body, "<h2>{}</h2>\n<dl>", html::escape(lang.texts().pages.signatures));
    for figure in &first.report.figures {
        let _ = writeln!(
            body,
            "<dt>{}</dt><dd>{}<br><code>{}</code></dd>",
            html::escape(&title(&figure.name)),
            html::escape(figure.definition),
            html::escape(&figure.signature)
        );
    }
    body.push_str("</dl>\n");
}

/// A figure's name as people write it.
pub fn title(name: &str) -> String {
    match name {
        "bleu" => "BLEU".into(),
        "rouge-1" => "ROUGE-1".into(),
        "rouge-2" => "ROUGE-2".into(),
        "rouge-l" => "ROUGE-L".into(),
        "chrf" => "chrF".into(),
        "chrf++" => "chrF++".into(),
        "ter" => "TER".into(),
        name => name.into(),
    }
}

/// The figures of which single texts have one.
fn shown_scores(evaluation: &Evaluation) -> impl Iterator<Item = (usize, &Figure)> {
    let figures = evaluation.models.first().map_or(&[][..], |first| &first.report.figures);
    figures.iter().enumerate().filter(|(_, figure)| !figure.lines.is_empty())
}

/// What the script draws from.
fn data(evaluation: &Evaluation, lang: Lang) -> Value {
    let t = &lang.texts().pages;
    let scores = |model: &ModelFigures| -> Map<String, Value> {
        let of = |(i, figure): (usize, &Figure)| {
            let figure = model.report.figures.get(i).filter(|own| own.name == figure.name)?;
            // Three digits tell texts apart; the JSON beside has all.
            let lines = figure.lines.iter().map(|x| json!((x / figure.most * 1e3).round() / 1e3));
            Some((figure.name.clone(), Value::Array(lines.collect())))
        };
        shown_scores(evaluation).filter_map(of).collect()
    };
    let models = evaluation
        .models
        .iter()
        .map(|model| json!({"name": model.name, "texts": model.outputs.texts, "scores": scores(model)}));
    let metrics = shown_scores(evaluation)
        .map(|(_, figure)| json!({"name": figure.name, "title": title(&figure.name)}));
    json!({
        "sources": evaluation.examples.sources,
        "references": evaluation.examples.references,
        "models": models.collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(),
        "say": {
            "worst": t.worst_first, "best": t.best_first, "file": t.as_they_came,
            "apart": t.largest_difference_first, "all": t.all_texts, "wrong": t.wrong_texts,
            "right": t.right_texts, "empty": t.empty_texts, "source": t.source_text,
            "reference": t.reference_text, "nothing": t.empty_text, "more": t.show_more,
            "shown": t.texts_shown, "count": t.how_many_texts,
        },
    })
}

/// JSON within a script element, which nothing in a text can end.
fn in_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::evaluation;

    #[test]
    fn a_page_holds_figures_and_texts_and_no_text_ends_the_script() {
        for lang in Lang::ALL {
            let page = page(&evaluation(), lang, "2026-11-27", 100, &["t5kit evaluate".into()]);
            for part in
                ["ROUGE-L", "2.00x", "0.50x", "1.0 MB", "p=", "<pre>t5kit evaluate</pre>", "rouge-1.0.1"]
            {
                assert_eq!(page.contains(part), part != "2.00x", "{part}");
            }
            assert!(page.contains("摘要一\\u003c/script>") && !page.contains("摘要一</script>"));
            let data = page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next());
            let data: Value = serde_json::from_str(data.unwrap()).unwrap();
            assert_eq!(data["models"][1]["texts"][0], "小麦");
            assert_eq!(data["models"][0]["scores"]["rouge-l"][0], 1.0);
            assert!(!page.contains("src=") && !page.contains("href="), "nothing is loaded from elsewhere");
        }
    }
}
