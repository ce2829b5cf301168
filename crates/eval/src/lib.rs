//! Metrics of generated text.
//!
//! [`csl`] is the evaluation of Chinese title generation on CSL: every character is a token, ROUGE-1, ROUGE-2
//! and ROUGE-L are the F scores of the Python package `rouge` 1.0.1, BLEU is nltk's sentence BLEU with smoothing
//! method 1, and each is the mean over all lines. The numbers equal those of the Python libraries to rounding;
//! the goldens in `tests/` come from them.
//!
//! | module | what |
//! |---|---|
//! | [`mod@csl`] | the preset: scores of a line, means of many |
//! | `rouge` | ROUGE-N and ROUGE-L of two token lists |
//! | `bleu` | smoothed sentence BLEU of two token lists |
//! | `token` | text to tokens, as `" ".join(text).lower()` and two ways of splitting it |
//! | `lcs` | which tokens a longest common subsequence holds |
//! | [`chrf`] | chrF2 over all lines, as sacrebleu has it |
//! | `answer` | exact match and F1 of answers |
//! | [`metric`] | all of them by name, several over the same lines |

mod answer;
mod bleu;
pub mod chrf;
pub mod csl;
mod lcs;
pub mod metric;
mod rouge;
mod token;

pub use csl::{Accumulator, Scores, csl};
pub use metric::{Metric, Scorer};
