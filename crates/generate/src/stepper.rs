//! The model during generation: a batch of sources, the cache of their hypotheses, one step after another.

use t5kit_model::{DecoderCache, T5};
use t5kit_tensor::{Graph, Packed, Pool, Regime, Tensor, ops};

/// A batch on its way.
pub(crate) struct Stepper<'a> {
    model: &'a T5,
    /// The decoding steps' pass.
    pub graph: Graph<'a>,
    cache: DecoderCache,
}

impl<'a> Stepper<'a> {
    /// Encodes the sources and feeds all but the last of the ids that every target begins with (`given`, the start
    /// token first). Every source then has `copies` rows, side by side, that wait for the last of them. `tokens`: how
    /// many a source's rows may be fed, all together.
    pub fn start(
        model: &'a T5,
        pool: &'a Pool,
        sources: &Packed,
        given: &[u32],
        copies: usize,
        tokens: usize,
    ) -> Self {
        let mut bulk = Graph::inference(&model.params, pool, Regime::Bulk);
        let encoded = model.encode(&mut bulk, sources);
        let cache = model.start(&mut bulk, sources, &encoded, tokens);
        let graph = Graph::inference(&model.params, pool, Regime::Steps);
        let mut stepper = Stepper { model, graph, cache };
        for &id in &given[..given.len() - 1] {
            model.step(&mut stepper.graph, &vec![id; sources.len()], &mut stepper.cache);
        }
        if copies > 1 {
            let parents: Vec<usize> = (0..sources.len() * copies).map(|row| row / copies).collect();
            stepper.cache.select(&parents);
        }
        stepper
    }

    /// Feeds `ids[i]` to row `i`; the logits of what comes next: [rows, vocab_size].
    pub fn logits(&mut self, ids: &[u32]) -> Tensor {
        let hidden = self.model.step(&mut self.graph, ids, &mut self.cache);
        ops::logits(&self.graph, &hidden, self.model.softmax())
    }

    /// From now on row `i` continues what row `parents[i]` has been.
    pub fn select(&mut self, parents: &[usize]) {
        self.cache.select(parents);
    }
}
