//! Lookup decoding: the same targets in fewer steps, whatever the model, the storage type and the batch.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::lab::{COUNTING, ROWS, STRIDE, counting, model_of, runs, sources};
use common::run;
use t5kit_generate::{
    BatchLimits, Event, GenerateOptions, Request, Session, SessionLimits, Steps, generate, generate_stream,
};
use t5kit_model::{Seq2Seq, T5};
use t5kit_tensor::{DType, Pool};

fn options(model: &dyn Seq2Seq, lookup: usize) -> GenerateOptions {
    GenerateOptions {
        max_new_tokens: 30,
        scores: true,
        prompt_lookup_num_tokens: lookup,
        ..GenerateOptions::new(ROWS - 12, model.special_ids())
    }
}

fn steps(model: &dyn Seq2Seq, threads: usize, sources: &[Vec<u32>], options: &GenerateOptions) -> Steps {
    let go_on = |_, _| ControlFlow::Continue(());
    generate(model, &Pool::new(threads), sources, options, go_on).unwrap().steps
}

/// Ids, scores and all: looked up or not, right or wrong, alone and in batches.
#[test]
fn targets_are_those_without_lookup_bit_for_bit() {
    for (kind, dtype) in COUNTING {
        let model = counting(kind, dtype);
        let plain = options(&*model, 0);
        let want = run(&*model, 1, &runs(), &plain);
        let copied = &runs()[..4];
        let without = steps(&*model, 1, copied, &plain);
        assert_eq!((without.tokens, without.proposed), (without.continued, 0));
        for lookup in [1, 3, 8, usize::MAX] {
            for (threads, sequences) in [(1, 1), (2, 1), (2, 4), (1, 100)] {
                let limits = Some(BatchLimits { sequences, tokens: 8192 });
                let looking = GenerateOptions { limits, ..options(&*model, lookup) };
                let name =
                    format!("{kind}, {dtype:?}, {lookup} in batches of {sequences}, {threads} threads");
                assert_eq!(run(&*model, threads, &runs(), &looking), want, "{name}");
                let steps = steps(&*model, threads, copied, &looking);
                println!("{name}: {:.2} a step, {:.2} right", steps.tokens_a_step(), steps.accepted());
                assert_eq!(steps.tokens, without.tokens, "{name}");
                if sequences == 1 && lookup > 1 {
                    let (a_step, accepted) = (steps.tokens_a_step(), steps.accepted());
                    assert!(a_step > 1.2, "{name}: {a_step} tokens a step");
                    assert!(accepted > 0.3 && accepted < 1.0, "{name}: {accepted} of what is tried is right");
                }
            }
        }
    }
}

/// What a model says that never copies: not much is tried in vain, and in a batch nothing.
#[test]
fn lookup_that_does_not_pay_is_off() {
    for kind in ["t5", "bert"] {
        let model = model_of(kind);
        let many: Vec<Vec<u32>> = sources().into_iter().cycle().take(60).collect();
        // No token twice, and none of the source by chance alone.
        let looking = |sequences| GenerateOptions {
            no_repeat_ngram_size: 1,
            limits: Some(BatchLimits { sequences, tokens: 8192 }),
            ..options(&*model, 8)
        };
        let (alone, together) =
            (steps(&*model, 1, &many, &looking(1)), steps(&*model, 1, &many, &looking(60)));
        println!("{kind}: {alone:?} {together:?}");
        assert!(alone.proposed * 4 < alone.continued, "{kind}: {alone:?}");
        assert!(together.proposed * 50 < together.continued, "{kind}: {together:?}");
        assert_eq!(alone.tokens, together.tokens);
    }
}

