//! `golden/objectives.jsonl`, made by `tools/objective_goldens.py` with t5's preprocessors.

use crate::vocabulary::{Drawn, Written, of_500, of_characters};
use serde_json::Value;
use t5kit_tasks::objective::{Budget, Objective, SentenceChoice, Unit, spans_length};

fn rows(with: &str) -> Vec<Value> {
    let file = include_str!("../golden/objectives.jsonl");
    let rows = file.lines().map(|line| serde_json::from_str(line).unwrap());
    let rows: Vec<Value> = rows.filter(|row: &Value| row.get(with).is_some()).collect();
    assert!(rows.len() >= 16, "only {} rows with {with}", rows.len());
    rows
}

fn ids(row: &Value, field: &str) -> Vec<u32> {
    serde_json::from_value(row[field].clone()).unwrap()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

#[test]
fn examples_are_those_of_t5() {
    let tokenizer = of_500(100);
    let mut seen = std::collections::BTreeSet::new();
    for row in rows("objective") {
        let mut objective = Objective::by_name(row["objective"].as_str().unwrap()).unwrap();
        seen.insert(objective.name());
        objective.noise_density = row["noise_density"].as_f64().unwrap_or(objective.noise_density);
        objective.mean_span_length = row["mean_span_length"].as_f64().unwrap_or(objective.mean_span_length);
        let budget = Budget { source: number(&row["source"]), target: number(&row["target"]) };
        let prepared = objective.prepare(&tokenizer, budget).unwrap();
        assert_eq!(prepared.unit(), Unit::Tokens(number(&row["raw"])), "{row}");
        let mut choices = Written(serde_json::from_value(row["choices"].clone()).unwrap());
        let (mut input, mut target) = (Vec::new(), Vec::new());
        prepared.example(&ids(&row, "tokens"), "", &mut choices, &mut input, &mut target).unwrap();
        assert_eq!(input, ids(&row, "input_ids"), "{row}");
        assert_eq!(target, ids(&row, "target_ids"), "{row}");
        assert!(choices.0.is_empty(), "{row}");
    }
    let all: std::collections::BTreeSet<_> = Objective::NAMES.into_iter().collect();
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), [&"gap-sentences"]);
}

#[test]
fn raw_lengths_are_those_of_t5() {
    for row in rows("helper") {
        let at = &row["helper"];
        let (density, mean) = (at[1].as_f64().unwrap(), at[2].as_f64().unwrap());
        let found = spans_length(number(&at[0]), density, mean);
        assert_eq!(found, (number(&at[3]), number(&at[4])), "{row}");
    }
}

#[test]
fn masks_have_as_much_noise_as_t5s() {
    let tokenizer = of_500(100);
    for row in rows("mask") {
        let mut objective = Objective::by_name("span-corruption").unwrap();
        objective.noise_density = row["mask"][0].as_f64().unwrap();
        objective.mean_span_length = row["mask"][1].as_f64().unwrap();
        for counts in row["rows"].as_array().unwrap() {
            let [length, noise, spans] = [0, 1, 2].map(|i| number(&counts[i]));
            let lengths = (length - noise + spans + 1, noise + spans + 1);
            // The helper rounds in 64 bits and the mask in 32: a token of noise more or less.
            let budget = Budget { source: lengths.0 + 1, target: lengths.1 + 1 };
            let prepared = objective.prepare(&tokenizer, budget).unwrap();
            let Unit::Tokens(most) = prepared.unit() else { panic!("chunks") };
            assert!(most >= length, "{row}: {counts} {most}");
            let text: Vec<u32> = (0..length as u32).map(|i| 6 + i % 300).collect();
            let (mut input, mut target) = (Vec::new(), Vec::new());
            prepared.example(&text, "", &mut Drawn(length as u64), &mut input, &mut target).unwrap();
            assert_eq!((input.len(), target.len()), lengths, "{row}: {counts}");
            assert_eq!(input.iter().filter(|&&id| id >= 400).count(), spans, "{row}: {counts}");
        }
    }
}

#[test]
fn gap_sentences_are_those_of_the_definitions() {
    for row in rows("gap") {
        let text = row["text"].as_str().unwrap();
        let tokenizer = of_characters(text);
        let mut objective = Objective::by_name("gap-sentences").unwrap();
        objective.noise_density = row["share"].as_f64().unwrap();
        if row["gap"] == "rouge1" {
            objective.sentence_choice = SentenceChoice::Rouge1;
        }
        let prepared = objective.prepare(&tokenizer, Budget { source: 400, target: 400 }).unwrap();
        assert_eq!(prepared.unit(), Unit::Document);
        let (mut input, mut target) = (Vec::new(), Vec::new());
        prepared.example(&[], text, &mut Drawn(1), &mut input, &mut target).unwrap();
        assert_eq!((input.last(), target.last()), (Some(&1), Some(&1)));
        // Blanks are the tokenizer's business.
        let said = |ids: &[u32]| tokenizer.decode(ids).replace(' ', "").replace("<extra_id_0>", "\0");
        let right = |field: &str| row[field].as_str().unwrap().replace(' ', "");
        assert_eq!((said(&input), said(&target)), (right("source"), right("target")), "{row}");
    }
}
