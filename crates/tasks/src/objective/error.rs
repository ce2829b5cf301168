//! What can be wrong with an objective: one line each, with what mends it.

use super::Objective;

/// Why no example can be made.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    /// No objective has this name.
    #[error("there is no objective {name}{}; there are {}", did_you_mean(nearest), Objective::NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// The density is out of range.
    #[error("`noise_density` must be {range} for {objective}, not {value}")]
    NoiseDensity {
        /// The objective's name.
        objective: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it is.
        value: f64,
    },
    /// The length of spans is out of range.
    #[error("`mean_span_length` must be at least 1 token, not {value}")]
    SpanLength {
        /// What it is.
        value: f64,
    },
    /// The vocabulary has no sentinels.
    #[error(
        "{objective} needs sentinels and the vocabulary has none (no <extra_id_0>): take a tokenizer of T5 (its folder, \
         as its spiece.model alone has none) or mT5, or drop-tokens, deshuffling, prefix-lm, full-lm, gap-sentences"
    )]
    NoSentinels {
        /// The objective's name.
        objective: &'static str,
    },
    /// The vocabulary has sentinels, but not enough of them.
    #[error(
        "{objective} needs {need} sentinels for inputs of {source_length} tokens and the vocabulary has {have}: {how} a \
         lower `noise_density`, or a `max_source_length` of at most {fits}"
    )]
    TooFewSentinels {
        /// The objective's name.
        objective: &'static str,
        /// How many it needs, on average where chance decides.
        need: usize,
        /// How many there are.
        have: usize,
        /// The input's length.
        source_length: usize,
        /// The longest input for which there are enough.
        fits: usize,
        /// What else helps.
        how: &'static str,
    },
    /// The lengths leave no room.
    #[error(
        "{objective} has no room in {source_length} tokens of input and {target_length} of target: raise \
         `max_source_length` or `max_target_length`"
    )]
    NoRoom {
        /// The objective's name.
        objective: &'static str,
        /// Of the input.
        source_length: usize,
        /// Of the target.
        target_length: usize,
    },
    /// A text is too short.
    #[error(
        "{objective} needs a text of at least {need} {what}, not {have}: leave it out, or join it with the next"
    )]
    TooShort {
        /// The objective's name.
        objective: &'static str,
        /// Tokens or sentences.
        what: &'static str,
        /// How many it needs.
        need: usize,
        /// How many there are.
        have: usize,
    },
}

impl Error {
    /// Whether what was asked for is impossible whatever the texts and the vocabulary are.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Error::NoSentinels { .. } | Error::TooFewSentinels { .. } | Error::TooShort { .. })
    }

    pub(super) fn unknown(name: &str) -> Self {
        let near = |known: &&'static str| strsim::jaro_winkler(&name.to_lowercase(), known);
        let nearest = Objective::NAMES.into_iter().max_by(|a, b| near(a).total_cmp(&near(b)));
        Error::Unknown { name: name.to_owned(), nearest: nearest.filter(|known| near(known) > 0.7) }
    }
}

fn did_you_mean(nearest: &Option<&'static str>) -> String {
    nearest.map_or(String::new(), |name| format!(", did you mean {name}?"))
}
