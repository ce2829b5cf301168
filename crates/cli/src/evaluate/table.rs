//! The table of an evaluation for a terminal: the figures of the blog post, a row a model.

use t5kit_evaluate::Evaluation;
use t5kit_formats::html::megabytes;
use t5kit_formats::lang::fill;

use crate::columns::aligned;
use crate::lang::lang;

/// The table, in percent, with half the width of each confidence interval; then how many examples, and signatures.
pub fn of(evaluation: &Evaluation) -> String {
    let Some(first) = evaluation.models.first() else { return String::new() };
    let (t, pages) = (&lang().texts().terminal, &lang().texts().pages);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut head = vec![pages.evaluation_model.to_owned()];
    head.extend(first.report.figures.iter().map(|figure| t5kit_evaluate::title(&figure.name)));
    let of_speed =
        [pages.samples_a_second, pages.new_tokens_a_second, pages.relative_speed, pages.peak_memory];
    head.extend(of_speed.map(String::from));
    rows.push(head);
    for model in &evaluation.models {
        let mut row = vec![model.name.clone()];
        for figure in &model.report.figures {
            let percent = |x: f64| 100.0 * x / figure.most;
            let value = format!("{:.2}", percent(figure.value));
            let half = figure.interval.map(|(low, high)| format!(" ±{:.2}", percent(high - low) / 2.0));
            let sure = t5kit_evaluate::chance(figure).is_some_and(|p| p < 0.05);
            row.push(value + &half.unwrap_or_default() + if sure { "*" } else { "" });
        }
        match &model.outputs.speed {
            Some(speed) => row.extend([
                format!("{:.2}", speed.samples_per_second()),
                format!("{:.1}", speed.tokens_per_second()),
                format!("{:.2}x", evaluation.relative_speed(model).unwrap_or(f64::NAN)),
            ]),
            None => row.extend(["–".to_owned(), "–".to_owned(), "–".to_owned()]),
        }
        row.push(model.peak_bytes.map_or("–".into(), megabytes));
        rows.push(row);
    }
    let mut out = aligned(&rows, 1);
    out += &fill(t.in_percent, &[("n", &evaluation.examples.sources.len())]);
    if first.report.figures.iter().any(|figure| figure.interval.is_some()) {
        out += t.half_interval;
    }
    if evaluation.models.len() > 1 {
        out += t.differs_from_first;
    }
    out + "\n"
}
