//! What every kind of search promises, on a model large enough for its products to go the way of a real one's.

mod common;

use std::ops::ControlFlow;
use std::rc::Rc;

use common::lab::{KINDS, ROWS, model, model_of, modes, sources};
use common::run;
use t5kit_generate::{BatchLimits, GenerateOptions, generate_stream};
use t5kit_model::{Seq2Seq, SpecialIds, T5};
use t5kit_tensor::{DType, Pool};

#[test]
fn a_batch_of_one_is_a_batch_of_many_bit_for_bit() {
    let sources = sources();
    let types = [DType::F32, DType::Bf16];
    let models = KINDS.iter().flat_map(|kind| {
        let whole = kind.contains('-');
        types.into_iter().filter(move |&dtype| !whole || dtype == DType::F32).map(move |dtype| {
            let mut model = model_of(kind);
            if !whole {
                model.params_mut().store_matrices_as(dtype);
            }
            (kind, model)
        })
    });
    for ((kind, model), (name, options)) in models.flat_map(|(kind, model)| {
        let model = Rc::new(model);
        modes(&model.special_ids()).into_iter().map(move |mode| ((kind, model.clone()), mode))
    }) {
        let (model, name) = (&**model, format!("{kind}, {name}"));
        let all = run(model, 2, &sources, &options);
        for (threads, sequences, tokens) in [(1, 1, 1000), (2, 3, 1000), (3, 100, 60)] {
            let limits = Some(BatchLimits { sequences, tokens });
            let some = run(model, threads, &sources, &GenerateOptions { limits, ..options.clone() });
            assert_eq!(some, all, "{name}, batches of {sequences}, {threads} threads");
        }
        for (i, source) in sources.iter().enumerate() {
            let one = GenerateOptions { first_source: i as u64, ..options.clone() };
            let alone = run(model, 2, std::slice::from_ref(source), &one);
            assert_eq!(alone[0], all[i], "{name}, source {i} alone");
        }
        // What may not be in a target is not.
        for output in all.iter().flatten() {
            let new = &output.ids[options.prefix.len()..];
            assert!(output.ids.starts_with(&options.prefix), "{name}");
            assert!(new.len() <= options.max_new_tokens && !new.is_empty(), "{name}");
            assert!(new.iter().all(|&id| (id as usize) < ROWS - 12), "{name}: a padding row");
            assert!(new.iter().rev().skip(1).all(|&id| id != 1), "{name}: nothing follows the end");
            assert!(new.len() > options.min_new_tokens || new.last() != Some(&1), "{name}");
            assert!(output.score.unwrap() < 0.0, "{name}");
        }
        let count = options.num_return_sequences;
        assert!(all.iter().all(|outputs| outputs.len() == count), "{name}");
        if options.num_beams > 1 {
            let ordered =
                |outputs: &Vec<t5kit_generate::Generated>| outputs.is_sorted_by(|a, b| a.score >= b.score);
            assert!(all.iter().all(ordered), "{name}: best first");
        }
    }
}

