//! What a decoder remembers between steps.

use std::ops::Range;
use std::sync::Arc;

use t5kit_tensor::ops::{CachedRows, CachedSpan, FeatureSpan, Features, KeyValues};
use t5kit_tensor::{Context, DType, Packed, Tensor};

/// Positions of one source that room is reserved for at most, however many it may be fed: a limit that nobody means to
/// reach takes no addresses.
const RESERVED_MOST: usize = 1 << 14;

/// Keys and values of every decoder layer for the hypotheses that are being generated; it belongs to whoever
/// generates, so that one loaded model serves many streams.
///
/// A step feeds each *slot* a token, or several at once, of which each sees those before it. [`Cache::select`] says which
/// slots go on and how they continue: a hypothesis that has ended is left out, one that several hypotheses continue is
/// named several times. [`Cache::take_back`] makes a slot forget the last of what it was fed. A slot is a list of the
/// rows where its past lies, and slots share what they have in common; a row that no slot names any more is free, and
/// the next token takes it. Room for all that a source can be fed is reserved when it comes
/// ([`Seq2Seq::start`](crate::Seq2Seq::start)), as addresses that get memory when they are first written to; keys and
/// values move then or never, but for targets of more than 16,384 tokens.
///
/// What the decoder sees of a source is there once, however many hypotheses it has, and goes with the last of them.
pub struct Cache {
    /// A layer each.
    own: Vec<KeyValues>,
    /// Rows that were ever written.
    used: usize,
    /// Those of them that nobody needs.
    free: Vec<u32>,
    /// How many slots name a row: [used].
    shares: Vec<u32>,
    slots: Vec<Slot>,
    /// The rows of the newest positions, slot after slot: [tokens of the step] in its course.
    newest: Vec<u32>,
}

/// What the decoder sees of one source: a row a source token (but the last, where the decoder is fed that).
pub(crate) enum Seen {
    /// Each layer's keys and values.
    Keys(Vec<KeyValues>),
    /// The encoder's output, for all layers.
    Features(Features),
}

/// Keeps a layer's keys and values of each source's rows but the last: the last columns of `kv`, `cols` wide each.
pub(crate) fn keep_before_last(
    context: Context<'_>,
    seen: &mut [Vec<KeyValues>],
    kv: &Tensor,
    rows: impl Iterator<Item = Range<usize>>,
    cols: usize,
    dtype: DType,
) {
    let rows = rows.map(|rows| rows.start..rows.end - 1);
    let own = KeyValues::taken(context, kv, rows, kv.cols() - 2 * cols, cols, dtype);
    seen.iter_mut().zip(own).for_each(|(seen, own)| seen.push(own));
}

/// A source that has slots.
struct Source {
    seen: Seen,
    /// Positions that room is reserved for.
    reserved: usize,
}

impl Source {
    /// A layer's keys and values.
    fn keys(&self, layer: usize) -> &KeyValues {
        match &self.seen {
            Seen::Keys(layers) => &layers[layer],
            Seen::Features(_) => panic!("a model of one stack keeps keys and values of its sources"),
        }
    }
}

struct Slot {
    source: Arc<Source>,
    /// The row of each position.
    past: Vec<u32>,
    /// How many of them are of this step.
    newest: usize,
}

/// A token of a step.
struct Query<'c> {
    source: &'c Arc<Source>,
    /// The rows of its slot's positions up to its own.
    past: &'c [u32],
}

impl Query<'_> {
    fn is_of_source_of(&self, other: &Query<'_>) -> bool {
        Arc::ptr_eq(self.source, other.source)
    }

    /// Whether another token is of the same source and as far.
    fn is_beside(&self, other: &Query<'_>) -> bool {
        self.is_of_source_of(other) && self.past.len() == other.past.len()
    }
}

