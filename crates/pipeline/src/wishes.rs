//! How to generate, as somebody wishes it: nothing is said that is not asked for. The program's defaults come first,
//! then what the model's files say, then the wishes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use t5kit_formats::generation_config::{EarlyStopping, GenerationConfig};
use t5kit_generate::constrain::check_pattern;
use t5kit_generate::{GenerateOptions, LengthNormalization, word_ids};
use t5kit_model::{Architecture, Config, SpecialIds};
use t5kit_tokenizer::Tokenizer;

use crate::{Constrain, Error};

/// How to generate, as far as somebody cares: the fields of [`GenerateOptions`] of the same names. `None` is the
/// model's own value, else the program's.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // GenerateOptions'
pub struct Wishes {
    pub max_new_tokens: Option<usize>,
    pub min_new_tokens: Option<usize>,
    pub num_return_sequences: Option<usize>,
    pub num_beams: Option<usize>,
    pub length_penalty: Option<f32>,
    /// T5's brings T5's `early_stopping` along, unless another is wished.
    pub length_normalization: Option<LengthNormalization>,
    pub early_stopping: Option<EarlyStopping>,
    pub num_beam_groups: Option<usize>,
    pub diversity_penalty: Option<f32>,
    /// Implied by `temperature`, `top_k`, `top_p` and `min_p`.
    pub do_sample: Option<bool>,
    pub temperature: Option<f32>,
    pub top_k: Option<usize>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub seed: Option<u64>,
    pub repetition_penalty: Option<f32>,
    pub no_repeat_ngram_size: Option<usize>,
    pub prompt_lookup_num_tokens: Option<usize>,
    /// Words that must not occur; where there are any, they replace the model's own.
    pub bad_words: Vec<String>,
    /// What every target begins with.
    pub prefix: Option<String>,
    /// Which texts may come.
    pub constrain: Option<Constrain>,
    /// Whether sentinels (`<extra_id_0>`, …) may be produced.
    pub allow_sentinels: bool,
    /// Whether one target is wanted, as it is chosen: no beams, whatever the model's files say.
    pub single: bool,
}

/// Options that were settled, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct Settled {
    /// How to generate.
    pub options: GenerateOptions,
    /// The file that the model's defaults come from.
    pub file: String,
    /// `name value` of what is as that file says, and not as the program would do it by itself.
    pub taken: Vec<String>,
    /// What became of them.
    pub notes: Vec<Note>,
}

/// What became of a model's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `name value` of what is not followed.
    Ignored(Vec<String>),
    /// The file asks for sampling and for beams: the beams are searched and nothing is drawn.
    Beams,
    /// The file asks for sampling: `do_sample` false takes the best.
    Sampling,
}

/// In the fields' names.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Ignored(list) => write!(f, "not followed: {}", list.join(", ")),
            Note::Beams => {
                f.write_str("do_sample with num_beams: the beams are searched and nothing is drawn")
            }
            Note::Sampling => f.write_str("tokens are drawn at random; `do_sample` false takes the best"),
        }
    }
}

/// How the author of a model wants it to generate.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The file that says so.
    pub file: PathBuf,
    /// Its values.
    pub values: GenerationConfig,
}

impl Defaults {
    /// Those of a `generation_config.json`; without one those of a `config.json` of before 2023, when there was one file
    /// for everything.
    ///
    /// # Errors
    /// Those of [`GenerationConfig::read`].
    pub fn read(file: Option<&Path>, config: &Config) -> Result<Self, Error> {
        let one_for_all = Path::new("config.json");
        Ok(match file {
            Some(file) => Defaults { file: file.to_owned(), values: GenerationConfig::read(file)? },
            None => Defaults {
                file: one_for_all.to_owned(),
                values: GenerationConfig::of_model(one_for_all, config.other())?,
            },
        })
    }
}

impl Wishes {
    /// An error about what no model's own values could mend.
    ///
    /// # Errors
    /// [`Error::Generate`] for an impossible value, [`Error::Exclusive`].
    pub fn check(&self) -> Result<(), Error> {
        let mut o = GenerateOptions::new(0, SpecialIds::default());
        self.fill(&mut o);
        o.check_values()?;
        if self.num_beams.is_some_and(|n| n > 1) && self.draws() {
            return Err(Error::Exclusive("`num_beams`", "sampling"));
        }
        o.do_sample = self.draws();
        o.check_lookup()?;
        if let Some(Constrain::Regex(pattern)) = &self.constrain {
            check_pattern(pattern).map_err(|error| Error::Constrain { what: error.to_string() })?;
        }
        if self.scores_labels() {
            let wished = [
                (self.num_beams.is_some_and(|n| n > 1), "`num_beams`"),
                (self.draws(), "sampling"),
                (self.prompt_lookup_num_tokens.is_some_and(|n| n > 0), "`prompt_lookup_num_tokens`"),
                (self.min_new_tokens.is_some_and(|n| n > 0), "`min_new_tokens`"),
                (self.no_repeat_ngram_size.is_some_and(|n| n > 0), "`no_repeat_ngram_size`"),
                (self.repetition_penalty.is_some_and(|x| x != 1.0), "`repetition_penalty`"),
                (!self.bad_words.is_empty(), "`bad_words`"),
            ];
            if let Some((_, other)) = wished.into_iter().find(|(wished, _)| *wished) {
                return Err(Error::Exclusive("labels, which are scored and not generated,", other));
            }
        }
        Ok(())
    }

