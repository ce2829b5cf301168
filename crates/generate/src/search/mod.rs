//! How a request's targets are searched for: given the logits of its rows, which tokens continue them.
//!
//! A search knows nothing of the model, the cache or the other requests. Its rows stand side by side; a step shows it
//! the logits of each (on whichever thread, [`Search::look`]) and then asks how they go on ([`Search::advance`]).

mod beam;
mod labels;
mod nbest;
mod single;

use std::sync::Arc;

use t5kit_tensor::ops::{Interest, LogitsRow};

use crate::lookup::Acceptance;
use crate::processors::{LogitsProcessor, Processors};
use crate::warpers::Warpers;
use crate::{Error, GenerateOptions, Generated};

/// Options made ready: what requests with the same ones share.
pub(crate) struct Prepared {
    pub options: Arc<GenerateOptions>,
    /// What every target is fed first: the start token and the prefix.
    given: Vec<u32>,
    processors: Processors,
    warpers: Warpers,
    rules: nbest::Rules,
}

impl Prepared {
    /// For a model with so many rows.
    ///
    /// # Errors
    /// What [`GenerateOptions::check`] finds.
    pub fn new(options: Arc<GenerateOptions>, rows: usize) -> Result<Self, Error> {
        options.check(rows)?;
        let given = [options.ids.start].iter().chain(&options.prefix).copied().collect();
        let (processors, warpers) = (Processors::new(&options, rows), Warpers::new(&options));
        let rules = nbest::Rules::new(&options);
        Ok(Prepared { options, given, processors, warpers, rules })
    }

    /// What every target is fed first; the rows of a request wait for the last of it.
    pub fn given(&self) -> &[u32] {
        &self.given
    }

    /// Rows that a request has when its first tokens are chosen.
    pub fn first_rows(&self) -> usize {
        let o = &self.options;
        if o.labels().is_some() {
            return 1;
        }
        if o.num_beams > 1 { o.num_beam_groups } else { o.num_return_sequences }
    }

    /// Rows that a request has at most.
    pub fn most_rows(&self) -> usize {
        self.options.most_rows()
    }

    /// Whether what comes next is looked up.
    pub fn looks_up(&self) -> bool {
        self.options.prompt_lookup_num_tokens > 0
    }

    /// Tokens that one text of it may have beyond what is given and must have room for: a label has all of its own.
    pub fn needs(&self) -> usize {
        self.options.labels().map_or(1, |labels| labels.longest())
    }

    /// Tokens that a request's rows are fed at most, all together.
    pub fn budget(&self) -> usize {
        if let Some(labels) = self.options.labels() {
            return self.given.len().saturating_add(labels.beginnings());
        }
        self.given.len().saturating_add(self.options.max_new_tokens).saturating_mul(self.most_rows())
    }
}

/// What a look at the logits of a row has found.
pub(crate) struct Look {
    /// Whether `first_sentinel` would have been the first token, had it been allowed.
    pub wants_sentinel: bool,
    found: Found,
}

enum Found {
    /// The token taken or drawn, `None` where none was possible, and its log-probability.
    Token(Option<u32>, f32),
    /// The best continuations: the sum of log-probabilities with each, and its id.
    Best(Vec<(f32, u32)>),
}

/// How a request goes on.
pub(crate) enum Next {
    /// Its row `i` continues what has been the row of parent `i`.
    Rows(Vec<Parent>),
    /// It is finished, with these targets, best first.
    Done(Vec<Generated>),
}

/// What a row continues.
#[derive(Clone, Copy)]
pub(crate) struct Parent {
    /// The row that it was.
    pub row: usize,
    /// How many of the tokens that it was fed, the last ones, were only proposed and are not what was chosen.
    pub rejected: usize,
}

/// The search of one request.
pub(crate) enum Search {
    /// Greedy decoding and sampling.
    Single(single::Samples),
    /// Beams and groups of beams.
    Beam(beam::Beams),
    /// Labels, which are scored.
    Labels(labels::Labels),
}

