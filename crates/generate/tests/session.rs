//! What a session promises: a request gets what it gets alone, whatever its company; one that goes makes room.

mod common;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use common::lab::{COUNTING, KINDS, ROWS, counting, model, model_of, modes, runs, sources};
use common::run;
use proptest::prelude::*;
use t5kit_generate::{Error, Event, GenerateOptions, Generated, Request, RequestId, Session, SessionLimits};
use t5kit_model::{Model, Seq2Seq, SpecialIds};
use t5kit_tensor::Pool;

/// A model and every kind of search with it, short and long, with scores and without: of a T5, some look at the source's
/// features, some at keys. Those that can look up do so too.
struct Lab {
    name: String,
    model: Model,
    sources: Vec<Vec<u32>>,
    kinds: Vec<Arc<GenerateOptions>>,
    /// What a source gets alone, by its place and kind, once somebody has asked.
    alone: Vec<Vec<OnceLock<Vec<Generated>>>>,
}

/// All kinds of model, with random weights, and of each storage type some that copy.
static LABS: LazyLock<Vec<Lab>> = LazyLock::new(|| {
    let mut labs: Vec<Lab> =
        KINDS.iter().map(|kind| Lab::new(kind.to_string(), model_of(kind), sources())).collect();
    let counts =
        |(kind, dtype)| Lab::new(format!("{kind} that copies, {dtype:?}"), counting(kind, dtype), runs());
    labs.extend(COUNTING.map(counts));
    labs
});

impl Lab {
    fn new(name: String, model: Model, sources: Vec<Vec<u32>>) -> Self {
        let mut kinds = Vec::new();
        for (_, options) in modes(&model.special_ids()) {
            let single = options.num_beams == 1;
            if single {
                // Where tokens would be drawn, at temperature 0.
                let temperature = if options.draws() { 0.0 } else { options.temperature };
                let looking = |prompt_lookup_num_tokens, max_new_tokens, scores| GenerateOptions {
                    temperature,
                    prompt_lookup_num_tokens,
                    max_new_tokens,
                    scores,
                    ..options.clone()
                };
                kinds.extend(
                    [looking(3, 20, true), looking(10, 12, true), looking(1, 12, false)].map(Arc::new),
                );
            }
            kinds.push(Arc::new(GenerateOptions { max_new_tokens: 3, scores: false, ..options.clone() }));
            kinds.push(Arc::new(GenerateOptions { max_new_tokens: 20, ..options.clone() }));
            kinds.push(Arc::new(options));
        }
        let alone = vec![vec![OnceLock::new(); kinds.len()]; sources.len()];
        Lab { name, model, sources, kinds, alone }
    }

    /// The result that the `source`-th source gets alone and without lookup by the `kind`-th kind of search.
    fn alone(&self, source: usize, kind: usize) -> &Vec<Generated> {
        self.alone[source][kind].get_or_init(|| {
            let options = GenerateOptions {
                first_source: source as u64,
                prompt_lookup_num_tokens: 0,
                ..(*self.kinds[kind]).clone()
            };
            run(&*self.model, 1, &self.sources[source..][..1], &options).swap_remove(0)
        })
    }
}

/// What happens to a session.
#[derive(Clone, Debug)]
enum Act {
    Admit {
        source: usize,
        kind: usize,
    },
    Step {
        threads: usize,
    },
    /// Cancels the so many-th of those that were ever admitted.
    Cancel(usize),
}

/// Three of each mode, and three more of those without beams.
const KINDS_OF_SEARCH: usize = 3 * 8 + 3 * 4;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let admit = (0usize..10, 0usize..KINDS_OF_SEARCH).prop_map(|(source, kind)| Act::Admit { source, kind });
    let step = (1usize..3).prop_map(|threads| Act::Step { threads });
    let cancel = (0usize..40).prop_map(Act::Cancel);
    proptest::collection::vec(prop_oneof![4 => admit, 5 => step, 1 => cancel], 1..60)
}

