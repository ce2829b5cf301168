//! Generating as a session: requests come when they come, go when they are finished, and share every step meanwhile.

use std::collections::VecDeque;
use std::ops::{AddAssign, Sub};
use std::sync::Arc;

use t5kit_model::{Architecture, Cache, Seq2Seq};
use t5kit_tensor::ops::{self, LogitsRow};
use t5kit_tensor::{Graph, Packed, Pool, Regime, Tensor};

use crate::lookup::{Acceptance, Cost, worthwhile};
use crate::processors::LogitsProcessor;
use crate::search::{Look, Next, Parent, Prepared, Search};
use crate::{Error, Event, GenerateOptions, Request, RequestId};

/// Source tokens that are encoded together, at most, where there is more than one source: enough for the weights to
/// pass by unnoticed, few enough for the activations to be small beside what the decoder holds.
pub(crate) const ENCODED_TOGETHER: usize = 1024;

/// How much a session works on at a time. A request larger than that is worked on alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Requests, at most.
    pub requests: usize,
    /// Hypotheses of all of them, at most. Tokens that lookup decoding tries take the room that hypotheses leave, so that
    /// no step is fed more.
    pub hypotheses: usize,
    /// Tokens of their sources, at most.
    pub tokens: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits { requests: 64, hypotheses: 64, tokens: 8192 }
    }
}

/// Requests on their way through a model, of any kinds side by side.
///
/// Every [step](Session::step) continues all hypotheses by one token, or where tokens that were looked up are right
/// ([`GenerateOptions::prompt_lookup_num_tokens`]) by several. A request that is finished or
/// [cancelled](Session::cancel) frees its rows at once, and one that waits takes their place between steps. What a
/// request gets does not depend on its company, to the bit.
///
/// A session holds no threads: each step is given some, and other steps may be given others.
pub struct Session<'m> {
    model: &'m dyn Seq2Seq,
    limits: SessionLimits,
    cache: Cache,
    /// Their rows stand in this order.
    active: Vec<Active>,
    waiting: VecDeque<Admitted>,
    next: u64,
    /// Tokens that a source and its target may have together, where the model's positions end.
    most_tokens: Option<usize>,
    /// The options of the last request, made ready.
    prepared: Option<Arc<Prepared>>,
    /// How often what was looked up was right.
    acceptance: Acceptance,
    cost: Cost,
    steps: Steps,
}

/// How many steps something took, and what they were good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Passes through the decoder.
    pub steps: u64,
    /// Hypotheses that they continued, each step's added up.
    pub continued: u64,
    /// Tokens by which they did, of all hypotheses.
    pub tokens: u64,
    /// Tokens that were looked up and tried.
    pub proposed: u64,
}

impl Steps {
    /// Tokens that a hypothesis is continued by in a step, on average: 1 without lookup.
    pub fn tokens_a_step(&self) -> f64 {
        self.tokens as f64 / self.continued.max(1) as f64
    }

    /// The share of what was tried that made a step unnecessary.
    pub fn accepted(&self) -> f64 {
        self.tokens.saturating_sub(self.continued) as f64 / self.proposed.max(1) as f64
    }
}

/// Those since then.
impl Sub for Steps {
    type Output = Steps;

    fn sub(self, then: Steps) -> Steps {
        Steps {
            steps: self.steps - then.steps,
            continued: self.continued - then.continued,
            tokens: self.tokens - then.tokens,
            proposed: self.proposed - then.proposed,
        }
    }
}

impl AddAssign for Steps {
    fn add_assign(&mut self, other: Steps) {
        self.steps += other.steps;
        self.continued += other.continued;
        self.tokens += other.tokens;
        self.proposed += other.proposed;
    }
}

/// A request that has been looked at.
struct Admitted {
    id: RequestId,
    prepared: Arc<Prepared>,
    request: Request,
}

/// A request with rows.
struct Active {
    id: RequestId,
    prepared: Arc<Prepared>,
    processors: Vec<Arc<dyn LogitsProcessor>>,
    source: Vec<u32>,
    /// How many of the given ids its row has been fed; the last one is left to the search.
    fed: usize,
    rows: usize,
    search: Search,
    wanted_sentinel: bool,
}

impl Active {
    /// Whether its rows wait for the logits of the next step, not merely for the rest of what they are given.
    fn chooses(&self) -> bool {
        self.fed + 1 == self.prepared.given().len()
    }
}

