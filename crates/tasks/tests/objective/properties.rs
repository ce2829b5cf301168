//! What holds whatever chance decides: budgets, sentinels in order, the text comes back, densities and lengths on average.

use crate::vocabulary::{Drawn, of_500, of_characters};
use proptest::prelude::*;
use t5kit_tasks::objective::{Budget, Choices, Objective, Prepared, Unit};
use t5kit_tokenizer::Tokenizer;

/// First id of the sentinels, of which there are 100 here.
const FIRST: u32 = 400;

fn text(length: usize, seed: u64) -> Vec<u32> {
    let mut choices = Drawn(seed);
    (0..length).map(|_| 6 + choices.below(394) as u32).collect()
}

fn made(prepared: &Prepared<'_>, ids: &[u32], seed: u64) -> (Vec<u32>, Vec<u32>) {
    let (mut input, mut target) = (Vec::new(), Vec::new());
    prepared.example(ids, "", &mut Drawn(seed), &mut input, &mut target).unwrap();
    (input, target)
}

/// The chunk that a sentence-piece objective was given, from input and target without `</s>`.
fn rebuilt(input: &[u32], target: &[u32]) -> Vec<u32> {
    let parts =
        |ids: &[u32]| -> Vec<Vec<u32>> { ids.split(|&id| id >= FIRST).map(<[u32]>::to_vec).collect() };
    // A text that begins with noise has its sentinel first in the input, and the noise itself first in the target.
    let (mut shown, mut hidden) = (parts(input).into_iter(), parts(target).into_iter());
    let mut whole = Vec::new();
    if input.first().is_some_and(|&id| id >= FIRST) {
        shown.next();
        whole.extend(hidden.next().unwrap_or_default());
    } else {
        hidden.next();
    }
    loop {
        match (shown.next(), hidden.next()) {
            (None, None) => return whole,
            (shown, hidden) => {
                whole.extend(shown.unwrap_or_default());
                whole.extend(hidden.unwrap_or_default());
            }
        }
    }
}

fn sentinels_in_order(ids: &[u32]) -> bool {
    let found: Vec<u32> = ids.iter().copied().filter(|&id| id >= FIRST).collect();
    found.iter().enumerate().all(|(i, &id)| id == 499 - i as u32)
}

