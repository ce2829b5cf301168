//! The probability of given targets.

use std::ops::ControlFlow;

use t5kit_model::{Batch, BatchError, Seq2Seq};
use t5kit_tensor::{Graph, Pool, Regime, ops};

use crate::Error;
use crate::apart::{Claims, Line, side_by_side};
use crate::batches::{BatchLimits, group};

/// How probable a model finds a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Log-probability (natural) of every token, `</s>` included.
    pub tokens: Vec<f32>,
}

impl Score {
    /// Log-probability of the whole target.
    pub fn log_prob(&self) -> f64 {
        self.tokens.iter().map(|&t| f64::from(t)).sum()
    }
}

/// Scores target `i` for source `i` and hands it over as `(i, score)`; `each` is called on this thread and may stop the
/// work. Both end in `</s>`; what cannot be scored is an error before anything is. Within `limits` pairs are worked on
/// together, where there are enough by each thread by itself; what a pair gets does not depend on the others.
pub fn score<S: AsRef<[u32]> + Sync, T: AsRef<[u32]> + Sync>(
    model: &dyn Seq2Seq,
    pool: &Pool,
    sources: &[S],
    targets: &[T],
    limits: BatchLimits,
    mut each: impl FnMut(usize, Score) -> ControlFlow<()>,
) -> Result<(), Error> {
    Batch::new(sources, targets, model.rows()).map_err(|error| match error {
        BatchError::Sequence { what, index, source } => Error::Sequence { what, index: index + 1, source },
        other => Error::Pairs(other),
    })?;
    let tokens = |i: usize| sources[i].as_ref().len() + targets[i].as_ref().len();
    let lengths: Vec<usize> = (0..sources.len()).map(tokens).collect();
    let order: Vec<usize> =
        group(&lengths, BatchLimits { sequences: usize::MAX, tokens: usize::MAX }).concat();
    let threads = pool.threads();
    let workers = if threads > 1 && order.len() >= PAIRS_APART * threads { threads } else { 1 };
    let losses = Losses { model, sources, targets, lengths, limits, workers };
    let mut tell = |(i, score)| each(i, score);
    let flow = if workers == 1 {
        losses.of(pool, &order, &mut tell)
    } else {
        let claims = Claims::new(order.len(), workers, 0);
        let work = |_: usize, line: Line<'_, (usize, Score)>| {
            let pool = Pool::new(1);
            loop {
                let claimed = claims.more(limits.sequences);
                let flow = losses.of(&pool, &order[claimed.clone()], &mut |told| line.tell(told));
                if claimed.is_empty() || flow.is_break() {
                    return;
                }
            }
        };
        side_by_side(workers, work, &mut tell).map_continue(|_| ())
    };
    // Whether it was stopped, the caller knows.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) = flow;
    Ok(())
}

/// Pairs a thread from which each works by itself.
const PAIRS_APART: usize = 4;

/// What a call is asked for.
struct Losses<'w, S, T> {
    model: &'w dyn Seq2Seq,
    sources: &'w [S],
    targets: &'w [T],
    /// Tokens of each pair.
    lengths: Vec<usize>,
    limits: BatchLimits,
    /// How many work on it side by side.
    workers: usize,
}

impl<S: AsRef<[u32]>, T: AsRef<[u32]>> Losses<'_, S, T> {
    /// Scores the pairs of these numbers, the longest of which come first, a batch after the other.
    fn of(
        &self,
        pool: &Pool,
        pairs: &[usize],
        tell: &mut dyn FnMut((usize, Score)) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let lengths: Vec<usize> = pairs.iter().map(|&i| self.lengths[i]).collect();
        for batch in group(&lengths, self.limits) {
            let batch: Vec<usize> = batch.into_iter().map(|at| pairs[at]).collect();
            let (sources, targets) =
                (batch.iter().map(|&i| &self.sources[i]), batch.iter().map(|&i| &self.targets[i]));
            let packed = Batch::new(sources, targets, self.model.rows()).expect("checked before");
            let mut graph = Graph::inference(self.model.params(), pool, Regime::Bulk);
            let hidden = self.model.hidden(&mut graph, &packed);
            let (softmax, target) = (self.model.softmax(), packed.targets());
            let whole = ops::CrossEntropy::default();
            let options = ops::CrossEntropy { chunk: whole.chunk / self.workers, ..whole };
            let losses = ops::cross_entropy(&graph, &hidden, softmax, target.ids(), options, None);
            drop(hidden);
            for (&i, range) in batch.iter().zip(target.ranges()) {
                let tokens = losses.tokens[range].iter().map(|loss| -loss).collect();
                tell((i, Score { tokens }))?;
            }
        }
        ControlFlow::Continue(())
    }
}
