//! Constrained generation and labels: against transformers (`tools/constrain_goldens.py`), alone and in company, in every
//! storage type.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::lab::{COUNTING, KINDS, ROWS, counting, model_of, modes, sources};
use common::{golden, open, run, sequences};
use proptest::prelude::*;
use serde_json::Value;
use t5kit_generate::constrain::{Constraint, Texts};
use t5kit_generate::{
    BatchLimits, Event, GenerateOptions, Generated, Request, Session, SessionLimits, generate,
    generate_stream, score,
};
use t5kit_tensor::Pool;

fn named(texts: &[Vec<u32>], end: &[u32]) -> Texts {
    Texts::new(texts.iter().map(|ids| (format!("{ids:?}"), ids.clone())), end)
}

fn list(texts: &[Vec<u32>], end: &[u32]) -> Option<Arc<Constraint>> {
    Some(Arc::new(Constraint::List(named(texts, end))))
}

fn labels(texts: &[Vec<u32>], end: &[u32], length_penalty: f32) -> Option<Arc<Constraint>> {
    Some(Arc::new(Constraint::Labels { texts: named(texts, end), length_penalty }))
}

/// Every list with every search and every source: transformers' ids, and its scores where it has some.
#[test]
fn lists_give_what_the_reference_gives() {
    let goldens = golden("constrain.json");
    for name in ["mt5", "t5-v1_0", "umt5", "bert", "roformer"] {
        let (model, golden) = (open(name).0, &goldens[name]);
        let sources = sequences(&golden["sources"]);
        let end = model.special_ids().end;
        assert_eq!(end, [golden["end"].as_u64().unwrap() as u32]);
        let (mut seen, mut fewer) = (0, 0);
        for (what, of) in golden["lists"].as_object().unwrap() {
            let texts = sequences(&of["texts"]);
            for (case, want) in of["searches"].as_object().unwrap() {
                let mut o = GenerateOptions {
                    max_new_tokens: 12,
                    constraint: list(&texts, &end),
                    ..GenerateOptions::new(model.rows(), model.special_ids())
                };
                match &case[..] {
                    "greedy" => {}
                    "beam2" => o.num_beams = 2,
                    "beam4" => (o.num_beams, o.num_return_sequences) = (4, 4),
                    "beam5" => {
                        (o.num_beams, o.num_return_sequences, o.length_penalty) = (5, 5, 0.0);
                    }
                    other => panic!("{other}"),
                }
                let outputs = run(&*model, 2, &sources, &o);
                for (got, want) in
                    outputs.iter().zip(want.as_array().unwrap()).filter(|(_, want)| !want.is_null())
                {
                    let want: common::Hypotheses = serde_json::from_value(want.clone()).unwrap();
                    let same = common::compare(
                        &format!("{name}, {what}, {case}"),
                        std::slice::from_ref(got),
                        std::slice::from_ref(&want),
                    );
                    seen += same;
                    fewer += usize::from(want.len() < o.num_return_sequences);
                }
            }
        }
        println!("{name}: {seen} outputs, {fewer} of fewer texts than asked for");
        assert!(seen >= 70 && fewer > 10, "{name}: {seen} outputs, {fewer} fewer");
    }
}

/// Labels' log-probabilities are those of teacher forcing, and what is told of them is in order and adds up.
#[test]
fn labels_are_scored_as_the_reference_scores_them() {
    let goldens = golden("constrain.json");
    for name in ["mt5", "t5-v1_0", "umt5", "bert", "roformer"] {
        let (model, golden) = (open(name).0, &goldens[name]);
        let sources = sequences(&golden["sources"]);
        let end = model.special_ids().end;
        for (what, of) in golden["lists"].as_object().unwrap() {
            let texts = sequences(&of["texts"]);
            let o = GenerateOptions {
                num_return_sequences: texts.len(),
                constraint: labels(&texts, &end, 0.0),
                ..GenerateOptions::new(model.rows(), model.special_ids())
            };
            let real =
                |of: &Value| of.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
            let outputs = run(&*model, 2, &sources, &o);
            for (i, got) in outputs.iter().enumerate() {
                let (log_probs, shares) = (real(&of["log_probs"][i]), real(&of["probabilities"][i]));
                assert_eq!(got.len(), texts.len());
                assert!(got.windows(2).all(|pair| pair[0].score >= pair[1].score));
                let sum: f32 = got.iter().map(|label| label.probability.unwrap()).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{sum}");
                for label in got {
                    let (last, ids) = label.ids.split_last().unwrap();
                    assert_eq!([*last], end[..]);
                    let at = texts.iter().position(|text| text == ids).unwrap();
                    let score = f64::from(label.score.unwrap());
                    assert!(
                        (score - log_probs[at]).abs() < 1e-5 * log_probs[at].abs(),
                        "{name}, {what}: {score} {log_probs:?}"
                    );
                    let share = f64::from(label.probability.unwrap());
                    assert!((share - shares[at]).abs() < 2e-5, "{name}, {what}: {share} {shares:?}");
                }
            }
        }
    }
}

