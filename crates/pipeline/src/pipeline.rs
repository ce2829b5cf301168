//! A model that is ready: text in, text out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use t5kit_formats::output::AtomicDir;
use t5kit_formats::trained::TrainedFile;
use t5kit_generate::constrain::Constraint;
use t5kit_generate::{BatchLimits, GenerateOptions, Generated, Noticed, Score, generate, score};
use t5kit_model::{Architecture, Config, Model};
use t5kit_tensor::Pool;
use t5kit_tokenizer::{Tokenizer, Wrap};

use crate::files::{TokenizerOrigin, copy, copy_tokenizer, write_tokenizer};
use crate::open::{check_vocabulary, check_wrap};
use crate::{
    Constrain, Defaults, Error, Form, FormWishes, OpenOptions, Prepared, Settled, Wishes, settle_ids,
};

/// A model, its tokenizer, its defaults, and the threads it works on.
pub struct Pipeline {
    /// The model.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The threads.
    pub pool: Pool,
    /// The model's `generation_config.json`, if it has one.
    pub generation_config: Option<PathBuf>,
    /// What its training fixed (`t5kit.json`), if that is known.
    pub trained: Option<TrainedFile>,
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
    pub fn random(mut config: Config, seed: u64, tokenizer: &Path, pool: Pool) -> Result<Self, Error> {
        let tokenizer = Tokenizer::load(tokenizer)?;
        check_vocabulary(config.rows(), &tokenizer)?;
        check_wrap(&config, &tokenizer)?;
        settle_ids(&mut config, &tokenizer);
        let model = config.random(seed)?;
        Ok(Pipeline { model, tokenizer, pool, generation_config: None, trained: None, work: None })
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
        let config = self.model.config();
        if let (true, Config::Bert(bert)) = (wishes.allow_sentinels, &config) {
            let (family, why) = (bert.family(), "has learnt no sentinels such as <extra_id_0>");
            return Err(Error::OtherKind { field: "allow_sentinels", family, why });
        }
        let defaults = Defaults::read(self.generation_config.as_deref(), &config)?;
        let settled = wishes.settle(self.generate_options(), &self.tokenizer, defaults)?;
        let ids = settled.options.check_ids(self.model.rows());
        ids.map_err(|e| Error::Default { file: settled.file.clone(), what: e.to_string() })?;
        Ok(settled)
    }

    /// What alone may come of this model where such options are followed.
    ///
    /// # Errors
    /// [`Error::Constrain`].
    pub fn constraint(&self, constrain: &Constrain, options: &GenerateOptions) -> Result<Constraint, Error> {
        constrain.settle(&self.tokenizer, options, 0.0)
    }

    /// How texts are given: the program's defaults, then as the model was trained, then the wishes.
    pub fn form(&self, wishes: &FormWishes) -> Form {
        wishes.settle(self.trained.as_ref())
    }

    /// The ids of a source with what is around it (`</s>` behind it in T5), cut to `most` tokens; and whether it was cut.
    pub fn encode(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        self.encode_in(text, self.tokenizer.source_wrap(), most)
    }

    /// The ids of a target with its end, cut to `most` tokens; and whether it was cut.
    pub fn encode_target(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        self.encode_in(text, &self.tokenizer.target_wrap(self.tokenizer.start_id()), most)
    }

    /// The ids of a source and its target, each cut to `most` tokens, and the longer one where the model's positions end
    /// before both are there.
    pub fn encode_pair(&self, source: &str, target: &str, most: [usize; 2]) -> [Vec<u32>; 2] {
        let encode =
            |most: [usize; 2]| [self.encode(source, most[0]).0, self.encode_target(target, most[1]).0];
        let pair = encode(most);
        match self.model.config().most_tokens() {
            Some(all) if pair[0].len() + pair[1].len() > all => {
                encode(Tokenizer::lengths_within(pair[0].len(), pair[1].len(), all))
            }
            _ => pair,
        }
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
        let noticed = generate(&*self.model, &self.pool, &sources, options, |source, targets| {
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
        let encode = |(source, target): &(_, _)| {
            self.encode_pair(AsRef::as_ref(source), AsRef::as_ref(target), [max_length; 2]).into()
        };
        let (sources, targets): (Vec<_>, Vec<_>) = pairs.iter().map(encode).unzip();
        let mut scores = vec![Score::default(); pairs.len()];
        score(&*self.model, &self.pool, &sources, &targets, limits, |i, score| {
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
        // Before the configuration: that of a ByT5 may be all of its tokenizer, and has other rows.
        self.write_files(out)?;
        Ok(t5kit_model::save(&*self.model, &[], out)?)
    }

    /// Writes the small files that go with the weights into every folder that this model is saved in: the tokenizer's,
    /// complete for transformers too, `generation_config.json` and `t5kit.json`.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_files(&self, out: &Path) -> Result<(), Error> {
        let trained = self.trained.as_ref().map(|file| &file.path);
        for file in self.generation_config.iter().chain(trained) {
            copy(file, &out.join(file.file_name().unwrap_or(file.as_os_str())))?;
        }
        let rows = self.model.rows();
        copy_tokenizer(&self.tokenizer, rows, out)?;
        // What is missing there is made from what the files themselves say.
        write_tokenizer(TokenizerOrigin { tokenizer: out, rows, keep: None }, out)?;
        Ok(())
    }
}
