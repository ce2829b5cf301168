//! From what a person names to a model that is ready: a folder, a training run, a checkpoint, a name on the hub.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use t5kit_formats::generation_config;
use t5kit_formats::gguf::GgufTokenizer;
use t5kit_formats::hub::{self, HubOptions};
use t5kit_formats::output::AtomicDir;
use t5kit_formats::peft::{adapter_folder, base_of};
use t5kit_formats::progress::Watch;
use t5kit_formats::trained::{self, TrainedFile};
use t5kit_model::{Architecture, Config, ConvertOptions, LoadOptions, Plan, convert};
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;

use crate::files::{TokenizerOrigin, copy_trained, write_generation_config, write_tokenizer};
use crate::{Error, Pipeline, settle_ids};

/// Which model, and how it is opened; [`OpenOptions::new`] is enough where all lies together.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// A Hugging Face directory, the folder of a training run (its `best`, else its `last`), the prefix of a TensorFlow
    /// checkpoint, a file of weights, the folder of an adapter, whose base is found by what it says, or a name on the hub
    /// such as `google/mt5-small`.
    pub model: String,
    /// The branch, tag or commit of a model of the hub; `main` by default.
    pub revision: Option<String>,
    /// The tokenizer's file or directory, or a model of the hub that has it; by default the model's directory.
    pub tokenizer: Option<PathBuf>,
    /// Lets a tokenizer pass that has far fewer pieces than the model has rows ([`Error::SpareRows`]).
    pub allow_spare_rows: bool,
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
pub fn locate(model: &str, revision: Option<&str>, watch: &mut dyn Watch) -> Result<PathBuf, Error> {
    let options = HubOptions { revision: revision.map(str::to_owned), ..HubOptions::from_env() };
    Ok(hub::locate(model, &options, watch)?)
}

/// Where a tokenizer lies: a place on the disk, or a model of the hub, of which the tokenizer's files alone are fetched.
///
/// # Errors
/// Those of fetching.
pub fn locate_tokenizer(tokenizer: &Path, watch: &mut dyn Watch) -> Result<PathBuf, Error> {
    Ok(hub::locate_tokenizer(&tokenizer.to_string_lossy(), &HubOptions::from_env(), watch)?)
}

/// The folder of the adapter that `place` is, where it is one and no model.
fn lone_adapter(place: &Path) -> Option<PathBuf> {
    let folder = adapter_folder(place)?;
    let weights = ["model.safetensors", "pytorch_model.bin"];
    let names = weights.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.index.json")]);
    let mut places = names.flat_map(|name| [place.join(&name), folder.join(name)]);
    (!places.any(|file| file.exists())).then_some(folder)
}