impl Cache {
    /// Of so many decoder layers, keys and values `cols` wide.
    pub(crate) fn new(layers: usize, cols: usize) -> Self {
        let own = (0..layers).map(|_| KeyValues::new(0, cols, DType::F32)).collect();
        let (free, shares, slots, newest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Cache { own, used: 0, free, shares, slots, newest }
    }

    /// Keeps keys and values in `dtype` from now on.
    ///
    /// Panics where there are some in another.
    pub(crate) fn keep_in(&mut self, dtype: DType) {
        if self.own.first().is_none_or(|layer| layer.dtype() == dtype) {
            return;
        }
        assert!(self.slots.is_empty(), "a cache has keys and values of one type");
        (self.used, self.free, self.shares) = (0, Vec::new(), Vec::new());
        for layer in &mut self.own {
            *layer = KeyValues::new(0, layer.cols(), dtype);
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Tokens that a slot has been fed so far.
    pub fn length(&self, slot: usize) -> usize {
        self.slots[slot].past.len()
    }

    /// Positions that are held, those that slots share once each.
    pub fn held(&self) -> usize {
        self.used - self.free.len()
    }

    /// From now on slot `i` continues what slot `parents[i]` has been until now; slots that no one continues end, and
    /// their rows are free. Attention to the sources is quickest where the slots of a source stand side by side.
    pub fn select(&mut self, parents: &[usize]) {
        if parents.iter().copied().eq(0..self.slots.len()) {
            return;
        }
        let mut heirs = vec![0usize; self.slots.len()];
        parents.iter().for_each(|&parent| heirs[parent] += 1);
        let mut old: Vec<Option<Slot>> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        for (slot, &heirs) in old.iter_mut().zip(&heirs) {
            if heirs == 0
                && let Some(slot) = slot.take()
            {
                self.forget(&slot.past);
            }
        }
        for &parent in parents {
            heirs[parent] -= 1;
            // The last heir takes it as it is.
            let slot = match heirs[parent] {
                0 => old[parent].take(),
                _ => old[parent].as_ref().map(|slot| {
                    slot.past.iter().for_each(|&row| self.shares[row as usize] += 1);
                    Slot { source: slot.source.clone(), past: slot.past.clone(), newest: slot.newest }
                }),
            };
            self.slots.extend(slot);
        }
    }

    /// Slot `slot` forgets the last `count` tokens that it was fed.
    pub fn take_back(&mut self, slot: usize, count: usize) {
        let past = &mut self.slots[slot].past;
        let gone = past.split_off(past.len() - count);
        self.forget(&gone);
    }

    fn forget(&mut self, past: &[u32]) {
        for &row in past {
            let shares = &mut self.shares[row as usize];
            *shares -= 1;
            if *shares == 0 {
                self.free.push(row);
            }
        }
    }

    /// A slot for each of these sources, behind those that are there; `budget`: tokens it is fed at most.
    pub(crate) fn add(&mut self, sources: impl IntoIterator<Item = (Seen, usize)>) {
        for (seen, budget) in sources {
            let source = Arc::new(Source { seen, reserved: budget.min(RESERVED_MOST) });
            self.slots.push(Slot { source, past: Vec::new(), newest: 0 });
        }
        let alike = |a: &Slot, b: &Slot| Arc::ptr_eq(&a.source, &b.source);
        let needed = self.slots.chunk_by(alike).map(|slots| slots[0].source.reserved).sum();
        self.reserve(needed);
    }

    /// Sees to it that there is room for so many rows.
    fn reserve(&mut self, rows: usize) {
        for layer in &mut self.own {
            if layer.rows() < rows {
                layer.grow(rows, self.used);
            }
        }
    }

    /// Gives every slot rows for the tokens it is fed: `fed` has a sequence for each.
    pub(crate) fn advance(&mut self, fed: &Packed) {
        assert_eq!(fed.len(), self.slots.len(), "tokens for every slot");
        self.newest.clear();
        let missing = fed.tokens().saturating_sub(self.free.len());
        if let Some(layer) = self.own.first()
            && self.used + missing > layer.rows()
        {
            self.reserve((self.used + missing).max(layer.rows() + layer.rows() / 2));
        }
        for (slot, tokens) in self.slots.iter_mut().zip(fed.ranges()) {
            slot.newest = tokens.len();
            for _ in tokens {
                let row = self.free.pop().unwrap_or_else(|| {
                    self.used += 1;
                    self.shares.push(0);
                    u32::try_from(self.used - 1).expect("fewer rows than memory holds")
                });
                self.shares[row as usize] = 1;
                slot.past.push(row);
                self.newest.push(row);
            }
        }
    }

    /// The tokens of the step, slot after slot.
    fn queries(&self) -> Vec<Query<'_>> {
        let mut queries = Vec::with_capacity(self.newest.len());
        for Slot { source, past, newest } in &self.slots {
            let ends = past.len() + 1 - newest..=past.len();
            queries.extend(ends.map(|end| Query { source, past: &past[..end] }));
        }
        queries
    }

    /// Keeps the keys and values of the step's tokens: one row each of `from`, keys from column `column` on, then
    /// values.
    pub(crate) fn store(&mut self, layer: usize, from: &Tensor, column: usize) {
        self.own[layer].store(&self.newest, from, column);
    }

    /// Each query of the step against its own past in a layer, itself included.
    pub(crate) fn own_spans(&self, layer: usize) -> Vec<CachedSpan<'_>> {
        let cache = &self.own[layer];
        let queries = self.queries().into_iter().enumerate();
        let spans = queries.map(|(row, Query { past, .. })| CachedSpan {
            queries: row..row + 1,
            cache,
            keys: CachedRows::List(past),
            position: past.len() - 1,
        });
        spans.collect()
    }

    /// Of each query of the step the positions that are kept of its source, and those that its slot was fed up to it.
    pub(crate) fn stands(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        self.queries().into_iter().map(|query| (query.source.keys(0).rows(), query.past.len()))
    }

    /// The queries of the step against the keys of their sources and of their own past in a layer, side by side.
    pub(crate) fn joint_spans(&self, layer: usize) -> Vec<CachedSpan<'_>> {
        let (mut first, mut spans) = (0, Vec::new());
        for group in self.queries().chunk_by(Query::is_beside) {
            let queries = first..first + group.len();
            first = queries.end;
            let keys = group[0].source.keys(layer);
            let position = keys.rows() + group[0].past.len() - 1;
            let own = group.iter().map(|query| query.past).collect();
            let keys = CachedRows::Shared { first: keys, rows: 0..keys.rows(), own };
            spans.push(CachedSpan { queries, cache: &self.own[layer], keys, position });
        }
        spans
    }

