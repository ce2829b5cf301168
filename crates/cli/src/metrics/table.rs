//! The figures of `t5kit metrics` for people.

use console::measure_text_width;
use t5kit_eval::labels::ClassTable;
use t5kit_eval::{Figure, Metric};

use super::Shown;

/// More labels than these are no table to read.
const MOST_CLASSES: usize = 30;
const MOST_CONFUSED: usize = 12;

/// Figures, one a line with its interval, then what they are and how they were made.
pub fn table(shown: &Shown) -> String {
    let report = &shown.report;
    let mut rows = Vec::new();
    if report.figures.iter().any(|figure| figure.against.is_some()) {
        rows.push(["", "predictions", "95 %", "against", "95 %", "p"].map(String::from).to_vec());
    }
    for figure in &report.figures {
        let mut row = vec![title(figure), value(figure, figure.value), interval(figure, figure.interval)];
        if let Some(against) = &figure.against {
            let p = match against.p {
                _ if shown.same => "the same texts".into(),
                Some(p) => format!("{p:.4}{}", if p < 0.05 { " *" } else { "" }),
                None => String::new(),
            };
            row.extend([value(figure, against.value), interval(figure, against.interval), p]);
        }
        rows.push(row);
    }
    let mut out = aligned(&rows);
    out += &format!("\n{} example{}", report.examples, if report.examples == 1 { "" } else { "s" });
    if shown.bootstrap.samples > 0 {
        out += &format!(
            "; 95 % intervals of {} samples, seed {}",
            shown.bootstrap.samples, shown.bootstrap.seed
        );
        if report.figures.iter().any(|figure| figure.against.is_some()) {
            out += "\n* the difference is hardly chance (paired bootstrap test, p < 0.05)";
        }
    }
    out += "\n\n";
    for figure in &report.figures {
        out += &format!("{}: {}\n    {}\n", title(figure), figure.definition, figure.signature);
    }
    out += &format!("{}\n", shown.signature());
    if let Some(classes) = &report.classes {
        out += &of_classes(classes);
    }
    out
}

/// A figure's name as people write it.
fn title(figure: &Figure) -> String {
    match figure.metric {
        Metric::SacreBleu(tokens) => format!("BLEU {}", tokens.map_or("13a", |tokens| tokens.name())),
        Metric::Chrf => "chrF2".into(),
        Metric::ChrfPlusPlus => "chrF2++".into(),
        Metric::Ter => "TER".into(),
        Metric::Distinct(n) => format!("distinct-{n}"),
        Metric::Copy => "copied".into(),
        Metric::Length => "length ratio".into(),
        _ => match figure.name.as_str() {
            "bleu" => "BLEU",
            "rouge-1" => "ROUGE-1",
            "rouge-2" => "ROUGE-2",
            "rouge-l" => "ROUGE-L",
            "exact-match" | "exact_match" => "exact match",
            "f1" => "F1",
            "macro-f1" => "macro F1",
            "micro-f1" => "micro F1",
            "matthews" => "Matthews",
            "pearson" => "Pearson",
            "spearman" => "Spearman",
            other => other,
        }
        .into(),
    }
}

/// A share in percent, sacreBLEU's figures as they are, coefficients and ratios with four digits.
fn value(figure: &Figure, value: f64) -> String {
    match figure.metric {
        _ if value.is_nan() => "–".into(),
        Metric::Pearson | Metric::Spearman | Metric::Matthews | Metric::Length => format!("{value:.4}"),
        _ if figure.most == 100.0 => format!("{value:.2}"),
        _ => format!("{:.2} %", 100.0 * value),
    }
}

fn interval(figure: &Figure, interval: Option<(f64, f64)>) -> String {
    let bound = |bound| value(figure, bound).trim_end_matches(" %").to_owned();
    interval.map_or(String::new(), |(low, high)| format!("{} – {}", bound(low), bound(high)))
}

