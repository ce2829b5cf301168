//! The unsupervised objectives of the T5 paper (Raffel et al. 2020, section 3.3) and of its successors: what is made of
//! a text's tokens. `docs/objectives.md` says what each is and where it is defined.
//!
//! ```no_run
//! # use t5kit_tasks::objective::{Budget, Choices, Objective, Unit};
//! # fn shown(tokenizer: &t5kit_tokenizer::Tokenizer, choices: &mut dyn Choices) -> Result<(), Box<dyn std::error::Error>> {
//! let objective = Objective::by_name("span-corruption")?;
//! let prepared = objective.prepare(tokenizer, Budget { source: 512, target: 114 })?;
//! assert_eq!(prepared.unit(), Unit::Tokens(568)); // what `random_spans_helper` of t5 says
//! let (mut input, mut target) = (Vec::new(), Vec::new());
//! prepared.example(&tokenizer.encode("明月几时有，把酒问青天。"), "", choices, &mut input, &mut target)?;
//! # Ok(()) }
//! ```

mod choices;
mod corrupt;
mod error;
mod masks;
mod prepared;
mod sentences;
mod ul2;

pub use choices::Choices;
pub use error::Error;
pub use masks::spans_length;
pub use prepared::Prepared;
pub use sentences::SentenceChoice;

/// What a model learns from text alone: which tokens are hidden, what stands for them, what the target is.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    kind: Kind,
    /// Share of the tokens that are corrupted, above 0 and below 1; for `prefix-lm` at most 0.5, the share of the target
    /// on average; for `gap-sentences` how long the target is beside the input. `deshuffling`, `full-lm`, `ul2`: none.
    pub noise_density: f64,
    /// Tokens of a corrupted span on average, at least 1; for `span-corruption` alone.
    pub mean_span_length: f64,
    /// How the sentences of `gap-sentences` are chosen; for it alone.
    pub sentence_choice: SentenceChoice,
}

/// The objectives, in the order of [`Objective::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SpanCorruption,
    IidUnique,
    BertStyle,
    MassStyle,
    DropTokens,
    Deshuffling,
    PrefixLm,
    FullLm,
    Ul2,
    GapSentences,
}

const KINDS: [Kind; 10] = [
    Kind::SpanCorruption,
    Kind::IidUnique,
    Kind::BertStyle,
    Kind::MassStyle,
    Kind::DropTokens,
    Kind::Deshuffling,
    Kind::PrefixLm,
    Kind::FullLm,
    Kind::Ul2,
    Kind::GapSentences,
];

/// Tokens that an example may have, what is around it (`</s>`) included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of the input.
    pub source: usize,
    /// Of the target.
    pub target: usize,
}

/// What an example is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A chunk of so many tokens of running text; the last one of a text may be shorter.
    Tokens(usize),
    /// A whole text.
    Document,
}

impl Objective {
    /// The names, in the order of the T5 paper and then of time.
    pub const NAMES: [&'static str; 10] = [
        "span-corruption",
        "iid-unique",
        "bert-style",
        "mass-style",
        "drop-tokens",
        "deshuffling",
        "prefix-lm",
        "full-lm",
        "ul2",
        "gap-sentences",
    ];

    /// What UL2 puts before its inputs: for short spans, for long or dense ones, for a prefix.
    pub const MODES: [&'static str; 3] = ["[NLU]", "[NLG]", "[S2S]"];

    /// The objective of a name, with the parameters of its paper: `noise_density` 0.15 (`prefix-lm` 0.5,
    /// `gap-sentences` 0.25), `mean_span_length` 3, sentences chosen as T5 PEGASUS does.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let Some(at) = Self::NAMES.iter().position(|known| *known == name) else {
            return Err(Error::unknown(name));
        };
        let kind = KINDS[at];
        let noise_density = match kind {
            Kind::PrefixLm => 0.5,
            Kind::GapSentences => 0.25,
            _ => 0.15,
        };
        Ok(Self { kind, noise_density, mean_span_length: 3.0, sentence_choice: SentenceChoice::default() })
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        Self::NAMES[KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0)]
    }

    /// Whether `noise_density` says anything to it.
    pub fn has_noise_density(&self) -> bool {
        !matches!(self.kind, Kind::Deshuffling | Kind::FullLm | Kind::Ul2)
    }

    /// Whether `mean_span_length` says anything to it.
    pub fn has_mean_span_length(&self) -> bool {
        self.kind == Kind::SpanCorruption
    }

    /// Whether the target is the text as it was, token by token against an input of the same length: a token is hidden
    /// where the two differ.
    pub fn is_aligned(&self) -> bool {
        matches!(self.kind, Kind::BertStyle | Kind::MassStyle)
    }

    /// Whether the target holds what was taken out of the input and nothing else but sentinels.
    pub fn is_cut_out(&self) -> bool {
        !self.is_aligned() && !matches!(self.kind, Kind::Deshuffling | Kind::FullLm)
    }

    /// Makes ready for a tokenizer and lengths: finds the sentinels, solves the length of the raw text.
    ///
    /// # Errors
    /// Parameters out of range, sentinels that are missing or too few, lengths too small for an example.
    pub fn prepare<'t>(
        &self,
        tokenizer: &'t t5kit_tokenizer::Tokenizer,
        budget: Budget,
    ) -> Result<Prepared<'t>, Error> {
        self.check()?;
        Prepared::new(self, tokenizer, budget)
    }

    fn check(&self) -> Result<(), Error> {
        let density = self.noise_density;
        let prefix = self.kind == Kind::PrefixLm;
        if self.has_noise_density() && !(density > 0.0 && density < 1.0 && (!prefix || density <= 0.5)) {
            let range = if prefix { "above 0 and at most 0.5" } else { "above 0 and below 1" };
            return Err(Error::NoiseDensity { objective: self.name(), range, value: density });
        }
        let mean = self.mean_span_length;
        if self.has_mean_span_length() && !(mean >= 1.0 && mean.is_finite()) {
            return Err(Error::SpanLength { value: mean });
        }
        Ok(())
    }
}
