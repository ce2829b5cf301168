//! What a decoder remembers between steps.

use std::ops::Range;

use t5kit_tensor::Tensor;
use t5kit_tensor::ops::{CachedRows, CachedSpan, KeyValues, Span};

/// Positions a slot has room for at first; room is doubled whenever it runs out.
const FIRST_CAPACITY: usize = 32;

/// Keys and values of every decoder layer for the hypotheses that are being generated; it belongs to whoever
/// generates, so that one loaded model serves many streams.
///
/// A step feeds one token to each *slot*. [`DecoderCache::select`] says which slots go on and how they continue: a
/// hypothesis that has ended is left out, one that several hypotheses continue is named several times. Keys and
/// values never move: a slot is a list of the rows where its past lies, and slots share what they have in common.
/// Those of the source are there once, however many hypotheses it has.
pub struct DecoderCache {
    pub(super) own: Vec<KeyValues>,
    pub(super) cross: CrossCache,
    /// Rows of `own` that are taken; the same in every layer.
    used: usize,
    slots: Vec<Slot>,
}

/// What the decoder sees of the sources: a row a source token.
pub(super) enum CrossCache {
    /// Each layer's keys and values.
    Keys(Vec<KeyValues>),
    /// The encoder's output, for all layers.
    Features(Tensor),
}

#[derive(Clone)]
struct Slot {
    /// Rows of `cross`.
    source: Range<usize>,
    /// The row of `own` of each position.
    past: Vec<u32>,
}

impl DecoderCache {
    pub(super) fn new(layers: usize, cols: usize, sources: Vec<Range<usize>>, cross: CrossCache) -> Self {
        let own = (0..layers).map(|_| KeyValues::new(sources.len() * FIRST_CAPACITY, cols)).collect();
        let slots = sources.into_iter().map(|source| Slot { source, past: Vec::new() }).collect();
        DecoderCache { own, cross, used: 0, slots }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Tokens that a slot has been fed so far.
    pub fn length(&self, slot: usize) -> usize {
        self.slots[slot].past.len()
    }

    /// From now on slot `i` continues what slot `parents[i]` has been until now; slots that no one continues end.
    /// Attention to the sources is quickest where the slots of a source stand side by side.
    pub fn select(&mut self, parents: &[usize]) {
        if !parents.iter().copied().eq(0..self.slots.len()) {
            self.slots = parents.iter().map(|&parent| self.slots[parent].clone()).collect();
        }
    }

    /// Makes room for one more position in every slot.
    pub(super) fn advance(&mut self) {
        let first = self.used;
        self.used += self.slots.len();
        for layer in &mut self.own {
            if layer.rows() < self.used {
                layer.grow(self.used.max(2 * layer.rows()));
            }
        }
        for (row, slot) in (first..).zip(&mut self.slots) {
            slot.past.push(u32::try_from(row).expect("fewer rows than memory holds"));
        }
    }

    /// Keeps the keys and values of the newest position of every slot: one row each of `from`, keys from column
    /// `column` on, then values.
    pub(super) fn store(&mut self, layer: usize, from: &Tensor, column: usize) {
        self.own[layer].store(self.used - self.slots.len(), from, column);
    }

    /// Each slot's newest query against its own past, itself included.
    pub(super) fn own_spans(&self) -> Vec<CachedSpan<'_>> {
        let mut spans = Vec::with_capacity(self.slots.len());
        for (row, Slot { past, .. }) in self.slots.iter().enumerate() {
            let keys = CachedRows::List(past);
            spans.push(CachedSpan { queries: row..row + 1, keys, position: past.len() - 1 });
        }
        spans
    }

    /// The newest queries against their sources, neighbours of the same source and position together.
    pub(super) fn cross_spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut first = 0;
        let alike = |a: &Slot, b: &Slot| a.source == b.source && a.past.len() == b.past.len();
        for group in self.slots.chunk_by(alike) {
            spans.push(Span {
                queries: first..first + group.len(),
                keys: group[0].source.clone(),
                position: group[0].past.len() - 1,
            });
            first += group.len();
        }
        spans
    }
}
