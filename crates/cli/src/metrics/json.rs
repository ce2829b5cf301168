//! The figures of `t5kit metrics` for programs. The keys are documented in docs/metrics.md and stay.

use serde_json::{Map, Value, json};
use t5kit_eval::labels::ClassTable;
use t5kit_eval::{Figure, Metric};

use super::Shown;

/// All there is to say, as one object.
pub fn object(shown: &Shown) -> Value {
    let report = &shown.report;
    let mut object = Map::new();
    for figure in report.figures.iter().filter(|figure| is_on_top(figure.metric)) {
        object.insert(figure.name.clone(), number(figure.value));
    }
    object.insert("examples".into(), report.examples.into());
    object.insert("signature".into(), shown.signature().into());
    let metrics: Map<String, Value> =
        report.figures.iter().map(|figure| (figure.name.clone(), of_figure(figure))).collect();
    object.insert("metrics".into(), metrics.into());
    object.insert("empty_predictions".into(), report.empty_predictions.into());
    object.insert("empty_references".into(), report.empty_references.into());
    if report.figures.iter().any(|figure| matches!(figure.metric, Metric::Pearson | Metric::Spearman)) {
        object.insert("no_numbers".into(), report.no_numbers.into());
    }
    object.insert(
        "bootstrap".into(),
        json!({"samples": shown.bootstrap.samples, "seed": shown.bootstrap.seed}),
    );
    if let Some(classes) = &report.classes {
        object.insert("classes".into(), of_classes(classes));
        object.insert("confusion".into(), of_confusion(classes));
    }
    object.into()
}

/// Metrics whose figures stand beside `metrics` too, as plain numbers: those that did before there was `metrics`.
fn is_on_top(metric: Metric) -> bool {
    use Metric::{Accuracy, Bleu, Csl, ExactMatch, F1, MacroF1, Rouge1, Rouge2, RougeL};
    matches!(metric, Csl | Bleu | Rouge1 | Rouge2 | RougeL | Accuracy | MacroF1 | ExactMatch | F1)
}

/// JSON has no number for what is not defined.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn of_figure(figure: &Figure) -> Value {
    let bounds = |interval: Option<(f64, f64)>| match interval {
        Some((low, high)) => [number(low), number(high)],
        None => [Value::Null, Value::Null],
    };
    let [low, high] = bounds(figure.interval);
    let mut object =
        json!({"value": number(figure.value), "low": low, "high": high, "signature": figure.signature});
    if let Some(against) = &figure.against {
        let [low, high] = bounds(against.interval);
        object["against"] = json!({
            "value": number(against.value),
            "low": low,
            "high": high,
            "difference": number(figure.value - against.value),
            "p": against.p,
        });
    }
    object
}

fn of_classes(table: &ClassTable) -> Value {
    let class = |class: &t5kit_eval::labels::Class| {
        json!({
            "label": class.name,
            "precision": class.precision,
            "recall": class.recall,
            "f1": class.f1,
            "support": class.support,
        })
    };
    table.classes.iter().map(class).collect()
}

fn of_confusion(table: &ClassTable) -> Value {
    let name = |class: usize| &table.classes[class].name;
    let cell = |&(right, predicted, count): &(usize, usize, u64)| json!({"reference": name(right), "prediction": name(predicted), "count": count});
    table.confusion.iter().map(cell).collect()
}
