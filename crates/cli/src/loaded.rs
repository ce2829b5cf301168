//! A model and its tokenizer, as every subcommand that runs one opens them.

use anyhow::{Result, bail};
use std::num::NonZeroUsize;
use std::path::Path;
use t5kit_generate::GenerateOptions;
use t5kit_model::T5;
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;

/// A model and its tokenizer.
pub struct Loaded {
    /// The model.
    pub model: T5,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

impl Loaded {
    /// Opens `path`; the tokenizer is in the same folder unless `tokenizer` says otherwise.
    pub fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Self> {
        let folder = t5kit_model::model_folder(path)?;
        let model = t5kit_model::load(&folder)?;
        let tokenizer = Tokenizer::load(tokenizer.unwrap_or(&folder))?;
        check_vocabulary(&model, &tokenizer)?;
        Ok(Loaded { model, tokenizer })
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

/// An error unless the model has a row for every piece.
pub fn check_vocabulary(model: &T5, tokenizer: &Tokenizer) -> Result<()> {
    let (pieces, rows) = (tokenizer.vocab_size(), model.config.vocab_size);
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
