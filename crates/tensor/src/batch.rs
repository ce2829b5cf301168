//! Packed batches: sequences one after another, no padding.

use std::ops::Range;

/// Sequences of ids laid end to end, with their cumulative lengths.
///
/// For example the sequences `[5, 6, 1]` and `[7, 1]` are `ids = [5, 6, 1, 7, 1]`, `offsets = [0, 3, 5]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    ids: Vec<u32>,
    offsets: Vec<usize>,
}

/// Why sequences cannot be packed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackedError {
    /// A sequence without any id has no place in a batch: a text ends with `</s>` at least.
    #[error("sequence {0} of the batch is empty")]
    Empty(usize),
    /// An id that the model has no row for.
    #[error(
        "id {id} in sequence {sequence} of the batch, but the model has {rows} rows; is this the model's tokenizer?"
    )]
    Id {
        /// Index of the sequence.
        sequence: usize,
        /// The id.
        id: u32,
        /// Rows of the embedding.
        rows: usize,
    },
}

impl Packed {
    /// Lays sequences end to end. Every sequence has at least one id.
    pub fn new<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Result<Self, PackedError> {
        let mut packed = Packed { ids: Vec::new(), offsets: vec![0] };
        for (i, sequence) in sequences.into_iter().enumerate() {
            if sequence.as_ref().is_empty() {
                return Err(PackedError::Empty(i));
            }
            packed.ids.extend_from_slice(sequence.as_ref());
            packed.offsets.push(packed.ids.len());
        }
        Ok(packed)
    }

    /// A sequence of each id.
    pub fn singles(ids: &[u32]) -> Self {
        Packed { ids: ids.to_vec(), offsets: (0..=ids.len()).collect() }
    }

    /// An error unless every id is below `rows`.
    pub fn check_ids(&self, rows: usize) -> Result<(), PackedError> {
        match self.ids.iter().position(|&id| id as usize >= rows) {
            None => Ok(()),
            Some(at) => {
                let sequence = self.offsets.partition_point(|&o| o <= at) - 1;
                Err(PackedError::Id { sequence, id: self.ids[at], rows })
            }
        }
    }

    /// All ids: `[tokens]`.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of ids in all sequences together.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where sequence `i` lies among the tokens.
    pub fn range(&self, i: usize) -> Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    /// The places of all sequences, in order.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        (0..self.len()).map(|i| self.range(i))
    }

    /// The ids of sequence `i`.
    pub fn sequence(&self, i: usize) -> &[u32] {
        &self.ids[self.range(i)]
    }

    /// For teacher forcing: every sequence moved right by one, beginning with `start`.
    pub fn shifted_right(&self, start: u32) -> Packed {
        let mut ids = Vec::with_capacity(self.ids.len());
        for range in self.ranges() {
            ids.push(start);
            ids.extend_from_slice(&self.ids[range.start..range.end - 1]);
        }
        Packed { ids, offsets: self.offsets.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_and_shifting() {
        let batch = Packed::new([vec![5, 6, 1], vec![7, 1]]).unwrap();
        assert_eq!(batch.ids(), [5, 6, 1, 7, 1]);
        assert_eq!(batch.ranges().collect::<Vec<_>>(), [0..3, 3..5]);
        assert_eq!(batch.shifted_right(0).ids(), [0, 5, 6, 0, 7]);
        assert_eq!(batch.sequence(1), [7, 1]);
        assert!(batch.check_ids(8).is_ok());
        assert_eq!(batch.check_ids(7), Err(PackedError::Id { sequence: 1, id: 7, rows: 7 }));
        assert_eq!(Packed::new([vec![1], vec![]]), Err(PackedError::Empty(1)));
        assert!(Packed::default().is_empty());
    }
}
