//! Beam search and diverse beam search (Vijayakumar et al. 2016) over a batch.

use std::ops::ControlFlow;

use t5kit_model::T5;
use t5kit_tensor::{Packed, Pool, Tensor, ops};

use crate::nbest::{Candidate, Rules, Search};
use crate::processors::{History, Processors, Scores};
use crate::run::{Events, Generated};
use crate::stepper::Stepper;
use crate::{GenerateOptions, Summary};

/// One source: its place in the batch and the searches of its groups.
struct Source {
    place: usize,
    groups: Vec<Search>,
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
    let rules = Rules::new(options, config.eos_token_id);
    let processors = Processors::new(options, config.vocab_size, config.eos_token_id);
    let given: Vec<u32> = [config.decoder_start_token_id].iter().chain(&options.prefix).copied().collect();
    let groups = options.num_beam_groups;
    let tokens = given.len().saturating_add(options.max_new_tokens).saturating_mul(options.num_beams);
    let mut stepper = Stepper::start(model, pool, packed, &given, groups, tokens);
    let mut sources: Vec<Source> = (0..batch.len())
        .map(|place| Source {
            place,
            groups: (0..groups).map(|group| Search::new(given.clone(), place * groups + group)).collect(),
        })
        .collect();
    for length in 1..=options.max_new_tokens {
        let last: Vec<u32> = beams(&sources).filter_map(|(_, _, beam)| beam.ids.last().copied()).collect();
        let mut logits = stepper.logits(&last);
        let step = Step { options, processors: &processors, given: given.len(), beams: rules.beams };
        for group in 0..groups {
            let found = step.candidates(&stepper, &mut logits, &sources, group, length == 1, summary);
            for (source, candidates) in sources.iter_mut().zip(found) {
                let search = &mut source.groups[group];
                if search.done {
                    // In transformers a group that is done goes on with padding, which later groups then avoid.
                    search.taken = vec![config.pad_token_id; rules.beams];
                } else {
                    search.advance(&candidates, length, &rules);
                }
            }
        }
        let mut rest = Vec::with_capacity(sources.len());
        for source in sources {
            if source.groups.iter().all(|search| search.done) {
                (events.done)(batch[source.place], outputs(source, options))?;
            } else {
                rest.push(source);
            }
        }
        sources = rest;
        if sources.is_empty() {
            break;
        }
        let parents: Vec<usize> = beams(&sources).map(|(_, _, beam)| beam.row).collect();
        stepper.select(&parents);
        let searches = sources.iter_mut().flat_map(|source| &mut source.groups);
        searches.flat_map(|search| &mut search.beams).enumerate().for_each(|(row, beam)| beam.row = row);
    }
    ControlFlow::Continue(())
}

/// All hypotheses in the order of their rows, with their source (by its index) and group.
fn beams(sources: &[Source]) -> impl Iterator<Item = (usize, usize, &crate::nbest::Beam)> {
    sources.iter().enumerate().flat_map(|(index, source)| {
        let groups = source.groups.iter().enumerate();
        groups.flat_map(move |(group, search)| search.beams.iter().map(move |beam| (index, group, beam)))
    })
}

/// The best of all groups, best first. A single search has them in order, open ones last.
fn outputs(source: Source, options: &GenerateOptions) -> Vec<Generated> {
    let mut all: Vec<_> = source.groups.into_iter().flat_map(|search| search.finished).collect();
    if options.num_beam_groups > 1 {
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
    all.truncate(options.num_return_sequences);
    all.into_iter().map(|f| Generated { ids: f.ids[1..].to_vec(), score: Some(f.score) }).collect()
}

/// What choosing candidates needs.
struct Step<'s> {
    options: &'s GenerateOptions,
    processors: &'s Processors,
    given: usize,
    beams: usize,
}

impl Step<'_> {
    /// For every source the best 2 · beams continuations of a group, best first. Where several are equally good: the
    /// earlier beam's, then the lower id.
    fn candidates(
        &self,
        stepper: &Stepper<'_>,
        logits: &mut Tensor,
        sources: &[Source],
        group: usize,
        first: bool,
        summary: &mut Summary,
    ) -> Vec<Vec<Candidate>> {
        let wanted = 2 * self.beams;
        // What earlier groups took in this step.
        let taken: Vec<Vec<u32>> = sources
            .iter()
            .map(|source| {
                let mut ids = source.groups[..group].iter().flat_map(|s| s.taken.clone()).collect::<Vec<_>>();
                ids.sort_unstable();
                ids
            })
            .collect();
        let rows: Vec<_> = beams(sources).filter(|(_, other, _)| *other == group).collect();
        // Where each row of the logits stands in `rows`: groups before this one may already have other rows.
        let mut owner = vec![None; logits.rows()];
        rows.iter().enumerate().for_each(|(i, (_, _, beam))| owner[beam.row] = Some(i));
        let found = ops::each_row(&stepper.graph, logits, |row, logits| {
            let (source, _, beam) = &rows[owner[row]?];
            let sentinel = self.options.first_sentinel.filter(|_| first && group == 0);
            let wants_sentinel = sentinel.is_some_and(|id| logits.argmax().0 == id);
            let all = logits.log_sum_exp();
            let mut scores = Scores::log_probs(logits, all);
            for run in taken[*source].chunk_by(|a, b| a == b) {
                let score = scores.get(run[0]) - self.options.diversity_penalty * run.len() as f32;
                scores.set(run[0], score);
            }
            self.processors.process(History { ids: &beam.ids, given: self.given }, &mut scores);
            let mut best = logits.top(wanted);
            best.iter_mut().for_each(|(x, _)| *x = *x - all + beam.sum);
            Some((best, wants_sentinel))
        });
        let mut all: Vec<Vec<Candidate>> = sources.iter().map(|_| Vec::new()).collect();
        let mut places = vec![0; sources.len()];
        for (source, _, beam) in &rows {
            let place = places[*source];
            places[*source] += 1;
            if let Some((best, wants_sentinel)) = &found[beam.row] {
                summary.wanted_sentinel += usize::from(*wants_sentinel);
                let candidate = |&(sum, id): &(f32, u32)| Candidate { sum, beam: place, id };
                all[*source].extend(best.iter().map(candidate));
            }
        }
        for candidates in &mut all {
            candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
            candidates.truncate(wanted);
        }
        all
    }
}
