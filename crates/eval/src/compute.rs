//! Texts to figures: of each metric the statistics of every line once, and all that follows from them.

use std::collections::HashMap;

use crate::answer::{cmrc, mlqa, squad, words};
use crate::bleu::closest;
use crate::correlation::{NO_NUMBER, Numbers, number};
use crate::csl::Scores;
use crate::figures::{Against, Figure, Report, definition, names, signature};
use crate::labels::Labels;
use crate::metric::Metric;
use crate::resample::{Bootstrap, interval, p_value, samples};
use crate::rouge_score;
use crate::sacrebleu::{bleu, chrf, ter};
use crate::statistics::{Statistics, Sums};
use crate::surface::{Distinct, coverage, length};
use crate::token::is_blank;

/// What is compared, line by line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// Generated texts.
    pub predictions: &'a [String],
    /// Right texts: one list, or several where each prediction has several. May be none where no metric needs them.
    pub references: &'a [Vec<String>],
    /// What the predictions were generated from, where a metric needs it.
    pub sources: Option<&'a [String]>,
    /// Another system's texts, to be compared with the predictions.
    pub against: Option<&'a [String]>,
}

/// Why there are no figures.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Texts that belong together are not equally many.
    #[error("there are {predictions} predictions but {lines} {what}")]
    Lines {
        /// Which texts.
        what: &'static str,
        /// How many of them.
        lines: usize,
        /// How many predictions.
        predictions: usize,
    },
    /// A metric compares with sources, and there are none.
    #[error("{0} compares with the sources: give `sources`")]
    NoSources(Metric),
    /// A metric compares with references, and there are none.
    #[error("{0} compares with right texts: give `references`")]
    NoReferences(Metric),
    /// A metric takes one reference.
    #[error("{metric} takes one right text a line, not {references}")]
    SeveralReferences {
        /// The metric.
        metric: Metric,
        /// How many there are.
        references: usize,
    },
    /// A right text is no number.
    #[error("{metric} compares numbers, but the right text {line} is {text:?}")]
    NoNumber {
        /// The metric.
        metric: Metric,
        /// From 1.
        line: usize,
        /// The text.
        text: String,
    },
}

/// The figures of metrics, with confidence intervals where there are samples.
///
/// # Errors
/// [`Error`]: texts that do not belong together, or not all that a metric needs.
///
/// ```
/// use t5kit_eval::{Bootstrap, Metric, Texts, compute};
/// let (predictions, references) = (["正面".to_owned()], [vec!["正面".to_owned()]]);
/// let texts = Texts { predictions: &predictions, references: &references, ..Texts::default() };
/// let report = compute(&[Metric::Accuracy], texts, Bootstrap::default())?;
/// assert_eq!((report.figures[0].value, report.figures[0].interval), (1.0, Some((1.0, 1.0))));
/// # Ok::<(), t5kit_eval::Error>(())
/// ```
pub fn compute(metrics: &[Metric], texts: Texts<'_>, bootstrap: Bootstrap) -> Result<Report, Error> {
    check(metrics, texts)?;
    let mut families: Vec<Metric> = Vec::new();
    for family in metrics.iter().map(|metric| metric.family()) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    let prepared = |predictions| families.iter().map(|&family| prepare(family, predictions, texts)).collect();
    let ours: Vec<Prepared> = prepared(texts.predictions)?;
    let theirs: Vec<Prepared> = texts.against.map(&prepared).transpose()?.unwrap_or_default();
    let all: Vec<&dyn Statistics> = ours.iter().chain(&theirs).map(|p| &*p.statistics).collect();
    let drawn = samples(&all, bootstrap);
    let once = vec![1; texts.predictions.len()];
    let values: Vec<Vec<f64>> = all.iter().map(|statistics| statistics.figures(&once)).collect();

    let mut report = Report { examples: texts.predictions.len(), ..Report::default() };
    for &metric in metrics {
        let at = families.iter().position(|&family| family == metric.family()).unwrap_or_default();
        let (first, figures) = names(metric);
        for (column, name) in (first..).zip(figures) {
            let of_samples =
                |at: usize| drawn[at].iter().map(|figures| figures[column]).collect::<Vec<f64>>();
            let (value, found) = (values[at][column], of_samples(at));
            let against = (!theirs.is_empty()).then(|| {
                let (other, others) = (values[families.len() + at][column], of_samples(families.len() + at));
                let p = (!found.is_empty()).then(|| p_value(&others, &found, value - other));
                Against { value: other, interval: interval(others), p }
            });
            let name = if name.is_empty() { metric.name() } else { (*name).to_owned() };
            report.figures.push(Figure {
                metric,
                value,
                interval: interval(found),
                signature: signature(metric, &name, texts.references.len()),
                definition: definition(metric, &name),
                most: metric.most(),
                lines: ours[at].lines.get(column).cloned().unwrap_or_default(),
                against,
                name,
            });
        }
    }
    name_apart(&mut report.figures);
    for prepared in ours {
        report.classes = report.classes.or(prepared.classes);
        report.no_numbers += prepared.no_numbers;
    }
    report.empty_predictions = texts.predictions.iter().filter(|text| is_blank(text)).count();
    let empty = |line: &usize| texts.references.iter().all(|references| is_blank(&references[*line]));
    if !texts.references.is_empty() {
        report.empty_references = (0..report.examples).filter(empty).count();
    }
    Ok(report)
}

