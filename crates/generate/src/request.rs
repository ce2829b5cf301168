//! What a session is asked for, and what it tells.

use std::sync::Arc;

use crate::GenerateOptions;
use crate::processors::LogitsProcessor;

/// A source that targets are wanted for, and how.
#[derive(Clone)]
pub struct Request {
    /// Its ids, ending in `</s>`.
    pub source: Vec<u32>,
    /// The search and what may come. Requests that share one `Arc` share what is made of it.
    pub options: Arc<GenerateOptions>,
    /// Its number among all that the caller has: random numbers go by it.
    pub number: u64,
    /// Processors of its own, after those of the options.
    pub processors: Vec<Arc<dyn LogitsProcessor>>,
}

impl Request {
    /// A source, number 0, with no processors of its own.
    pub fn new(source: Vec<u32>, options: Arc<GenerateOptions>) -> Self {
        Request { source, options, number: 0, processors: Vec::new() }
    }
}

/// Which request of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// What has happened to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A token that stays. Beam search knows its tokens only at the end.
    Token {
        /// Whose.
        request: RequestId,
        /// Of which of its targets.
        sample: usize,
        /// The token.
        id: u32,
    },
    /// It is finished; the session has forgotten it.
    Finished {
        /// Which one.
        request: RequestId,
        /// Its targets, best first.
        targets: Vec<Generated>,
        /// Whether it would have begun with `first_sentinel`, had that been allowed.
        wanted_sentinel: bool,
    },
}

/// A generated target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Its ids, without the start token, with the prefix, and with the end where it was reached.
    pub ids: Vec<u32>,
    /// How good it is, when asked for. Greedy and sampled: the sum of the log-probabilities (natural) that the model
    /// gives its tokens, without the prefix's. Beam search: transformers' `sequences_scores`, the sum of the processed
    /// log-probabilities over the length normalisation.
    /// Labels: their log-probability, over the length normalisation that was asked for.
    pub score: Option<f32>,
    /// Labels: the share of it among all labels, 0 to 1.
    pub probability: Option<f32>,
}
