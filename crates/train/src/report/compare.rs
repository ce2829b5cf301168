//! `compare.html`: several runs over one another, from their logs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_formats::html::{self, COLOURS, Chart, Series, escape, thousands};
use t5kit_formats::lang::Lang;
use t5kit_formats::output::AtomicFile;

use super::curves::{Curves, TASK_LOSS, thin};
use super::flatten;
use crate::Error;
use crate::checkpoint::{LAST, STATE};
use crate::log::LOG;

/// A run as a page of several shows it.
struct Compared {
    name: String,
    curves: Curves,
    /// Its settings by name, as far as its last checkpoint tells.
    settings: Vec<(String, String)>,
}

/// Writes a page on which the runs in `folders`, at most [`COLOURS`] of them, are laid over one another: losses,
/// metrics, rates, the best of each, and the settings in which they differ.
///
/// # Errors
/// [`Error::NoRun`] for a folder without a log, [`Error::Setting`] for too many, and those of reading and writing.
pub fn compare(folders: &[PathBuf], lang: Lang, output: &Path, force: bool) -> Result<(), Error> {
    if folders.len() > COLOURS {
        return Err(Error::Setting {
            field: "runs",
            value: Some(folders.len().to_string()),
            why: "at most eight can be told apart on a page; give fewer",
        });
    }
    let runs = folders.iter().map(|folder| Compared::read(folder)).collect::<Result<Vec<_>, _>>()?;
    let mut file = AtomicFile::create(output, force)?;
    file.write_all(page(&runs, lang).as_bytes()).map_err(Error::io(output))?;
    Ok(file.commit()?)
}

impl Compared {
    fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOG);
        let log = match std::fs::read_to_string(&path) {
            Ok(log) => log,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoRun { path: folder.to_path_buf() });
            }
            Err(e) => return Err(Error::io(&path)(e)),
        };
        let state = std::fs::read(folder.join(LAST).join(STATE)).unwrap_or_default();
        let state: Value = serde_json::from_slice(&state).unwrap_or_default();
        let mut settings = Vec::new();
        flatten(&state["options"], "", &mut settings);
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let name =
            name.file_name().map_or_else(|| folder.display().to_string(), |n| n.to_string_lossy().into());
        Ok(Compared { name, curves: Curves::read(&log), settings })
    }
}

fn page(runs: &[Compared], lang: Lang) -> String {
    let t = &lang.texts().pages;
    let mut out = String::with_capacity(64 << 10);
    html::smoothing(&mut out, lang);
    let last = runs.iter().filter_map(|run| run.curves.loss.last()).map(|p| p.0).fold(1.0, f64::max);
    let mut chart = |title: &str, of: &dyn Fn(&Curves) -> Vec<(f64, f64)>, dots: bool, smooth: bool| {
        let series = runs.iter().map(|run| Series { name: &run.name, points: of(&run.curves), dots, smooth });
        let series = series.filter(|series| !series.points.is_empty()).collect();
        let range = Some((0.0, last));
        let drawing =
            Chart { label: title, x: t.step, series, mark: None, from_zero: false, range }.svg(300.0);
        if !drawing.is_empty() {
            let _ = write!(out, "<h3>{}</h3>\n{drawing}", escape(title));
        }
    };
    chart(t.training_loss, &|c| thin(&c.loss), false, true);
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.curves.valid) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    for name in &names {
        let title = if *name == "valid_loss" { t.validation_loss } else { name };
        let points = |c: &Curves| {
            let found = c.valid.iter().find(|(other, _)| other == name);
            found.map_or_else(Vec::new, |(_, points)| points.clone())
        };
        chart(title, &points, true, false);
    }
    chart(t.learning_rate, &|c| thin(&c.lr), false, false);
    chart(t.tokens_per_second, &|c| thin(&c.rate), false, true);

    let _ = writeln!(
        out,
        "<h2>{}</h2>\n<div class=\"wide\"><table>\n<tr><th>{}</th><th>{}</th>",
        t.runs, t.run, t.step
    );
    names.iter().for_each(|name| {
        let title = if *name == "valid_loss" { t.validation_loss } else { name };
        let _ = write!(out, "<th>{}</th>", escape(title));
    });
    out.push_str("</tr>\n");
    for run in runs {
        let steps = run.curves.loss.last().map_or(0, |p| p.0 as u64);
        let _ = write!(out, "<tr><td>{}</td><td>{}</td>", escape(&run.name), thousands(steps));
        for name in &names {
            let points = run.curves.valid.iter().find(|(other, _)| other == name).map(|(_, points)| points);
            // The best: a loss is to be low, a metric high.
            let is_loss = *name == "valid_loss" || name.ends_with(TASK_LOSS);
            let better = |a: f64, b: f64| if is_loss { a.min(b) } else { a.max(b) };
            let best = points.and_then(|points| points.iter().map(|p| p.1).reduce(better));
            let _ = write!(out, "<td>{}</td>", best.map_or_else(String::new, |value| format!("{value:.4}")));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    differences(&mut out, runs, lang);
    let subtitle = runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(" · ");
    html::page(lang, t.compare_title, &subtitle, super::STYLE, &out)
}

/// The settings that are not the same in all runs.
fn differences(out: &mut String, runs: &[Compared], lang: Lang) {
    let value = |run: &Compared, name: &str| -> String {
        let found = run.settings.iter().find(|(other, _)| other == name);
        found.map_or_else(|| "–".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.settings) {
        if !names.contains(&name) && runs.iter().any(|run| value(run, name) != value(&runs[0], name)) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return;
    }
    let _ = write!(
        out,
        "<h2>{}</h2>\n<div class=\"wide\"><table>\n<tr><th></th>",
        lang.texts().pages.differences
    );
    runs.iter().for_each(|run| {
        let _ = write!(out, "<th>{}</th>", escape(&run.name));
    });
    out.push_str("</tr>\n");
    for name in names {
        let _ = write!(out, "<tr><td>{}</td>", escape(name));
        runs.iter().for_each(|run| {
            let _ = write!(out, "<td>{}</td>", escape(&value(run, name)));
        });
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lie_over_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str, rate: f64| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.join(LAST)).unwrap();
            let step = format!(
                "{{\"step\":1,\"loss\":2.5,\"lr\":{rate},\"grad_norm\":1,\"real_tokens\":9,\"seconds\":1,\"rss_bytes\":1}}\n\
                 {{\"step\":1,\"valid_loss\":{rate},\"best\":true,\"bleu\":0.5}}\n"
            );
            std::fs::write(path.join(LOG), step).unwrap();
            let state = serde_json::json!({"options": {"learning_rate": rate, "seed": 1}});
            std::fs::write(path.join(LAST).join(STATE), state.to_string()).unwrap();
            path
        };
        let runs = [run("甲", 0.25), run("<b>", 0.5)];
        let output = folder.path().join("compare.html");
        compare(&runs, Lang::En, &output, false).unwrap();
        let page = std::fs::read_to_string(&output).unwrap();
        for part in ["甲", "&lt;b&gt;", "learning_rate", "0.2500", "bleu", "polyline"] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<td>seed</td>") && !page.contains("<b></th>"));
        assert!(compare(&runs, Lang::En, &output, false).is_err(), "nothing is overwritten");
        let missing =
            compare(&[folder.path().join("none")], Lang::En, &output, true).unwrap_err().to_string();
        assert!(missing.contains("none: holds no run"), "{missing}");
    }
}
