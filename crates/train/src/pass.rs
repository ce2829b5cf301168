//! One pass over a batch: its loss, and the gradients of all parameters.

use t5kit_formats::progress::{Progress, Watch};
use t5kit_model::T5;
use t5kit_tensor::ops::{self, CrossEntropy, NonFinite};
use t5kit_tensor::{Dropout, Gradients, Graph, Packed, Pool, Precision, Regime};

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

/// Gradients for a model: that of the embedding by rows, where nothing but embedding uses it.
pub(crate) fn new_gradients(model: &T5) -> Gradients {
    let mut gradients = Gradients::new();
    if model.softmax() != model.shared() {
        gradients.keep_rows(model.shared());
    }
    gradients
}

/// The mean loss of a batch's target tokens (natural logarithm, `</s>` included), and the gradient of that mean by
/// every parameter, into `gradients` (cleared first).
pub fn gradients(
    model: &T5,
    pool: &Pool,
    sources: &Packed,
    targets: &Packed,
    pass: PassOptions,
    gradients: &mut Gradients,
) -> f64 {
    gradients.clear();
    let loss = CrossEntropy { scale: 1.0 / targets.tokens() as f32, ..CrossEntropy::default() };
    accumulate(model, pool, sources, targets, loss, pass, gradients) / targets.tokens() as f64
}

/// Adds the gradients of a batch's losses, each times `loss.scale`, to `gradients`; returns the losses' sum (without
/// that factor).
pub fn accumulate(
    model: &T5,
    pool: &Pool,
    sources: &Packed,
    targets: &Packed,
    loss: CrossEntropy,
    pass: PassOptions,
    gradients: &mut Gradients,
) -> f64 {
    gradients.next_pass();
    let mut graph = Graph::training(&model.params, pool, pass.dropout)
        .with_precision(pass.precision)
        .with_recompute(pass.recompute);
    let encoded = model.encode(&mut graph, sources);
    let inputs = targets.shifted_right(model.config.decoder_start_token_id);
    let hidden = model.decode(&mut graph, &inputs, sources, &encoded);
    let softmax = model.softmax();
    let losses = ops::cross_entropy(&graph, &hidden, softmax, targets.ids(), loss, Some(&mut *gradients));
    drop((encoded, hidden));
    graph.backward(gradients);
    losses.sum()
}

/// Where the first value that is not finite is: in a weight, or on the way forward through a batch, which is gone
/// again (so `pass` must be what it was). `None` where all of them are finite up to the softmax.
pub(crate) fn first_non_finite(
    model: &T5,
    pool: &Pool,
    sources: &Packed,
    targets: &Packed,
    pass: PassOptions,
) -> Option<String> {
    for (_, name, weight) in model.params.iter() {
        if let Some(NonFinite { row, col, value }) = NonFinite::in_weight(weight) {
            return Some(format!("{name} itself ({value} in row {row}, column {col})"));
        }
    }
    let mut graph = Graph::watching(&model.params, pool, pass.dropout).with_precision(pass.precision);
    let encoded = model.encode(&mut graph, sources);
    let inputs = targets.shifted_right(model.config.decoder_start_token_id);
    model.decode(&mut graph, &inputs, sources, &encoded);
    graph.found().map(String::from)
}

/// The mean loss of all target tokens of some examples, without dropout. Its stage is `validating`.
///
/// # Errors
/// [`Error::Stopped`] where `watch` stops it.
pub(crate) fn evaluate(
    model: &T5,
    pool: &Pool,
    examples: &Examples,
    batch_size: usize,
    watch: &mut dyn Watch,
) -> Result<f64, Error> {
    // Similar lengths together: the work is the same, the memory is not.
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(examples.source(i).len()));
    let (mut sum, mut tokens) = (0.0, 0);
    for (done, batch) in order.chunks(batch_size).enumerate() {
        let (sources, targets) = pack(examples, batch.iter().copied());
        let mut graph = Graph::inference(&model.params, pool, Regime::Bulk);
        let encoded = model.encode(&mut graph, &sources);
        let inputs = targets.shifted_right(model.config.decoder_start_token_id);
        let hidden = model.decode(&mut graph, &inputs, &sources, &encoded);
        let options = CrossEntropy::default();
        let losses = ops::cross_entropy(&graph, &hidden, model.softmax(), targets.ids(), options, None);
        sum += losses.sum();
        tokens += targets.tokens();
        let done = done * batch_size + batch.len();
        watch.go_on(Progress::items("validating", "examples", done, Some(examples.len())))?;
    }
    Ok(sum / tokens.max(1) as f64)
}

/// Packs examples; they were checked when they were read and never are empty.
pub(crate) fn pack(examples: &Examples, batch: impl Iterator<Item = usize> + Clone) -> (Packed, Packed) {
    let sources = Packed::new(batch.clone().map(|i| examples.source(i)));
    let targets = Packed::new(batch.map(|i| examples.target(i)));
    (sources.expect("every text ends in </s>"), targets.expect("every text ends in </s>"))
}
