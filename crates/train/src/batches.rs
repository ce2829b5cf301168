//! Which examples a step sees.

use crate::order::{epoch_order, mixed_order};
use crate::{Examples, TrainOptions};

/// The batches of a run: a fixed number of examples each, or as many as fit a number of tokens, in an order shuffled
/// anew every epoch. What a step sees depends on the settings and its number alone.
pub(crate) struct Batches<'a> {
    examples: &'a Examples,
    options: &'a TrainOptions,
    /// Number of the step after each epoch, by tokens; by examples every epoch has the same number.
    ends: Vec<u64>,
    /// The epoch at hand: its examples in order, and where its batches end.
    epoch: Option<(u64, Vec<u32>, Vec<usize>)>,
    /// Source and target tokens of the largest batch.
    pub(crate) largest: (usize, usize),
}

/// Where a step is.
struct Place {
    epoch: u64,
    /// Its number within the epoch, from 0, of so many.
    step: u64,
    steps: u64,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(examples: &'a Examples, options: &'a TrainOptions) -> Self {
        let mut batches = Batches { examples, options, ends: Vec::new(), epoch: None, largest: (0, 0) };
        if options.batch_tokens.is_none() {
            batches.largest = examples.largest_batch(options.batch_size);
            return batches;
        }
        let mut end = 0;
        for epoch in 0..options.epochs {
            let (order, cuts) = batches.cut(epoch);
            let mut start = 0;
            for &cut in &cuts {
                let (source, target) = tokens(examples, &order[start..cut]);
                let (most_source, most_target) = batches.largest;
                batches.largest = (most_source.max(source), most_target.max(target));
                start = cut;
            }
            end += cuts.len().div_ceil(options.gradient_accumulation) as u64;
            batches.ends.push(end);
            if options.max_steps.is_some_and(|most| end >= most) {
                break;
            }
        }
        batches
    }

    /// Steps of the whole run.
    pub(crate) fn total(&self) -> u64 {
        let all = match self.options.batch_tokens {
            Some(_) => self.ends.last().copied().unwrap_or(0),
            None => self.options.epochs.saturating_mul(self.steps_by_examples()),
        };
        self.options.max_steps.map_or(all, |most| most.min(all))
    }

    fn steps_by_examples(&self) -> u64 {
        self.examples.len().div_ceil(self.options.batch_size * self.options.gradient_accumulation) as u64
    }

    fn place(&self, step: u64) -> Place {
        if self.options.batch_tokens.is_none() {
            let steps = self.steps_by_examples();
            return Place { epoch: step / steps, step: step % steps, steps };
        }
        let epoch = self.ends.partition_point(|&end| end <= step).min(self.ends.len() - 1);
        let start = if epoch == 0 { 0 } else { self.ends[epoch - 1] };
        Place { epoch: epoch as u64, step: step - start, steps: self.ends[epoch] - start }
    }

    /// Epochs done after so many steps, with the share of the one begun.
    pub(crate) fn epochs_after(&self, steps: u64) -> f64 {
        if steps == 0 {
            return 0.0;
        }
        let place = self.place(steps - 1);
        place.epoch as f64 + (place.step + 1) as f64 / place.steps as f64
    }

    /// Whether so many steps end an epoch, or the run.
    pub(crate) fn ends_epoch(&self, steps: u64) -> bool {
        let last = |place: Place| place.step + 1 == place.steps;
        steps > 0 && (steps == self.total() || last(self.place(steps - 1)))
    }

    /// The batches of a step, from 0.
    pub(crate) fn step(&mut self, step: u64) -> Vec<Vec<usize>> {
        let Place { epoch, step, .. } = self.place(step);
        if self.epoch.as_ref().is_none_or(|(at_hand, ..)| *at_hand != epoch) {
            let (order, cuts) = self.cut(epoch);
            self.epoch = Some((epoch, order, cuts));
        }
        let (_, order, cuts) = self.epoch.as_ref().expect("just made");
        let first = step as usize * self.options.gradient_accumulation;
        let last = cuts.len().min(first + self.options.gradient_accumulation);
        (first..last)
            .map(|i| {
                let start = if i == 0 { 0 } else { cuts[i - 1] };
                order[start..cuts[i]].iter().map(|&example| example as usize).collect()
            })
            .collect()
    }

