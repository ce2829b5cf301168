//! The `csl` preset against scores made by the Python packages (`tools/metrics_goldens.py`).

use serde_json::Value;
use t5kit_eval::{Accumulator, Scores};

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/csl.json")).expect("the goldens are JSON")
}

#[test]
fn every_line_and_the_mean_equal_the_reference() {
    let goldens = goldens();
    let lines = goldens["lines"].as_array().unwrap();
    assert!(lines.len() > 500, "{} lines", lines.len());
    let mut all = Accumulator::default();
    for line in lines {
        let (prediction, reference) = (line[0].as_str().unwrap(), line[1].as_str().unwrap());
        let scores = Scores::of_line(prediction, reference);
        for (i, (name, value)) in scores.entries().into_iter().enumerate() {
            let expected = line[2 + i].as_f64().unwrap();
            assert!(
                (value - expected).abs() < 1e-12,
                "{name} of {prediction:?} against {reference:?}: {value}, expected {expected}"
            );
        }
        all.add(prediction, reference);
    }
    assert_eq!(all.count(), lines.len() as u64);
    for (name, value) in all.mean().entries() {
        let expected = goldens["mean"][name].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-12, "mean {name}: {value}, expected {expected}");
    }
}

/// The Python reference keeps a table of all pairs of characters and recurses; here a line may be long.
#[test]
fn long_lines_are_no_problem() {
    let text: String = (0..100_000u32).map(|i| char::from_u32(0x4e00 + (i * i) % 5003).unwrap()).collect();
    let same = Scores::of_line(&text, &text);
    assert!((same.bleu - 1.0).abs() < 1e-9 && (same.rouge_l - 1.0).abs() < 1e-7, "{same:?}");
    let other: String = text.chars().rev().collect();
    let scores = Scores::of_line(&other, &text);
    assert!((scores.rouge_1 - 1.0).abs() < 1e-7 && scores.rouge_l < 1.0, "{scores:?}");
}

#[test]
fn nothing_is_zero() {
    assert_eq!(t5kit_eval::csl([]), Scores::default());
    assert_eq!(Scores::of_line("", ""), Scores::default());
    let no_sentence = Scores::of_line("题", "");
    assert_eq!(no_sentence, Scores::default());
    assert!(Scores::of_line(".", ".").bleu > 0.0);
}