impl<'m> Session<'m> {
    /// A session with nothing to do.
    pub fn new(model: &'m dyn Seq2Seq, limits: SessionLimits) -> Self {
        let cache = model.cache();
        let (active, waiting) = (Vec::new(), VecDeque::new());
        let most_tokens = model.config().most_tokens();
        Session {
            model,
            limits,
            cache,
            active,
            waiting,
            next: 0,
            most_tokens,
            prepared: None,
            acceptance: Acceptance::expected(),
            cost: Cost::of(model.params().get(model.softmax().weight).dtype()),
            steps: Steps::default(),
        }
    }

    /// Takes in a request, which begins as soon as there is room.
    ///
    /// # Errors
    /// Everything that can be wrong with it: an empty source, an id without a row, impossible options.
    pub fn admit(&mut self, request: Request) -> Result<RequestId, Error> {
        self.check_source(&request.source, request.number)?;
        let prepared = self.prepare_for(&request)?;
        let id = RequestId(self.next);
        self.next += 1;
        self.waiting.push_back(Admitted { id, prepared, request });
        Ok(id)
    }

    /// Whether a request with these options could be admitted.
    pub(crate) fn check_options(&mut self, options: &Arc<GenerateOptions>) -> Result<(), Error> {
        self.prepare(options).map(|_| ())
    }

    /// Whether a request could be.
    pub(crate) fn check(&mut self, request: &Request) -> Result<(), Error> {
        self.check_source(&request.source, request.number)?;
        match request.options.labels() {
            Some(_) => self.prepare_for(request).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Whether one with this source could.
    fn check_source(&self, source: &[u32], number: u64) -> Result<(), Error> {
        let checked = Packed::new([source]).and_then(|packed| packed.check_ids(self.model.rows()));
        let index = number as usize + 1;
        checked.map_err(|source| Error::Sequence { what: "source", index, source })?;
        match self.most_tokens {
            Some(most) if source.len() >= most => Err(Error::Positions { index, tokens: source.len(), most }),
            _ => Ok(()),
        }
    }

    /// The options of a request, with fewer new tokens where positions end before.
    fn prepare_for(&mut self, request: &Request) -> Result<Arc<Prepared>, Error> {
        let prepared = self.prepare(&request.options)?;
        let given = prepared.given().len() - 1 + request.source.len();
        let Some(room) = self.most_tokens.map(|most| most.saturating_sub(given).max(1)) else {
            return Ok(prepared);
        };
        if let (true, Some(most)) = (room < prepared.needs(), self.most_tokens) {
            let (index, tokens) = (request.number as usize + 1, request.source.len());
            return Err(Error::Positions { index, tokens, most });
        }
        if request.options.max_new_tokens <= room {
            return Ok(prepared);
        }
        let options = GenerateOptions {
            max_new_tokens: room,
            min_new_tokens: request.options.min_new_tokens.min(room),
            ..(*request.options).clone()
        };
        Ok(Arc::new(Prepared::new(Arc::new(options), self.model.rows())?))
    }

    fn prepare(&mut self, options: &Arc<GenerateOptions>) -> Result<Arc<Prepared>, Error> {
        match &self.prepared {
            Some(prepared) if Arc::ptr_eq(&prepared.options, options) => Ok(prepared.clone()),
            _ => {
                let prepared = Arc::new(Prepared::new(options.clone(), self.model.rows())?);
                self.prepared = Some(prepared.clone());
                Ok(prepared)
            }
        }
    }

    /// Forgets a request; `false` where it is not there any more.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        if let Some(at) = self.waiting.iter().position(|waiting| waiting.id == request) {
            self.waiting.remove(at);
            return true;
        }
        let Some(at) = self.active.iter().position(|active| active.id == request) else { return false };
        let first: usize = self.active[..at].iter().map(|active| active.rows).sum();
        let gone = first..first + self.active[at].rows;
        let stay: Vec<usize> = (0..self.cache.slots()).filter(|row| !gone.contains(row)).collect();
        self.cache.select(&stay);
        self.active.remove(at);
        true
    }

    /// Requests that are not finished.
    pub fn len(&self) -> usize {
        self.active.len() + self.waiting.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.waiting.is_empty()
    }

    /// What its steps were so far.
    pub fn steps(&self) -> Steps {
        self.steps
    }

