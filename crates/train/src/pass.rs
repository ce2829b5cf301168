//! One pass over a batch: its loss, and the gradients of all parameters.

use std::ops::{ControlFlow, Range};

use t5kit_formats::progress::{Progress, Watch};
use t5kit_generate::{BatchLimits, Score, score};
use t5kit_model::{Batch, Seq2Seq};
use t5kit_tensor::ops::{self, CrossEntropy, Losses, NonFinite};
use t5kit_tensor::{Dropout, Gradients, Graph, Pool, Precision};

use crate::{Error, Examples};

/// How a training pass computes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassOptions {
    /// Dropout, if any.
    pub dropout: Option<Dropout>,
    /// In what products of many rows are computed.
    pub precision: Precision,
    /// Whether layers are computed again on the way back.
    pub recompute: bool,
}

/// Gradients for a model: those of embeddings by rows, where nothing but looking up ids uses them.
pub(crate) fn new_gradients(model: &dyn Seq2Seq) -> Gradients {
    let mut gradients = Gradients::new();
    model.looked_up().into_iter().for_each(|id| gradients.keep_rows(id));
    gradients
}

/// The mean loss of a batch's target tokens (natural logarithm, `</s>` included), and the gradient of that mean by
/// every parameter, into `gradients` (cleared first).
pub fn gradients(
    model: &dyn Seq2Seq,
    pool: &Pool,
    batch: &Batch,
    pass: PassOptions,
    gradients: &mut Gradients,
) -> f64 {
    gradients.clear();
    let tokens = batch.targets().tokens();
    let loss = CrossEntropy { scale: 1.0 / tokens as f32, ..CrossEntropy::default() };
    accumulate(model, pool, batch, loss, pass, gradients).sum() / tokens as f64
}

/// Adds the gradients of a batch's losses, each times `loss.scale`, to `gradients`; returns the losses (without that
/// factor).
pub fn accumulate(
    model: &dyn Seq2Seq,
    pool: &Pool,
    batch: &Batch,
    loss: CrossEntropy,
    pass: PassOptions,
    gradients: &mut Gradients,
) -> Losses {
    gradients.next_pass();
    let mut graph = Graph::training(model.params(), pool, pass.dropout)
        .with_precision(pass.precision)
        .with_recompute(pass.recompute);
    let hidden = model.hidden(&mut graph, batch);
    let (softmax, targets) = (model.softmax(), batch.targets().ids());
    let losses = ops::cross_entropy(&graph, &hidden, softmax, targets, loss, Some(&mut *gradients));
    drop(hidden);
    graph.backward(gradients);
    losses
}

/// Where the first value that is not finite is: in a weight, or on the way forward through a batch, which is gone
/// again (so `pass` must be what it was). `None` where all of them are finite up to the softmax.
pub(crate) fn first_non_finite(
    model: &dyn Seq2Seq,
    pool: &Pool,
    batch: &Batch,
    pass: PassOptions,
) -> Option<String> {
    for (_, name, weight) in model.params().iter() {
        if let Some(NonFinite { row, col, value }) = NonFinite::in_weight(weight) {
            return Some(format!("{name} itself ({value} in row {row}, column {col})"));
        }
    }
    let mut graph = Graph::watching(model.params(), pool, pass.dropout).with_precision(pass.precision);
    model.hidden(&mut graph, batch);
    graph.found().map(String::from)
}

/// The mean loss of all target tokens of some examples, without dropout, and that of each task's. Its stage is `validating`.
///
/// # Errors
/// [`Error::Stopped`] where `watch` stops it.
pub(crate) fn evaluate(
    model: &dyn Seq2Seq,
    pool: &Pool,
    examples: &Examples,
    batch_size: usize,
    watch: &mut dyn Watch,
) -> Result<(f64, Vec<f64>), Error> {
    let sources: Vec<&[u32]> = (0..examples.len()).map(|i| examples.source(i)).collect();
    let targets: Vec<&[u32]> = (0..examples.len()).map(|i| examples.target(i)).collect();
    let limits = BatchLimits { sequences: batch_size, tokens: usize::MAX };
    let mut scores = vec![Score::default(); examples.len()];
    let (mut done, mut end) = (0, Ok(()));
    score(model, pool, &sources, &targets, limits, |i, score| {
        scores[i] = score;
        done += 1;
        end = watch.go_on(Progress::items("validating", "examples", done, Some(examples.len())));
        if end.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    end?;
    // Added up in the order of the sources' lengths, whoever was first: sums in another order differ in their last bit.
    let mean = |which: Range<usize>| {
        let tokens: usize = which.clone().map(|i| targets[i].len()).sum();
        let mut order: Vec<usize> = which.collect();
        order.sort_by_key(|&i| std::cmp::Reverse(sources[i].len()));
        let batch = |batch: &[usize]| {
            let losses = batch.iter().flat_map(|&i| &scores[i].tokens).map(|&log_prob| f64::from(-log_prob));
            losses.sum::<f64>()
        };
        order.chunks(batch_size).map(batch).sum::<f64>() / tokens.max(1) as f64
    };
    let tasks = examples.tasks.iter().map(|task| mean(task.examples.clone())).collect();
    Ok((mean(0..examples.len()), tasks))
}

/// Packs examples; they were checked when they were read.
pub(crate) fn pack(
    model: &dyn Seq2Seq,
    examples: &Examples,
    batch: impl Iterator<Item = usize> + Clone,
) -> Batch {
    let sources = batch.clone().map(|i| examples.source(i));
    let targets = batch.map(|i| examples.target(i));
    Batch::new(sources, targets, model.rows()).expect("every text ends in </s>, and every id has a row")
}
