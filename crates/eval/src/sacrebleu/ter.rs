//! TER (Snover et al. 2006) as sacreBLEU computes it after Tercom: the least insertions, deletions, substitutions and
//! shifts of words that make a reference of the prediction, per word of the reference. Lower is better.

use super::ter_shift::edits;
use crate::lexicon::Lexicon;
use crate::python::split;

/// The statistics of one line: edits, and words of the references in the mean.
pub fn statistics(prediction: &str, references: &[&str]) -> [f64; 2] {
    let lower = |text: &str| text.to_lowercase();
    let (prediction, references) =
        (lower(prediction), references.iter().map(|r| lower(r)).collect::<Vec<_>>());
    let mut lexicon = Lexicon::default();
    let predicted = lexicon.ids(split(&prediction));
    let (mut least, mut length) = (usize::MAX, 0);
    for reference in &references {
        let expected = lexicon.ids(split(reference));
        least = least.min(edits(&predicted, &expected));
        length += expected.len();
    }
    [least as f64, length as f64 / references.len() as f64]
}

/// The score of summed statistics, 0 where nothing is wrong; it may exceed 100.
pub fn score(sums: &[f64]) -> f64 {
    match sums {
        [edits, length] if *length > 0.0 => 100.0 * (edits / length),
        [edits, _] if *edits > 0.0 => 100.0,
        _ => 0.0,
    }
}
