//! What a decoder remembers between steps.

use std::ops::Range;

use t5kit_tensor::ops::{KeyValues, Span};

/// Positions there is room for at first; doubled whenever they run out.
const FIRST_CAPACITY: usize = 32;

/// Keys and values of every decoder layer for the sequences that are being generated; it belongs to whoever
/// generates, so that one loaded model serves many streams.
///
/// A sequence has a *slot* for its whole life; a step names the slots that take part in it.
pub struct DecoderCache {
    pub(super) own: Vec<KeyValues>,
    pub(super) cross: Vec<KeyValues>,
    sources: Vec<Range<usize>>,
    lengths: Vec<usize>,
}

impl DecoderCache {
    pub(super) fn new(layers: usize, cols: usize, sources: Vec<Range<usize>>, cross: Vec<KeyValues>) -> Self {
        let own = (0..layers).map(|_| KeyValues::new(sources.len(), FIRST_CAPACITY, cols)).collect();
        let lengths = vec![0; sources.len()];
        DecoderCache { own, cross, sources, lengths }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.sources.len()
    }

    /// Tokens that a slot has been fed so far.
    pub fn length(&self, slot: usize) -> usize {
        self.lengths[slot]
    }

    /// Makes room for one more position in each of `slots` and returns the positions.
    pub(super) fn advance(&mut self, slots: &[usize]) -> Vec<usize> {
        let positions: Vec<usize> = slots.iter().map(|&slot| self.lengths[slot]).collect();
        let most = positions.iter().copied().max().unwrap_or(0);
        for layer in &mut self.own {
            if most >= layer.capacity() {
                layer.grow(self.lengths.len(), 2 * layer.capacity());
            }
        }
        for &slot in slots {
            self.lengths[slot] += 1;
        }
        positions
    }

    /// Each slot's newest query against its own past, itself included.
    pub(super) fn own_spans(&self, layer: usize, slots: &[usize], positions: &[usize]) -> Vec<Span> {
        let span = |(row, (&slot, &position)): (usize, (&usize, &usize))| {
            let first = self.own[layer].slot(slot);
            Span { queries: row..row + 1, keys: first..first + position + 1, position }
        };
        slots.iter().zip(positions).enumerate().map(span).collect()
    }

    /// Each slot's newest query, at its place in the target, against its source.
    pub(super) fn cross_spans(&self, slots: &[usize], positions: &[usize]) -> Vec<Span> {
        let span = |(row, (&slot, &position)): (usize, (&usize, &usize))| Span {
            queries: row..row + 1,
            keys: self.sources[slot].clone(),
            position,
        };
        slots.iter().zip(positions).enumerate().map(span).collect()
    }
}
