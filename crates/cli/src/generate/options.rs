//! The flags that say how to generate, and the options they stand for.

use anyhow::{Context, Result};
use std::num::NonZeroUsize;
use t5kit_generate::{EarlyStopping, GenerateOptions, LengthNormalization, word_ids};
use t5kit_tokenizer::Tokenizer;

use crate::errors::usage;

/// When beam search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Early {
    /// As soon as there are as many finished texts as beams
    True,
    /// When the best open text, ended now, would not be among them
    False,
    /// When no open text can become one of them any more
    Never,
}

/// What a text's log-probability is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Normalization {
    /// length ^ penalty, as in transformers
    Hf,
    /// ((5 + length) / 6) ^ penalty, as in T5's own code
    T5,
}

/// How to generate. Greedy unless --num-beams or one of the sampling flags is given.
#[derive(clap::Args)]
pub struct OptionArgs {
    /// Tokens generated at most, </s> included, --prefix not
    #[arg(long, value_name = "N", default_value = "64")]
    max_new_tokens: NonZeroUsize,
    /// No </s> before this many tokens
    #[arg(long, value_name = "N", default_value = "0")]
    min_new_tokens: usize,
    /// Texts for each source, best first; as many beams, or sampling. Above 1 a line is a score, a tab and a text
    #[arg(long, value_name = "N", default_value = "1")]
    num_return_sequences: NonZeroUsize,

    /// Beam search: texts followed at a time
    #[arg(long, value_name = "N", help_heading = "Beam search")]
    num_beams: Option<NonZeroUsize>,
    /// Exponent of the length normalisation; above 0 favours long texts [default: 1.0]
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        requires = "num_beams",
        help_heading = "Beam search"
    )]
    length_penalty: Option<f32>,
    /// What a log-probability is divided by [default: hf]
    #[arg(long, value_name = "WHOSE", requires = "num_beams", help_heading = "Beam search")]
    length_normalization: Option<Normalization>,
    /// When the search ends [default: false]
    #[arg(long, value_name = "WHEN", requires = "num_beams", help_heading = "Beam search")]
    early_stopping: Option<Early>,
    /// Groups of beams that avoid each other's tokens; divides --num-beams
    #[arg(
        long,
        value_name = "N",
        requires = "num_beams",
        requires = "diversity_penalty",
        help_heading = "Beam search"
    )]
    num_beam_groups: Option<NonZeroUsize>,
    /// What a token loses for each beam of an earlier group that took it
    #[arg(long, value_name = "X", requires = "num_beam_groups", help_heading = "Beam search")]
    diversity_penalty: Option<f32>,

    /// Draw tokens at random; implied by the four flags below
    #[arg(long, help_heading = "Sampling")]
    sample: bool,
    /// Below 1 sharper, above 1 flatter [default: 1.0]
    #[arg(long, value_name = "X", help_heading = "Sampling")]
    temperature: Option<f32>,
    /// Draw from the K best tokens [default: all]
    #[arg(long, value_name = "K", help_heading = "Sampling")]
    top_k: Option<NonZeroUsize>,
    /// Draw from the best tokens that have this probability together [default: 1.0, all]
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    top_p: Option<f32>,
    /// Draw from tokens at least so probable relative to the best [default: 0.0, all]
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    min_p: Option<f32>,
    /// The same seed draws the same texts, whatever the batch [default: 0]
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    seed: Option<u64>,

    /// Above 1: tokens the text has already become less probable
    #[arg(long, value_name = "X", default_value = "1.0", help_heading = "What may come")]
    repetition_penalty: f32,
    /// No N tokens in a row occur twice; 0: off
    #[arg(long, value_name = "N", default_value = "0", help_heading = "What may come")]
    no_repeat_ngram_size: usize,
    /// A word that must not occur, or @FILE with one a line; may be repeated
    #[arg(long, value_name = "WORD|@FILE", help_heading = "What may come")]
    bad_words: Vec<String>,
    /// What every text begins with
    #[arg(long, value_name = "TEXT", help_heading = "What may come")]
    prefix: Option<String>,
    /// Let sentinels (<extra_id_0>, …) be produced
    #[arg(long, help_heading = "What may come")]
    allow_sentinels: bool,
}