impl Search {
    /// Before the first token; `number` is the request's among all that the caller has.
    pub fn new(prepared: &Prepared, number: u64) -> Self {
        if let Some(labels) = labels::Labels::new(prepared) {
            Search::Labels(labels)
        } else if prepared.options.num_beams > 1 {
            Search::Beam(beam::Beams::new(prepared))
        } else {
            Search::Single(single::Samples::new(prepared, number))
        }
    }

    /// Looks up what may come next, where that is asked for, and adds each row's chances; `session`: what was learnt of
    /// such guesses so far.
    pub fn guess(
        &mut self,
        prepared: &Prepared,
        source: &[u32],
        session: &Acceptance,
        chances: &mut Vec<Vec<f32>>,
    ) {
        match self {
            Search::Single(search) if prepared.looks_up() => {
                search.guess(prepared, source, session, chances);
            }
            _ => {}
        }
    }

    /// Takes so many tokens of each row's guess, where there are any, for those that come next in this step.
    pub fn propose(&mut self, prepared: &Prepared, counts: &mut impl Iterator<Item = usize>) {
        match self {
            Search::Single(search) if prepared.looks_up() => search.propose(counts),
            _ => {}
        }
    }

    /// What every row is fed next: its last token, and behind it those proposed.
    pub fn fed<'s>(&'s self, rows: &mut Vec<&'s [u32]>) {
        match self {
            Search::Single(search) => search.fed(rows),
            Search::Beam(search) => search.fed(rows),
            Search::Labels(search) => search.fed(rows),
        }
    }

    /// Tokens that its rows are fed beyond their first and that are not merely proposed.
    pub fn ahead(&self) -> usize {
        match self {
            Search::Labels(search) => search.ahead(),
            Search::Single(_) | Search::Beam(_) => 0,
        }
    }

    /// In how many turns a step's rows are looked at: groups of beams see what those before them have taken.
    pub fn turns(&self) -> usize {
        match self {
            Search::Single(_) | Search::Labels(_) => 1,
            Search::Beam(search) => search.groups(),
        }
    }

    /// What [`Search::look`] will look at; `None`: at everything.
    pub fn interest(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        turn: usize,
        (row, ahead): (usize, usize),
    ) -> Option<Interest> {
        match self {
            Search::Beam(search) => search.interest(prepared, extra, turn, row),
            _ if turn > 0 => Some(Interest::default()),
            Search::Single(search) => search.interest(prepared, extra, row, ahead),
            Search::Labels(search) => Some(search.interest(row, ahead)),
        }
    }

    /// Looks at the logits of a row, which may change, if this is its turn: all that happens to them happens here.
    /// `extra` are the request's own processors; `ahead`: behind how many of its proposals these logits are.
    pub fn look(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        turn: usize,
        (row, ahead): (usize, usize),
        logits: &mut LogitsRow<'_>,
    ) -> Option<Look> {
        match self {
            Search::Single(search) => (turn == 0).then(|| search.look(prepared, extra, row, ahead, logits)),
            Search::Beam(search) => search.look(prepared, extra, turn, row, logits),
            Search::Labels(search) => (turn == 0).then(|| search.look(row, ahead, logits)),
        }
    }

    /// Takes what a turn has found, by row, and within one by token.
    pub fn take(&mut self, prepared: &Prepared, turn: usize, looks: Vec<Option<Look>>) {
        match self {
            Search::Single(search) if turn == 0 => search.take(looks),
            Search::Labels(search) if turn == 0 => search.take(looks),
            Search::Single(_) | Search::Labels(_) => {}
            Search::Beam(search) => search.take(prepared, turn, looks),
        }
    }

    /// After the last turn: how the rows go on. Tells of every token that is final, with the sample it belongs to, and
    /// `session` of what became of guesses.
    pub fn advance(
        &mut self,
        prepared: &Prepared,
        session: &mut Acceptance,
        token: &mut dyn FnMut(usize, u32),
    ) -> Next {
        match self {
            Search::Single(search) => search.advance(prepared, session, token),
            Search::Beam(search) => search.advance(prepared),
            Search::Labels(search) => search.advance(prepared),
        }
    }
}