    /// Lets waiting requests take the room that there is, and continues every hypothesis, by one token at least.
    pub fn step(&mut self, pool: &Pool) -> Vec<Event> {
        self.begin_waiting(pool);
        if self.active.is_empty() {
            return Vec::new();
        }
        self.propose();
        let mut slots = Vec::with_capacity(self.cache.slots());
        for active in &self.active {
            match active.chooses() {
                true => active.search.fed(&mut slots),
                false => slots.push(&active.prepared.given()[active.fed..][..1]),
            }
        }
        let fed = Packed::new(slots).expect("every slot is fed something");
        self.steps.steps += 1;
        let certain: usize = self.active.iter().filter(|a| a.chooses()).map(|a| a.search.ahead()).sum();
        self.steps.proposed += (fed.tokens() - fed.len() - certain) as u64;
        let mut graph = Graph::inference(self.model.params(), pool, Regime::Steps);
        let hidden = self.model.step(&mut graph, &fed, &mut self.cache);
        self.look(&graph, hidden, &fed);
        self.go_on()
    }

    /// Looks up what may come next, where that is asked for, and proposes as much of it as pays.
    fn propose(&mut self) {
        let mut chances = Vec::new();
        for active in self.active.iter_mut().filter(|active| active.chooses()) {
            active.search.guess(&active.prepared, &active.source, &self.acceptance, &mut chances);
        }
        if chances.is_empty() {
            return;
        }
        let rows = self.cache.slots();
        let room = self.limits.hypotheses.saturating_sub(rows);
        let mut counts = worthwhile(&chances, self.cost, rows, room).into_iter();
        for active in self.active.iter_mut().filter(|active| active.chooses()) {
            active.search.propose(&active.prepared, &mut counts);
        }
    }