/// Rows of cells under one another, the first to the left and the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| measure_text_width(cell))
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let space = " ".repeat(widths[column] - measure_text_width(cell));
            line += &if column == 0 { format!("{cell}{space}") } else { format!("  {space}{cell}") };
        }
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The table of labels and, where they are few, what was taken for what.
fn of_classes(table: &ClassTable) -> String {
    let classes = &table.classes;
    if classes.len() > MOST_CLASSES {
        return format!("\n{} labels: --json has a table of them\n", classes.len());
    }
    let mut rows = vec![["label", "precision", "recall", "F1", "support"].map(String::from).to_vec()];
    for class in classes {
        let shares = [class.precision, class.recall, class.f1].map(|share| format!("{:.2} %", 100.0 * share));
        rows.push([&[class.name.clone()][..], &shares, &[class.support.to_string()]].concat());
    }
    let mut out = format!("\n{}", aligned(&rows));
    if classes.len() <= MOST_CONFUSED {
        let names = classes.iter().map(|class| class.name.clone());
        let mut rows = vec![["right \\ predicted".to_owned()].into_iter().chain(names).collect::<Vec<_>>()];
        for (right, class) in classes.iter().enumerate() {
            let mut row = vec!["0".to_owned(); classes.len()];
            for &(_, predicted, count) in table.confusion.iter().filter(|cell| cell.0 == right) {
                row[predicted] = count.to_string();
            }
            row.insert(0, class.name.clone());
            rows.push(row);
        }
        out += &format!("\n{}", aligned(&rows));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::marks::Done;
    use t5kit_eval::{Bootstrap, Texts, compute};

    fn shown(metrics: &[&str], pairs: &[(&str, &str)], against: Option<&[&str]>) -> Shown {
        let all = |of: fn(&(&str, &str)) -> String| pairs.iter().map(of).collect::<Vec<_>>();
        let (predictions, references) = (all(|pair| pair.0.into()), [all(|pair| pair.1.into())]);
        let against: Option<Vec<String>> = against.map(|texts| texts.iter().map(|t| t.to_string()).collect());
        let texts = Texts {
            predictions: &predictions,
            references: &references,
            sources: None,
            against: against.as_deref(),
        };
        let metrics: Vec<Metric> = metrics.iter().map(|name| name.parse().unwrap()).collect();
        let bootstrap = Bootstrap { samples: 40, seed: 1 };
        let report = compute(&metrics, texts, bootstrap).unwrap();
        let same = against.as_ref() == Some(&predictions);
        Shown { report, bootstrap, punctuation: Done::Kept, same }
    }

    #[test]
    fn shares_are_in_percent_and_sacrebleus_figures_as_they_are() {
        let lines = table(&shown(&["accuracy", "chrf", "matthews"], &[("甲", "甲"), ("乙", "丙")], None));
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines[0].starts_with("accuracy  50.00 %    0.00 – 100.00"), "{lines:#?}");
        assert!(lines[1].starts_with("chrF2       50.00"), "{lines:#?}");
        assert!(lines[2].starts_with("Matthews   0."), "{lines:#?}");
        assert_eq!(lines[4], "2 examples; 95 % intervals of 40 samples, seed 1");
        assert_eq!(lines[6], "accuracy: share of texts that are the reference");
        assert!(lines.contains(&"    nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"));
        assert!(lines.contains(&"right \\ predicted  丙  乙  甲"), "{lines:#?}");
        assert!(lines.contains(&"丙                  0   1   0"), "{lines:#?}");
    }

    #[test]
    fn two_systems_stand_side_by_side() {
        let pairs = [("甲", "甲"), ("乙", "丙")];
        let other = table(&shown(&["accuracy"], &pairs, Some(&["丁", "丁"])));
        assert!(other.lines().next().unwrap().contains("predictions"), "{other}");
        assert!(other.lines().nth(1).unwrap().contains("0.00 %  0.00 – 0.00"), "{other}");
        assert!(table(&shown(&["accuracy"], &pairs, Some(&["甲", "乙"]))).contains("the same texts"));
    }
}
