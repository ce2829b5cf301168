//! Greedy decoding and sampling: hypotheses that do not know of each other.

use std::ops::ControlFlow;

use t5kit_model::T5;
use t5kit_tensor::{Packed, Pool, mix, ops};

use crate::processors::{History, Processors, Scores};
use crate::run::{Events, Generated};
use crate::stepper::Stepper;
use crate::warpers::{Warpers, draw};
use crate::{GenerateOptions, Summary};

/// One target on its way.
struct Hypothesis {
    /// Place of its source in the batch.
    place: usize,
    /// Which of the source's samples.
    sample: usize,
    ids: Vec<u32>,
    score: f32,
}

/// What a row chose.
struct Choice {
    /// `None`: nothing was possible.
    id: Option<u32>,
    log_prob: f32,
    wants_sentinel: bool,
}

/// Generates for a batch; `batch` holds the sources' numbers in the call, `packed` their ids.
pub(crate) fn run(
    model: &T5,
    pool: &Pool,
    batch: &[usize],
    packed: &Packed,
    options: &GenerateOptions,
    events: &mut Events<'_>,
    summary: &mut Summary,
) -> ControlFlow<()> {
    let config = &model.config;
    let processors = Processors::new(options, config.vocab_size, config.eos_token_id);
    let warpers = Warpers::new(options);
    let given: Vec<u32> = [config.decoder_start_token_id].iter().chain(&options.prefix).copied().collect();
    let samples = options.num_return_sequences;
    let tokens = given.len().saturating_add(options.max_new_tokens).saturating_mul(samples);
    let mut stepper = Stepper::start(model, pool, packed, &given, samples, tokens);
    let mut live: Vec<Hypothesis> = (0..batch.len() * samples)
        .map(|row| Hypothesis { place: row / samples, sample: row % samples, ids: given.clone(), score: 0.0 })
        .collect();
    let mut ended: Vec<Vec<Hypothesis>> = batch.iter().map(|_| Vec::new()).collect();
    for length in 1..=options.max_new_tokens {
        let last: Vec<u32> = live.iter().filter_map(|h| h.ids.last().copied()).collect();
        let mut logits = stepper.logits(&last);
        let choices = ops::each_row(&stepper.graph, &mut logits, |row, logits| {
            let hypothesis = &live[row];
            let first = options.first_sentinel.filter(|_| length == 1 && hypothesis.sample == 0);
            let wants_sentinel = first.is_some_and(|id| logits.argmax().0 == id);
            let all = if options.scores { logits.log_sum_exp() } else { 0.0 };
            let history = History { ids: &hypothesis.ids, given: given.len() };
            // The score is the model's, not that of what the processors leave.
            let (id, log_prob);
            if options.do_sample {
                let before: Vec<f32> = if options.scores { logits.iter().collect() } else { Vec::new() };
                processors.process(history, &mut Scores::logits(logits));
                warpers.warp(logits);
                let source = options.first_source + batch[hypothesis.place] as u64;
                id = draw(logits, uniform(options.seed, source, hypothesis.sample as u64, length as u64));
                log_prob = id.and_then(|id| before.get(id as usize)).map_or(0.0, |x| x - all);
            } else {
                processors.process(history, &mut Scores::logits(logits));
                let (best, value) = logits.argmax();
                id = (value > f32::NEG_INFINITY).then_some(best);
                log_prob = value - all;
            }
            Choice { id, log_prob, wants_sentinel }
        });
        let mut parents = Vec::with_capacity(live.len());
        let mut next = Vec::with_capacity(live.len());
        for (row, (mut hypothesis, choice)) in live.into_iter().zip(choices).enumerate() {
            summary.wanted_sentinel += usize::from(choice.wants_sentinel);
            if let Some(id) = choice.id {
                hypothesis.ids.push(id);
                hypothesis.score += choice.log_prob;
                (events.token)(batch[hypothesis.place], hypothesis.sample, id)?;
            }
            if choice.id.is_some_and(|id| id != config.eos_token_id) && length < options.max_new_tokens {
                parents.push(row);
                next.push(hypothesis);
                continue;
            }
            let place = hypothesis.place;
            ended[place].push(hypothesis);
            if ended[place].len() == samples {
                let mut all = std::mem::take(&mut ended[place]);
                all.sort_by_key(|h| h.sample);
                let outputs = all.into_iter().map(|h| Generated {
                    ids: h.ids[1..].to_vec(),
                    score: options.scores.then_some(h.score),
                });
                (events.done)(batch[place], outputs.collect())?;
            }
        }
        live = next;
        if live.is_empty() {
            break;
        }
        stepper.select(&parents);
    }
    ControlFlow::Continue(())
}

/// A number in [0, 1) that depends on these four alone.
fn uniform(seed: u64, source: u64, sample: u64, step: u64) -> f64 {
    (mix(mix(mix(seed, source), sample), step) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}
