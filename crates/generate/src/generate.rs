//! Generating for many sources, or for one as it comes: loops over a session.

use std::ops::ControlFlow;
use std::sync::Arc;

use t5kit_model::{Seq2Seq, memory};
use t5kit_tensor::{Pool, Precision};

use crate::apart::{Claims, Line, side_by_side};
use crate::{
    Error, Event, GenerateOptions, Generated, Request, Session, SessionLimits, Steps, generation_bytes,
    most_proposed,
};

/// What a call noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Sources that are finished.
    pub sources: usize,
    /// How many of them would have begun with `first_sentinel`, had it been allowed.
    pub wanted_sentinel: usize,
    /// The steps that were taken, those of all threads.
    pub steps: Steps,
}

impl Noticed {
    /// Whether the model behaves like one that was only ever trained to fill in blanks.
    pub fn looks_untuned(&self) -> bool {
        self.sources > 0 && self.wanted_sentinel * 10 >= self.sources * 9
    }

    fn finished(&mut self, wanted_sentinel: bool) {
        self.sources += 1;
        self.wanted_sentinel += usize::from(wanted_sentinel);
    }
}

/// Generates targets for every source and hands them over as `(index, targets)`, best first, as soon as the source is
/// finished; long sources come first. `each` is called on this thread and may stop the work.
///
/// Sources are ids ending in `</s>`; an empty source, an id without a row, or impossible options are an error, before
/// anything is generated. What a source gets does not depend on the others.
///
/// Where there are enough sources each thread works on some of its own, at most [`GenerateOptions::batch_limits`] at a
/// time, and waits for nobody; the last ones are worked on by all threads together, as are few.
pub fn generate(
    model: &dyn Seq2Seq,
    pool: &Pool,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
    mut each: impl FnMut(usize, Vec<Generated>) -> ControlFlow<()>,
) -> Result<Noticed, Error> {
    let work = Work::new(model, sources, options)?;
    let mut noticed = Noticed::default();
    let mut tell = |finished: Finished| {
        noticed.finished(finished.wanted_sentinel);
        noticed.steps += finished.steps;
        each(finished.source, finished.targets)
    };
    let flow = if work.is_for_each_apart(pool.threads()) {
        work.apart(pool, &mut tell)
    } else {
        let mut share = Share::new(&work);
        (0..sources.len()).for_each(|place| share.admit(place));
        share.finish(pool, &mut tell)
    };
    // Whether it was stopped, the caller knows.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) = flow;
    Ok(noticed)
}

/// Rows of a step from which a thread is as quick by itself as with its part of everybody's: below, it is the weights
/// passing by that take the time, and they pass by once for all.
const ROWS_APART: usize = 16;

/// What a call is asked for.
struct Work<'w> {
    model: &'w dyn Seq2Seq,
    sources: &'w [Vec<u32>],
    options: Arc<GenerateOptions>,
    limits: SessionLimits,
    /// Numbers of the sources, the longest first.
    order: Vec<usize>,
    /// Rows that a source has at most.
    rows_of_one: usize,
}

/// A source that is finished.
struct Finished {
    source: usize,
    targets: Vec<Generated>,
    wanted_sentinel: bool,
    /// Those that its session has taken since it told of the last one.
    steps: Steps,
}