/// A model that does nothing but count: after its first token, all that the source has comes in two steps.
#[test]
fn what_is_certain_comes_at_once() {
    let mut model = counting("t5", DType::F32);
    let softmax = model.softmax().weight;
    let params = model.params_mut();
    // The embedding is what says it, and nothing else.
    let words = params.get(params.id("shared.weight").unwrap()).to_tensor();
    let width = words.cols();
    let before = |id: usize| if id == 1 { Some(60) } else { id.checked_sub(STRIDE as usize) };
    let exact =
        params.get(softmax).map(|at, _| before(at / width).map_or(0.0, |id| words.row(id)[at % width]));
    *params.get_mut(softmax) = exact;
    let added: Vec<_> = params
        .iter()
        .filter(|(_, name, _)| name.ends_with(".o.weight") || name.ends_with("wo.weight"))
        .map(|(id, ..)| id)
        .collect();
    for id in added {
        *params.get_mut(id) = params.get(id).map(|_, _| 0.0);
    }
    let source = &runs()[0];
    let plain = run(&*model, 1, std::slice::from_ref(source), &options(&*model, 0));
    assert_eq!(&plain[0][0].ids, source, "it copies");
    let counted = |lookup, max_new_tokens| {
        let options = GenerateOptions { max_new_tokens, ..options(&*model, lookup) };
        let steps = steps(&*model, 1, std::slice::from_ref(source), &options);
        assert_eq!(
            run(&*model, 1, std::slice::from_ref(source), &options)[0][0].ids,
            source[..max_new_tokens.min(13)]
        );
        steps
    };
    assert_eq!(counted(0, 30).steps, 13);
    let few = counted(20, 30);
    assert!(few.steps <= 6, "{few:?}");
    assert!(few.accepted() >= 0.9, "{few:?}");
    // Never more than may be said, and all of it is right.
    for most in 1..13 {
        let steps = counted(20, most);
        assert_eq!((steps.tokens, steps.continued + steps.proposed), (most as u64, most as u64), "{most}");
    }
}

/// A step is never fed more than the limit, and what is proposed takes only what hypotheses leave.
#[test]
fn proposals_take_the_room_that_is_left() {
    let model = counting("t5", DType::F32);
    let plain = run(&*model, 1, &runs(), &options(&*model, 0));
    let looking = Arc::new(options(&*model, 8));
    let proposed = |hypotheses: usize| {
        let limits = SessionLimits { requests: 2, hypotheses, tokens: 8192 };
        let (pool, mut session) = (Pool::new(1), Session::new(&*model, limits));
        for source in runs() {
            session.admit(Request::new(source, looking.clone())).unwrap();
        }
        let mut before = Steps::default();
        while !session.is_empty() {
            for event in session.step(&pool) {
                if let Event::Finished { targets, .. } = event {
                    assert!(plain.contains(&targets));
                }
            }
            let now = session.steps();
            let step = now - before;
            assert!(step.continued + step.proposed <= hypotheses as u64, "{step:?}");
            before = now;
        }
        before.proposed
    };
    assert_eq!(proposed(1), 0);
    let [some, more] = [3, 64].map(proposed);
    assert!(some > 0 && more > some, "{some} {more}");
}

/// Tokens are handed over one by one all the same, and a caller may stop in the midst of a step.
#[test]
fn streams_say_the_same() {
    let model = counting("bert", DType::F32);
    let (pool, source) = (Pool::new(1), &runs()[1]);
    let stream = |lookup: usize, most: usize| {
        let mut ids = Vec::new();
        let each = |id| {
            ids.push(id);
            if ids.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let (target, noticed) =
            generate_stream(&*model, &pool, source, &options(&*model, lookup), each).unwrap();
        (ids, target, noticed.steps)
    };
    let (plain, target, without) = stream(0, 99);
    let (ids, looked_up, with) = stream(8, 99);
    assert_eq!((&ids, &looked_up), (&plain, &target));
    assert!(with.steps < without.steps, "{with:?} {without:?}");
    assert_eq!(stream(8, 4).0, plain[..4]);
}

/// Greedy decoding by another name.
#[test]
fn nothing_is_drawn_at_temperature_0() {
    let model: T5 = common::lab::model();
    let greedy = run(&model, 1, &sources(), &options(&model, 0));
    let cold = GenerateOptions { do_sample: true, temperature: 0.0, top_k: 40, ..options(&model, 4) };
    assert_eq!(run(&model, 2, &sources(), &cold), greedy);
    let twice = GenerateOptions { num_return_sequences: 2, ..cold };
    for (twice, greedy) in run(&model, 2, &sources(), &twice).iter().zip(&greedy) {
        assert!(twice.len() == 2 && twice.iter().all(|target| target.ids == greedy[0].ids));
    }
}
