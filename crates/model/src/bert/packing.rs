//! How examples lie end to end: each as one sequence of source and target, whose tokens know their position and segment.

use std::ops::Range;
use std::sync::Arc;

use t5kit_tensor::Packed;

use crate::Batch;

/// Sequences on their way through the network: everything about their tokens but the numbers.
pub(super) struct Sequences {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Where each stands in its sequence, from 0.
    pub positions: Arc<[u32]>,
    /// 0 for a source and its `[SEP]`, 1 for a target and its own.
    pub segments: Vec<u32>,
    /// The rows of each sequence, and how many of them are its source.
    pub places: Vec<(Range<usize>, usize)>,
}

impl Sequences {
    /// Every source followed by its target but for the last token, which nothing follows.
    ///
    /// For example the source `[CLS] a [SEP]` and the target `b c [SEP]` are `[CLS] a [SEP] b c`, whose last three
    /// tokens say the target.
    pub fn of_batch(batch: &Batch) -> Self {
        let (sources, targets) = (batch.sources(), batch.targets());
        let pair = |i| {
            let target = targets.sequence(i);
            (sources.sequence(i), &target[..target.len() - 1])
        };
        Self::of((0..batch.len()).map(pair))
    }

    /// The sources alone.
    pub fn of_sources(sources: &Packed) -> Self {
        Self::of((0..sources.len()).map(|i| (sources.sequence(i), &[][..])))
    }

    fn of<'i>(pairs: impl Iterator<Item = (&'i [u32], &'i [u32])>) -> Self {
        let (mut ids, mut positions, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for (source, target) in pairs {
            let first = ids.len();
            ids.extend_from_slice(source);
            ids.extend_from_slice(target);
            positions.extend(0..(ids.len() - first) as u32);
            segments.resize(first + source.len(), 0);
            segments.resize(ids.len(), 1);
            places.push((first..ids.len(), source.len()));
        }
        Sequences { ids, positions: positions.into(), segments, places }
    }

    /// The rows that say the targets: of each sequence from the source's last on.
    pub fn saying(&self) -> Vec<usize> {
        self.places.iter().flat_map(|(rows, source)| rows.start + source - 1..rows.end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_follows_its_source() {
        let batch = Batch::new([vec![2, 9, 3], vec![2, 3]], [vec![7, 8, 3], vec![3]], 10).unwrap();
        let s = Sequences::of_batch(&batch);
        assert_eq!(s.ids, [2, 9, 3, 7, 8, 2, 3]);
        assert_eq!(s.positions[..], [0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(s.segments, [0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(s.places, [(0..5, 3), (5..7, 2)]);
        // As many as there are target tokens.
        assert_eq!(s.saying(), [2, 3, 4, 6]);
        assert_eq!(Sequences::of_sources(batch.sources()).ids, batch.sources().ids());
    }
}