/// Labels that share beginnings, hang on each other, and have one token.
fn some_labels() -> Vec<Vec<u32>> {
    vec![
        vec![7],
        vec![7, 8, 9],
        vec![7, 8, 9, 10, 11],
        vec![7, 8, 12],
        vec![30, 31, 32],
        vec![40],
        vec![41, 42],
    ]
}

/// The scores are those of `score`, of every kind of model and storage, alone and in company; and with a prefix.
#[test]
fn labels_are_scored_in_company_as_alone_in_every_storage_type() {
    let mut all: Vec<(String, t5kit_model::Model)> =
        KINDS.iter().map(|&kind| (kind.to_owned(), model_of(kind))).collect();
    all.extend(
        COUNTING[..3].iter().map(|&(kind, dtype)| (format!("{kind} {dtype:?}"), counting(kind, dtype))),
    );
    for (name, model) in all {
        let ids = model.special_ids();
        let many = sources();
        for prefix in [vec![], vec![5, 6]] {
            let o = GenerateOptions {
                num_return_sequences: 7,
                constraint: labels(&some_labels(), &ids.end, 0.0),
                prefix: prefix.clone(),
                ..GenerateOptions::new(ROWS - 12, ids.clone())
            };
            let alone: Vec<Vec<Generated>> = many
                .iter()
                .map(|source| run(&*model, 1, std::slice::from_ref(source), &o).remove(0))
                .collect();
            for (threads, sequences) in [(1, 1), (2, 3), (2, 100)] {
                let o =
                    GenerateOptions { limits: Some(BatchLimits { sequences, tokens: 8192 }), ..o.clone() };
                assert_eq!(run(&*model, threads, &many, &o), alone, "{name}, {sequences}, {threads} threads");
            }
            if !prefix.is_empty() {
                continue;
            }
            // What generating a single one finds of its tokens, one after the other.
            for (at, text) in some_labels().iter().enumerate() {
                let o = GenerateOptions {
                    scores: true,
                    num_return_sequences: 1,
                    constraint: list(std::slice::from_ref(text), &ids.end),
                    ..o.clone()
                };
                for (label, one) in alone.iter().zip(run(&*model, 2, &many, &o)) {
                    let label = label.iter().find(|label| label.ids == one[0].ids).unwrap();
                    let (got, one) = (label.score.unwrap(), one[0].score.unwrap());
                    // Another bound on what is fed may be another order of the same sums.
                    let near = if name.contains("int") {
                        0.05
                    } else if name.contains("16") {
                        2e-3
                    } else {
                        1e-4
                    };
                    assert!((got - one).abs() < near * one.abs(), "{name}, label {at}: {got} {one}");
                }
            }
            if name.contains("int") || name.contains("16") {
                continue;
            }
            let targets: Vec<Vec<u32>> = alone.iter().flatten().map(|label| label.ids.clone()).collect();
            let twice: Vec<&Vec<u32>> =
                many.iter().flat_map(|source| std::iter::repeat_n(source, 7)).collect();
            let mut scores = vec![0.0; targets.len()];
            score(&*model, &Pool::new(2), &twice, &targets, BatchLimits::default(), |i, score| {
                scores[i] = score.log_prob();
                ControlFlow::Continue(())
            })
            .unwrap();
            for (label, score) in alone.iter().flatten().zip(&scores) {
                let got = f64::from(label.score.unwrap());
                assert!((got - score).abs() < 1e-4 * score.abs(), "{name}: {got} {score}");
            }
        }
    }
}