    fn scores_labels(&self) -> bool {
        matches!(self.constrain, Some(Constrain::Labels(_)))
    }

    /// `o`, which are the program's defaults, becomes what the model's say, then what is wished.
    ///
    /// # Errors
    /// [`Error::Default`] where the model's own value is impossible; those of [`Self::check`], and wishes that have no
    /// effect or name a word that the tokenizer cannot write.
    pub fn settle(
        &self,
        mut o: GenerateOptions,
        tokenizer: &Tokenizer,
        defaults: Defaults,
    ) -> Result<Settled, Error> {
        self.check()?;
        if self.allow_sentinels {
            o.suppress.retain(|&id| !tokenizer.is_sentinel(id));
        }
        o.first_sentinel = tokenizer.sentinel(0).filter(|id| o.suppress.contains(id));
        o.prefix = self.prefix.as_deref().map(|text| tokenizer.encode(text)).unwrap_or_default();
        let Defaults { file, mut values } = defaults;
        let file = file.display().to_string();
        let mut before = o.clone();
        if self.max_new_tokens.is_some() {
            values.max_length = None;
        }
        o.apply(&values)?;
        // A file copied from another model may name an end that is an ordinary piece here.
        if let Some(eos) = tokenizer.eos().filter(|_| !o.ids.end.iter().any(|&id| tokenizer.is_special(id))) {
            o.ids.end.push(eos);
        }
        o.check_values()
            .map_err(|e| Error::Default { file: file.clone(), what: e.to_string().replace('`', "") })?;
        let mut notes = Vec::new();
        if !values.ignored.is_empty() {
            notes.push(Note::Ignored(values.ignored));
        }
        notes.extend(self.choose(&mut o));
        // The search that is wished is not the file's either.
        self.choose(&mut before);
        if self.scores_labels() {
            (o.num_return_sequences, o.prompt_lookup_num_tokens) = (1, 0);
        }
        let mut taken = differences(&before, &o);
        self.fill(&mut o);
        let after = differences(&before, &o);
        // What is otherwise wished is not the file's.
        taken.retain(|said| after.contains(said));
        self.forbid(tokenizer, &mut o)?;
        self.check_effect(&o)?;
        o.check_lookup()?;
        if let Some(constrain) = &self.constrain {
            let of_labels = self.length_penalty.unwrap_or(0.0);
            o.constraint = Some(Arc::new(constrain.settle(tokenizer, &o, of_labels)?));
        }
        Ok(Settled { options: o, file, taken, notes })
    }

    /// Whether sampling is wished.
    fn draws(&self) -> bool {
        let warped = self.temperature.is_some()
            || self.top_k.is_some()
            || self.top_p.is_some()
            || self.min_p.is_some();
        self.do_sample.unwrap_or(warped)
    }

    /// Decides between greedy decoding, beams and sampling where wishes and file ask for different ones; what is to be
    /// said about it.
    fn choose(&self, o: &mut GenerateOptions) -> Option<Note> {
        let plain = |o: &mut GenerateOptions| {
            (o.num_beams, o.num_beam_groups, o.diversity_penalty) = (1, 1, 0.0);
        };
        let mut note = None;
        if self.scores_labels() {
            plain(o);
            o.do_sample = false;
        } else if self.draws() {
            plain(o);
            o.do_sample = true;
        } else if self.do_sample == Some(false) || self.num_beams.is_some() {
            o.do_sample = false;
        } else if o.do_sample && o.num_beams > 1 && !self.single {
            o.do_sample = false;
            note = Some(Note::Beams);
        } else if o.do_sample {
            note = Some(Note::Sampling);
        }
        if self.single || self.num_beams == Some(1) {
            plain(o);
        }
        // As many as the search that is wished can give.
        if self.single {
            o.num_return_sequences = 1;
        } else if !o.do_sample {
            o.num_return_sequences = o.num_return_sequences.min(self.num_beams.unwrap_or(o.num_beams));
        }
        note
    }

