//! What cannot be done is said in one line.

use crate::vocabulary::{Drawn, of_500, of_characters};
use t5kit_tasks::objective::{Budget, Error, Objective, SentenceChoice, Unit};

const BUDGET: Budget = Budget { source: 512, target: 512 };

#[track_caller]
fn refused(error: &Error, parts: &[&str]) {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1);
    for part in parts {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

fn named(name: &str) -> Objective {
    Objective::by_name(name).unwrap()
}

#[test]
fn names() {
    refused(
        &Objective::by_name("span_corruption").unwrap_err(),
        &["did you mean span-corruption?", "gap-sentences"],
    );
    refused(&Objective::by_name("prefixlm").unwrap_err(), &["did you mean prefix-lm?"]);
    let far = Objective::by_name("xyzzy").unwrap_err();
    refused(&far, &["there is no objective xyzzy; there are span-corruption, "]);
    for name in Objective::NAMES {
        assert_eq!(named(name).name(), name);
    }
}

#[test]
fn parameters() {
    let tokenizer = of_500(100);
    for (name, density) in
        [("span-corruption", 0.0), ("drop-tokens", 1.0), ("prefix-lm", 0.6), ("bert-style", f64::NAN)]
    {
        let mut objective = named(name);
        objective.noise_density = density;
        let error = objective.prepare(&tokenizer, BUDGET).err().unwrap();
        refused(&error, &["`noise_density` must be above 0", name, &density.to_string()]);
    }
    for mean in [0.5, f64::INFINITY] {
        let mut objective = named("span-corruption");
        objective.mean_span_length = mean;
        let error = objective.prepare(&tokenizer, BUDGET).err().unwrap();
        refused(&error, &["`mean_span_length` must be at least 1"]);
    }
    // Parameters that say nothing to an objective are not looked at.
    let mut objective = named("full-lm");
    objective.noise_density = 7.0;
    assert!(objective.prepare(&tokenizer, BUDGET).is_ok());
}

#[test]
fn sentinels() {
    let none = of_500(0);
    for name in ["span-corruption", "iid-unique", "bert-style", "mass-style", "ul2"] {
        let error = named(name).prepare(&none, BUDGET).err().unwrap();
        refused(&error, &[name, "none", "<extra_id_0>", "take a tokenizer of T5"]);
    }
    for name in ["drop-tokens", "deshuffling", "prefix-lm", "full-lm", "gap-sentences"] {
        assert!(named(name).prepare(&none, BUDGET).is_ok(), "{name}");
    }
    let mut pegasus = named("gap-sentences");
    pegasus.sentence_choice = SentenceChoice::Rouge1;
    assert!(matches!(pegasus.prepare(&none, BUDGET), Err(Error::NoSentinels { .. })));

    let few = of_500(20);
    for name in ["span-corruption", "iid-unique"] {
        let objective = named(name);
        let error = objective.prepare(&few, BUDGET).err().unwrap();
        refused(&error, &[name, "the vocabulary has 20", "`max_source_length` of at most "]);
        let Error::TooFewSentinels { fits, need, .. } = error else { panic!("{error}") };
        assert!(need > 20);
        // What is said to fit does, and not a token more.
        assert!(objective.prepare(&few, Budget { source: fits, target: 512 }).is_ok(), "{fits}");
        assert!(objective.prepare(&few, Budget { source: fits + 1, target: 512 }).is_err(), "{fits}");
    }
    // One of several makes do with shorter chunks; the longest is another's.
    let prepared = named("ul2").prepare(&few, BUDGET).unwrap();
    let Unit::Tokens(length) = prepared.unit() else { panic!("chunks") };
    let ids: Vec<u32> = (0..length as u32).map(|i| 6 + i % 300).collect();
    for seed in 0..200 {
        let (mut input, mut target) = (Vec::new(), Vec::new());
        prepared.example(&ids, "", &mut Drawn(seed), &mut input, &mut target).unwrap();
        let spans = |ids: &[u32]| ids.iter().filter(|&&id| id >= 480).count();
        assert!(spans(&input) <= 20 && spans(&target) == spans(&input));
    }
}

#[test]
fn lengths() {
    let tokenizer = of_500(100);
    for name in Objective::NAMES {
        let error = named(name).prepare(&tokenizer, Budget { source: 1, target: 1 }).err().unwrap();
        refused(&error, &[name, "no room in 1 tokens of input and 1 of target", "`max_source_length`"]);
    }
    let (mut input, mut target) = (Vec::new(), Vec::new());
    for (name, ids) in
        [("span-corruption", &[9][..]), ("prefix-lm", &[9]), ("deshuffling", &[]), ("ul2", &[9])]
    {
        let prepared = named(name).prepare(&tokenizer, BUDGET).unwrap();
        let error = prepared.example(ids, "", &mut Drawn(1), &mut input, &mut target).unwrap_err();
        refused(&error, &[name, "at least", "tokens"]);
    }
    let text = "只有一句话";
    let tokenizer = of_characters(text);
    let prepared = named("gap-sentences").prepare(&tokenizer, BUDGET).unwrap();
    for text in [text, "", "  \n"] {
        let error = prepared.example(&[], text, &mut Drawn(1), &mut input, &mut target).unwrap_err();
        refused(&error, &["gap-sentences", "at least 2 sentences"]);
    }
    assert!(input.is_empty() && target.is_empty());
}
