//! Which documents are held out: a property of the text and the seed, so that copies of a document go the same way.

use t5kit_formats::progress::Watch;
use t5kit_tasks::objective::Prepared;
use t5kit_tensor::{Pool, Rng, mix};
use t5kit_tokenizer::Tokenizer;

use super::window::{Kept, Reading, Window};
use super::{Drawn, StreamFacts, StreamOptions};
use crate::{Error, Examples};

/// Hash of a text: 8 bytes at a time.
pub(super) fn hash(seed: u64, text: &[u8]) -> u64 {
    let words = text.chunks(8).map(|part| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word)
    });
    words.fold(mix(seed, text.len() as u64), mix)
}

/// Whether a document is held out, where this share of them is.
pub(super) fn is_held_out(text: &str, share: f64, seed: u64) -> bool {
    share > 0.0 && (hash(mix(seed, HELD_OUT), text.as_bytes()) as f64) < share * 2f64.powi(64)
}

const HELD_OUT: u64 = 0x6865_6c64;

/// Examples of documents that are held out: at most `most`, of one way through the files, as many of each source as of any
/// other. Fewer where there are fewer.
///
/// # Errors
/// Those of [`crate::Stream::batch`].
pub fn held_out_examples(
    options: &StreamOptions,
    objective: &Prepared<'_>,
    tokenizer: &Tokenizer,
    pool: &Pool,
    most: usize,
    watch: &mut dyn Watch,
) -> Result<Examples, Error> {
    let reading = Reading { options, objective, tokenizer, pool };
    let mut pairs: Vec<[Vec<u32>; 2]> = Vec::new();
    for source in 0..options.sources.len() {
        let share = most * (source + 1) / options.sources.len();
        let mut window = Window::new(source);
        let mut number = 0;
        while pairs.len() < share {
            let mut facts = StreamFacts::default();
            let Some(chunk) =
                window.next_of(&reading, Kept::HeldOut { most: share - pairs.len() }, &mut facts, watch)?
            else {
                break;
            };
            let mut choices = Drawn(Rng::new(mix(options.seed, HELD_OUT + source as u64), number));
            number += 1;
            let [mut input, mut target] = [Vec::new(), Vec::new()];
            if objective.example(chunk.ids, chunk.text, &mut choices, &mut input, &mut target).is_ok() {
                pairs.push([input, target]);
            }
        }
    }
    Ok(Examples::from_ids(pairs.iter().map(|[input, target]| (&input[..], &target[..]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_held_out_is_the_one_asked_for() {
        let texts: Vec<String> = (0..20_000).map(|i| format!("第{i}篇")).collect();
        for share in [0.0, 0.01, 0.5] {
            let out = texts.iter().filter(|text| is_held_out(text, share, 3)).count() as f64 / 20_000.0;
            let deviation = (share * (1.0 - share) / 20_000.0f64).sqrt();
            assert!((out - share).abs() <= 5.0 * deviation, "{share}: {out}");
        }
        assert!(
            is_held_out("甲", 1.0, 0) && hash(1, b"a") != hash(1, b"a\0") && hash(1, b"a") != hash(2, b"a")
        );
    }
}