    /// Shows the searches the logits behind each of the tokens that their rows were fed.
    fn look(&mut self, graph: &Graph<'_>, hidden: Tensor, fed: &Packed) {
        // Whose each row of the logits is: the request, which of its rows, and behind how many proposals.
        let mut owners = Vec::with_capacity(hidden.rows());
        let mut rows = Vec::with_capacity(hidden.rows());
        // How many each request has.
        let mut counts = Vec::with_capacity(self.active.len());
        let mut first = 0;
        for (index, active) in self.active.iter().enumerate() {
            let before = rows.len();
            if active.chooses() {
                for row in 0..active.rows {
                    let tokens = fed.range(first + row);
                    owners.extend((0..tokens.len()).map(|ahead| (index, (row, ahead))));
                    rows.extend(tokens);
                }
            }
            counts.push(rows.len() - before);
            first += active.rows;
        }
        if rows.is_empty() {
            return;
        }
        let hidden = if rows.len() < hidden.rows() { ops::gather_rows(&hidden, &rows) } else { hidden };
        let turns = |&row: &usize| self.active[owners[row].0].search.turns();
        let most = (0..rows.len()).map(|row| turns(&row)).max().unwrap_or(0);
        // Those that are looked at once, and those whose logits are kept for the next turn.
        let (once, more): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(|row| turns(row) == 1);
        let of = |some: &[usize]| match some.len() == rows.len() {
            true => hidden.clone(),
            false => ops::gather_rows(&hidden, some),
        };
        let softmax = self.model.softmax();
        let mut kept = (!more.is_empty()).then(|| ops::logits(graph, &of(&more), softmax));
        for turn in 0..most {
            let active = &self.active;
            let interest = |row: usize| {
                let (index, row) = owners[row];
                let Active { search, prepared, processors, .. } = &active[index];
                search.interest(prepared, processors, turn, row)
            };
            let look = |row: usize, logits: &mut LogitsRow<'_>| {
                let (index, row) = owners[row];
                let Active { search, prepared, processors, .. } = &active[index];
                search.look(prepared, processors, turn, row, logits)
            };
            let mut looks: Vec<Option<Look>> = (0..rows.len()).map(|_| None).collect();
            if turn == 0 && !once.is_empty() {
                let found = ops::choose(
                    graph,
                    &of(&once),
                    softmax,
                    |at| interest(once[at]),
                    |at, row| look(once[at], row),
                );
                once.iter().zip(found).for_each(|(&row, found)| looks[row] = found);
            }
            if let Some(logits) = &mut kept {
                let found =
                    ops::choose_rows(graph, logits, |at| interest(more[at]), |at, row| look(more[at], row));
                more.iter().zip(found).for_each(|(&row, found)| looks[row] = found);
            }
            let mut looks = looks.into_iter();
            let choosing = |(active, _): &(&mut Active, &usize)| active.chooses();
            for (active, &count) in self.active.iter_mut().zip(&counts).filter(choosing) {
                let looks: Vec<Option<Look>> = looks.by_ref().take(count).collect();
                active.wanted_sentinel |= looks.iter().flatten().any(|look| look.wants_sentinel);
                active.search.take(&active.prepared, turn, looks);
            }
        }
    }

    /// Lets every request go on, or end.
    fn go_on(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut parents = Vec::with_capacity(self.cache.slots());
        let mut first = 0;
        self.active.retain_mut(|active| {
            let (request, rows) = (active.id, first..first + active.rows);
            first = rows.end;
            if !active.chooses() {
                active.fed += 1;
                active.rows = if active.chooses() { active.prepared.first_rows() } else { 1 };
                parents.extend(std::iter::repeat_n(rows.start, active.rows));
                return true;
            }
            let before = events.len();
            let ahead = active.search.ahead();
            let mut token = |sample, id| events.push(Event::Token { request, sample, id });
            let next = active.search.advance(&active.prepared, &mut self.acceptance, &mut token);
            self.steps.continued += rows.len() as u64;
            self.steps.tokens += match active.search {
                Search::Single(_) => events.len() - before,
                // They tell at the end.
                Search::Beam(_) => rows.len(),
                Search::Labels(_) => rows.len() + ahead,
            } as u64;
            match next {
                Next::Rows(of) => {
                    active.rows = of.len();
                    for Parent { row, rejected } in of {
                        self.cache.take_back(rows.start + row, rejected);
                        parents.push(rows.start + row);
                    }
                    true
                }
                Next::Done(targets) => {
                    let wanted_sentinel = active.wanted_sentinel;
                    events.push(Event::Finished { request, targets, wanted_sentinel });
                    false
                }
            }
        });
        self.cache.select(&parents);
        events
    }

    /// Encodes waiting requests as far as there is room. A few places alone are left empty until there are more of
    /// them, unless that is all that waits: encoding a single short source takes as long as encoding several.
    fn begin_waiting(&mut self, pool: &Pool) {
        let mut fits = Room { limits: self.limits, requests: 0, hypotheses: 0, tokens: 0 };
        for active in &self.active {
            fits.take(&active.prepared, active.source.len());
        }
        let count =
            self.waiting.iter().take_while(|w| fits.take(&w.prepared, w.request.source.len())).count();
        if count == 0 || count < self.waiting.len() && count * 8 < self.active.len() {
            return;
        }
        let begin: Vec<Admitted> = self.waiting.drain(..count).collect();
        let mut tokens = 0;
        let together = |a: &Admitted, b: &Admitted| {
            tokens += a.request.source.len();
            let fit = tokens + b.request.source.len() <= ENCODED_TOGETHER;
            tokens = if fit { tokens } else { 0 };
            fit
        };
        for part in begin.chunk_by(together) {
            let sources =
                Packed::new(part.iter().map(|w| &w.request.source)).expect("admitted ones have ids");
            let budgets: Vec<usize> = part.iter().map(|w| w.prepared.budget()).collect();
            let mut graph = Graph::inference(self.model.params(), pool, Regime::Bulk);
            self.model.start(&mut graph, &mut self.cache, &sources, &budgets);
        }
        let mut parents: Vec<usize> = (0..self.cache.slots() - count).collect();
        for (slot, Admitted { id, prepared, request }) in (parents.len()..).zip(begin) {
            let mut active = Active {
                id,
                fed: 0,
                rows: 1,
                search: Search::new(&prepared, request.number),
                wanted_sentinel: false,
                processors: request.processors,
                source: request.source,
                prepared,
            };
            if active.chooses() {
                active.rows = active.prepared.first_rows();
            }
            parents.extend(std::iter::repeat_n(slot, active.rows));
            self.active.push(active);
        }
        self.cache.select(&parents);
    }
}

/// What of a session's limits is taken.
struct Room {
    limits: SessionLimits,
    requests: usize,
    hypotheses: usize,
    tokens: usize,
}

impl Room {
    /// Takes the room of one more, if there is any; the first is always taken.
    fn take(&mut self, prepared: &Prepared, tokens: usize) -> bool {
        let first = self.requests == 0;
        let (requests, hypotheses) = (self.requests + 1, self.hypotheses + prepared.most_rows());
        let tokens = self.tokens + tokens;
        let SessionLimits { requests: r, hypotheses: h, tokens: t } = self.limits;
        let fits = first || requests <= r && hypotheses <= h && tokens <= t;
        if fits {
            (self.requests, self.hypotheses, self.tokens) = (requests, hypotheses, tokens);
        }
        fits
    }
}
