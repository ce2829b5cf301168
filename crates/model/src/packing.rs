//! How examples lie end to end where source and target are one sequence (BERT as UniLM, T5 as a language model): whose
//! tokens know their position and segment, and which tokens say something.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use t5kit_tensor::Packed;
use t5kit_tensor::ops::{Mask, Span};

use crate::Batch;

/// Sequences on their way through the network: everything about their tokens but the numbers.
pub(crate) struct Sequences {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Where each stands in its sequence, from 0.
    pub positions: Arc<[u32]>,
    /// 0 for a source and its `[SEP]`, 1 for a target and its own.
    pub segments: Vec<u32>,
    /// The rows of each sequence, and how many of them come before its target.
    pub places: Vec<(Range<usize>, usize)>,
}

/// The rows that say targets, looking at all of their sequences.
pub(crate) struct Saying {
    /// Of each sequence from the last before its target on.
    pub rows: Vec<usize>,
    /// Their positions.
    pub positions: Arc<[u32]>,
    /// Queries are those rows alone, keys all.
    pub spans: Vec<Span>,
}

impl Sequences {
    /// Every source followed by its target but for the last token, which nothing follows; before it the id `first`, if
    /// there is one.
    ///
    /// For example the source `[CLS] a [SEP]` and the target `b c [SEP]` are `[CLS] a [SEP] b c`, whose last three
    /// tokens say the target.
    pub fn of_batch(batch: &Batch, first: Option<u32>) -> Self {
        let (sources, targets) = (batch.sources(), batch.targets());
        let pair = |i| {
            let target = targets.sequence(i);
            (sources.sequence(i), &target[..target.len() - 1])
        };
        Self::of((0..batch.len()).map(pair), first)
    }

    /// The sources alone.
    pub fn of_sources(sources: &Packed, first: Option<u32>) -> Self {
        Self::of((0..sources.len()).map(|i| (sources.sequence(i), &[][..])), first)
    }

    fn of<'i>(pairs: impl Iterator<Item = (&'i [u32], &'i [u32])>, first: Option<u32>) -> Self {
        let (mut ids, mut positions, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for (source, target) in pairs {
            let start = ids.len();
            ids.extend(first);
            ids.extend_from_slice(source);
            let before = ids.len() - start;
            ids.extend_from_slice(target);
            positions.extend(0..(ids.len() - start) as u32);
            segments.resize(start + before, 0);
            segments.resize(ids.len(), 1);
            places.push((start..ids.len(), before));
        }
        Sequences { ids, positions: positions.into(), segments, places }
    }

    /// Every token looking at its sequence; `mask` gets how many tokens come before the target.
    pub fn spans(&self, mask: fn(usize) -> Mask) -> Rc<[Span]> {
        let span = |(rows, before): &(Range<usize>, usize)| Span {
            queries: rows.clone(),
            keys: rows.clone(),
            position: 0,
            mask: mask(*before),
        };
        self.places.iter().map(span).collect()
    }

    /// The rows that say the targets.
    pub fn saying(&self, mask: fn(usize) -> Mask) -> Saying {
        let (mut rows, mut spans) = (Vec::new(), Vec::with_capacity(self.places.len()));
        for (keys, before) in &self.places {
            let first = rows.len();
            rows.extend(keys.start + before - 1..keys.end);
            spans.push(Span {
                queries: first..rows.len(),
                keys: keys.clone(),
                position: before - 1,
                mask: mask(*before),
            });
        }
        let positions = rows.iter().map(|&row| self.positions[row]).collect();
        Saying { rows, positions, spans }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_follows_its_source() {
        let batch = Batch::new([vec![2, 9, 3], vec![2, 3]], [vec![7, 8, 3], vec![3]], 10).unwrap();
        let s = Sequences::of_batch(&batch, None);
        assert_eq!(s.ids, [2, 9, 3, 7, 8, 2, 3]);
        assert_eq!(s.positions[..], [0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(s.segments, [0, 0, 0, 1, 1, 0, 0]);
        assert_eq!(s.places, [(0..5, 3), (5..7, 2)]);
        // As many as there are target tokens.
        let saying = s.saying(Mask::Prefix);
        assert_eq!((&saying.rows[..], &saying.positions[..]), (&[2, 3, 4, 6][..], &[2, 3, 4, 1][..]));
        let of = |span: &Span| (span.queries.clone(), span.keys.clone(), span.position, span.mask);
        let spans: Vec<_> = saying.spans.iter().map(of).collect();
        assert_eq!(spans, [(0..3, 0..5, 2, Mask::Prefix(3)), (3..4, 5..7, 1, Mask::Prefix(2))]);
        assert_eq!(Sequences::of_sources(batch.sources(), None).ids, batch.sources().ids());
    }

    #[test]
    fn an_id_before_the_source_is_part_of_what_comes_before_the_target() {
        let batch = Batch::new([vec![9, 1], vec![1]], [vec![7, 8, 1], vec![1]], 10).unwrap();
        let s = Sequences::of_batch(&batch, Some(0));
        assert_eq!(s.ids, [0, 9, 1, 7, 8, 0, 1]);
        assert_eq!(s.places, [(0..5, 3), (5..7, 2)]);
        assert_eq!(s.saying(|_| Mask::Causal).rows, [2, 3, 4, 6]);
        assert_eq!(s.spans(Mask::Prefix)[1].mask, Mask::Prefix(2));
        assert_eq!(Sequences::of_sources(batch.sources(), Some(0)).ids, [0, 9, 1, 0, 1]);
    }
}
