//! A model and its tokenizer, as every subcommand that runs one opens them.

use anyhow::{Context, Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_formats::generation_config;
use t5kit_formats::output::AtomicDir;
use t5kit_generate::GenerateOptions;
use t5kit_model::{Plan, T5, T5Config};
use t5kit_tensor::{DType, Pool};
use t5kit_tokenizer::Tokenizer;
use t5kit_trim::hf_files::{Source, write_generation_config, write_tokenizer};

use crate::model_args::ModelArgs;

/// A model and its tokenizer.
pub struct Loaded {
    /// The model.
    pub model: T5,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Where the files lie that were cut for this run (tokenizer, generation_config.json); they go with it.
    pub cut: Option<AtomicDir>,
    /// The model's `generation_config.json`, if it has one.
    pub generation_config: Option<PathBuf>,
}

impl Loaded {
    /// Opens what the flags say; the tokenizer is beside the weights unless `--tokenizer` says otherwise.
    pub fn open(args: &ModelArgs) -> Result<Self> {
        Self::open_as(args, None)
    }

    /// The same with matrices held as `dtype`; `None`: as the file has them.
    pub fn open_as(args: &ModelArgs, dtype: Option<DType>) -> Result<Self> {
        let plan = args.plan(dtype)?;
        // First, because it takes no time and the weights may.
        let (tokenizer, mut cut) = tokenizer(args, &plan)?;
        check_vocabulary(plan.config.vocab_size, &tokenizer)?;
        let mut file = plan.folder().join(generation_config::NAME);
        if plan.keep.is_some() && file.is_file() {
            // Its ids change with the rows; the new file lies with the cut tokenizer.
            let folder = cut.take().map_or_else(work_folder, Ok)?;
            write_generation_config(plan.folder(), plan.keep.as_deref(), folder.path())?;
            file = folder.path().join(generation_config::NAME);
            cut = Some(folder);
        }
        let generation_config = file.is_file().then_some(file);
        Ok(Loaded { model: plan.load()?, tokenizer, cut, generation_config })
    }

    /// A model with random weights and the tokenizer at a path.
    pub fn random(config: T5Config, seed: u64, tokenizer: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::load(tokenizer)?;
        check_vocabulary(config.vocab_size, &tokenizer)?;
        Ok(Loaded { model: T5::random(config, seed)?, tokenizer, cut: None, generation_config: None })
    }

    /// Opens the model in a folder of this program's own making.
    pub fn at(path: &Path) -> Result<Self> {
        Self::open(&ModelArgs::at(path.to_string_lossy()))
    }

    /// How to generate with this tokenizer: never a sentinel, never a padding row.
    pub fn generate_options(&self) -> GenerateOptions {
        let pieces = self.tokenizer.vocab_size();
        let sentinels = (0..pieces as u32).filter(|&id| self.tokenizer.is_sentinel(id));
        GenerateOptions { suppress: sentinels.collect(), ..GenerateOptions::new(pieces) }
    }

    /// The ids of a source with `</s>`, cut to `most` tokens; and whether it was cut.
    pub fn encode(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        let mut ids = self.tokenizer.encode(text);
        let cut = ids.len() + 1 > most;
        ids.truncate(most - 1);
        ids.push(self.tokenizer.eos_id());
        (ids, cut)
    }

    /// Encodes texts, saying on standard error how many were cut.
    pub fn encode_all<'t>(
        &self,
        what: &str,
        texts: impl Iterator<Item = &'t str>,
        most: NonZeroUsize,
    ) -> Vec<Vec<u32>> {
        let mut cut = 0;
        let ids = texts
            .map(|text| {
                let (ids, was_cut) = self.encode(text, most.get());
                cut += usize::from(was_cut);
                ids
            })
            .collect();
        notice_cut(what, cut, most.get());
        ids
    }
}

/// Says that texts were cut, if any were.
pub fn notice_cut(what: &str, cut: usize, most: usize) {
    if cut > 0 {
        eprintln!("t5kit: {cut} {what}{} cut to {most} tokens", if cut == 1 { " was" } else { "s were" });
    }
}

/// The tokenizer of a model; where rows are cut and it has pieces for all of them, a cut one in a folder of its own.
pub fn tokenizer(args: &ModelArgs, plan: &Plan) -> Result<(Tokenizer, Option<AtomicDir>)> {
    let path = args.tokenizer.as_deref().unwrap_or(plan.folder());
    let with_flag = || match args.tokenizer {
        None => format!("no tokenizer with {}; give --tokenizer", args.model),
        Some(_) => "--tokenizer".to_owned(),
    };
    let tokenizer = Tokenizer::load(path).with_context(with_flag)?;
    let Some(keep) = plan.keep.as_deref().filter(|keep| tokenizer.vocab_size() > keep.len()) else {
        return Ok((tokenizer, None));
    };
    let folder = work_folder()?;
    write_tokenizer(Source { tokenizer: path, rows: plan.file_rows, keep: Some(keep) }, folder.path())?;
    Ok((Tokenizer::load(folder.path())?, Some(folder)))
}

/// A folder for files that are needed during this run alone.
fn work_folder() -> Result<AtomicDir> {
    Ok(AtomicDir::create(&std::env::temp_dir().join("t5kit-tokenizer"), true)?)
}

/// An error unless a model with so many rows has one for every piece.
pub fn check_vocabulary(rows: usize, tokenizer: &Tokenizer) -> Result<()> {
    let pieces = tokenizer.vocab_size();
    if pieces > rows {
        bail!(
            "the tokenizer has {pieces} pieces, but the model has {rows} rows: they do not belong together; \
             give the model's own tokenizer, or trim both together"
        );
    }
    Ok(())
}

/// The threads a subcommand works on.
pub fn pool(threads: Option<NonZeroUsize>) -> Pool {
    Pool::new(threads.map_or_else(Pool::default_threads, NonZeroUsize::get))
}

/// Bytes for people.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}
