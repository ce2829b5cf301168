//! Examples on their way through a model together: sources and targets, packed.

use t5kit_tensor::{Packed, PackedError};

/// Sources and their targets, one example each: what training and scoring give a model.
///
/// For example the pairs `([5, 6, 1], [7, 1])` and `([8, 1], [9, 4, 1])` are the sources `[5, 6, 1, 8, 1]`, the targets
/// `[7, 1, 9, 4, 1]` and, where decoding starts from 0, the inputs `[0, 7, 0, 9, 4]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    sources: Packed,
    targets: Packed,
}

/// Why examples make no batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BatchError {
    /// A source or target that no model can be given.
    #[error("{what} {}: {source}", index + 1)]
    Sequence {
        /// "source" or "target".
        what: &'static str,
        /// Which one, from 0.
        index: usize,
        /// What is wrong with it.
        source: PackedError,
    },
    /// Not as many of one as of the other.
    #[error("{sources} sources and {targets} targets: every source has one target")]
    Count {
        /// Number of sources.
        sources: usize,
        /// Number of targets.
        targets: usize,
    },
}

impl Batch {
    /// Packs examples for a model with `rows` embeddings, and checks them.
    ///
    /// # Errors
    /// [`BatchError`]: an empty sequence, an id without a row, or not as many sources as targets.
    pub fn new<S: AsRef<[u32]>, T: AsRef<[u32]>>(
        sources: impl IntoIterator<Item = S>,
        targets: impl IntoIterator<Item = T>,
        rows: usize,
    ) -> Result<Self, BatchError> {
        let (sources, targets) = (pack("source", sources, rows)?, pack("target", targets, rows)?);
        if sources.len() != targets.len() {
            return Err(BatchError::Count { sources: sources.len(), targets: targets.len() });
        }
        Ok(Batch { sources, targets })
    }

    /// The sources.
    pub fn sources(&self) -> &Packed {
        &self.sources
    }

    /// The targets.
    pub fn targets(&self) -> &Packed {
        &self.targets
    }

    /// What a decoder is fed so that it says the targets: each moved right by one, beginning with `start`.
    pub fn inputs(&self, start: u32) -> Packed {
        self.targets.shifted_right(start)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Tokens of sources and targets together.
    pub fn tokens(&self) -> usize {
        self.sources.tokens() + self.targets.tokens()
    }
}

/// Packs sequences and checks that there is a row for every id.
pub(crate) fn pack<S: AsRef<[u32]>>(
    what: &'static str,
    sequences: impl IntoIterator<Item = S>,
    rows: usize,
) -> Result<Packed, BatchError> {
    let checked = Packed::new(sequences).and_then(|packed| packed.check_ids(rows).map(|()| packed));
    checked.map_err(|source| {
        let (PackedError::Empty(index) | PackedError::Id { sequence: index, .. }) = source;
        BatchError::Sequence { what, index, source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_targets_moved_right() {
        let batch = Batch::new([vec![5, 6, 1], vec![8, 1]], [vec![7, 1], vec![9, 4, 1]], 10).unwrap();
        assert_eq!(batch.sources().ids(), [5, 6, 1, 8, 1]);
        assert_eq!(batch.inputs(0).ids(), [0, 7, 0, 9, 4]);
        assert_eq!((batch.len(), batch.tokens()), (2, 10));
    }

    #[test]
    fn an_error_names_the_sequence() {
        let message = |sources: &[Vec<u32>], targets: &[Vec<u32>]| {
            Batch::new(sources, targets, 10).unwrap_err().to_string()
        };
        let good = [vec![5, 1], vec![6, 1]];
        assert!(message(&good, &[vec![1], vec![10, 1]]).starts_with("target 2: id 10 in sequence"));
        assert!(message(&[vec![1], vec![]], &good).starts_with("source 2: sequence 1 of the batch is empty"));
        assert!(message(&good[..1], &good).contains("1 sources and 2 targets"));
    }
}