impl OptionArgs {
    /// Puts the flags' values into options; what needs a tokenizer comes by [`OptionArgs::encode`].
    pub fn fill(&self, mut o: GenerateOptions) -> Result<GenerateOptions> {
        let drawn = self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
            || self.min_p.is_some();
        o.do_sample = self.sample || drawn;
        if self.seed.is_some() && !o.do_sample {
            return Err(usage("--seed has no effect without sampling: add --sample or --temperature"));
        }
        o.max_new_tokens = self.max_new_tokens.get();
        o.min_new_tokens = self.min_new_tokens;
        o.num_return_sequences = self.num_return_sequences.get();
        o.num_beams = self.num_beams.map_or(1, NonZeroUsize::get);
        o.num_beam_groups = self.num_beam_groups.map_or(1, NonZeroUsize::get);
        o.length_penalty = self.length_penalty.unwrap_or(o.length_penalty);
        o.diversity_penalty = self.diversity_penalty.unwrap_or(o.diversity_penalty);
        o.length_normalization = match self.length_normalization {
            None | Some(Normalization::Hf) => LengthNormalization::Hf,
            Some(Normalization::T5) => LengthNormalization::T5,
        };
        o.early_stopping = match self.early_stopping {
            Some(Early::True) => EarlyStopping::Yes,
            None | Some(Early::False) => EarlyStopping::No,
            Some(Early::Never) => EarlyStopping::Never,
        };
        o.temperature = self.temperature.unwrap_or(o.temperature);
        o.top_k = self.top_k.map_or(0, NonZeroUsize::get);
        o.top_p = self.top_p.unwrap_or(o.top_p);
        o.min_p = self.min_p.unwrap_or(o.min_p);
        o.seed = self.seed.unwrap_or(o.seed);
        o.repetition_penalty = self.repetition_penalty;
        o.no_repeat_ngram_size = self.no_repeat_ngram_size;
        if self.allow_sentinels {
            o.suppress.clear();
        }
        Ok(o)
    }

    /// Adds what depends on the tokenizer: bad words, prefix, the first sentinel.
    pub fn encode(&self, tokenizer: &Tokenizer, o: &mut GenerateOptions) -> Result<()> {
        for word in &self.bad_words {
            match word.strip_prefix('@') {
                None => o.bad_words_ids.extend(bad_word(tokenizer, word)?),
                Some(file) => {
                    let text = std::fs::read_to_string(file)
                        .with_context(|| format!("--bad-words: cannot read {file}"))?;
                    for word in text.lines().filter(|line| !line.trim().is_empty()) {
                        o.bad_words_ids.extend(bad_word(tokenizer, word)?);
                    }
                }
            }
        }
        o.prefix = self.prefix.as_deref().map(|text| tokenizer.encode(text)).unwrap_or_default();
        if !self.allow_sentinels {
            let first = |name: &&str| tokenizer.id_of(name).filter(|id| o.suppress.contains(id));
            o.first_sentinel = ["▁<extra_id_0>", "<extra_id_0>"].iter().find_map(first);
        }
        Ok(())
    }
}

fn bad_word(tokenizer: &Tokenizer, word: &str) -> Result<Vec<Vec<u32>>> {
    let ids = word_ids(tokenizer, word);
    // Every unknown character would be forbidden with it.
    if ids.iter().flatten().any(|&id| id == tokenizer.unk_id()) {
        return Err(usage(format!(
            "--bad-words: the tokenizer cannot write {word:?}, so the model cannot produce it"
        )));
    }
    if ids.is_empty() {
        return Err(usage(format!("--bad-words: {word:?} has no tokens")));
    }
    Ok(ids)
}