/// Whether a folder has a tokenizer of its own.
fn has_tokenizer(folder: &Path) -> bool {
    ["spiece.model", "sentencepiece.model", "tokenizer.json", "vocab.txt"]
        .iter()
        .any(|n| folder.join(n).is_file())
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
    pub fn find(mut options: OpenOptions, watch: &mut dyn Watch) -> Result<Self, Error> {
        let mut place = locate(&options.model, options.revision.as_deref(), watch)?;
        let mut notes = Vec::new();
        if options.load.adapter.is_none()
            && let Some(folder) = lone_adapter(&place)
        {
            let base = base_of(&folder)?;
            place = hub::locate(&base, &HubOptions::from_env(), watch).map_err(
                |source: t5kit_formats::Error| Error::Base {
                    folder: folder.clone(),
                    base: base.clone(),
                    source: Box::new(source),
                },
            )?;
            if lone_adapter(&place).is_some() {
                return Err(Error::Stacked { folder, base });
            }
            notes.push(format!("the base of the adapter {}", folder.display()));
            // Where tokens were added for it they are in its own tokenizer.
            if options.tokenizer.is_none() && has_tokenizer(&folder) {
                options.tokenizer = Some(folder.clone());
            }
            options.load.adapter = Some(folder);
        }
        if let Some(adapter) = options.load.adapter.as_mut().filter(|adapter| !adapter.exists()) {
            *adapter = locate(&adapter.to_string_lossy(), None, watch)?;
        }
        if let Some(tokenizer) = &mut options.tokenizer {
            *tokenizer = locate_tokenizer(tokenizer, watch)?;
        }
        let mut plan = Plan::new(&place, &options.load)?;
        plan.notes.splice(0..0, notes);
        // Where the weights lie below the folder that was named, its tokenizer may be beside them or there.
        if options.tokenizer.is_none()
            && let Some(named) = plan.named_folder()
            && !has_tokenizer(plan.folder())
            && has_tokenizer(named)
        {
            options.tokenizer = Some(named.to_owned());
        }
        // A GGUF file brings its tokenizer along; what is wrong with it is said where it is read.
        if options.tokenizer.is_none()
            && !has_tokenizer(plan.folder())
            && !matches!(GgufTokenizer::find(plan.path()), Ok(None))
        {
            options.tokenizer = Some(plan.path().to_owned());
        }
        Ok(Prepared { plan, options })
    }

    /// The folder of the adapter that becomes part of the weights, if there is one.
    pub fn adapter(&self) -> Option<&Path> {
        self.options.load.adapter.as_deref()
    }

    /// Checks that a tokenizer can be the model's: neither more pieces than rows, nor far fewer.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] and [`Error::SpareRows`]; [`Error::NoWrap`] where it has not the pieces that this kind of
    /// model needs around texts.
    pub fn check(&self, tokenizer: &Tokenizer) -> Result<(), Error> {
        check_wrap(&self.plan.config, tokenizer)?;
        match check_vocabulary(self.plan.config.rows(), tokenizer) {
            Err(Error::SpareRows { .. }) if self.options.allow_spare_rows => Ok(()),
            checked => checked,
        }
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
        let trained = self.trained()?;
        let (tokenizer, mut work) = self.tokenizer()?;
        self.check(&tokenizer)?;
        let beside = self.folder_of(generation_config::NAME);
        let mut file = beside.join(generation_config::NAME);
        if self.plan.keep.is_some() && file.is_file() {
            // Its ids change with the rows; the new file lies with the cut tokenizer.
            let folder = work.take().map_or_else(work_folder, Ok)?;
            write_generation_config(&beside, self.plan.keep.as_deref(), folder.path())?;
            file = folder.path().join(generation_config::NAME);
            work = Some(folder);
        }
        let generation_config = file.is_file().then_some(file);
        let Prepared { mut plan, options } = self;
        settle_ids(&mut plan.config, &tokenizer);
        let threads = options.threads.map_or_else(Pool::default_threads, NonZeroUsize::get);
        Ok(Pipeline {
            model: plan.load()?,
            tokenizer,
            pool: Pool::new(threads),
            generation_config,
            trained,
            work,
        })
    }

    /// Writes the model as a Hugging Face directory: configuration, weights, the tokenizer's files and
    /// `generation_config.json`, into a folder that exists and has no weights. `watch` sees the bytes of
    /// weights.
    ///
    /// # Errors
    /// Those of [`write_tokenizer`] and [`convert`].
    pub fn convert(
        mut self,
        options: ConvertOptions,
        out: &Path,
        watch: &mut dyn Watch,
    ) -> Result<Converted, Error> {
        if let Ok((tokenizer, _work)) = self.tokenizer() {
            self.check(&tokenizer)?;
        }
        let has_tokenizer = write_tokenizer(self.origin(), out)?;
        if let Ok(tokenizer) = Tokenizer::load(out) {
            settle_ids(&mut self.plan.config, &tokenizer);
        }
        write_generation_config(&self.folder_of(generation_config::NAME), self.plan.keep.as_deref(), out)?;
        copy_trained(&self.folder_of(trained::NAME), out)?;
        let notes = convert(self.plan, options, out, watch)?;
        Ok(Converted { notes, has_tokenizer })
    }

    /// The `generation_config.json` that counts, if there is one.
    pub fn generation_config(&self) -> Option<PathBuf> {
        let file = self.folder_of(generation_config::NAME).join(generation_config::NAME);
        file.is_file().then_some(file)
    }

    /// What the model's training fixed, as far as that is known.
    ///
    /// # Errors
    /// Those of reading `t5kit.json`.
    pub fn trained(&self) -> Result<Option<TrainedFile>, Error> {
        Ok(TrainedFile::find(&self.folder_of(trained::NAME))?)
    }

    /// The folder whose file of that name counts: the adapter's, which was trained last, the weights', or the one that
    /// was named.
    fn folder_of(&self, name: &str) -> PathBuf {
        let adapter = self.adapter().and_then(adapter_folder);
        let folders = [adapter.as_deref(), Some(self.plan.folder()), self.plan.named_folder()];
        let has = |folder: &&Path| folder.join(name).is_file();
        folders.into_iter().flatten().find(has).unwrap_or(self.plan.folder()).to_owned()
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

/// An error unless a tokenizer has what the texts of this kind of model are wrapped in: `[CLS]` and `[SEP]` of a BERT.
pub(crate) fn check_wrap(config: &Config, tokenizer: &Tokenizer) -> Result<(), Error> {
    let Config::Bert(bert) = config else { return Ok(()) };
    let wrap = tokenizer.source_wrap();
    match (wrap.before.is_empty(), tokenizer.eos()) {
        (false, Some(_)) => Ok(()),
        (true, _) => Err(Error::NoWrap { piece: "[CLS]", family: bert.family() }),
        (_, None) => Err(Error::NoWrap { piece: "[SEP]", family: bert.family() }),
    }
}

/// A folder for files that are needed as long as a model is open.
pub(crate) fn work_folder() -> Result<AtomicDir, Error> {
    Ok(AtomicDir::create(&std::env::temp_dir().join("t5kit-tokenizer"), true)?)
}

/// A model has at most so many rows that no piece has. Released ones are filled up to a multiple of 128: T5 by 28 rows, mT5
/// by 12, umT5 by 84, MADLAD-400 and ByT5 by none; 128 where the sentinels are not told. Other people's trainers fill up to
/// multiples of 512 at most.
const SPARE_ROWS: usize = 1000;

/// An error unless a model with so many rows has one for every piece, and few beside.
pub(crate) fn check_vocabulary(rows: usize, tokenizer: &Tokenizer) -> Result<(), Error> {
    match tokenizer.vocab_size() {
        pieces if pieces > rows => Err(Error::Vocabulary { pieces, rows }),
        pieces if rows - pieces > SPARE_ROWS => Err(Error::SpareRows { pieces, rows }),
        _ => Ok(()),
    }
}