    /// The queries of the step against what a layer sees of their sources: those of a source together, unless their
    /// `positions` count and differ.
    pub(crate) fn source_spans(&self, layer: usize, positions: bool) -> SourceSpans<'_> {
        let together = |a: &Query<'_>, b: &Query<'_>| match positions {
            true => a.is_beside(b),
            false => a.is_of_source_of(b),
        };
        let mut spans = SourceSpans::default();
        let mut first = 0;
        for group in self.queries().chunk_by(together) {
            let rows = first..first + group.len();
            first = rows.end;
            let source: &Source = group[0].source;
            match &source.seen {
                Seen::Features(features) => {
                    let queries = spans.features.take(rows);
                    spans.of_features.push(FeatureSpan { queries, features });
                }
                Seen::Keys(layers) => {
                    let (cache, position) = (&layers[layer], group[0].past.len() - 1);
                    let (queries, keys) = (spans.keys.take(rows), CachedRows::Range(0..cache.rows()));
                    spans.of_keys.push(CachedSpan { queries, cache, keys, position });
                }
            }
        }
        spans
    }
}

/// Queries by what is kept of their sources; they count from the first of their kind.
#[derive(Default)]
pub(crate) struct SourceSpans<'c> {
    /// Those whose sources' features are kept.
    pub features: Rows,
    pub of_features: Vec<FeatureSpan<'c>>,
    /// Those for which there are keys and values.
    pub keys: Rows,
    pub of_keys: Vec<CachedSpan<'c>>,
}

