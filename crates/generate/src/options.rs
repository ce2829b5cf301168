//! How to generate: transformers' `GenerationConfig`, as far as it is supported, under its names.

use std::sync::Arc;

use t5kit_formats::generation_config::EarlyStopping;
use t5kit_model::SpecialIds;

use crate::Error;
use crate::batches::BatchLimits;
use crate::constrain::{Constraint, Texts};

/// What a hypothesis's log-probability is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthNormalization {
    /// transformers': `length ^ length_penalty`.
    #[default]
    Hf,
    /// T5's own (mesh-tensorflow, after Wu et al. 2016, section 7): `((5 + length) / 6) ^ length_penalty`.
    T5,
}

/// How to generate. The fields are transformers' `GenerationConfig`'s unless their description says otherwise.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Tokens a target may have beyond its prefix, `</s>` included.
    pub max_new_tokens: usize,
    /// `</s>` is not produced before this many other tokens beyond the prefix.
    pub min_new_tokens: usize,
    /// Hypotheses followed at a time; 1 is greedy decoding or sampling.
    pub num_beams: usize,
    /// Exponent of the length normalisation of beam search; above 0 it favours long targets.
    pub length_penalty: f32,
    /// Which length normalisation (not transformers').
    pub length_normalization: LengthNormalization,
    /// When beam search ends.
    pub early_stopping: EarlyStopping,
    /// Groups of beams that avoid each other's tokens (Vijayakumar et al. 2016); divides `num_beams`.
    pub num_beam_groups: usize,
    /// What a token loses in log-probability for every beam of an earlier group that took it in the same step.
    pub diversity_penalty: f32,
    /// Whether tokens are drawn at random instead of the best taken.
    pub do_sample: bool,
    /// Logits are divided by this before drawing; at 0 nothing is drawn and the best is taken (transformers has no 0).
    pub temperature: f32,
    /// Only so many of the best tokens are drawn from; 0: all (transformers' default is 50).
    pub top_k: usize,
    /// Only the best tokens that together reach this probability are drawn from; 1: all.
    pub top_p: f32,
    /// Only tokens at least so probable, relative to the best, are drawn from; 0: all.
    pub min_p: f32,
    /// Random numbers are a hash of this, the source's number, the sample's and the step's (not transformers').
    pub seed: u64,
    /// Number of the first source among all that the caller has: random numbers go by it (not transformers').
    pub first_source: u64,
    /// Tokens that the target already has become less probable by this factor of their score; 1: off.
    pub repetition_penalty: f32,
    /// No sequence of so many tokens occurs twice in a target; 0: off.
    pub no_repeat_ngram_size: usize,
    /// Sequences of ids that do not occur.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// What every target begins with, without the start token (transformers' `decoder_input_ids`).
    pub prefix: Vec<u32>,
    /// Outputs for each source.
    pub num_return_sequences: usize,
    /// Ids never produced, transformers' `suppress_tokens`: sentinels, for example. Rows from `pieces` on are never
    /// produced either.
    pub suppress: Vec<u32>,
    /// What a target is fed first, what ends it, what pads: transformers' `decoder_start_token_id`, `eos_token_id` (one
    /// or several) and `pad_token_id`.
    pub ids: SpecialIds,
    /// Number of the tokenizer's pieces; the model's rows beyond are padding (not transformers').
    pub pieces: usize,
    /// The id of `<extra_id_0>`, to notice a model that was never fine-tuned (not transformers').
    pub first_sentinel: Option<u32>,
    /// Whether to compute the log-probabilities of greedy and sampled targets; beam search has its scores anyway.
    pub scores: bool,
    /// Lookup decoding: that many tokens at most are taken from the source, or from what was generated, and tried at
    /// once; 0: off (transformers' is `None`). Changes no result, only how soon it is there; proposals that do not pay are
    /// not tried. Without beams, and with nothing drawn.
    pub prompt_lookup_num_tokens: usize,
    /// Which texts may come behind the prefix, and whether they are searched for or scored (transformers has a function,
    /// `prefix_allowed_tokens_fn`).
    pub constraint: Option<Arc<Constraint>>,
    /// How large batches may become; `None`: what suits the kind of search.
    pub limits: Option<BatchLimits>,
}