/// With many sources each thread works on its own; none is lost, whatever the limits, and the caller can stop them.
#[test]
fn threads_with_sources_of_their_own_give_what_one_gives() {
    let few = sources();
    let many: Vec<Vec<u32>> = few.iter().cycle().take(83).cloned().collect();
    let models = ["t5", "bert"].map(|kind| (kind, model_of(kind)));
    let all = models.iter().flat_map(|(kind, model)| {
        modes(&model.special_ids()).into_iter().map(move |(mode, options)| (kind, model, mode, options))
    });
    for (kind, model, mode, options) in all {
        let (model, name) = (&**model, format!("{kind}, {mode}"));
        let options = GenerateOptions { max_new_tokens: 5, min_new_tokens: 0, ..options };
        let one = run(model, 1, &many, &options);
        for (sequences, tokens) in [(4, 1000), (usize::MAX, 60), (1, usize::MAX), (9, 200)] {
            let limits = Some(BatchLimits { sequences, tokens });
            for threads in [2, 3] {
                let apart = run(model, threads, &many, &GenerateOptions { limits, ..options.clone() });
                assert_eq!(apart, one, "{name}, batches of {sequences}, {threads} threads");
            }
        }
        let (pool, mut left) = (Pool::new(2), 7);
        let noticed = t5kit_generate::generate(model, &pool, &many, &options, |i, targets| {
            assert_eq!(targets, one[i], "{name}");
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((noticed.unwrap().sources, left), (7, 0), "{name}: nothing comes after the end");
    }
}

#[test]
fn seeds_and_sources_draw_differently() {
    let (model, sources) = (model(), sources());
    let options = GenerateOptions {
        do_sample: true,
        max_new_tokens: 8,
        ..GenerateOptions::new(ROWS, SpecialIds::default())
    };
    let with = |seed, first_source| {
        run(&model, 2, &sources, &GenerateOptions { seed, first_source, ..options.clone() })
    };
    assert_eq!(with(1, 0), with(1, 0));
    assert_ne!(with(1, 0), with(2, 0));
    assert_ne!(with(1, 0), with(1, 1));
    let several = GenerateOptions { num_return_sequences: 2, ..options.clone() };
    let outputs = run(&model, 2, &sources, &several);
    assert!(outputs.iter().any(|samples| samples[0] != samples[1]));
}

/// Pearson's chi-square of 4,000 first tokens against the model's own distribution, tokens of few expected draws taken
/// together; 5 standard deviations above its mean are not reached by chance.
#[test]
fn samples_follow_the_distribution() {
    let model = model();
    let source = vec![7, 8, 9, 1];
    let draws = 4000;
    let options = GenerateOptions {
        do_sample: true,
        temperature: 0.7,
        top_k: 60,
        max_new_tokens: 1,
        num_return_sequences: draws,
        seed: 3,
        ..GenerateOptions::new(ROWS, SpecialIds::default())
    };
    let mut counts = vec![0usize; ROWS];
    for sample in &run(&model, 2, std::slice::from_ref(&source), &options)[0] {
        counts[sample.ids[0] as usize] += 1;
    }
    // The probability of every first token, by scoring it as a target.
    let targets: Vec<Vec<u32>> = (0..ROWS as u32).map(|id| vec![id]).collect();
    let sources = vec![source; ROWS];
    let limits = BatchLimits::default();
    let mut logits = vec![f64::NAN; ROWS];
    t5kit_generate::score(&model, &Pool::new(2), &sources, &targets, limits, |i, score| {
        logits[i] = score.log_prob() / 0.7;
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut sorted = logits.clone();
    sorted.sort_by(f64::total_cmp);
    let least = sorted[ROWS - 60];
    let total: f64 = logits.iter().filter(|x| **x >= least).map(|x| x.exp()).sum();
    let (mut chi, mut classes, mut rest) = (0.0, 0, (0.0, 0));
    for (count, x) in counts.iter().zip(&logits) {
        if *x < least {
            assert_eq!(*count, 0, "top-k leaves it out");
            continue;
        }
        let expected = draws as f64 * x.exp() / total;
        if expected < 8.0 {
            rest = (rest.0 + expected, rest.1 + count);
        } else {
            chi += (*count as f64 - expected).powi(2) / expected;
            classes += 1;
        }
    }
    if rest.0 > 0.0 {
        chi += (rest.1 as f64 - rest.0).powi(2) / rest.0;
    }
    let freedom = f64::from(classes);
    println!("chi-square {chi:.1} with {freedom} degrees of freedom");
    assert!(freedom > 10.0 && (chi - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "{chi} for {freedom}");
}

#[test]
fn a_stream_is_the_target_token_by_token() {
    let (model, sources) = (model(), sources());
    for (name, options) in modes(&model.special_ids()) {
        let pool = Pool::new(2);
        let mut ids = options.prefix.clone();
        let streamed = generate_stream(&model, &pool, &sources[4], &options, |id| {
            ids.push(id);
            ControlFlow::Continue(())
        });
        if options.num_beams > 1 || options.num_return_sequences > 1 {
            assert!(streamed.is_err(), "{name}");
            continue;
        }
        let (target, summary) = streamed.unwrap();
        assert_eq!((ids, summary.sources), (target.ids.clone(), 1), "{name}");
        assert_eq!(run(&model, 2, &sources[4..5], &options)[0], [target], "{name}");
    }
}

#[test]
fn a_model_that_wants_sentinels_is_noticed() {
    let (mut model, sources) = (model(), sources());
    let options = GenerateOptions {
        max_new_tokens: 2,
        suppress: vec![300],
        first_sentinel: Some(300),
        ..GenerateOptions::new(ROWS, SpecialIds::default())
    };
    let summary = |model: &T5, num_beams: usize| {
        let options = GenerateOptions { num_beams, ..options.clone() };
        t5kit_generate::generate(model, &Pool::new(2), &sources, &options, |_, outputs| {
            assert!(outputs[0].ids.iter().all(|&id| id != 300));
            ControlFlow::Continue(())
        })
        .unwrap()
    };
    assert!(!summary(&model, 1).looks_untuned());
    // With all other rows nothing, the sentinel is the best where its logit is positive: of a row and its opposite, one
    // is for every source.
    let softmax = model.softmax().weight;
    let d_model = model.config.d_model;
    let one_row = model.params.get(softmax).map(|at, x| if at / d_model == 300 { x } else { 0.0 });
    *model.params.get_mut(softmax) = one_row;
    let count = |model: &T5| {
        let (greedy, beam) = (summary(model, 1), summary(model, 2));
        assert_eq!((greedy.sources, greedy.wanted_sentinel), (beam.sources, beam.wanted_sentinel));
        assert_eq!(greedy.looks_untuned(), greedy.wanted_sentinel >= 9);
        greedy.wanted_sentinel
    };
    let one = count(&model);
    let opposite = model.params.get(softmax).map(|_, x| -x);
    *model.params.get_mut(softmax) = opposite;
    assert_eq!(one + count(&model), sources.len());
}