/// Rows of one kind among all.
#[derive(Default)]
pub(crate) struct Rows(pub Vec<usize>);

impl Rows {
    /// Adds rows; their places among those of the kind.
    fn take(&mut self, rows: Range<usize>) -> Range<usize> {
        let first = self.0.len();
        self.0.extend(rows);
        first..self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source() -> (Seen, usize) {
        (Seen::Features(Features::new(Tensor::zeros(1, 1))), 4)
    }

    /// A step that keeps `values[i]` for slot `i`.
    fn feed(cache: &mut Cache, values: &[Vec<f32>]) {
        cache.advance(&Packed::new(values.iter().map(|values| vec![0; values.len()])).unwrap());
        let rows: Vec<f32> = values.iter().flatten().flat_map(|&x| [x, x]).collect();
        cache.store(0, &Tensor::from_vec(rows.len() / 2, 2, rows), 0);
    }

    #[test]
    fn room_is_used_again() {
        let mut cache = Cache::new(1, 1);
        cache.add([source(), source()]);
        for _ in 0..4 {
            feed(&mut cache, &[vec![1.0], vec![2.0]]);
        }
        assert_eq!((cache.held(), cache.own[0].rows()), (8, 8));
        cache.select(&[1]);
        assert_eq!(cache.held(), 4);
        cache.add([source()]);
        cache.select(&[1]);
        for _ in 0..4 {
            feed(&mut cache, &[vec![3.0]]);
        }
        assert_eq!((cache.used, cache.held(), cache.own[0].rows()), (8, 4, 8));
        cache.select(&[]);
        assert_eq!((cache.held(), cache.slots()), (0, 0));
    }

    proptest! {
        /// However slots are selected, added and ended, fed one or several and made to forget, a slot's past is what it
        /// was fed, nobody else writes there, and no row is held that nobody names.
        #[test]
        fn a_slot_remembers_what_it_was_fed(steps in proptest::collection::vec(
            (proptest::collection::vec((0usize..64, 1usize..4, 0usize..4), 0..6), 0usize..3), 1..30,
        )) {
            let mut cache = Cache::new(1, 1);
            let mut fed: Vec<Vec<f32>> = Vec::new();
            let mut next = 0.0;
            for (choice, more) in steps {
                cache.add((0..more).map(|_| source()));
                fed.extend((0..more).map(|_| Vec::new()));
                let parents: Vec<usize> = match fed.len() {
                    0 => Vec::new(),
                    slots => choice.iter().map(|(c, ..)| c % slots).collect(),
                };
                cache.select(&parents);
                fed = parents.iter().map(|&parent| fed[parent].clone()).collect();
                let mut some = |count| (0..count).map(|_| { next += 1.0; next }).collect();
                let values: Vec<Vec<f32>> = choice.iter().take(fed.len()).map(|&(_, count, _)| some(count)).collect();
                feed(&mut cache, &values);
                let mut rows = 0;
                for (values, fed) in values.iter().zip(&mut fed) {
                    for value in values {
                        fed.push(*value);
                        prop_assert_eq!(cache.queries()[rows].past.len(), fed.len(), "each token sees those before it");
                        rows += 1;
                    }
                }
                prop_assert_eq!(cache.queries().len(), rows);
                for (slot, (&(_, count, back), fed)) in choice.iter().zip(&mut fed).enumerate() {
                    cache.take_back(slot, back.min(count));
                    fed.truncate(fed.len() - back.min(count));
                    prop_assert_eq!(cache.length(slot), fed.len());
                }
                let mut named = std::collections::BTreeSet::new();
                for (slot, fed) in cache.slots.iter().zip(&fed) {
                    let found: Vec<f32> = slot.past.iter().map(|&row| cache.own[0].position(row as usize)[0]).collect();
                    prop_assert_eq!(&found, fed);
                    named.extend(slot.past.iter().copied());
                }
                prop_assert_eq!(cache.held(), named.len());
            }
        }
    }
}
