//! T5's relative position bias: one learned number for each head and each bucket of distances
//! (Raffel et al. 2020, section 2.1; `_relative_position_bucket` in transformers' modeling_t5.py).

use crate::{Context, ParamId};

/// Which bias an attention adds to its scores.
#[derive(Clone, Copy, Debug)]
pub struct RelativeBias {
    /// `relative_attention_bias.weight`: [num_buckets, num_heads].
    pub weight: ParamId,
    /// `relative_attention_num_buckets`.
    pub num_buckets: usize,
    /// `relative_attention_max_distance`: distances from here on share the last bucket.
    pub max_distance: usize,
    /// Encoders tell keys before from keys after; decoders see only keys before.
    pub bidirectional: bool,
}

impl RelativeBias {
    /// The bucket of `key position − query position`.
    pub fn bucket(&self, relative: isize) -> usize {
        let mut buckets = self.num_buckets;
        let mut first = 0;
        let distance = if self.bidirectional {
            buckets /= 2;
            if relative > 0 {
                first = buckets;
            }
            relative.unsigned_abs()
        } else {
            relative.min(0).unsigned_abs()
        };
        let max_exact = buckets / 2;
        if distance < max_exact {
            return first + distance;
        }
        // In f32 as the reference computes it, so that distances on a boundary fall on the same side.
        let log = (distance as f32 / max_exact as f32).ln();
        let range = (self.max_distance as f64 / max_exact as f64).ln() as f32;
        let large = max_exact + (log / range * (buckets - max_exact) as f32) as usize;
        first + large.min(buckets - 1)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn bias(bidirectional: bool) -> RelativeBias {
        let weight = Params::default().add("b", crate::Weight::zeros(&[32, 1]));
        RelativeBias { weight, num_buckets: 32, max_distance: 128, bidirectional }
    }

    /// Values of transformers' `_relative_position_bucket` (4.57) at and around every boundary.
    #[test]
    fn buckets_are_those_of_the_reference() {
        let both = bias(true);
        let seen: Vec<usize> = [
            0, -1, -7, -8, -11, -12, -15, -16, -22, -23, -31, -32, -45, -46, -63, -64, -90, -91, -127, -128,
            -500,
        ]
        .iter()
        .map(|&r| both.bucket(r))
        .collect();
        assert_eq!(seen, [0, 1, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 15]);
        assert_eq!([1, 8, 200].map(|r| both.bucket(r)), [17, 24, 31]);
        let past = bias(false);
        let seen: Vec<usize> = [5, 0, -1, -15, -16, -18, -19, -20, -21, -23, -24, -112, -113, -128, -1000]
            .iter()
            .map(|&r| past.bucket(r))
            .collect();
        assert_eq!(seen, [0, 0, 1, 15, 16, 16, 17, 17, 18, 18, 19, 30, 31, 31, 31]);
    }
}