/// Requests of all kinds side by side in a session, constrained or not: each gets what it gets alone.
#[test]
fn sessions_mix_constraints() {
    for kind in ["t5", "bert", "t5-int8"] {
        let model = model_of(kind);
        let ids = model.special_ids();
        let mut all: Vec<GenerateOptions> = modes(&ids).into_iter().map(|(_, o)| o).collect();
        let free = all.clone();
        let texts = some_labels();
        all.extend(free.into_iter().map(|o| GenerateOptions {
            min_new_tokens: 0,
            constraint: list(&texts, &ids.end),
            ..o
        }));
        all.push(GenerateOptions {
            num_return_sequences: 3,
            constraint: labels(&texts, &ids.end, 1.0),
            ..GenerateOptions::new(ROWS - 12, ids.clone())
        });
        let all: Vec<Arc<GenerateOptions>> = all.into_iter().map(Arc::new).collect();
        let (pool, sources) = (Pool::new(2), sources());
        let mut session = Session::new(&*model, SessionLimits { requests: 9, hypotheses: 40, tokens: 300 });
        let mut wanted = Vec::new();
        let mut finished = 0;
        for round in 0..3 {
            for (i, options) in all.iter().enumerate() {
                let source = &sources[(i * 3 + round) % sources.len()];
                let o = GenerateOptions { first_source: i as u64, ..(**options).clone() };
                wanted.push(run(&*model, 1, std::slice::from_ref(source), &o).remove(0));
                let request = Request { number: i as u64, ..Request::new(source.clone(), options.clone()) };
                session.admit(request).unwrap();
            }
            while !session.is_empty() && (round == 2 || session.len() > 5) {
                for event in session.step(&pool) {
                    if let Event::Finished { request, targets, .. } = event {
                        let number: usize = format!("{request:?}")
                            .trim_matches(|c: char| !c.is_ascii_digit())
                            .parse()
                            .unwrap();
                        assert_eq!(targets, wanted[number], "{kind}, request {number}");
                        finished += 1;
                    }
                }
            }
        }
        assert_eq!(finished, wanted.len());
    }
}