impl<'w> Work<'w> {
    /// Checks everything.
    fn new(
        model: &'w dyn Seq2Seq,
        sources: &'w [Vec<u32>],
        options: &GenerateOptions,
    ) -> Result<Self, Error> {
        let limits = options.batch_limits();
        let (requests, tokens) = (limits.sequences, limits.tokens);
        // As many hypotheses as the requests have, and what is proposed beside them.
        let all = requests.saturating_mul(options.most_rows());
        let hypotheses = all.saturating_add(most_proposed(options.prompt_lookup_num_tokens, all));
        let limits = SessionLimits { requests, hypotheses, tokens };
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(sources[i].len()));
        let rows_of_one = options.most_rows();
        let options = Arc::new(options.clone());
        let work = Work { model, sources, options, limits, order, rows_of_one };
        let mut session = Session::new(model, limits);
        session.check_options(&work.options)?;
        (0..sources.len()).try_for_each(|i| session.check(&work.request(i)))?;
        Ok(work)
    }

    /// Whether so many threads have enough to do each by itself, and the memory that it takes is there.
    fn is_for_each_apart(&self, threads: usize) -> bool {
        let rows = self.rows_of_one.saturating_mul(self.sources.len());
        // Where everything goes through one device, it is the threads' sources together that keep it busy.
        if self.model.params().device().is_some() {
            return false;
        }
        if threads < 2 || self.sources.len() < 2 * threads || rows < threads * ROWS_APART {
            return false;
        }
        let work = memory::Work {
            sequences: self.limits.requests.min(self.sources.len() / threads),
            source_tokens: self.order.first().map_or(0, |&longest| self.sources[longest].len()),
            target_tokens: self.options.max_new_tokens.saturating_add(self.options.prefix.len() + 1),
            kept: self.model.kept(Precision::Stored).size() as u64,
        };
        let hypotheses = work.sequences.saturating_mul(self.rows_of_one);
        let proposed = most_proposed(self.options.prompt_lookup_num_tokens, hypotheses);
        let needed = generation_bytes(&self.model.widths(), work, self.rows_of_one, proposed, threads);
        memory::available_bytes().is_none_or(|available| needed <= available)
    }

    fn request(&self, source: usize) -> Request {
        let request = Request::new(self.sources[source].clone(), self.options.clone());
        Request { number: self.options.first_source + source as u64, ..request }
    }

    /// Every thread by itself, as long as there is enough for all.
    fn apart(&self, pool: &Pool, tell: &mut dyn FnMut(Finished) -> ControlFlow<()>) -> ControlFlow<()> {
        let (workers, most) = (pool.threads(), self.limits.requests);
        let claims = Claims::new(self.sources.len(), workers, most);
        let work = |worker: usize, line: Line<'_, Finished>| {
            let (pool, mut share) = (Pool::new(1), Share::new(self));
            claims.first(worker).for_each(|place| share.admit(place));
            loop {
                let room = most.saturating_sub(share.session.len());
                if room >= most / 8 {
                    claims.more(room).for_each(|place| share.admit(place));
                }
                if share.session.is_empty() {
                    claims.end();
                    return None;
                }
                if claims.is_over() {
                    return Some(share);
                }
                if line.is_stopped() || share.step(&pool, &mut |finished| line.tell(finished)).is_break() {
                    return None;
                }
            }
        };
        for mut share in side_by_side(workers, work, tell)?.into_iter().flatten() {
            share.finish(pool, tell)?;
        }
        ControlFlow::Continue(())
    }
}

/// The sources of one session.
struct Share<'w> {
    work: &'w Work<'w>,
    session: Session<'w>,
    /// The source of each request.
    sources: Vec<usize>,
    /// Steps that were told of.
    told: Steps,
}

impl<'w> Share<'w> {
    fn new(work: &'w Work<'w>) -> Self {
        Share {
            work,
            session: Session::new(work.model, work.limits),
            sources: Vec::new(),
            told: Steps::default(),
        }
    }

    /// Takes the source at this place of the order.
    fn admit(&mut self, place: usize) {
        let source = self.work.order[place];
        let id = self.session.admit(self.work.request(source));
        assert_eq!(id.expect("checked before").0 as usize, self.sources.len(), "requests are counted");
        self.sources.push(source);
    }

    fn step(&mut self, pool: &Pool, tell: &mut dyn FnMut(Finished) -> ControlFlow<()>) -> ControlFlow<()> {
        for event in self.session.step(pool) {
            if let Event::Finished { request, targets, wanted_sentinel } = event {
                let source = self.sources[request.0 as usize];
                let steps = self.session.steps() - std::mem::replace(&mut self.told, self.session.steps());
                tell(Finished { source, targets, wanted_sentinel, steps })?;
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self, pool: &Pool, tell: &mut dyn FnMut(Finished) -> ControlFlow<()>) -> ControlFlow<()> {
        while !self.session.is_empty() {
            self.step(pool, tell)?;
        }
        ControlFlow::Continue(())
    }
}

/// Generates one target token by token: each id is handed over as soon as it is chosen. For greedy decoding and
/// sampling; beam search knows its first token only at the end.
pub fn generate_stream(
    model: &dyn Seq2Seq,
    pool: &Pool,
    source: &[u32],
    options: &GenerateOptions,
    mut each: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<(Generated, Noticed), Error> {
    if options.num_beams > 1 || options.num_return_sequences > 1 || options.labels().is_some() {
        return Err(Error::Options("only a single greedy or sampled target can be streamed".into()));
    }
    let mut session = Session::new(model, SessionLimits::default());
    let request = Request::new(source.to_vec(), Arc::new(options.clone()));
    session.admit(Request { number: options.first_source, ..request })?;
    let (mut target, mut noticed) = (Generated::default(), Noticed::default());
    while !session.is_empty() {
        for event in session.step(pool) {
            match event {
                Event::Token { id, .. } => {
                    if each(id).is_break() {
                        noticed.steps = session.steps();
                        return Ok((target, noticed));
                    }
                }
                Event::Finished { mut targets, wanted_sentinel, .. } => {
                    noticed.finished(wanted_sentinel);
                    noticed.steps = session.steps();
                    target = targets.pop().unwrap_or_default();
                }
            }
        }
    }
    Ok((target, noticed))
}
