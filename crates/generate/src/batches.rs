//! Which sequences go through the model together.

/// How large a batch may become. A sequence longer than `tokens` makes a batch of its own.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Sequences in a batch, at most.
    pub sequences: usize,
    /// Tokens in a batch, at most.
    pub tokens: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        // Enough rows for the products of a decoding step to be bound by arithmetic rather than by reading the
        // weights; few enough for what a small model's decoder sees of the sources to stay in the cache.
        BatchLimits { sequences: 32, tokens: 8192 }
    }
}

/// Groups the indices of sequences of these lengths: the longest first, similar lengths together.
pub(crate) fn group(lengths: &[usize], limits: BatchLimits) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for i in order {
        match batches.last_mut() {
            Some(batch) if batch.len() < limits.sequences && tokens + lengths[i] <= limits.tokens => {
                tokens += lengths[i];
                batch.push(i);
            }
            _ => {
                tokens = lengths[i];
                batches.push(vec![i]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_in_one_batch_within_the_limits() {
        let lengths: Vec<usize> = (0..57).map(|i| (i * 37) % 50 + 1).collect();
        for (sequences, tokens) in [(1, 1), (4, 100), (100, 30), (100, 10_000)] {
            let batches = group(&lengths, BatchLimits { sequences, tokens });
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..57).collect::<Vec<_>>());
            for batch in &batches {
                let sum: usize = batch.iter().map(|&i| lengths[i]).sum();
                assert!(batch.len() == 1 || batch.len() <= sequences && sum <= tokens);
            }
        }
        assert!(group(&[], BatchLimits::default()).is_empty());
    }
}