proptest! {
    // Fewer where PROPTEST_CASES says so, as under emulation.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(192), ..ProptestConfig::default() })]

    #[test]
    fn a_request_gets_what_it_gets_alone(
        lab in 0..KINDS.len() + COUNTING.len(), acts in acts(), requests in 1usize..12, hypotheses in 1usize..30,
    ) {
        let lab = &LABS[lab];
        let Lab { name, model, sources, kinds, .. } = lab;
        prop_assert_eq!((kinds.len(), sources.len()), (KINDS_OF_SEARCH, 10));
        let pools = [Pool::new(1), Pool::new(2)];
        let mut session = Session::new(&**model, SessionLimits { requests, hypotheses, tokens: 150 });
        let mut admitted: Vec<(RequestId, usize, usize)> = Vec::new();
        let mut open: HashMap<RequestId, (usize, usize)> = HashMap::new();
        let mut told: HashMap<(RequestId, usize), Vec<u32>> = HashMap::new();
        let mut acts = acts.into_iter();
        loop {
            match acts.next() {
                Some(Act::Admit { source, kind }) => {
                    let request = Request::new(sources[source].clone(), kinds[kind].clone());
                    let id = session.admit(Request { number: source as u64, ..request }).unwrap();
                    admitted.push((id, source, kind));
                    open.insert(id, (source, kind));
                }
                Some(Act::Cancel(which)) => {
                    if let Some(&(id, ..)) = admitted.get(which) {
                        prop_assert_eq!(session.cancel(id), open.remove(&id).is_some());
                    }
                }
                None if session.is_empty() => break,
                act => {
                    let threads = if let Some(Act::Step { threads }) = act { threads } else { 2 };
                    for event in session.step(&pools[threads - 1]) {
                        match event {
                            Event::Token { request, sample, id } => {
                                prop_assert!(open.contains_key(&request));
                                told.entry((request, sample)).or_default().push(id);
                            }
                            Event::Finished { request, targets, .. } => {
                                let (source, kind) = open.remove(&request).expect("finished once");
                                prop_assert_eq!(&targets, lab.alone(source, kind), "{}, source {}, kind {}", name, source, kind);
                                if kinds[kind].num_beams == 1 {
                                    for (sample, target) in targets.iter().enumerate() {
                                        let new = &target.ids[kinds[kind].prefix.len()..];
                                        prop_assert_eq!(new, &told[&(request, sample)][..]);
                                    }
                                }
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(session.len(), open.len());
        }
        prop_assert!(open.is_empty());
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said_when_it_comes() {
    let model = model();
    let mut session = Session::new(&model, SessionLimits::default());
    let plain = || GenerateOptions::new(ROWS, SpecialIds::default());
    let mut said = |source: &[u32], options: GenerateOptions| {
        let request = Request { number: 6, ..Request::new(source.to_vec(), Arc::new(options)) };
        session.admit(request).unwrap_err().to_string()
    };
    assert!(said(&[], plain()).contains("source 7"));
    assert!(said(&[5, 400, 1], plain()).contains("id 400"));
    assert!(said(&[5, 1], GenerateOptions { num_beams: 0, ..plain() }).contains("num_beams"));
    assert!(said(&[5, 1], GenerateOptions { prefix: vec![400], ..plain() }).contains("prefix"));
    let ids = SpecialIds { start: 400, ..model.special_ids() };
    let error = said(&[5, 1], GenerateOptions { ids, ..plain() });
    assert!(error.contains("decoder_start_token_id: 400"), "{error}");
    assert!(session.is_empty() && session.step(&Pool::new(1)).is_empty());
    assert!(matches!(session.admit(Request::new(vec![], Arc::new(plain()))), Err(Error::Sequence { .. })));
}

/// A session may go from thread to thread between steps.
#[test]
fn a_session_can_be_sent() {
    let Lab { model, sources, kinds, .. } = &LABS[0];
    let mut session = Session::new(&**model, SessionLimits::default());
    session.admit(Request::new(sources[0].clone(), kinds[0].clone())).unwrap();
    session.step(&Pool::new(1));
    let finished = std::thread::scope(|scope| {
        let rest = scope.spawn(move || {
            let pool = Pool::new(1);
            while !session.is_empty() {
                if let Some(Event::Finished { targets, .. }) = session.step(&pool).pop() {
                    return targets;
                }
            }
            Vec::new()
        });
        rest.join().unwrap()
    });
    assert_eq!(&finished, LABS[0].alone(0, 0));
}

/// Any of several ids ends a target.
#[test]
fn a_target_may_end_in_several_ways() {
    let (model, sources) = (model(), sources());
    for num_beams in [1, 3] {
        let plain = GenerateOptions {
            max_new_tokens: 12,
            num_beams,
            ..GenerateOptions::new(ROWS - 12, model.special_ids())
        };
        let usual = run(&model, 2, &sources, &plain);
        // What the first target has in its middle ends it too.
        let end = usual[0][0].ids[4];
        let ids = SpecialIds { end: vec![1, end], ..model.special_ids() };
        let shorter = run(&model, 2, &sources, &GenerateOptions { ids, ..plain });
        for target in shorter.iter().flatten() {
            assert!(target.ids.iter().rev().skip(1).all(|&id| id != 1 && id != end), "{num_beams} beams");
        }
        if num_beams == 1 {
            let until = usual[0][0].ids.iter().position(|&id| id == end).unwrap();
            assert_eq!(shorter[0][0].ids, usual[0][0].ids[..=until]);
        }
    }
}
