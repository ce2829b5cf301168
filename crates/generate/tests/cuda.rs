//! Choosing tokens on a GPU, which the host's processor emulates: what comes of whole rows of logits comes of the little that
//! leaves the device, in every search, alone and in company, with logits that are equal among them.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::lab::{ROWS, counting, runs};
use common::{open, sequences};
use t5kit_generate::constrain::{Constraint, Texts};
use t5kit_generate::processors::{History, LogitsProcessor, Scores};
use t5kit_generate::{
    BatchLimits, Event, GenerateOptions, Generated, Request, Session, SessionLimits, generate,
};
use t5kit_model::{Model, Seq2Seq};
use t5kit_tensor::{DType, Device, Pool, Weight, emulated};

/// Changes nothing, and does not say that it does not.
struct Whatever;

impl LogitsProcessor for Whatever {
    fn process(&self, _: History<'_>, _: &mut Scores<'_>) {}
}

/// A golden model every fifth row of whose softmax is the next one too, so that their logits are equal.
fn with_equals(name: &str) -> Model {
    let (mut model, _) = open(name);
    let softmax = model.softmax().weight;
    let rows = model.params().get(softmax).to_tensor();
    let of = |row: usize| rows.row(if row % 5 == 4 { row - 1 } else { row });
    let data = (0..rows.rows()).flat_map(|row| of(row).iter().copied()).collect();
    *model.params_mut().get_mut(softmax) = Weight::owned(&[rows.rows(), rows.cols()], data);
    model
}

