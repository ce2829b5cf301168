//! What a page warns of: data by which the figures on it mean little.

use t5kit_formats::lang::{Lang, fill};

use super::RunReport;
use crate::Examples;

/// Shares from which on a reader has to know.
const MANY_CUT: f64 = 0.05;
const MANY_BYTES: f64 = 0.05;
/// Validation examples below which figures say little.
const FEW: usize = 20;

/// The warnings, a sentence each.
pub fn warnings(r: &RunReport<'_>) -> Vec<String> {
    let t = &r.lang.texts().pages;
    let mut all = Vec::new();
    let cut = |e: &Examples, side: usize| e.facts.cut[side] as f64 / e.len().max(1) as f64;
    for (side, what) in [t.sources, t.targets].into_iter().enumerate() {
        let share = cut(r.examples, side);
        if share > MANY_CUT {
            let length = r.lengths[side];
            all.push(fill(t.many_cut, &[("share", &percent(share)), ("what", &what), ("length", &length)]));
        }
    }
    if r.bytes_share > MANY_BYTES {
        all.push(fill(t.many_bytes, &[("share", &percent(r.bytes_share))]));
    }
    match r.valid {
        None => all.push(t.no_validation.to_owned()),
        Some(valid) if valid.len() < FEW => all.push(fill(t.few_examples, &[("n", &valid.len())])),
        Some(_) => {}
    }
    all
}

/// 7 %, 0.3 %.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent >= 1.0 { format!("{percent:.0} %") } else { format!("{percent:.1} %") }
}

/// The name of a part of the data, in the sentence about outputs.
pub fn part(lang: Lang, validation: bool) -> &'static str {
    if validation { lang.texts().pages.part_validation } else { lang.texts().pages.part_training }
}
