//! Generating for many sources: batches, and who is told of the results.

use std::ops::ControlFlow;

use t5kit_model::T5;
use t5kit_tensor::Pool;

use crate::batches::{group, pack};
use crate::{Error, GenerateOptions, beam, single};

/// A generated target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Its ids, without the start token, with the prefix, and with `</s>` where it was reached.
    pub ids: Vec<u32>,
    /// How good it is, when asked for. Greedy and sampled: the sum of the log-probabilities (natural) that the model
    /// gives its tokens, without the prefix's. Beam search: transformers' `sequences_scores`, the sum of the processed
    /// log-probabilities over the length normalisation.
    pub score: Option<f32>,
}

/// What a call noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sources that were worked on.
    pub sources: usize,
    /// How many of them would have begun with `first_sentinel`, had it been allowed.
    pub wanted_sentinel: usize,
}

impl Summary {
    /// Whether the model behaves like one that was only ever trained to fill in blanks.
    pub fn looks_untuned(&self) -> bool {
        self.sources > 0 && self.wanted_sentinel * 10 >= self.sources * 9
    }
}

/// Who is told: of a token of a sample of a source, and of all of a source's targets.
pub(crate) struct Events<'e> {
    pub token: &'e mut dyn FnMut(usize, usize, u32) -> ControlFlow<()>,
    pub done: &'e mut dyn FnMut(usize, Vec<Generated>) -> ControlFlow<()>,
}

/// Generates targets for every source and hands them over as `(index, targets)`, best first, as soon as the source is
/// finished; long sources come first. `each` may stop the work.
///
/// Sources are ids ending in `</s>`; an empty source, an id without a row, or impossible options are an error. What a
/// source gets does not depend on the others.
pub fn generate(
    model: &T5,
    pool: &Pool,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
    mut each: impl FnMut(usize, Vec<Generated>) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let mut nobody = |_, _, _| ControlFlow::Continue(());
    run(model, pool, sources, options, &mut Events { token: &mut nobody, done: &mut each })
}

/// Generates one target token by token: each id is handed over as soon as it is chosen. For greedy decoding and
/// sampling; beam search knows its first token only at the end.
pub fn generate_stream(
    model: &T5,
    pool: &Pool,
    source: &[u32],
    options: &GenerateOptions,
    mut each: impl FnMut(u32) -> ControlFlow<()>,
) -> Result<(Generated, Summary), Error> {
    if options.num_beams > 1 || options.num_return_sequences > 1 {
        return Err(Error::Options("only a single greedy or sampled target can be streamed".into()));
    }
    let mut target = Generated::default();
    let mut done = |_, mut targets: Vec<Generated>| {
        target = targets.pop().unwrap_or_default();
        ControlFlow::Continue(())
    };
    let mut token = |_, _, id| each(id);
    let summary =
        run(model, pool, &[source.to_vec()], options, &mut Events { token: &mut token, done: &mut done })?;
    Ok((target, summary))
}

fn run(
    model: &T5,
    pool: &Pool,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
    events: &mut Events<'_>,
) -> Result<Summary, Error> {
    let rows = model.config.vocab_size;
    options.check(rows)?;
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let mut summary = Summary::default();
    for batch in group(&lengths, options.batch_limits()) {
        let packed = pack("source", sources, &batch, rows)?;
        summary.sources += batch.len();
        let way = if options.num_beams > 1 { beam::run } else { single::run };
        if way(model, pool, &batch, &packed, options, events, &mut summary).is_break() {
            break;
        }
    }
    Ok(summary)
}
