//! A model that is ready: text in, text out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use t5kit_formats::output::AtomicDir;
use t5kit_generate::{BatchLimits, GenerateOptions, Generated, Noticed, Score, generate, score};
use t5kit_model::{Seq2Seq, T5, T5Config};
use t5kit_tensor::Pool;
use t5kit_tokenizer::{Tokenizer, Wrap};

use crate::files::{TokenizerOrigin, write_tokenizer};
use crate::open::check_vocabulary;
use crate::{Defaults, Error, OpenOptions, Prepared, Settled, Wishes, settle_ids};

/// A model, its tokenizer, its defaults, and the threads it works on.
pub struct Pipeline {
    /// The model.
    pub model: T5,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The threads.
    pub pool: Pool,
    /// The model's `generation_config.json`, if it has one.
    pub generation_config: Option<PathBuf>,
    /// Where the files lie that were cut for this model (tokenizer, `generation_config.json`); they go with it.
    pub work: Option<AtomicDir>,
}

/// A target in words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// The text.
    pub text: String,
    /// Its ids and, where asked for, how good it is.
    pub generated: Generated,
}

impl Pipeline {
    /// Opens a model by name; [`Prepared::find`] and [`Prepared::load`] in one, and nobody told of a download.
    ///
    /// # Errors
    /// Those of finding and loading it.
    pub fn open(options: OpenOptions) -> Result<Self, Error> {
        Prepared::find(options, &mut ())?.load()
    }

    /// A model with random weights and the tokenizer at a path: a training's beginning.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::Vocabulary`], and a configuration that no model can be made of.
    pub fn random(mut config: T5Config, seed: u64, tokenizer: &Path, pool: Pool) -> Result<Self, Error> {
        let tokenizer = Tokenizer::load(tokenizer)?;
        check_vocabulary(config.vocab_size, &tokenizer)?;
        settle_ids(&mut config, &tokenizer);
        let model = T5::random(config, seed)?;
        Ok(Pipeline { model, tokenizer, pool, generation_config: None, work: None })
    }

    /// How to generate with this tokenizer where nobody says anything: greedily, never a sentinel, never a padding row.
    pub fn generate_options(&self) -> GenerateOptions {
        let pieces = self.tokenizer.vocab_size();
        // Ids that are nothing, between the pieces and added tokens, are padding rows too.
        let never = self.tokenizer.sentinels().iter().copied().chain(self.tokenizer.holes());
        GenerateOptions {
            suppress: never.collect(),
            ..GenerateOptions::new(pieces, self.model.special_ids())
        }
    }

    /// How to generate: the program's defaults, then the model's files', then the wishes.
    ///
    /// # Errors
    /// Those of [`Defaults::read`] and [`Wishes::settle`]; an id that is no row of the model.
    pub fn settle(&self, wishes: &Wishes) -> Result<Settled, Error> {
        let defaults = Defaults::read(self.generation_config.as_deref(), &self.model.config)?;
        let settled = wishes.settle(self.generate_options(), &self.tokenizer, defaults)?;
        let ids = settled.options.check_ids(self.model.rows());
        ids.map_err(|e| Error::Default { file: settled.file.clone(), what: e.to_string() })?;
        Ok(settled)
    }

    /// The ids of a source with what is around it (`</s>` behind it in T5), cut to `most` tokens; and whether it was cut.
    pub fn encode(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        self.encode_in(text, self.tokenizer.source_wrap(), most)
    }

    /// The ids of a target with its end, cut to `most` tokens; and whether it was cut.
    pub fn encode_target(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        self.encode_in(text, &self.tokenizer.target_wrap(self.tokenizer.start_id()), most)
    }

    fn encode_in(&self, text: &str, wrap: &Wrap, most: usize) -> (Vec<u32>, bool) {
        let mut ids = Vec::new();
        let length = self.tokenizer.encode_wrapped(text.as_bytes(), wrap, most, &mut ids);
        (ids, length > most)
    }

    /// Generates for texts, cut to `max_source_length` tokens each; gives the outputs of each in the texts' order, best
    /// first, and what was noticed.
    ///
    /// # Errors
    /// Those of [`generate`].
    pub fn generate(
        &self,
        texts: &[impl AsRef<str>],
        max_source_length: usize,
        options: &GenerateOptions,
    ) -> Result<(Vec<Vec<Output>>, Noticed), Error> {
        let encode = |text: &str| self.encode(text, max_source_length).0;
        let sources: Vec<Vec<u32>> = texts.iter().map(|text| encode(text.as_ref())).collect();
        let mut outputs = vec![Vec::new(); texts.len()];
        let noticed = generate(&self.model, &self.pool, &sources, options, |source, targets| {
            let output = |t: Generated| Output { text: self.tokenizer.decode(&t.ids), generated: t };
            outputs[source] = targets.into_iter().map(output).collect();
            ControlFlow::Continue(())
        })?;
        Ok((outputs, noticed))
    }

    /// How probable the model finds the target of each pair of source and target, each cut to `max_length` tokens.
    ///
    /// # Errors
    /// Those of [`score`].
    pub fn score(
        &self,
        pairs: &[(impl AsRef<str>, impl AsRef<str>)],
        max_length: usize,
        limits: BatchLimits,
    ) -> Result<Vec<Score>, Error> {
        let source = |text: &str| self.encode(text, max_length).0;
        let target = |text: &str| self.encode_target(text, max_length).0;
        let (sources, targets): (Vec<_>, Vec<_>) =
            pairs.iter().map(|(s, t)| (source(s.as_ref()), target(t.as_ref()))).unzip();
        let mut scores = vec![Score::default(); pairs.len()];
        score(&self.model, &self.pool, &sources, &targets, limits, |i, score| {
            scores[i] = score;
            ControlFlow::Continue(())
        })?;
        Ok(scores)
    }

    /// Writes the model as a Hugging Face directory, into a folder that exists and has no weights.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, out: &Path) -> Result<(), Error> {
        t5kit_model::save(&self.model, &self.files(), out)?;
        let rows = self.model.config.vocab_size;
        let tokenizer = self.work.as_ref().map_or_else(
            || self.tokenizer.source_files().first().map(PathBuf::as_path),
            |work| Some(work.path()),
        );
        if let Some(tokenizer) = tokenizer {
            write_tokenizer(TokenizerOrigin { tokenizer, rows, keep: None }, out)?;
        }
        Ok(())
    }

    /// The small files that go with the weights into every folder that this model is saved in.
    pub fn files(&self) -> Vec<PathBuf> {
        self.tokenizer.source_files().iter().cloned().chain(self.generation_config.clone()).collect()
    }
}
