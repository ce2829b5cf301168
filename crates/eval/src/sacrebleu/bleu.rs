//! Corpus BLEU (Papineni et al. 2002) with sacreBLEU's defaults: orders 1 to 4, mixed case, exponential smoothing.

use super::tokenize::Tokenizer;
use crate::bleu::closest;
use crate::lexicon::Lexicon;
use crate::ngrams::{Counts, total};
use crate::python::split;

const ORDERS: usize = 4;
/// How many numbers a line's statistics are: lengths of prediction and reference, for each order the n-grams found
/// and the n-grams there are.
pub const WIDTH: usize = 2 + 2 * ORDERS;

/// The statistics of one line.
pub fn statistics(tokenizer: Tokenizer, prediction: &str, references: &[&str]) -> [f64; WIDTH] {
    let (prediction, references) =
        (tokenizer.cut(prediction), references.iter().map(|text| tokenizer.cut(text)).collect::<Vec<_>>());
    let mut lexicon = Lexicon::default();
    let predicted = lexicon.ids(split(&prediction));
    let expected: Vec<Vec<u32>> = references.iter().map(|text| lexicon.ids(split(text))).collect();
    let mut out = [0.0; WIDTH];
    out[0] = predicted.len() as f64;
    out[1] = closest(predicted.len(), expected.iter().map(Vec::len)) as f64;
    for n in 1..=ORDERS {
        let most = expected.iter().map(|ids| Counts::of(ids, n, 32)).reduce(Counts::most).unwrap_or_default();
        out[1 + n] = Counts::of(&predicted, n, 32).matched(&most) as f64;
        out[1 + ORDERS + n] = total(predicted.len(), n) as f64;
    }
    out
}

/// BLEU of summed statistics, from 0 to 100. `effective`: orders without any n-gram do not count, as sacreBLEU has it
/// for single sentences.
pub fn score(sums: &[f64], effective: bool) -> f64 {
    let (predicted, expected) = (sums[0], sums[1]);
    let (found, there) = (&sums[2..2 + ORDERS], &sums[2 + ORDERS..]);
    if found.iter().all(|&n| n == 0.0) {
        return 0.0;
    }
    let mut precisions = [0.0; ORDERS];
    let (mut halvings, mut orders) = (1.0, ORDERS);
    for n in 0..ORDERS {
        if there[n] == 0.0 {
            break;
        }
        if effective {
            orders = n + 1;
        }
        precisions[n] = if found[n] == 0.0 {
            halvings *= 2.0;
            100.0 / (halvings * there[n])
        } else {
            100.0 * found[n] / there[n]
        };
    }
    let log = |p: f64| if p == 0.0 { -9_999_999_999.0 } else { p.ln() };
    let penalty = if predicted < expected { (1.0 - expected / predicted).exp() } else { 1.0 };
    penalty * (precisions[..orders].iter().map(|&p| log(p)).sum::<f64>() / orders as f64).exp()
}