impl GenerateOptions {
    /// Greedy decoding with a tokenizer of that many pieces; `ids` are the model's
    /// ([`Seq2Seq::special_ids`](t5kit_model::Seq2Seq::special_ids)).
    pub fn new(pieces: usize, ids: SpecialIds) -> Self {
        GenerateOptions {
            max_new_tokens: 64,
            min_new_tokens: 0,
            num_beams: 1,
            length_penalty: 1.0,
            length_normalization: LengthNormalization::default(),
            early_stopping: EarlyStopping::default(),
            num_beam_groups: 1,
            diversity_penalty: 0.0,
            do_sample: false,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
            first_source: 0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            bad_words_ids: Vec::new(),
            prefix: Vec::new(),
            num_return_sequences: 1,
            suppress: Vec::new(),
            ids,
            pieces,
            first_sentinel: None,
            scores: false,
            prompt_lookup_num_tokens: 0,
            constraint: None,
            limits: None,
        }
    }

    /// The labels that are scored, where nothing is searched for.
    pub fn labels(&self) -> Option<&Texts> {
        self.constraint.as_deref().and_then(Constraint::labels)
    }

    /// Whether tokens come of a draw.
    pub fn draws(&self) -> bool {
        self.do_sample && self.temperature > 0.0
    }

    /// Hypotheses that a source has at most.
    pub(crate) fn most_rows(&self) -> usize {
        if let Some(labels) = self.labels() {
            return labels.names().len().max(1);
        }
        if self.num_beams > 1 { self.num_beams } else { self.num_return_sequences }
    }

    /// The batches' limits: those given, else as many sources as make 32 sequences, or 64 hypotheses of a beam.
    pub fn batch_limits(&self) -> BatchLimits {
        self.limits.unwrap_or_else(|| {
            let plain = BatchLimits::default();
            let each = self.num_beams.max(if self.do_sample { self.num_return_sequences } else { 1 });
            let each = if self.labels().is_some() { self.most_rows() } else { each };
            match each {
                0 | 1 => plain,
                _ => BatchLimits { sequences: (2 * plain.sequences / each).max(1), ..plain },
            }
        })
    }

    /// An error that says which option has a value that is impossible whatever the others are.
    pub fn check_values(&self) -> Result<(), Error> {
        let fail = |message: String| Err(Error::Options(message));
        if self.max_new_tokens == 0 {
            return fail("`max_new_tokens` is 0: at least one token has to be generated".into());
        }
        for (name, value) in [
            ("num_beams", self.num_beams),
            ("num_return_sequences", self.num_return_sequences),
            ("num_beam_groups", self.num_beam_groups),
        ] {
            if value == 0 {
                return fail(format!("`{name}` is 0: give 1 or more"));
            }
        }
        for (name, value, good) in [
            ("temperature", self.temperature, self.temperature >= 0.0),
            ("top_p", self.top_p, (0.0..=1.0).contains(&self.top_p)),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p)),
            ("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0.0),
            ("diversity_penalty", self.diversity_penalty, self.diversity_penalty >= 0.0),
            ("length_penalty", self.length_penalty, true),
        ] {
            if !good || !value.is_finite() {
                return fail(format!("`{name}` cannot be {value}"));
            }
        }
        if self.bad_words_ids.iter().any(Vec::is_empty) {
            return fail("one of `bad_words_ids` is empty".into());
        }
        Ok(())
    }

    /// An error where labels are scored and searched for, or more are asked for than there are.
    fn check_labels(&self, labels: &Texts) -> Result<(), Error> {
        let (all, asked) = (labels.names().len(), self.num_return_sequences);
        let what = match () {
            () if all == 0 => "`constraint`: there are no labels".into(),
            () if self.num_beams > 1 || self.draws() || self.prompt_lookup_num_tokens > 0 => {
                "labels are scored, not searched for: leave out beams, sampling and `prompt_lookup_num_tokens`".into()
            }
            () if asked > all => format!("`num_return_sequences` {asked} is more than the {all} labels"),
            () => return Ok(()),
        };
        Err(Error::Options(what))
    }

    /// An error where tokens are looked up of a search that cannot say what comes next by itself.
    pub fn check_lookup(&self) -> Result<(), Error> {
        let fail = |message: String| Err(Error::Options(message));
        if self.prompt_lookup_num_tokens == 0 {
            return Ok(());
        }
        if self.num_beams > 1 {
            return fail(format!(
                "`prompt_lookup_num_tokens` tries what one text would say next, and {} beams have no one text: take                  `num_beams` 1, or leave it out",
                self.num_beams
            ));
        }
        if self.draws() {
            return fail(format!(
                "`prompt_lookup_num_tokens` tries the best token, and at `temperature` {} tokens are drawn: take                  `temperature` 0, or leave it out",
                self.temperature
            ));
        }
        Ok(())
    }

    /// An error that says which option has an impossible value, or which two exclude each other. `rows`: rows of the
    /// model's embedding.
    pub fn check(&self, rows: usize) -> Result<(), Error> {
        self.check_values()?;
        let fail = |message: String| Err(Error::Options(message));
        if self.do_sample && self.num_beams > 1 {
            return fail(format!(
                "sampling goes with `num_beams` 1, not {}: use one or the other",
                self.num_beams
            ));
        }
        if let Some(labels) = self.labels() {
            self.check_labels(labels)?;
        } else if !self.do_sample && self.num_return_sequences > self.num_beams {
            return fail(format!(
                "`num_return_sequences` {} needs as many beams (`num_beams` is {}) or sampling",
                self.num_return_sequences, self.num_beams
            ));
        }
        if !self.num_beams.is_multiple_of(self.num_beam_groups) {
            let (groups, beams) = (self.num_beam_groups, self.num_beams);
            return fail(format!("`num_beam_groups` {groups} does not divide `num_beams` {beams}"));
        }
        if self.num_beam_groups > 1 && self.early_stopping == EarlyStopping::T5 {
            return fail("`early_stopping` t5 knows no `num_beam_groups`: leave one of them out".into());
        }
        if self.num_beam_groups > 1 && self.diversity_penalty == 0.0 {
            return fail(
                "`num_beam_groups` without a `diversity_penalty`: the groups would all be alike".into(),
            );
        }
        if self.num_beam_groups == 1 && self.diversity_penalty != 0.0 {
            return fail("`diversity_penalty` without `num_beam_groups` above 1 has no effect".into());
        }
        self.check_lookup()?;
        self.check_ids(rows)?;
        if let Some(id) = self.prefix.iter().find(|&&id| id as usize >= rows) {
            return fail(format!(
                "the prefix has id {id}, but the model has {rows} rows; is this its tokenizer?"
            ));
        }
        Ok(())
    }
}

