//! The flags that say how to generate, and the wishes they stand for.

use anyhow::{Context, Result};
use std::num::NonZeroUsize;
use t5kit_pipeline::{EarlyStopping, LengthNormalization, Note, Settled, Wishes};

use crate::errors::in_flags;
use crate::form::say_taken;

/// When beam search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Early {
    /// As soon as there are as many finished texts as beams
    True,
    /// When the best open text, ended now, would not be among them
    False,
    /// When no open text can become one of them any more
    Never,
    /// T5's own rule: when no open text can become better than the worst of the finished ones, of which one is enough
    T5,
}

/// What a text's log-probability is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Normalization {
    /// length ^ penalty, as in transformers
    Hf,
    /// ((5 + length) / 6) ^ penalty, as in T5's own code
    T5,
}

/// How to generate. Greedy unless the model's generation_config.json says otherwise, or --num-beams or one of the
/// sampling flags is given.
#[derive(clap::Args)]
pub struct OptionArgs {
    /// Tokens generated at most, </s> included, --prefix not [default: the model's, else 64]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<NonZeroUsize>,
    /// No </s> before this many tokens [default: the model's, else 0]
    #[arg(long, value_name = "N")]
    min_new_tokens: Option<usize>,
    /// Texts for each source, best first; as many beams, or sampling. Above 1 a line is a score, a tab and a text
    /// [default: the model's, else 1]
    #[arg(long, value_name = "N")]
    num_return_sequences: Option<NonZeroUsize>,

    /// Beam search: texts followed at a time; 1: none, the best token is taken
    #[arg(long, value_name = "N", help_heading = "Beam search")]
    num_beams: Option<NonZeroUsize>,
    /// Exponent of the length normalisation; above 0 favours long texts [default: 1.0]
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Beam search")]
    length_penalty: Option<f32>,
    /// What a log-probability is divided by [default: hf]
    #[arg(long, value_name = "WHOSE", help_heading = "Beam search")]
    length_normalization: Option<Normalization>,
    /// When the search ends [default: false; with --length-normalization t5: t5]
    #[arg(long, value_name = "WHEN", help_heading = "Beam search")]
    early_stopping: Option<Early>,
    /// Groups of beams that avoid each other's tokens; divides --num-beams
    #[arg(long, value_name = "N", help_heading = "Beam search")]
    num_beam_groups: Option<NonZeroUsize>,
    /// What a token loses for each beam of an earlier group that took it
    #[arg(long, value_name = "X", help_heading = "Beam search")]
    diversity_penalty: Option<f32>,

    /// Draw tokens at random; implied by the four flags below
    #[arg(long, help_heading = "Sampling")]
    sample: bool,
    /// Draw nothing, whatever the model's generation_config.json says
    #[arg(long, help_heading = "Sampling", conflicts_with_all = ["sample", "temperature", "top_k", "top_p", "min_p", "seed"])]
    no_sample: bool,
    /// Below 1 sharper, above 1 flatter; 0: the best token is taken [default: 1.0]
    #[arg(long, value_name = "X", help_heading = "Sampling")]
    temperature: Option<f32>,
    /// Draw from the K best tokens; 0: from all [default: all]
    #[arg(long, value_name = "K", help_heading = "Sampling")]
    top_k: Option<usize>,
    /// Draw from the best tokens that have this probability together [default: 1.0, all]
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    top_p: Option<f32>,
    /// Draw from tokens at least so probable relative to the best [default: 0.0, all]
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    min_p: Option<f32>,
    /// The same seed draws the same texts, whatever the batch [default: 0]
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    seed: Option<u64>,

    /// Above 1: tokens the text has already become less probable [default: 1.0]
    #[arg(long, value_name = "X", help_heading = "What may come")]
    repetition_penalty: Option<f32>,
    /// No N tokens in a row occur twice; 0: off [default: 0]
    #[arg(long, value_name = "N", help_heading = "What may come")]
    no_repeat_ngram_size: Option<usize>,
    /// A word that must not occur, or @FILE with one a line; may be repeated
    #[arg(long, value_name = "WORD|@FILE", help_heading = "What may come")]
    bad_words: Vec<String>,
    /// What alone may come: list:TEXT,… or list:@FILE (a text a line): one of these; trie:…: what begins with one of these;
    /// regex:PATTERN: what matches from beginning to end; labels:…: the likeliest of these, scored instead of searched
    /// for, with probabilities. May be repeated
    #[arg(long, value_name = "KIND:WHAT", help_heading = "What may come")]
    constrain: Vec<String>,
    /// What every text begins with
    #[arg(long, value_name = "TEXT", help_heading = "What may come")]
    prefix: Option<String>,
    /// Let sentinels (<extra_id_0>, …) be produced
    #[arg(long, help_heading = "What may come")]
    allow_sentinels: bool,

    /// Look up what the text said last in the source and in the text, and try up to N of the tokens that came next there
    /// in one step, where that pays: the same texts, sooner where they copy. Without beams, and with nothing drawn; 0:
    /// off [default: 0]
    #[arg(long, value_name = "N", help_heading = "Work")]
    lookup: Option<usize>,
}

impl OptionArgs {
    /// What the flags ask for. `single`: there is to be one text, as it is chosen.
    pub fn wishes(&self, single: bool) -> Result<Wishes> {
        Ok(Wishes {
            max_new_tokens: self.max_new_tokens.map(NonZeroUsize::get),
            min_new_tokens: self.min_new_tokens,
            num_return_sequences: self.num_return_sequences.map(NonZeroUsize::get),
            num_beams: self.num_beams.map(NonZeroUsize::get),
            length_penalty: self.length_penalty,
            length_normalization: self.length_normalization.map(|whose| match whose {
                Normalization::Hf => LengthNormalization::Hf,
                Normalization::T5 => LengthNormalization::T5,
            }),
            early_stopping: self.early_stopping.map(|when| match when {
                Early::True => EarlyStopping::Yes,
                Early::False => EarlyStopping::No,
                Early::Never => EarlyStopping::Never,
                Early::T5 => EarlyStopping::T5,
            }),
            num_beam_groups: self.num_beam_groups.map(NonZeroUsize::get),
            diversity_penalty: self.diversity_penalty,
            do_sample: match (self.sample, self.no_sample) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                (false, false) => None,
            },
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: self.seed,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            prompt_lookup_num_tokens: self.lookup,
            bad_words: self.bad_words()?,
            prefix: self.prefix.clone(),
            constrain: crate::constrain::wished(&self.constrain)?,
            allow_sentinels: self.allow_sentinels,
            single,
        })
    }

    /// The words that must not occur, those of files among them.
    fn bad_words(&self) -> Result<Vec<String>> {
        let mut words = Vec::new();
        for word in &self.bad_words {
            let Some(file) = word.strip_prefix('@') else {
                words.push(word.clone());
                continue;
            };
            let text =
                std::fs::read_to_string(file).with_context(|| format!("--bad-words: cannot read {file}"))?;
            words.extend(text.lines().filter(|line| !line.trim().is_empty()).map(String::from));
        }
        Ok(words)
    }
}

/// Says on standard error what became of the model's own wishes.
pub fn say(settled: &Settled) {
    say_taken(&settled.file, &settled.taken);
    let words = |note: &Note| match note {
        Note::Sampling => "tokens are drawn at random (do_sample); --no-sample takes the best".to_owned(),
        other => in_flags(&other.to_string()),
    };
    if !settled.notes.is_empty() {
        let notes: Vec<String> = settled.notes.iter().map(words).collect();
        eprintln!("t5kit: {}: {}", settled.file, notes.join("; "));
    }
}
