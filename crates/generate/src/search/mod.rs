//! How a request's targets are searched for: given the logits of its rows, which tokens continue them.
//!
//! A search knows nothing of the model, the cache or the other requests. Its rows stand side by side; a step shows it
//! the logits of each (on whichever thread, [`Search::look`]) and then asks how they go on ([`Search::advance`]).

mod beam;
mod nbest;
mod single;

use std::sync::Arc;

use t5kit_tensor::ops::LogitsRow;

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
        if o.num_beams > 1 { o.num_beam_groups } else { o.num_return_sequences }
    }

    /// Rows that a request has at most.
    pub fn most_rows(&self) -> usize {
        self.options.most_rows()
    }

    /// Tokens that a request's rows are fed at most, all together.
    pub fn budget(&self) -> usize {
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
    /// Its row `i` continues what has been its row `parents[i]`.
    Rows(Vec<usize>),
    /// It is finished, with these targets, best first.
    Done(Vec<Generated>),
}

/// The search of one request.
pub(crate) enum Search {
    /// Greedy decoding and sampling.
    Single(single::Samples),
    /// Beams and groups of beams.
    Beam(beam::Beams),
}

impl Search {
    /// Before the first token; `number` is the request's among all that the caller has.
    pub fn new(prepared: &Prepared, number: u64) -> Self {
        if prepared.options.num_beams > 1 {
            Search::Beam(beam::Beams::new(prepared))
        } else {
            Search::Single(single::Samples::new(prepared, number))
        }
    }

    /// The last id of every row: what it is fed next.
    pub fn last_ids(&self, ids: &mut Vec<u32>) {
        match self {
            Search::Single(search) => search.last_ids(ids),
            Search::Beam(search) => search.last_ids(ids),
        }
    }

    /// In how many turns a step's rows are looked at: groups of beams see what those before them have taken.
    pub fn turns(&self) -> usize {
        match self {
            Search::Single(_) => 1,
            Search::Beam(search) => search.groups(),
        }
    }

    /// Looks at the logits of a row, which may change, if this is its turn: all that happens to them happens here.
    /// `extra` are the request's own processors.
    pub fn look(
        &self,
        prepared: &Prepared,
        extra: &[Arc<dyn LogitsProcessor>],
        turn: usize,
        row: usize,
        logits: &mut LogitsRow<'_>,
    ) -> Option<Look> {
        match self {
            Search::Single(search) => (turn == 0).then(|| search.look(prepared, extra, row, logits)),
            Search::Beam(search) => search.look(prepared, extra, turn, row, logits),
        }
    }

    /// Takes what a turn has found, by row.
    pub fn take(&mut self, prepared: &Prepared, turn: usize, looks: Vec<Option<Look>>) {
        match self {
            Search::Single(search) if turn == 0 => search.take(looks),
            Search::Single(_) => {}
            Search::Beam(search) => search.take(prepared, turn, looks),
        }
    }

    /// After the last turn: how the rows go on. Tells of every token that is final, with the sample it belongs to.
    pub fn advance(&mut self, prepared: &Prepared, token: &mut dyn FnMut(usize, u32)) -> Next {
        match self {
            Search::Single(search) => search.advance(prepared, token),
            Search::Beam(search) => search.advance(prepared),
        }
    }
}