fn check(metrics: &[Metric], texts: Texts<'_>) -> Result<(), Error> {
    let predictions = texts.predictions.len();
    let others = texts.references.iter().map(|r| ("references", r.len()));
    let others = others.chain(texts.sources.map(|s| ("sources", s.len())));
    for (what, lines) in others.chain(texts.against.map(|a| ("texts of the other system", a.len()))) {
        if lines != predictions {
            return Err(Error::Lines { what, lines, predictions });
        }
    }
    let references = texts.references.len();
    for &metric in metrics {
        if metric.needs_sources() && texts.sources.is_none() {
            return Err(Error::NoSources(metric));
        }
        if metric.needs_references() && references == 0 {
            return Err(Error::NoReferences(metric));
        }
        if references > 1 && metric.needs_references() && !metric.takes_several_references() {
            return Err(Error::SeveralReferences { metric, references });
        }
        if matches!(metric, Metric::Pearson | Metric::Spearman)
            && let Some(line) = texts.references[0].iter().position(|text| number(text).is_none())
        {
            let text = texts.references[0][line].clone();
            return Err(Error::NoNumber { metric, line: line + 1, text });
        }
    }
    Ok(())
}

/// Figures of the same name are called by their metrics too.
fn name_apart(figures: &mut [Figure]) {
    let mut of_name: HashMap<String, Vec<Metric>> = HashMap::new();
    for figure in figures.iter() {
        let metrics = of_name.entry(figure.name.clone()).or_default();
        if !metrics.contains(&figure.metric) {
            metrics.push(figure.metric);
        }
    }
    for figure in figures {
        if of_name[&figure.name].len() > 1 && figure.name != figure.metric.name() {
            figure.name = format!("{}/{}", figure.metric, figure.name);
        }
    }
}

/// All there is to know of a family of metrics.
struct Prepared {
    statistics: Box<dyn Statistics>,
    /// Of each figure that of each line; of some none.
    lines: Vec<Vec<f64>>,
    classes: Option<crate::labels::ClassTable>,
    no_numbers: usize,
}

impl Prepared {
    fn new(statistics: impl Statistics + 'static, lines: Vec<Vec<f64>>) -> Self {
        Prepared { statistics: Box::new(statistics), lines, classes: None, no_numbers: 0 }
    }

    /// Means of scores that every line has.
    fn means(lines: usize, width: usize, row: impl Fn(usize, &mut [f64]) + Sync) -> Self {
        let sums = Sums::means(lines, width, row);
        let of_lines = (0..width).map(|column| sums.rows().map(|row| row[column]).collect()).collect();
        Prepared::new(sums, of_lines)
    }

    /// A figure of sums over all lines; of a line alone it is `of_line`.
    fn sums(
        lines: usize,
        width: usize,
        row: impl Fn(usize, &mut [f64]) + Sync,
        score: impl Fn(&[f64]) -> f64 + Sync + 'static,
        of_line: impl Fn(&[f64]) -> f64,
    ) -> Self {
        let sums = Sums::new(lines, width, row, move |sums, _| vec![score(sums)]);
        let of_lines = vec![sums.rows().map(of_line).collect()];
        Prepared::new(sums, of_lines)
    }
}

