//! What becomes of noise: the `inputs_fn` and `targets_fn` of `t5.data.preprocessors`, and the sentinels they take.

use super::Choices;
use t5kit_tokenizer::Tokenizer;

/// Ids below this are never drawn as random tokens: `<pad>`, `</s>`, `<unk>` (`num_reserved_tokens`).
const RESERVED: usize = 3;
/// Share of the noise that becomes a random token in the BERT-style objective (`random_prob`).
const RANDOM: f64 = 0.1;

/// The sentinels' ids, `<extra_id_0>` first. In T5's own order these are the last ids, descending, which is how t5
/// counts; by their pieces they are right in mT5 and in a trimmed vocabulary too.
pub(super) fn sentinels(tokenizer: &Tokenizer) -> Vec<u32> {
    let number = |&id: &u32| {
        let piece = tokenizer.piece(id)?;
        piece.trim_start_matches('\u{2581}').strip_prefix("<extra_id_")?.strip_suffix('>')?.parse().ok()
    };
    let mut numbers: Vec<u32> = tokenizer.sentinels().iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().filter_map(|n| tokenizer.sentinel(n)).collect()
}

/// A sentinel of its own for every run of tokens whose mask is `noise`, the others as they are
/// (`noise_span_to_unique_sentinel`, with `false` `nonnoise_span_to_unique_sentinel`). There must be enough sentinels.
pub(super) fn span_to_unique_sentinel(
    ids: &[u32],
    mask: &[bool],
    noise: bool,
    sentinels: &[u32],
    out: &mut Vec<u32>,
) {
    let mut next = sentinels.iter();
    let mut before = !noise;
    for (&id, &is) in ids.iter().zip(mask) {
        if is != noise {
            out.push(id);
        } else if before != noise {
            out.extend(next.next());
        }
        before = is;
    }
}

/// The tokens whose mask is `noise` (`drop_nonnoise_tokens`, with `false` `drop_noise_tokens`).
pub(super) fn only(ids: &[u32], mask: &[bool], noise: bool, out: &mut Vec<u32>) {
    out.extend(ids.iter().zip(mask).filter(|(_, is)| **is == noise).map(|(&id, _)| id));
}

/// The same sentinel for every token that is noise (`noise_token_to_sentinel`).
pub(super) fn token_to_sentinel(ids: &[u32], mask: &[bool], sentinel: u32, out: &mut Vec<u32>) {
    out.extend(ids.iter().zip(mask).map(|(&id, &noise)| if noise { sentinel } else { id }));
}

/// A random token for a tenth of the noise, the sentinel for the rest (`noise_token_to_random_token_or_sentinel`).
pub(super) fn token_to_random_or_sentinel(
    ids: &[u32],
    mask: &[bool],
    sentinel: u32,
    vocab_size: usize,
    choices: &mut dyn Choices,
    out: &mut Vec<u32>,
) {
    out.extend(ids.iter().zip(mask).map(|(&id, &noise)| match noise {
        false => id,
        true if choices.uniform() < RANDOM => (RESERVED + choices.below(vocab_size - RESERVED)) as u32,
        true => sentinel,
    }));
}

/// Leaves so many runs of noise, the first, that there are sentinels for them and for what lies between, and that the
/// target has at most `room` tokens. What is noise beyond stays in the input. (t5 goes on with ordinary pieces as
/// sentinels, and cuts the target.)
pub(super) fn within(mask: &mut [bool], sentinels: usize, room: usize) {
    let (mut noise, mut runs, mut others) = (0, 0, 0);
    let mut before = None;
    for is in mask {
        let begins = before != Some(true);
        // What comes behind a run has a sentinel in the target too.
        if *is
            && (runs + usize::from(begins) > sentinels || others + 1 > sentinels || noise + others + 2 > room)
        {
            *is = false;
        }
        match *is {
            true => (noise, runs) = (noise + 1, runs + usize::from(begins)),
            false => others += usize::from(before != Some(false)),
        }
        before = Some(*is);
    }
}

/// Leaves the first `room` tokens of noise.
pub(super) fn at_most(mask: &mut [bool], room: usize) {
    mask.iter_mut().filter(|is| **is).skip(room).for_each(|is| *is = false);
}
