//! How much memory generating takes, beside the weights.

use t5kit_model::memory::{Widths, Work};

use crate::session::ENCODED_TOGETHER;

/// Predicted bytes while so many sessions side by side each work on a batch (one a thread where there are many sources,
/// else one): what the decoder holds, and beside it the activations of the sources that are encoded together, or of a
/// step with its logits, whichever is more. `hypotheses`: of each source; `proposed`: tokens that lookup decoding tries
/// in a step beside them, of all sources ([`most_proposed`]).
pub fn generation_bytes(
    widths: &Widths,
    work: Work,
    hypotheses: usize,
    proposed: usize,
    sessions: usize,
) -> u64 {
    let all = work.sequences.saturating_mul(work.source_tokens);
    let together = all.min(ENCODED_TOGETHER.max(work.source_tokens));
    let fed = work.target_tokens.saturating_mul(hypotheses);
    let held = widths.cache_bytes(Work { target_tokens: fed, ..work });
    let rows = work.sequences.saturating_mul(hypotheses).saturating_add(proposed);
    let step = widths.step_bytes(rows, fed);
    (sessions as u64).saturating_mul(held.saturating_add(widths.encoding_bytes(together).max(step)))
}

/// Tokens that lookup decoding tries in a step at most, where so many hypotheses are continued and `num_tokens`
/// ([`GenerateOptions::prompt_lookup_num_tokens`](crate::GenerateOptions::prompt_lookup_num_tokens)) may be proposed for
/// each: a step of more than 64 tokens is bound by arithmetic, of which proposals save none.
pub fn most_proposed(num_tokens: usize, hypotheses: usize) -> usize {
    const TOGETHER: usize = 64;
    TOGETHER.saturating_sub(hypotheses).min(hypotheses.saturating_mul(num_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_model::T5Config;

    #[test]
    fn a_batch_of_mt5_small() {
        let widths = t5kit_model::t5::widths(&T5Config::default());
        let work = Work { sequences: 16, source_tokens: 256, target_tokens: 32, kept: 4 };
        let one = generation_bytes(&widths, work, 1, 0, 1);
        // Features of 4,096 tokens, 8 layers of keys and values of 512 positions, activations of 1,024 tokens.
        let held = (4096 * 512 + 8 * 512 * 768) * 4;
        assert!(one > held && one < held + (1024 * 4096 * 4) + (1 << 20), "{one}");
        assert_eq!(generation_bytes(&widths, work, 1, 0, 2), 2 * one);
        // Proposals have logits, and no room of their own.
        let proposed = generation_bytes(&widths, work, 1, 48, 1) - one;
        assert!(proposed > 32 * 250_112 * 4 && proposed < 48 * 262_000 * 4, "{proposed}");
        // Four beams: four times the positions and logits, the same features.
        let beams = generation_bytes(&widths, Work { target_tokens: 8, ..work }, 4, 0, 1);
        assert!(beams > one && beams < one + (64 * 250_112 * 4), "{beams} {one}");
        let none = Work { sequences: 0, source_tokens: 0, target_tokens: 0, kept: 4 };
        assert_eq!(generation_bytes(&widths, none, 1, 0, 1), 0);
    }
}
