//! Greedy decoding.

use std::ops::ControlFlow;

use t5kit_model::T5;
use t5kit_tensor::{Graph, Pool, Regime, ops};

use crate::Error;
use crate::batches::{BatchLimits, group, pack};

/// How to generate.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Tokens a target may have, `</s>` included.
    pub max_new_tokens: usize,
    /// `</s>` is not produced before this many other tokens, as in transformers.
    pub min_new_tokens: usize,
    /// Ids never produced: sentinels, for example. Rows from `pieces` on are never produced either.
    pub suppress: Vec<u32>,
    /// Number of the tokenizer's pieces; the model's rows beyond are padding.
    pub pieces: usize,
    /// Whether to compute the outputs' log-probabilities.
    pub scores: bool,
    /// How large batches may become.
    pub limits: BatchLimits,
}

impl GenerateOptions {
    /// Greedy decoding with a tokenizer of that many pieces.
    pub fn new(pieces: usize) -> Self {
        GenerateOptions {
            max_new_tokens: 64,
            min_new_tokens: 0,
            suppress: Vec::new(),
            pieces,
            scores: false,
            limits: BatchLimits::default(),
        }
    }
}

/// A generated target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// Its ids, without the start token, with `</s>` where it was reached.
    pub ids: Vec<u32>,
    /// The sum of its tokens' log-probabilities (natural), when asked for.
    pub score: Option<f32>,
}

/// Generates a target for every source, and hands each over as `(index, target)` as soon as it and its batch are
/// finished; batches of long sources come first. `each` may stop the work.
///
/// Sources are ids ending in `</s>`; an empty source or an id without a row is an error.
pub fn generate(
    model: &T5,
    pool: &Pool,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
    mut each: impl FnMut(usize, Generated) -> ControlFlow<()>,
) -> Result<(), Error> {
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    for batch in group(&lengths, options.limits) {
        for (i, generated) in batch.iter().copied().zip(run_batch(model, pool, sources, &batch, options)?) {
            if each(i, generated).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn run_batch(
    model: &T5,
    pool: &Pool,
    sources: &[Vec<u32>],
    batch: &[usize],
    options: &GenerateOptions,
) -> Result<Vec<Generated>, Error> {
    let config = &model.config;
    let packed = pack("source", sources, batch, config.vocab_size)?;
    let mut bulk = Graph::inference(&model.params, pool, Regime::Bulk);
    let encoded = model.encode(&mut bulk, &packed);
    let mut cache = model.start(&mut bulk, &packed, &encoded);
    drop(encoded);

    let mut steps = Graph::inference(&model.params, pool, Regime::Steps);
    let mut outputs = vec![Generated { ids: Vec::new(), score: options.scores.then_some(0.0) }; batch.len()];
    let mut slots: Vec<usize> = (0..batch.len()).collect();
    let mut last = vec![config.decoder_start_token_id; batch.len()];
    let padding = options.pieces as u32..config.vocab_size as u32;
    for length in 1..=options.max_new_tokens {
        let hidden = model.step(&mut steps, &last, &slots, &mut cache);
        let mut logits = ops::logits(&steps, &hidden, model.softmax());
        let denominators = options.scores.then(|| ops::log_sum_exp(&steps, &logits));
        let early = (length <= options.min_new_tokens).then_some(config.eos_token_id);
        ops::suppress(&mut logits, options.suppress.iter().copied().chain(padding.clone()).chain(early));
        last = ops::argmax(&steps, &logits);
        for (row, (&slot, &id)) in slots.iter().zip(&last).enumerate() {
            outputs[slot].ids.push(id);
            if let (Some(score), Some(denominators)) = (&mut outputs[slot].score, &denominators) {
                *score += logits.row(row)[id as usize] - denominators[row];
            }
        }
        // Finished sequences leave the batch.
        let mut ids = last.iter();
        slots.retain(|_| ids.next().is_some_and(|&id| id != config.eos_token_id));
        last.retain(|&id| id != config.eos_token_id);
        if slots.is_empty() {
            break;
        }
    }
    Ok(outputs)
}