/// An objective by a number, with parameters.
fn objective(which: usize, density: f64, mean: f64) -> Objective {
    let mut objective = Objective::by_name(Objective::NAMES[which]).unwrap();
    objective.noise_density = if objective.name() == "prefix-lm" { density.min(0.5) } else { density };
    objective.mean_span_length = mean;
    objective
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn budgets_are_never_passed(
        which in 0..9usize,
        density in prop_oneof![Just(0.1), Just(0.15), Just(0.25), Just(0.5), 0.01..0.99],
        mean in prop_oneof![Just(2.0), Just(3.0), Just(5.0), Just(10.0), 1.0..70.0],
        source in 1..120usize,
        target in 1..120usize,
        share in 0.0..=1.2,
        seed: u64,
    ) {
        let tokenizer = of_500(100);
        let Ok(prepared) = objective(which, density, mean).prepare(&tokenizer, Budget { source, target }) else {
            return Ok(());
        };
        let Unit::Tokens(most) = prepared.unit() else { panic!("chunks") };
        let ids = text((most as f64 * share) as usize, seed);
        let (mut input, mut output) = (vec![7], vec![8]);
        let done = prepared.example(&ids, "", &mut Drawn(seed), &mut input, &mut output);
        if let Err(error) = done {
            prop_assert!(ids.len() < 2, "{error}");
            prop_assert_eq!((input, output), (vec![7], vec![8]));
            return Ok(());
        }
        let (input, output) = (&input[1..], &output[1..]);
        prop_assert!(input.len() <= source && output.len() <= target, "{} {}", input.len(), output.len());
        prop_assert_eq!((input.last(), output.last()), (Some(&1), Some(&1)));
        prop_assert!(input.iter().chain(output).all(|&id| id < 500 && id != 0 && id != 2));
        if ["span-corruption", "iid-unique", "ul2"].contains(&Objective::NAMES[which]) {
            prop_assert!(sentinels_in_order(input) && sentinels_in_order(output), "{input:?} {output:?}");
        }
    }

    #[test]
    fn input_and_target_rebuild_the_text(
        which in 0..8usize, density in 0.05..0.6, mean in 1.0..12.0, length in 2..60usize, seed: u64,
    ) {
        let tokenizer = of_500(100);
        let prepared = objective(which, density, mean).prepare(&tokenizer, Budget { source: 61, target: 61 }).unwrap();
        let Unit::Tokens(most) = prepared.unit() else { panic!("chunks") };
        let ids = text(length.min(most), seed);
        let (mut input, mut target) = made(&prepared, &ids, seed);
        prop_assert_eq!((input.pop(), target.pop()), (Some(1), Some(1)));
        match Objective::NAMES[which] {
            "span-corruption" | "iid-unique" => prop_assert_eq!(rebuilt(&input, &target), ids),
            "bert-style" | "mass-style" | "full-lm" => prop_assert_eq!(target, ids),
            "prefix-lm" => prop_assert_eq!([input, target].concat(), ids),
            "deshuffling" => {
                prop_assert_eq!(&target, &ids);
                input.sort_unstable();
                target.sort_unstable();
                prop_assert_eq!(input, target);
            }
            "drop-tokens" => {
                // A shuffle of the two that keeps the order of each.
                let (mut kept, mut dropped) = (input.iter().peekable(), target.iter().peekable());
                let mut all = [input.clone(), target.clone()].concat();
                let mut right = ids.clone();
                all.sort_unstable();
                right.sort_unstable();
                prop_assert_eq!(all, right);
                ids.iter().for_each(|id| { kept.next_if_eq(&id); });
                ids.iter().for_each(|id| { dropped.next_if_eq(&id); });
                prop_assert!(kept.next().is_none() && dropped.next().is_none());
            }
            name => panic!("{name}"),
        }
    }

    #[test]
    fn gap_sentences_keep_budgets_and_sentences(
        sentences in prop::collection::vec("[abc天地人和]{1,12}。", 2..12),
        source in 4..60usize, target in 4..60usize, density in 0.1..0.6, rouge: bool,
    ) {
        let text = sentences.concat();
        let tokenizer = of_characters(&text);
        let mut objective = Objective::by_name("gap-sentences").unwrap();
        objective.noise_density = density;
        if rouge {
            objective.sentence_choice = t5kit_tasks::objective::SentenceChoice::Rouge1;
        }
        let prepared = objective.prepare(&tokenizer, Budget { source, target }).unwrap();
        let (mut input, mut output) = (Vec::new(), Vec::new());
        prepared.example(&[], &text, &mut Drawn(1), &mut input, &mut output).unwrap();
        prop_assert!(input.len() <= source && output.len() <= target);
        prop_assert_eq!((input.last(), output.last()), (Some(&1), Some(&1)));
        // With room for all of it nothing is lost.
        let prepared = objective.prepare(&tokenizer, Budget { source: 500, target: 500 }).unwrap();
        let (mut input, mut output) = (Vec::new(), Vec::new());
        prepared.example(&[], &text, &mut Drawn(1), &mut input, &mut output).unwrap();
        let said = tokenizer.decode(&input).replace("<extra_id_0>", "") + &tokenizer.decode(&output);
        let mut said: Vec<char> = said.chars().filter(|c| *c != ' ').collect();
        let mut right: Vec<char> = text.chars().collect();
        said.sort_unstable();
        right.sort_unstable();
        prop_assert_eq!(said, right);
    }
}

/// Means over many examples of 512 tokens.
struct Means {
    /// Noise of all tokens.
    density: f64,
    /// Tokens of a span of noise.
    span: f64,
}