fn prepare(family: Metric, predictions: &[String], texts: Texts<'_>) -> Result<Prepared, Error> {
    let n = predictions.len();
    let references = |line: usize| texts.references.iter().map(|r| r[line].as_str()).collect::<Vec<&str>>();
    // Exact match and F1, each against the reference that it likes best.
    let answers = |scores: &(dyn Fn(&str, &str) -> [f64; 2] + Sync)| {
        Prepared::means(n, 2, |i, out| {
            for scores in references(i).into_iter().map(|reference| scores(&predictions[i], reference)) {
                out.iter_mut().zip(scores).for_each(|(best, score)| *best = best.max(score));
            }
        })
    };
    Ok(match family {
        Metric::Csl | Metric::Bleu | Metric::Rouge1 | Metric::Rouge2 | Metric::RougeL => {
            Prepared::means(n, 4, |i, out| {
                let scores = Scores::of_references(&predictions[i], &references(i)).entries();
                out.copy_from_slice(&scores.map(|(_, score)| score));
            })
        }
        Metric::RougeScore(tokens) => {
            let tokens = tokens.unwrap_or(rouge_score::Tokens::Default);
            Prepared::means(n, 4, |i, out| {
                out.copy_from_slice(&rouge_score::scores(tokens, &predictions[i], &references(i)));
            })
        }
        Metric::SacreBleu(tokenizer) => {
            let tokenizer = tokenizer.unwrap_or(crate::sacrebleu::tokenize::Tokenizer::V13a);
            let row = |i: usize, out: &mut [f64]| {
                out.copy_from_slice(&bleu::statistics(tokenizer, &predictions[i], &references(i)));
            };
            Prepared::sums(n, bleu::WIDTH, row, |sums| bleu::score(sums, false), |row| bleu::score(row, true))
        }
        Metric::Chrf | Metric::ChrfPlusPlus => {
            let words = if family == Metric::Chrf { 0 } else { 2 };
            let row = |i: usize, out: &mut [f64]| {
                chrf::statistics(words, &predictions[i], &references(i), out);
            };
            Prepared::sums(n, chrf::width(words), row, chrf::score, chrf::score)
        }
        Metric::Ter => {
            let row = |i: usize, out: &mut [f64]| {
                out.copy_from_slice(&ter::statistics(&predictions[i], &references(i)));
            };
            Prepared::sums(n, 2, row, ter::score, ter::score)
        }
        Metric::Squad => answers(&squad::scores),
        Metric::Mlqa(language) => answers(&move |p, r| mlqa::scores(language, p, r)),
        Metric::Cmrc => answers(&cmrc::scores),
        Metric::ExactMatch | Metric::F1 => {
            answers(&|p, r| [f64::from(u8::from(words::exact_match(p, r))), words::f1(p, r)])
        }
        Metric::Accuracy | Metric::MacroF1 | Metric::MicroF1 | Metric::Matthews => {
            if texts.references.len() > 1 {
                return Ok(Prepared::means(n, 1, |i, out| {
                    let right = references(i).iter().any(|r| r.trim() == predictions[i].trim());
                    out[0] = f64::from(u8::from(right));
                }));
            }
            let pairs = predictions.iter().zip(&texts.references[0]).map(|(p, r)| (p.as_str(), r.as_str()));
            let right = pairs.clone().map(|(p, r)| f64::from(u8::from(p.trim() == r.trim()))).collect();
            let labels = Labels::new(pairs);
            let classes = Some(labels.table());
            Prepared { classes, ..Prepared::new(labels, vec![right]) }
        }
        Metric::Pearson | Metric::Spearman => {
            let numbers = |texts: &[String]| texts.iter().map(|text| number(text)).collect::<Vec<_>>();
            let found = numbers(predictions);
            let no_numbers = found.iter().filter(|number| number.is_none()).count();
            let predicted = found.into_iter().map(|number| number.unwrap_or(NO_NUMBER)).collect();
            let expected = numbers(&texts.references[0]).into_iter().flatten().collect();
            Prepared { no_numbers, ..Prepared::new(Numbers::new(predicted, expected), Vec::new()) }
        }
        Metric::Distinct(order) => {
            let distinct = Distinct::new(predictions.iter().map(String::as_str), order);
            let lines = vec![distinct.of_lines()];
            Prepared::new(distinct, lines)
        }
        Metric::Copy => {
            let sources = texts.sources.unwrap_or_default();
            Prepared::means(n, 1, |i, out| out[0] = coverage(&predictions[i], &sources[i]))
        }
        Metric::Length => {
            let row = |i: usize, out: &mut [f64]| {
                let predicted = length(&predictions[i]);
                let expected = closest(predicted, references(i).into_iter().map(length));
                out.copy_from_slice(&[predicted as f64, expected as f64]);
            };
            let ratio = |sums: &[f64]| if sums[1] > 0.0 { sums[0] / sums[1] } else { f64::NAN };
            Prepared::sums(n, 2, row, ratio, ratio)
        }
    })
}
