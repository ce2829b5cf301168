//! From what a person names to a model that is ready: a folder, a training run, a checkpoint, a name on the hub.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use t5kit_formats::generation_config;
use t5kit_formats::hub::{self, HubOptions};
use t5kit_formats::output::AtomicDir;
use t5kit_formats::progress::Watch;
use t5kit_model::{ConvertOptions, LoadOptions, Plan, convert};
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;

use crate::files::{TokenizerOrigin, write_generation_config, write_tokenizer};
use crate::{Error, Pipeline};

/// Which model, and how it is opened; [`OpenOptions::new`] is enough where all lies together.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// A Hugging Face directory, the folder of a training run (its `best`, else its `last`), the prefix of a TensorFlow
    /// checkpoint, a file of weights, or a name on the hub such as `google/mt5-small`.
    pub model: String,
    /// The tokenizer's file or directory; by default the model's directory.
    pub tokenizer: Option<PathBuf>,
    /// How the checkpoint is read: its configuration, rows to keep, an adapter, the storage type, what is let pass.
    pub load: LoadOptions,
    /// Threads to work on; by default as many as there are cores.
    pub threads: Option<NonZeroUsize>,
}

impl OpenOptions {
    /// The model of that name, read strictly and with its own tokenizer.
    pub fn new(model: impl Into<String>) -> Self {
        OpenOptions { model: model.into(), ..OpenOptions::default() }
    }
}

/// Where a model lies: a place on the disk, or one of the hub's names, which is fetched as far as it is not in the
/// cache; `watch` is told of downloads.
///
/// # Errors
/// Those of fetching.
pub fn locate(model: &str, watch: &mut dyn Watch) -> Result<PathBuf, Error> {
    Ok(hub::locate(model, &HubOptions::from_env(), watch)?)
}

/// A model that was found and agrees with its configuration. No weight is read yet: enough to look at it, to convert
/// it, or to load it.
#[derive(Debug)]
pub struct Prepared {
    /// What becomes of the checkpoint; its notes say what was let pass.
    pub plan: Plan,
    options: OpenOptions,
}

impl Prepared {
    /// Finds the model; one of the hub is fetched, of which `watch` is told.
    ///
    /// # Errors
    /// Those of fetching, and of [`Plan::new`].
    pub fn find(options: OpenOptions, watch: &mut dyn Watch) -> Result<Self, Error> {
        let plan = Plan::new(&locate(&options.model, watch)?, &options.load)?;
        Ok(Prepared { plan, options })
    }

    /// Where the tokenizer is looked for.
    pub fn tokenizer_path(&self) -> &Path {
        self.options.tokenizer.as_deref().unwrap_or(self.plan.folder())
    }

    /// The tokenizer; where rows are cut and it has pieces for all of them, a cut one, whose files lie in a folder of
    /// their own as long as that is held.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`], [`Error::NamedTokenizer`], and those of cutting it.
    pub fn tokenizer(&self) -> Result<(Tokenizer, Option<AtomicDir>), Error> {
        let path = self.tokenizer_path();
        let tokenizer = Tokenizer::load(path).map_err(|source| match self.options.tokenizer {
            None => Error::NoTokenizer { model: self.options.model.clone(), source },
            Some(_) => Error::NamedTokenizer(source),
        })?;
        let Some(keep) = self.plan.keep.as_deref().filter(|keep| tokenizer.vocab_size() > keep.len()) else {
            return Ok((tokenizer, None));
        };
        let folder = work_folder()?;
        write_tokenizer(TokenizerOrigin { keep: Some(keep), ..self.origin() }, folder.path())?;
        Ok((Tokenizer::load(folder.path())?, Some(folder)))
    }

    /// Loads weights and tokenizer.
    ///
    /// # Errors
    /// Those of [`Self::tokenizer`] and [`Plan::load`]; [`Error::Vocabulary`].
    pub fn load(self) -> Result<Pipeline, Error> {
        // First, because it takes no time and the weights may.
        let (tokenizer, mut work) = self.tokenizer()?;
        check_vocabulary(self.plan.config.vocab_size, &tokenizer)?;
        let mut file = self.plan.folder().join(generation_config::NAME);
        if self.plan.keep.is_some() && file.is_file() {
            // Its ids change with the rows; the new file lies with the cut tokenizer.
            let folder = work.take().map_or_else(work_folder, Ok)?;
            write_generation_config(self.plan.folder(), self.plan.keep.as_deref(), folder.path())?;
            file = folder.path().join(generation_config::NAME);
            work = Some(folder);
        }
        let generation_config = file.is_file().then_some(file);
        let Prepared { plan, options } = self;
        let threads = options.threads.map_or_else(Pool::default_threads, NonZeroUsize::get);
        Ok(Pipeline { model: plan.load()?, tokenizer, pool: Pool::new(threads), generation_config, work })
    }

    /// Writes the model as a Hugging Face directory: configuration, weights, the tokenizer's files and
    /// `generation_config.json`, into a folder that exists and has no weights. `watch` sees the bytes of
    /// weights.
    ///
    /// # Errors
    /// Those of [`write_tokenizer`] and [`convert`].
    pub fn convert(
        self,
        options: ConvertOptions,
        out: &Path,
        watch: &mut dyn Watch,
    ) -> Result<Converted, Error> {
        let has_tokenizer = write_tokenizer(self.origin(), out)?;
        write_generation_config(self.plan.folder(), self.plan.keep.as_deref(), out)?;
        let notes = convert(self.plan, options, out, watch)?;
        Ok(Converted { notes, has_tokenizer })
    }

    fn origin(&self) -> TokenizerOrigin<'_> {
        TokenizerOrigin {
            tokenizer: self.tokenizer_path(),
            rows: self.plan.file_rows,
            keep: self.plan.keep.as_deref(),
        }
    }
}

/// What came of converting.
#[derive(Clone, Debug)]
pub struct Converted {
    /// What other programs will read otherwise, a sentence each.
    pub notes: Vec<String>,
    /// Whether there was a tokenizer.
    pub has_tokenizer: bool,
}

/// A folder for files that are needed as long as a model is open.
fn work_folder() -> Result<AtomicDir, Error> {
    Ok(AtomicDir::create(&std::env::temp_dir().join("t5kit-tokenizer"), true)?)
}

/// An error unless a model with so many rows has one for every piece.
pub(crate) fn check_vocabulary(rows: usize, tokenizer: &Tokenizer) -> Result<(), Error> {
    match tokenizer.vocab_size() {
        pieces if pieces > rows => Err(Error::Vocabulary { pieces, rows }),
        _ => Ok(()),
    }
}
