//! Every metric against the package or script that defines it (`tools/metrics_packages_goldens.py`).

use serde_json::Value;
use t5kit_eval::{Bootstrap, Figure, Metric, Report, Texts, compute};

const NONE: Bootstrap = Bootstrap { samples: 0, seed: 0 };

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/packages.json")).expect("the goldens are JSON")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The figures of a metric, with the names that the goldens have for them.
fn figures(metric: &str, texts: Texts<'_>, bootstrap: Bootstrap) -> (Report, Vec<(String, Figure)>) {
    let report = compute(&[metric.parse::<Metric>().unwrap()], texts, bootstrap).unwrap();
    let name = |f: &Figure| if f.name == metric { f.name.clone() } else { format!("{metric}/{}", f.name) };
    let named = report.figures.iter().map(|figure| (name(figure), figure.clone())).collect();
    (report, named)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn values_signatures_and_lines_are_the_packages() {
    let (mut checked, mut lines) = (0, 0);
    for (set, case) in goldens()["texts"].as_array().unwrap().iter().enumerate() {
        let predictions = strings(&case["predictions"]);
        let references: Vec<_> = case["references"].as_array().unwrap().iter().map(strings).collect();
        let texts = Texts { predictions: &predictions, references: &references, ..Texts::default() };
        let mut want = case["figures"].as_object().unwrap().clone();
        let mut metrics: Vec<&str> = want.keys().map(|key| key.split('/').next().unwrap()).collect();
        metrics.dedup();
        for metric in metrics.iter().map(|m| m.to_string()).collect::<Vec<_>>() {
            for (name, figure) in figures(&metric, texts, NONE).1 {
                let want = want.remove(&name).unwrap_or_else(|| panic!("{name} has no golden"));
                for (i, value) in want["lines"].as_array().unwrap().iter().enumerate() {
                    let (p, r) = (&predictions[i], references.iter().map(|r| &r[i]).collect::<Vec<_>>());
                    let value = value.as_f64().unwrap();
                    assert!(
                        close(figure.lines[i], value),
                        "{name}: {} for {value}: {p:?}, {r:?}",
                        figure.lines[i]
                    );
                    lines += 1;
                }
                let value = want["value"].as_f64().unwrap();
                assert!(close(figure.value, value), "{name} of set {set}: {} for {value}", figure.value);
                if let Some(signature) = want.get("signature") {
                    assert_eq!(figure.signature, signature.as_str().unwrap());
                }
                assert_eq!(figure.interval, None);
                checked += 1;
            }
        }
        assert!(want.is_empty(), "not checked: {:?}", want.keys());
    }
    assert!(checked >= 5 * 41 && lines > 15_000, "{checked} figures, {lines} lines");
}

/// The samples are sacreBLEU's, their sums `f64` where it has `float32`.
#[test]
fn significance_is_sacrebleus() {
    let goldens = goldens();
    let case = goldens["texts"]
        .as_array()
        .unwrap()
        .iter()
        .max_by_key(|c| c["predictions"].as_array().unwrap().len());
    let predictions = strings(&case.unwrap()["predictions"]);
    let references = [strings(&case.unwrap()["references"][0])];
    let against = strings(&goldens["significance"]["against"]);
    let texts =
        Texts { predictions: &predictions, references: &references, against: Some(&against), sources: None };
    for (metric, want) in goldens["significance"]["figures"].as_object().unwrap() {
        let (_, named) = figures(metric, texts, Bootstrap::default());
        let figure = &named[0].1;
        let other = figure.against.unwrap();
        let number = |key: &str| want[key].as_f64().unwrap();
        assert!(close(figure.value, number("value")) && close(other.value, number("against")), "{metric}");
        let p = other.p.unwrap();
        assert!((p - number("p")).abs() <= 1.0 / 1001.0 + 1e-12, "{metric}: p {p} for {}", number("p"));
        for (found, key) in [(figure.interval, "interval"), (other.interval, "against_interval")] {
            let (low, high) = found.unwrap();
            let [a, b] = [0, 1].map(|i| want[key][i].as_f64().unwrap());
            assert!((low - a).abs() < 1e-3 && (high - b).abs() < 1e-3, "{metric}: {low} {high} for {a} {b}");
        }
    }
}

#[test]
fn labels_are_scikit_learns() {
    for case in goldens()["labels"].as_array().unwrap() {
        let (predictions, references) = (strings(&case["predictions"]), [strings(&case["references"])]);
        let texts = Texts { predictions: &predictions, references: &references, ..Texts::default() };
        for metric in ["accuracy", "macro-f1", "micro-f1", "matthews"] {
            let (report, named) = figures(metric, texts, NONE);
            let want = case[metric].as_f64().unwrap();
            assert!(close(named[0].1.value, want), "{metric}: {} for {want}", named[0].1.value);
            let table = report.classes.unwrap();
            let classes = case["classes"].as_array().unwrap();
            assert_eq!(table.classes.len(), classes.len());
            for (class, want) in table.classes.iter().zip(classes) {
                assert_eq!(
                    (&*class.name, class.support),
                    (want[0].as_str().unwrap(), want[4].as_u64().unwrap())
                );
                let found = [class.precision, class.recall, class.f1];
                assert!((1..4).all(|i| close(found[i - 1], want[i].as_f64().unwrap())), "{class:?} {want}");
            }
            let mut sum = 0;
            for (right, predicted, times) in table.confusion {
                assert_eq!(case["confusion"][right][predicted], times);
                sum += times;
            }
            assert_eq!(sum as usize, predictions.len());
        }
    }
}

#[test]
fn correlations_are_scipys() {
    for case in goldens()["numbers"].as_array().unwrap() {
        let (predictions, references) = (strings(&case["predictions"]), [strings(&case["references"])]);
        let texts = Texts { predictions: &predictions, references: &references, ..Texts::default() };
        for metric in ["pearson", "spearman"] {
            let (report, named) = figures(metric, texts, NONE);
            let want = case[metric].as_f64().unwrap();
            assert!(close(named[0].1.value, want), "{metric}: {} for {want}", named[0].1.value);
            assert_eq!(report.no_numbers, 1);
        }
    }
}
