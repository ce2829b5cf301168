//! Metrics of generated text, equal to the packages and scripts whose numbers people quote.
//!
//! [`compute`] makes figures of texts: values, signatures, sentence scores, bootstrap confidence intervals and a paired
//! test between two systems. The statistics of every line are computed once; whatever is drawn anew adds them up. The
//! goldens in `tests/` come from the Python packages (`tools/metrics_goldens.py`, `tools/metrics_packages_goldens.py`).
//!
//! | module | what |
//! |---|---|
//! | [`metric`] | metrics by name |
//! | [`mod@compute`], [`figures`] | texts to figures, with names, definitions and signatures |
//! | [`statistics`], [`resample`], `numpy_random` | lines that can be drawn anew; intervals, the paired test; numpy's generator |
//! | [`mod@csl`], `rouge`, `bleu`, `token`, `lcs` | the preset of the CSL title task: `rouge` 1.0.1 and nltk's sentence BLEU |
//! | [`rouge_score`], `jieba` | ROUGE of `rouge_score`, and jieba's words |
//! | [`sacrebleu`] | BLEU, chrF, TER, and the tokenizers |
//! | [`answer`] | exact match and F1 by the scripts of SQuAD, MLQA, CMRC 2018 |
//! | [`labels`], [`correlation`] | labels as scikit-learn has them; numbers as scipy has them |
//! | [`surface`] | distinct-n, copying, length |
//! | [`scorer`] | several metrics over lines that arrive one at a time |
//! | `ngrams`, `lexicon`, `python` | n-grams counted, words as numbers, strings as Python sees them |

pub mod answer;
mod bleu;
pub mod compute;
pub mod correlation;
pub mod csl;
pub mod figures;
mod jieba;
pub mod labels;
mod lcs;
mod lexicon;
pub mod metric;
mod ngrams;
mod numpy_random;
mod python;
pub mod resample;
mod rouge;
pub mod rouge_score;
pub mod sacrebleu;
pub mod scorer;
pub mod statistics;
pub mod surface;
mod token;

pub use compute::{Error, Texts, compute};
pub use csl::{Accumulator, Scores, csl};
pub use figures::{Against, Figure, Report};
pub use metric::{Metric, NameError};
pub use resample::Bootstrap;
pub use scorer::Scorer;
