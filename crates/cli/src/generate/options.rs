//! The flags that say how to generate, and the options they stand for.

use anyhow::{Context, Result};
use std::num::NonZeroUsize;
use std::path::Path;
use t5kit_formats::generation_config::GenerationConfig;
use t5kit_generate::{EarlyStopping, GenerateOptions, LengthNormalization, apply_ids, word_ids};
use t5kit_tokenizer::Tokenizer;

use crate::errors::usage;
use crate::lengths::as_usage;
use crate::loaded::Loaded;

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
    /// Below 1 sharper, above 1 flatter [default: 1.0]
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
    /// What every text begins with
    #[arg(long, value_name = "TEXT", help_heading = "What may come")]
    prefix: Option<String>,
    /// Let sentinels (<extra_id_0>, …) be produced
    #[arg(long, help_heading = "What may come")]
    allow_sentinels: bool,
}

impl OptionArgs {
    /// An error about what no model's own values could mend.
    pub fn check_alone(&self) -> Result<()> {
        let mut o = GenerateOptions::new(0);
        self.fill(&mut o);
        o.check_values().map_err(as_usage)?;
        if self.num_beams.is_some_and(|n| n.get() > 1) && self.draws() {
            return Err(usage("--num-beams and sampling: use one or the other"));
        }
        Ok(())
    }

    /// This program's defaults, then what the model's `generation_config.json` says, then the flags. The ids that the
    /// file says become the model's. `single`: there is to be one text, as it is chosen.
    pub fn resolve(&self, loaded: &mut Loaded, single: bool) -> Result<GenerateOptions> {
        let mut o = loaded.generate_options();
        if self.allow_sentinels {
            o.suppress.clear();
        }
        let tokenizer = &loaded.tokenizer;
        let first = |name: &&str| tokenizer.id_of(name).filter(|id| o.suppress.contains(id));
        o.first_sentinel = ["▁<extra_id_0>", "<extra_id_0>"].iter().find_map(first);
        o.prefix = self.prefix.as_deref().map(|text| tokenizer.encode(text)).unwrap_or_default();
        let (name, mut file) = match &loaded.generation_config {
            Some(path) => (path.display().to_string(), GenerationConfig::read(path)?),
            // Of before 2023, when there was one file for everything.
            None => {
                let other = &loaded.model.config.other;
                ("config.json".to_owned(), GenerationConfig::of_model(Path::new("config.json"), other)?)
            }
        };
        if self.max_new_tokens.is_some() {
            file.max_length = None;
        }
        o.apply(&file).map_err(as_usage)?;
        o.check_values().with_context(|| name.clone())?;
        apply_ids(&mut loaded.model.config, &file).with_context(|| name.clone())?;
        let mut said = Vec::new();
        if !file.ignored.is_empty() {
            said.push(format!("not followed: {}", file.ignored.join(", ")));
        }
        said.extend(self.settle(&mut o, single).map(String::from));
        if !said.is_empty() {
            eprintln!("t5kit: {name}: {}", said.join("; "));
        }
        self.fill(&mut o);
        self.forbid(&loaded.tokenizer, &mut o)?;
        self.check_effect(&o)?;
        Ok(o)
    }

    /// Whether the flags ask for sampling.
    fn draws(&self) -> bool {
        self.sample
            || self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
            || self.min_p.is_some()
    }

    /// Decides between greedy decoding, beams and sampling where flags and file ask for different ones; what is to be
    /// said about it.
    fn settle(&self, o: &mut GenerateOptions, single: bool) -> Option<&'static str> {
        let plain = |o: &mut GenerateOptions| {
            (o.num_beams, o.num_beam_groups, o.diversity_penalty) = (1, 1, 0.0);
        };
        let mut said = None;
        if self.draws() {
            plain(o);
            o.do_sample = true;
        } else if self.no_sample || self.num_beams.is_some() {
            o.do_sample = false;
        } else if o.do_sample && o.num_beams > 1 && !single {
            o.do_sample = false;
            said = Some("do_sample with num_beams: the beams are searched and nothing is drawn");
        } else if o.do_sample {
            said = Some("tokens are drawn at random (do_sample); --no-sample takes the best");
        }
        if single || self.num_beams.is_some_and(|n| n.get() == 1) {
            plain(o);
        }
        // As many as the search that the flags ask for can give.
        if single {
            o.num_return_sequences = 1;
        } else if !o.do_sample {
            let beams = self.num_beams.map_or(o.num_beams, NonZeroUsize::get);
            o.num_return_sequences = o.num_return_sequences.min(beams);
        }
        said
    }

    /// Puts the flags' values into options.
    fn fill(&self, o: &mut GenerateOptions) {
        let set = |to: &mut usize, value: Option<usize>| *to = value.unwrap_or(*to);
        set(&mut o.max_new_tokens, self.max_new_tokens.map(NonZeroUsize::get));
        set(&mut o.min_new_tokens, self.min_new_tokens);
        set(&mut o.num_return_sequences, self.num_return_sequences.map(NonZeroUsize::get));
        set(&mut o.num_beams, self.num_beams.map(NonZeroUsize::get));
        set(&mut o.num_beam_groups, self.num_beam_groups.map(NonZeroUsize::get));
        set(&mut o.top_k, self.top_k);
        set(&mut o.no_repeat_ngram_size, self.no_repeat_ngram_size);
        let set = |to: &mut f32, value: Option<f32>| *to = value.unwrap_or(*to);
        set(&mut o.length_penalty, self.length_penalty);
        set(&mut o.diversity_penalty, self.diversity_penalty);
        set(&mut o.temperature, self.temperature);
        set(&mut o.top_p, self.top_p);
        set(&mut o.min_p, self.min_p);
        set(&mut o.repetition_penalty, self.repetition_penalty);
        o.seed = self.seed.unwrap_or(o.seed);
        if self.length_normalization == Some(Normalization::T5) {
            o.length_normalization = LengthNormalization::T5;
            o.early_stopping = EarlyStopping::T5;
        }
        o.early_stopping = match self.early_stopping {
            None => o.early_stopping,
            Some(Early::True) => EarlyStopping::Yes,
            Some(Early::False) => EarlyStopping::No,
            Some(Early::Never) => EarlyStopping::Never,
            Some(Early::T5) => EarlyStopping::T5,
        };
    }

    /// An error about a flag that has no effect on the search as it is now.
    fn check_effect(&self, o: &GenerateOptions) -> Result<()> {
        if self.seed.is_some() && !o.do_sample {
            return Err(usage("--seed has no effect without sampling: add --sample or --temperature"));
        }
        for (given, flag) in [
            (self.length_penalty.is_some(), "--length-penalty"),
            (self.length_normalization.is_some(), "--length-normalization"),
            (self.early_stopping.is_some(), "--early-stopping"),
            (self.num_beam_groups.is_some(), "--num-beam-groups"),
            (self.diversity_penalty.is_some(), "--diversity-penalty"),
        ] {
            if given && o.num_beams == 1 {
                return Err(usage(format!("{flag} has no effect without beams: add --num-beams")));
            }
        }
        Ok(())
    }

    /// The words that must not occur; where there are any, they replace the model's own.
    fn forbid(&self, tokenizer: &Tokenizer, o: &mut GenerateOptions) -> Result<()> {
        if !self.bad_words.is_empty() {
            o.bad_words_ids.clear();
        }
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
