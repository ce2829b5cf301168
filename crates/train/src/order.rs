//! In which order examples are seen.

use t5kit_tensor::{Rng, mix};

use crate::Task;

/// The stream of a seed that tasks are drawn by.
const DRAWS: u64 = 0x7461_736b;

/// The order of an epoch (from 0): the same for the same seed, another for every epoch.
pub(crate) fn epoch_order(examples: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..examples as u32).collect();
    Rng::new(seed, epoch).shuffle(&mut order);
    order
}

/// The order of an epoch of a mixture: as many draws as there are examples. Each draw is a task's by the tasks' rates, and
/// the next of its examples in an order that is shuffled anew each time that all of them have been drawn, whichever epoch
/// that is in (seqio's `Mixture` over repeated, shuffled tasks).
pub(crate) fn mixed_order(tasks: &[Task], seed: u64, epoch: u64) -> Vec<u32> {
    let draws: u64 = tasks.iter().map(|task| task.examples.len() as u64).sum();
    let total: f64 = tasks.iter().map(|task| task.rate).sum();
    let mut ends = Vec::with_capacity(tasks.len());
    let mut end = 0.0;
    for task in tasks {
        end += task.rate / total;
        ends.push(end);
    }
    let last = tasks.iter().rposition(|task| task.rate > 0.0).unwrap_or(0);
    // What earlier epochs have drawn of each is drawn again: it takes less than one step does.
    let mut rng = Rng::new(mix(seed, DRAWS), 0);
    let mut drawn = vec![0u64; tasks.len()];
    let mut next = |drawn: &mut [u64]| {
        let at = rng.uniform();
        let task = ends.iter().position(|&end| at < end).unwrap_or(last).min(last);
        drawn[task] += 1;
        task
    };
    for _ in 0..epoch * draws {
        next(&mut drawn);
    }
    let mut orders: Vec<Option<(u64, Vec<u32>)>> = vec![None; tasks.len()];
    let mut order = Vec::with_capacity(draws as usize);
    for _ in 0..draws {
        let task = next(&mut drawn);
        let (own, at) = (tasks[task].examples.len() as u64, drawn[task] - 1);
        let (round, place) = (at / own, (at % own) as usize);
        let shuffled = match &mut orders[task] {
            Some((of, shuffled)) if *of == round => shuffled,
            other => &mut other.insert((round, epoch_order(own as usize, mix(seed, task as u64), round))).1,
        };
        order.push(tasks[task].examples.start as u32 + shuffled[place]);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_permutations_that_differ_by_seed_and_epoch() {
        let order = epoch_order(100, 1, 0);
        assert_eq!(order, epoch_order(100, 1, 0));
        assert_ne!(order, epoch_order(100, 1, 1));
        assert_ne!(order, epoch_order(100, 2, 0));
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
    fn task(examples: std::ops::Range<usize>, rate: f64) -> Task {
        Task { name: String::new(), examples, rate, metrics: Vec::new() }
    }

    #[test]
    fn a_mixture_is_drawn_at_its_rates_and_each_task_round_by_round() {
        let tasks = [task(0..700, 1.0), task(700..1000, 3.0), task(1000..1001, 0.0)];
        let orders: Vec<u32> = (0..40).flat_map(|epoch| mixed_order(&tasks, 5, epoch)).collect();
        assert_eq!(orders.len(), 40 * 1001);
        assert_ne!(mixed_order(&tasks, 5, 0), mixed_order(&tasks, 6, 0));
        let of = |task: usize| {
            let own = tasks[task].examples.clone();
            orders.iter().filter(move |&&i| own.contains(&(i as usize)))
        };
        // A quarter of the draws, by five standard deviations of a binomial.
        let (share, deviation) = (of(0).count() as f64 / 40_040.0, (0.25 * 0.75 / 40_040.0f64).sqrt());
        assert!((share - 0.25).abs() < 5.0 * deviation, "{share}");
        assert_eq!(of(2).count(), 0);
        for (task, size) in [(0, 700), (1, 300)] {
            let drawn: Vec<u32> = of(task).copied().collect();
            let rounds: Vec<Vec<u32>> = drawn.chunks_exact(size).map(<[u32]>::to_vec).collect();
            assert!(rounds.len() > 10);
            assert_ne!(rounds[0], rounds[1]);
            for mut round in rounds {
                round.sort_unstable();
                assert!(round.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            }
        }
    }
}
