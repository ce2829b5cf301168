//! The relative bias written out for the positions of a batch.

use crate::Context;
use crate::ops::RelativeBias;

/// The bias of every head for every relative position that a batch meets.
pub(crate) struct BiasTable {
    /// [heads, width]; column `i` is the relative position `i − before`.
    values: Vec<f32>,
    width: usize,
    before: usize,
}

impl BiasTable {
    /// For keys up to `before` positions before their query and up to `after` after it.
    pub(crate) fn new(
        context: Context<'_>,
        bias: &RelativeBias,
        heads: usize,
        before: usize,
        after: usize,
    ) -> Self {
        let weight = context.params.get(bias.weight);
        assert_eq!((weight.rows(), weight.cols()), (bias.num_buckets, heads), "shape of the relative bias");
        let mut table = vec![0.0; weight.len()];
        weight.as_rows().widen(&mut table);
        let width = before + 1 + after;
        let mut values = vec![0.0; heads * width];
        for i in 0..width {
            let bucket = bias.bucket(i as isize - before as isize);
            for head in 0..heads {
                values[head * width + i] = table[bucket * heads + head];
            }
        }
        BiasTable { values, width, before }
    }

    /// The biases of one head for a query at `position` and the keys 0…: as many as the table has.
    pub(crate) fn row(&self, head: usize, position: usize) -> &[f32] {
        &self.values[head * self.width + self.before - position..(head + 1) * self.width]
    }

    /// For a query at `position`: all heads' rows from key 0 on, and the stride between heads.
    pub(crate) fn heads_from(&self, position: usize) -> (&[f32], usize) {
        (&self.values[self.before - position..], self.width)
    }
}