fn means(tokenizer: &Tokenizer, objective: &Objective) -> Means {
    let prepared = objective.prepare(tokenizer, Budget { source: 128, target: 128 }).unwrap();
    let Unit::Tokens(length) = prepared.unit() else { panic!("chunks") };
    let (mut noise, mut spans, mut all) = (0, 0, 0);
    for seed in 0..400 {
        let (input, target) = made(&prepared, &text(length, seed), seed * 31 + 1);
        let corrupted = match objective.name() {
            "bert-style" | "mass-style" => input.iter().zip(&target).filter(|(a, b)| a != b).count(),
            _ => target.iter().filter(|&&id| id < FIRST).count() - 1,
        };
        noise += corrupted;
        spans += input.iter().filter(|&&id| id >= FIRST).count();
        all += length;
    }
    Means { density: noise as f64 / all as f64, span: noise as f64 / spans as f64 }
}

#[test]
fn densities_and_spans_are_right_on_average() {
    let tokenizer = of_500(100);
    for density in [0.1, 0.15, 0.25, 0.5] {
        for mean in [2.0, 3.0, 5.0, 10.0] {
            let found = means(&tokenizer, &objective(0, density, mean));
            assert!((found.density - density).abs() < 0.01, "{density} {mean}: {}", found.density);
            // The number of spans is rounded: half a span of few.
            let spans = 128.0 * density / mean;
            assert!((found.span / mean - 1.0).abs() < 0.6 / spans + 0.01, "{density} {mean}: {}", found.span);
        }
        for which in 1..5 {
            let found = means(&tokenizer, &objective(which, density, 3.0));
            assert!((found.density - density).abs() < 0.01, "{which} {density}: {}", found.density);
        }
        // Runs of independent noise have 1 / (1 - density) tokens.
        let found = means(&tokenizer, &objective(1, density, 3.0));
        assert!((found.span * (1.0 - density) - 1.0).abs() < 0.05, "{density}: {}", found.span);
    }
}

#[test]
fn a_tenth_of_bert_styles_noise_is_random() {
    let tokenizer = of_500(100);
    let prepared = objective(2, 0.15, 3.0).prepare(&tokenizer, Budget { source: 128, target: 128 }).unwrap();
    let (mut masks, mut random) = (0, 0);
    for seed in 0..400 {
        let (input, target) = made(&prepared, &text(127, seed), seed + 1);
        let noise: Vec<u32> = input.iter().zip(&target).filter(|(a, b)| a != b).map(|(&a, _)| a).collect();
        masks += noise.iter().filter(|&&id| id == 499).count();
        random += noise.iter().filter(|&&id| id != 499).count();
    }
    let share = random as f64 / (masks + random) as f64;
    assert!((share - 0.1).abs() < 0.01, "{share}");
}

#[test]
fn prefixes_are_uniform_and_modes_come_by_their_rates() {
    let tokenizer = of_500(100);
    for (density, mean) in [(0.5, 0.5), (0.25, 0.25)] {
        let prepared =
            objective(6, density, 3.0).prepare(&tokenizer, Budget { source: 129, target: 129 }).unwrap();
        let targets: usize = (0..2000).map(|seed| made(&prepared, &text(128, 1), seed).1.len() - 1).sum();
        let share = targets as f64 / 2000.0 / 128.0;
        assert!((share - mean).abs() < 0.02, "{density}: {share}");
    }
    let prepared = objective(8, 0.15, 3.0).prepare(&tokenizer, Budget { source: 128, target: 128 }).unwrap();
    let Unit::Tokens(length) = prepared.unit() else { panic!("chunks") };
    let mut modes = [0; 3];
    for seed in 0..3000 {
        modes[made(&prepared, &text(length, 1), seed).0[0] as usize - 3] += 1;
    }
    for (found, right) in modes.iter().zip([0.8 / 3.0, 1.6 / 3.0, 0.2]) {
        assert!((f64::from(*found) / 3000.0 - right).abs() < 0.03, "{modes:?}");
    }
}

#[test]
fn threads_share_what_is_prepared() {
    fn shared<T: Sync + Send>(_: &T) {}
    let tokenizer = of_500(100);
    shared(&objective(0, 0.15, 3.0).prepare(&tokenizer, Budget { source: 64, target: 64 }).unwrap());
}