    /// Puts the wishes into options.
    fn fill(&self, o: &mut GenerateOptions) {
        let set = |to: &mut usize, value: Option<usize>| *to = value.unwrap_or(*to);
        set(&mut o.max_new_tokens, self.max_new_tokens);
        set(&mut o.min_new_tokens, self.min_new_tokens);
        set(&mut o.num_return_sequences, self.num_return_sequences);
        set(&mut o.num_beams, self.num_beams);
        set(&mut o.num_beam_groups, self.num_beam_groups);
        set(&mut o.top_k, self.top_k);
        set(&mut o.no_repeat_ngram_size, self.no_repeat_ngram_size);
        set(&mut o.prompt_lookup_num_tokens, self.prompt_lookup_num_tokens);
        let set = |to: &mut f32, value: Option<f32>| *to = value.unwrap_or(*to);
        set(&mut o.length_penalty, self.length_penalty);
        set(&mut o.diversity_penalty, self.diversity_penalty);
        set(&mut o.temperature, self.temperature);
        set(&mut o.top_p, self.top_p);
        set(&mut o.min_p, self.min_p);
        set(&mut o.repetition_penalty, self.repetition_penalty);
        o.seed = self.seed.unwrap_or(o.seed);
        if self.length_normalization == Some(LengthNormalization::T5) {
            o.length_normalization = LengthNormalization::T5;
            o.early_stopping = EarlyStopping::T5;
        }
        o.early_stopping = self.early_stopping.unwrap_or(o.early_stopping);
    }

    /// An error about a wish that has no effect on the search as it is now.
    fn check_effect(&self, o: &GenerateOptions) -> Result<(), Error> {
        if self.seed.is_some() && !o.do_sample {
            let (without, remedy) = ("sampling", "`do_sample` or `temperature`");
            return Err(Error::NoEffect { field: "seed", without, remedy });
        }
        let warper = [
            (self.temperature.is_some(), "temperature"),
            (self.top_k.is_some(), "top_k"),
            (self.top_p.is_some(), "top_p"),
            (self.min_p.is_some(), "min_p"),
        ];
        let beams = [
            (self.length_penalty.is_some() && !self.scores_labels(), "length_penalty"),
            (self.length_normalization.is_some(), "length_normalization"),
            (self.early_stopping.is_some(), "early_stopping"),
            (self.num_beam_groups.is_some(), "num_beam_groups"),
            (self.diversity_penalty.is_some(), "diversity_penalty"),
        ];
        let first =
            |list: &[(bool, &'static str)]| list.iter().find(|(wished, _)| *wished).map(|&(_, field)| field);
        if let Some(field) = first(&warper).filter(|_| !o.do_sample) {
            return Err(Error::NoEffect { field, without: "sampling", remedy: "`do_sample`" });
        }
        if let Some(field) = first(&beams).filter(|_| o.num_beams == 1) {
            return Err(Error::NoEffect { field, without: "beams", remedy: "`num_beams`" });
        }
        Ok(())
    }

    fn forbid(&self, tokenizer: &Tokenizer, o: &mut GenerateOptions) -> Result<(), Error> {
        if !self.bad_words.is_empty() {
            o.bad_words_ids.clear();
        }
        for word in &self.bad_words {
            let ids = word_ids(tokenizer, word);
            let bad = |what| Err(Error::BadWord { word: word.clone(), what });
            // Every unknown character would be forbidden with it.
            if ids.iter().flatten().any(|&id| id == tokenizer.unk_id()) {
                return bad("is nothing that the tokenizer can write, so the model cannot produce it");
            }
            if ids.is_empty() {
                return bad("has no tokens");
            }
            o.bad_words_ids.extend(ids);
        }
        Ok(())
    }
}

/// The options of a search that are numbers or words and decide what comes of it, by name, in the order of their fields.
pub fn named_options(o: &GenerateOptions) -> Vec<(&'static str, String)> {
    let early_stopping = match o.early_stopping {
        EarlyStopping::Yes => "true",
        EarlyStopping::No => "false",
        EarlyStopping::Never => "never",
        EarlyStopping::T5 => "t5",
    };
    vec![
        ("max_new_tokens", o.max_new_tokens.to_string()),
        ("min_new_tokens", o.min_new_tokens.to_string()),
        ("num_return_sequences", o.num_return_sequences.to_string()),
        ("num_beams", o.num_beams.to_string()),
        ("length_penalty", o.length_penalty.to_string()),
        ("early_stopping", early_stopping.to_owned()),
        ("num_beam_groups", o.num_beam_groups.to_string()),
        ("diversity_penalty", o.diversity_penalty.to_string()),
        ("do_sample", o.do_sample.to_string()),
        ("temperature", o.temperature.to_string()),
        ("top_k", o.top_k.to_string()),
        ("top_p", o.top_p.to_string()),
        ("min_p", o.min_p.to_string()),
        ("seed", o.seed.to_string()),
        ("repetition_penalty", o.repetition_penalty.to_string()),
        ("no_repeat_ngram_size", o.no_repeat_ngram_size.to_string()),
    ]
}

/// `name value` of what differs in options; of lists of ids the names alone.
fn differences(before: &GenerateOptions, after: &GenerateOptions) -> Vec<String> {
    let (was, is) = (named_options(before), named_options(after));
    let changed = was.iter().zip(&is).filter(|(was, is)| was != is);
    let mut all: Vec<String> = changed.map(|(_, (name, value))| format!("{name} {value}")).collect();
    let lists = [
        ("bad_words_ids", before.bad_words_ids != after.bad_words_ids),
        ("suppress_tokens", before.suppress != after.suppress),
    ];
    all.extend(lists.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()));
    all
}