/// Whatever the search, only texts of the list come, and lookup and streams change nothing.
#[test]
fn nothing_but_the_list_comes() {
    let texts = some_labels();
    for kind in ["t5", "bert"] {
        let model = model_of(kind);
        let ids = model.special_ids();
        for (name, o) in modes(&ids) {
            let o = GenerateOptions { min_new_tokens: 0, constraint: list(&texts, &ids.end), ..o };
            let mut seen = std::collections::BTreeSet::new();
            for targets in run(&*model, 2, &sources(), &o) {
                assert!(!targets.is_empty() && targets.len() <= o.num_return_sequences);
                for target in targets {
                    // Without its end where a BERT, whose start is the same token, may say none twice.
                    let said = &target.ids[o.prefix.len()..];
                    let said = said.strip_suffix(&ids.end[..]).unwrap_or(said);
                    assert!(texts.iter().any(|text| text == said), "{kind}, {name}: {:?}", target.ids);
                    assert!(o.constraint.as_ref().unwrap().accepts(said));
                    seen.insert(target.ids);
                }
            }
            assert!(seen.len() > 1, "{kind}, {name}: {seen:?}");
        }
        let plain = GenerateOptions {
            scores: true,
            constraint: list(&texts, &ids.end),
            ..GenerateOptions::new(ROWS - 12, ids.clone())
        };
        let looked_up = GenerateOptions { prompt_lookup_num_tokens: 4, ..plain.clone() };
        let mut copied = sources();
        copied.iter_mut().enumerate().for_each(|(i, source)| drop(source.splice(..0, texts[i % 7].clone())));
        assert_eq!(run(&*model, 2, &copied, &looked_up), run(&*model, 1, &copied, &plain), "{kind}");
        let mut streamed = Vec::new();
        let (target, _) = generate_stream(&*model, &Pool::new(1), &copied[2], &plain, |id| {
            streamed.push(id);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(streamed, target.ids);
        assert_eq!(vec![target], run(&*model, 1, &copied[2..3], &plain)[0]);
    }
}

/// A text that does not fit is not begun, and what other options make impossible ends as no whole text.
#[test]
fn texts_are_whole_or_known_not_to_be() {
    let model = model_of("t5");
    let ids = model.special_ids();
    let texts = some_labels();
    for max_new_tokens in 2..7 {
        let o = GenerateOptions {
            max_new_tokens,
            num_beams: 4,
            num_return_sequences: 4,
            constraint: list(&texts, &ids.end),
            ..GenerateOptions::new(ROWS - 12, ids.clone())
        };
        for target in run(&*model, 1, &sources(), &o).iter().flatten() {
            assert!(o.constraint.as_ref().unwrap().accepts(&target.ids) && target.ids.ends_with(&ids.end));
        }
    }
    let two = vec![vec![20, 20, 20], vec![21, 21]];
    let never_twice = GenerateOptions {
        no_repeat_ngram_size: 1,
        constraint: list(&two, &ids.end),
        ..GenerateOptions::new(ROWS - 12, ids.clone())
    };
    for o in [
        never_twice.clone(),
        GenerateOptions { num_beams: 3, ..never_twice.clone() },
        GenerateOptions { do_sample: true, ..never_twice },
    ] {
        for target in run(&*model, 1, &sources(), &o).iter().flatten() {
            assert!(!o.constraint.as_ref().unwrap().accepts(&target.ids), "{:?}", target.ids);
            assert_eq!(target.ids.len(), 1, "the first token is possible, the second is not");
        }
    }
}

#[test]
fn impossible_wishes_are_named() {
    let model = model_of("bert");
    let ids = model.special_ids();
    let o = |change: fn(&mut GenerateOptions)| {
        let mut o = GenerateOptions {
            constraint: labels(&some_labels(), &ids.end, 0.0),
            ..GenerateOptions::new(ROWS - 12, ids.clone())
        };
        change(&mut o);
        o
    };
    let fails = |o: &GenerateOptions, source: Vec<u32>| {
        let done = generate(&*model, &Pool::new(1), &[source], o, |_, _| ControlFlow::Continue(()));
        done.unwrap_err().to_string()
    };
    for (change, message) in [
        ((|o| o.num_beams = 2) as fn(&mut GenerateOptions), "labels are scored, not searched for"),
        (|o| o.num_return_sequences = 8, "more than the 7 labels"),
        (|o| o.prompt_lookup_num_tokens = 8, "labels are scored"),
    ] {
        assert!(fails(&o(change), vec![5, 1]).contains(message));
    }
    // The longest label has six tokens with its end, and there are 120 positions.
    let long = |n: usize| (0..n).map(|i| if i + 1 == n { 1 } else { 9 }).collect::<Vec<u32>>();
    assert!(fails(&o(|_| {}), long(116)).contains("116 tokens"));
    let none = GenerateOptions { constraint: labels(&[], &ids.end, 0.0), ..o(|_| {}) };
    assert!(fails(&none, vec![5, 1]).contains("no labels"));
    assert_eq!(run(&*model, 1, &[long(114)], &o(|_| {}))[0].len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random lists: labels come in the order of their scores, and beams as many as the list never find a better one.
    #[test]
    fn labels_are_at_least_as_good_as_any_search(
        texts in proptest::collection::btree_set(proptest::collection::vec(3u32..60, 1..5), 2..20), seed in 0usize..10,
    ) {
        let model = model_of("t5");
        let ids = model.special_ids();
        let texts: Vec<Vec<u32>> = texts.into_iter().collect();
        let base = GenerateOptions::new(ROWS - 12, ids.clone());
        let source = [sources()[seed].clone()];
        let scored = GenerateOptions {
            num_return_sequences: texts.len(), constraint: labels(&texts, &ids.end, 0.0), ..base.clone()
        };
        let beams = GenerateOptions {
            num_beams: texts.len() * 2, num_return_sequences: texts.len(), length_penalty: 0.0,
            early_stopping: t5kit_generate::EarlyStopping::Never, constraint: list(&texts, &ids.end), ..base
        };
        let (labels, found) = (run(&*model, 1, &source, &scored).remove(0), run(&*model, 1, &source, &beams).remove(0));
        prop_assert_eq!(labels.len(), texts.len());
        prop_assert_eq!(&found[0].ids, &labels[0].ids);
        for (a, b) in labels.iter().zip(&found) {
            prop_assert!((a.score.unwrap() - b.score.unwrap()).abs() < 1e-3, "{:?} {:?}", a, b);
        }
    }
}