/// Every kind of search, by name, and whether rows come home as wholes: never, sometimes or always.
fn modes(model: &dyn Seq2Seq) -> Vec<(&'static str, Whole, GenerateOptions)> {
    let rows = model.rows();
    let plain = || GenerateOptions {
        max_new_tokens: 5,
        scores: true,
        suppress: vec![7, 8, 9],
        ..GenerateOptions::new(rows - 5, model.special_ids())
    };
    let beam = || GenerateOptions { num_beams: 4, num_return_sequences: 4, ..plain() };
    let sample = || GenerateOptions { do_sample: true, seed: 5, num_return_sequences: 2, ..plain() };
    let texts = |list: &[&[u32]]| {
        Texts::new(list.iter().map(|ids| (format!("{ids:?}"), ids.to_vec())), &model.special_ids().end)
    };
    let some = texts(&[&[20, 21], &[20, 21, 22], &[23], &[24, 25, 26, 27], &[30, 30]]);
    let list = Some(Arc::new(Constraint::List(some.clone())));
    let labels = Some(Arc::new(Constraint::Labels { texts: some, length_penalty: 1.0 }));
    vec![
        ("greedy", Whole::Never, plain()),
        (
            "without scores",
            Whole::Never,
            GenerateOptions { scores: false, first_sentinel: Some(12), ..plain() },
        ),
        (
            "all processors",
            Whole::Never,
            GenerateOptions {
                repetition_penalty: 1.3,
                no_repeat_ngram_size: 2,
                min_new_tokens: 3,
                bad_words_ids: vec![vec![11], vec![12, 13]],
                prefix: vec![5, 6],
                ..plain()
            },
        ),
        (
            "lookup",
            Whole::Never,
            GenerateOptions { prompt_lookup_num_tokens: 4, max_new_tokens: 9, ..plain() },
        ),
        ("beams", Whole::Never, beam()),
        (
            "beams, penalties",
            Whole::Never,
            GenerateOptions { repetition_penalty: 1.4, no_repeat_ngram_size: 2, ..beam() },
        ),
        ("groups", Whole::Never, GenerateOptions { num_beam_groups: 2, diversity_penalty: 0.7, ..beam() }),
        ("sampling of all", Whole::Never, sample()),
        (
            "temperature",
            Whole::Never,
            GenerateOptions { temperature: 0.7, repetition_penalty: 1.2, ..sample() },
        ),
        ("top-k", Whole::Sometimes, GenerateOptions { top_k: 9, temperature: 1.3, ..sample() }),
        ("top-p", Whole::Sometimes, GenerateOptions { top_p: 0.6, ..sample() }),
        ("min-p", Whole::Sometimes, GenerateOptions { min_p: 0.3, temperature: 0.8, ..sample() }),
        (
            "all warpers",
            Whole::Sometimes,
            GenerateOptions { top_k: 12, top_p: 0.8, min_p: 0.01, temperature: 0.9, ..sample() },
        ),
        ("given texts", Whole::Never, GenerateOptions { constraint: list.clone(), ..plain() }),
        ("given texts by beams", Whole::Never, GenerateOptions { constraint: list, ..beam() }),
        (
            "labels",
            Whole::Never,
            GenerateOptions { constraint: labels, num_return_sequences: 5, suppress: vec![], ..plain() },
        ),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Whole {
    Never,
    Sometimes,
}

fn targets(model: &dyn Seq2Seq, sources: &[Vec<u32>], options: &GenerateOptions) -> Vec<Vec<Generated>> {
    let mut outputs = vec![Vec::new(); sources.len()];
    let each = |i: usize, targets| {
        outputs[i] = targets;
        ControlFlow::Continue(())
    };
    generate(model, &Pool::new(1), sources, options, each).unwrap();
    outputs
}

/// The same with whole rows of logits on the host.
fn by_whole_rows(
    model: &dyn Seq2Seq,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
) -> Vec<Vec<Generated>> {
    let mut session = Session::new(model, SessionLimits::default());
    let options = Arc::new(options.clone());
    let ids: Vec<_> = sources
        .iter()
        .zip(0..)
        .map(|(source, number)| {
            let request = Request::new(source.clone(), options.clone());
            session.admit(Request { number, processors: vec![Arc::new(Whatever)], ..request }).unwrap()
        })
        .collect();
    let mut outputs = vec![Vec::new(); sources.len()];
    while !session.is_empty() {
        for event in session.step(&Pool::new(1)) {
            if let Event::Finished { request, targets, .. } = event {
                outputs[ids.iter().position(|&id| id == request).unwrap()] = targets;
            }
        }
    }
    outputs
}

fn same(what: &str, got: &[Vec<Generated>], want: &[Vec<Generated>]) {
    assert_eq!(got.len(), want.len());
    for (source, (got, want)) in got.iter().zip(want).enumerate() {
        let ids = |all: &[Generated]| all.iter().map(|g| g.ids.clone()).collect::<Vec<_>>();
        assert_eq!(ids(got), ids(want), "{what}, source {source}");
        for (got, want) in got.iter().zip(want) {
            let numbers = |g: &Generated| [g.score, g.probability].map(|x| x.unwrap_or(-1.0));
            for (got, want) in numbers(got).into_iter().zip(numbers(want)) {
                assert!(
                    (got - want).abs() <= 2e-5 * want.abs().max(1.0),
                    "{what}, source {source}: {got} {want}"
                );
            }
        }
    }
}

fn moved(mut model: Model, device: &Device) -> Model {
    model.move_to(device).unwrap();
    model
}

#[test]
fn tokens_are_chosen_on_the_device_as_from_whole_rows() {
    let Some(device) = emulated::device() else { return };
    for name in ["mt5", "roformer"] {
        let (_, golden) = open(name);
        let all = sequences(&golden["sources"]);
        let sources = [1, 2, 5].map(|i| all[i].clone());
        let (host, there) = (with_equals(name), moved(with_equals(name), &device));
        for (mode, whole, options) in modes(&*host) {
            let what = format!("{name}, {mode}");
            let before = device.counts();
            let all = targets(&*there, &sources, &options);
            let after = device.counts();
            let rows = after.rows - before.rows;
            println!(
                "{what}: {rows} whole rows, {} waits, {} parts of steps again",
                after.waits - before.waits,
                after.replayed - before.replayed
            );
            assert!(whole == Whole::Sometimes || rows == 0, "{what}: {rows} whole rows");
            same(&what, &all, &by_whole_rows(&*there, &sources, &options));
            // Labels have no processors.
            let processed = options.labels().is_none();
            assert_eq!(device.counts().rows > after.rows, processed, "{what}: whole rows are whole");
            same(&format!("{what}, against the processor"), &all, &targets(&*host, &sources, &options));
            let limits = Some(BatchLimits { sequences: 2, tokens: 1000 });
            let some = targets(&*there, &sources, &GenerateOptions { limits, ..options.clone() });
            same(&format!("{what}, batches of 2"), &some, &all);
        }
    }
}

/// What was looked up is verified on the device: the same targets in fewer steps.
#[test]
fn lookup_is_verified_on_the_device() {
    let Some(device) = emulated::device() else { return };
    let there = moved(counting("t5", DType::F32), &device);
    let sources = &runs()[..1];
    let lookup = |prompt_lookup_num_tokens| GenerateOptions {
        max_new_tokens: 10,
        scores: true,
        prompt_lookup_num_tokens,
        ..GenerateOptions::new(ROWS - 12, there.special_ids())
    };
    let mut found = Vec::new();
    let each = |_, targets| {
        found.push(targets);
        ControlFlow::Continue(())
    };
    let noticed = generate(&*there, &Pool::new(1), sources, &lookup(4), each).unwrap();
    assert!(noticed.steps.tokens_a_step() > 1.5, "{:?}", noticed.steps);
    assert_eq!(device.counts().rows, 0);
    same("lookup", &found, &targets(&*there, sources, &lookup(0)));
}

/// Requests of all kinds side by side in one session, each with what it gets alone.
#[test]
fn kinds_of_search_go_side_by_side() {
    let Some(device) = emulated::device() else { return };
    let (_, golden) = open("mt5");
    let source = sequences(&golden["sources"])[1].clone();
    let there = moved(with_equals("mt5"), &device);
    let modes = modes(&*there);
    let mut session = Session::new(&*there, SessionLimits { requests: 5, ..SessionLimits::default() });
    let ids: Vec<_> = modes
        .iter()
        .map(|(_, _, options)| {
            session.admit(Request::new(source.clone(), Arc::new(options.clone()))).unwrap()
        })
        .collect();
    let mut outputs = vec![Vec::new(); modes.len()];
    while !session.is_empty() {
        for event in session.step(&Pool::new(1)) {
            if let Event::Finished { request, targets, .. } = event {
                outputs[ids.iter().position(|&id| id == request).unwrap()] = targets;
            }
        }
    }
    for ((mode, _, options), got) in modes.iter().zip(&outputs) {
        let alone = targets(&*there, std::slice::from_ref(&source), options);
        same(mode, std::slice::from_ref(got), &alone);
    }
}
