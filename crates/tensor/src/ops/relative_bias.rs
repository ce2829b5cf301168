//! T5's relative position bias: one learned number for each head and each bucket of distances
//! (Raffel et al. 2020, section 2.1; `_relative_position_bucket` in transformers' modeling_t5.py).

use crate::ParamId;

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