impl GenerateOptions {
    /// An error that names the one of [`Self::ids`] that is no row of a model with `rows`.
    pub fn check_ids(&self, rows: usize) -> Result<(), Error> {
        let ends = self.ids.end.iter().map(|&id| ("eos_token_id", id));
        let others = [("pad_token_id", self.ids.pad), ("decoder_start_token_id", self.ids.start)];
        match ends.chain(others).find(|(_, id)| *id as usize >= rows) {
            None => Ok(()),
            Some((field, id)) => Err(Error::Id { field, id, rows }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_named() {
        let plain = GenerateOptions::new(10, SpecialIds::default());
        assert!(plain.check(10).is_ok());
        type Change = fn(&mut GenerateOptions);
        let cases: [(Change, &str); 17] = [
            (|o| o.max_new_tokens = 0, "max_new_tokens"),
            (|o| o.num_beams = 0, "num_beams"),
            (|o| o.temperature = -0.1, "temperature"),
            (|o| o.temperature = f32::NAN, "temperature"),
            (|o| o.top_p = 1.5, "top_p"),
            (|o| o.min_p = -0.1, "min_p"),
            (|o| o.repetition_penalty = 0.0, "repetition_penalty"),
            (|o| o.length_penalty = f32::INFINITY, "length_penalty"),
            (|o| (o.do_sample, o.num_beams) = (true, 2), "sampling"),
            (|o| o.num_return_sequences = 2, "num_return_sequences"),
            (|o| (o.num_beams, o.prompt_lookup_num_tokens) = (4, 3), "4 beams have no one text"),
            (|o| (o.do_sample, o.prompt_lookup_num_tokens) = (true, 3), "`temperature` 1 tokens are drawn"),
            (|o| (o.num_beams, o.num_beam_groups) = (4, 3), "`num_beam_groups` 3"),
            (|o| (o.num_beams, o.num_beam_groups) = (4, 2), "diversity_penalty"),
            (|o| o.diversity_penalty = 1.0, "diversity_penalty"),
            (|o| o.prefix = vec![3, 10], "id 10"),
            (|o| o.ids.end = vec![1, 11], "eos_token_id: 11"),
        ];
        let cold = GenerateOptions {
            do_sample: true,
            temperature: 0.0,
            prompt_lookup_num_tokens: 3,
            ..plain.clone()
        };
        assert!(cold.check(10).is_ok());
        for (change, part) in cases {
            let mut options = plain.clone();
            change(&mut options);
            let message = options.check(10).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