    /// The order of an epoch, and where its batches end.
    fn cut(&self, epoch: u64) -> (Vec<u32>, Vec<usize>) {
        let order = match &self.examples.tasks[..] {
            [] => epoch_order(self.examples.len(), self.options.seed, epoch),
            tasks => mixed_order(tasks, self.options.seed, epoch),
        };
        let mut cuts = Vec::new();
        let (mut start, mut held) = (0, 0);
        for (at, &example) in order.iter().enumerate() {
            let (source, target) = tokens(self.examples, &[example]);
            let full = match self.options.batch_tokens {
                Some(most) => held + source + target > most && at > start,
                None => at - start == self.options.batch_size,
            };
            if full {
                cuts.push(at);
                (start, held) = (at, 0);
            }
            held += source + target;
        }
        if start < order.len() {
            cuts.push(order.len());
        }
        (order, cuts)
    }
}

/// Source and target tokens of some examples.
fn tokens(examples: &Examples, which: &[u32]) -> (usize, usize) {
    which.iter().fold((0, 0), |(source, target), &i| {
        (source + examples.source(i as usize).len(), target + examples.target(i as usize).len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Examples {
        let lengths = (0..23).map(|i| (1 + i * 7 % 12, 1 + i % 4)).chain([(90, 30)]);
        let pairs: Vec<_> = lengths.map(|(source, target)| (vec![5; source], vec![6; target])).collect();
        Examples::from_ids(pairs.iter().map(|(source, target)| (&source[..], &target[..])))
    }

    #[test]
    fn every_epoch_sees_every_example_once_within_the_limits() {
        let examples = examples();
        for (batch_tokens, gradient_accumulation) in
            [(None, 1), (None, 3), (Some(40), 1), (Some(40), 2), (Some(1), 1)]
        {
            let options = TrainOptions {
                epochs: 3,
                batch_size: 5,
                batch_tokens,
                gradient_accumulation,
                seed: 4,
                ..TrainOptions::default()
            };
            let mut batches = Batches::new(&examples, &options);
            let (mut seen, mut orders) = (Vec::new(), Vec::new());
            let mut largest = (0, 0);
            for step in 0..batches.total() {
                let step_batches = batches.step(step);
                assert!(!step_batches.is_empty() && step_batches.len() <= gradient_accumulation);
                for batch in &step_batches {
                    let ids: Vec<u32> = batch.iter().map(|&i| i as u32).collect();
                    let (source, target) = tokens(&examples, &ids);
                    largest = (largest.0.max(source), largest.1.max(target));
                    match batch_tokens {
                        Some(most) => assert!(batch.len() == 1 || source + target <= most),
                        None => assert!(batch.len() <= 5),
                    }
                }
                seen.extend(step_batches.concat());
                // Beginning there gives the same.
                assert_eq!(Batches::new(&examples, &options).step(step), step_batches);
                assert_eq!(batches.ends_epoch(step + 1), seen.len() == examples.len(), "step {step}");
                if seen.len() == examples.len() {
                    assert_eq!(batches.epochs_after(step + 1), orders.len() as f64 + 1.0);
                    orders.push(std::mem::take(&mut seen));
                }
            }
            assert!(batches.largest.0 >= largest.0 && batches.largest.1 >= largest.1);
            assert_eq!(orders.len(), 3);
            assert_ne!(orders[0], orders[1]);
            for mut order in orders {
                order.sort_unstable();
                assert!(order.into_iter().eq(0..examples.len()));
            }
            let short = TrainOptions { max_steps: Some(2), ..options };
            assert_eq!(Batches::new(&examples, &short).total(), 2);
        }
    }
}
