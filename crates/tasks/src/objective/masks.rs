//! Which tokens are noise: the masks of `t5.data.preprocessors`, number by number, and the length of raw text that fills
//! the budgets.
//!
//! There, masks are computed in 32-bit floating point and rounded half to even, lengths in Python's 64-bit numbers; so
//! they are here.

use super::Choices;

/// How many tokens of a text are noise, and in how many spans (`random_spans_noise_mask`). At least one of each, and one
/// token that is none; a span begins after a token that is none.
pub(super) fn noise(length: usize, density: f64, mean_span: f64) -> [usize; 2] {
    let length = length.max(2);
    let noise = (length as f32 * density as f32).round_ties_even() as usize;
    let noise = noise.clamp(1, length - 1);
    let spans = (noise as f32 / mean_span as f32).round_ties_even() as usize;
    // t5 fails beyond these; only densities and lengths that nobody uses come there.
    [noise, spans.clamp(1, noise.min(length - noise))]
}

/// Spans of noise that alternate with others, which begin (`random_spans_noise_mask`): all masks with so many tokens and
/// spans are equally likely.
pub(super) fn random_spans(
    length: usize,
    density: f64,
    mean_span: f64,
    choices: &mut dyn Choices,
) -> Vec<bool> {
    let [noise, spans] = noise(length, density, mean_span);
    let noise_lengths = segments(noise, spans, choices);
    let other_lengths = segments(length.max(2) - noise, spans, choices);
    let mut mask = Vec::with_capacity(length);
    for (other, noise) in other_lengths.into_iter().zip(noise_lengths) {
        mask.resize(mask.len() + other, false);
        mask.resize(mask.len() + noise, true);
    }
    mask.truncate(length);
    mask
}

/// The lengths of `segments` non-empty parts of `items` (`_random_segmentation`).
fn segments(items: usize, segments: usize, choices: &mut dyn Choices) -> Vec<usize> {
    let mut lengths = vec![1];
    for from in choices.order(items - 1) {
        // The first `segments - 1` of what is shuffled begin a segment each.
        match lengths.last_mut() {
            Some(length) if from + 1 >= segments => *length += 1,
            _ => lengths.push(1),
        }
    }
    lengths
}

/// Each token by itself (`iid_noise_mask`).
pub(super) fn iid(length: usize, density: f64, choices: &mut dyn Choices) -> Vec<bool> {
    (0..length).map(|_| choices.uniform() < density).collect()
}

/// How many tokens the input of a prefix language model has, of `length` ≥ 2 (`random_prefix_noise_mask`): uniform from
/// [`least_prefix`] to all but the last.
pub(super) fn prefix(length: usize, density: f64, choices: &mut dyn Choices) -> usize {
    let least = least_prefix(length, density);
    least + choices.below(length - least)
}

/// `(1 - 2 · density)` of all tokens but the last, at least 1.
pub(super) fn least_prefix(length: usize, density: f64) -> usize {
    let most = length - 1;
    let least = ((1.0 - 2.0 * density) as f32 * most as f32).round_ties_even() as usize;
    least.max(1).min(most)
}

/// The tokens of raw text whose corrupted spans fill an input of `input` tokens, `</s>` included, and the tokens of the
/// target then (`random_spans_helper` of t5, with one sentinel a span in each). `(568, 114)` for 512, 0.15 and 3.
pub fn spans_length(input: usize, density: f64, mean_span: f64) -> (usize, usize) {
    spans_length_below(input, density, mean_span, usize::MAX)
}

/// The same, but no more than `most` tokens of raw text.
pub(super) fn spans_length_below(input: usize, density: f64, mean_span: f64, most: usize) -> (usize, usize) {
    let lengths = |length: usize| {
        let noise = (length as f64 * density).round_ties_even();
        let spans = (noise / mean_span).round_ties_even();
        (length - noise as usize + spans as usize + 1, noise as usize + spans as usize + 1)
    };
    let mut length = input.saturating_sub(1);
    while length < most && lengths(length + 1).0 <= input {
        length += 1;
    }
    let (input, mut target) = lengths(length);
    // t5's own exception, for a target that is as long as the input.
    if density == 0.5 && target > input {
        (length, target) = (length - 1, target - 1);
    }
    (length, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_of_the_paper() {
        assert_eq!(spans_length(512, 0.15, 3.0), (568, 114));
        // bert-base's mT5 sibling with 1024: as Hugging Face's run_t5_mlm_flax.py, which copies the function.
        assert_eq!(spans_length(1024, 0.15, 3.0), (1137, 229));
    }

    #[test]
    fn extremes_have_a_span_and_something_beside_it() {
        for (length, density, mean) in [(2, 0.01, 100.0), (2, 0.99, 1.0), (3, 0.5, 1.0), (50, 0.98, 1.0)] {
            let [noise, spans] = noise(length, density, mean);
            assert!(spans >= 1 && spans <= noise && spans <= length - noise, "{length} {density} {mean}");
        }
    }
}
