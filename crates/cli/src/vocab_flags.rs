//! Flags of `tokenize` and `detokenize` for a `vocab.txt`.

use anyhow::Result;
use std::path::Path;
use t5kit_tokenizer::{Options, PreTokenize, Tokenizer};

use crate::model_args::locate_tokenizer;

/// How a `vocab.txt` is used; by default as the tokenizer_config.json beside it says.
#[derive(clap::Args)]
pub struct VocabFlags {
    /// For vocab.txt: cut words with jieba first, as WoBERT and T5-PEGASUS do [default: by tokenizer_config.json]
    #[arg(long, value_enum, value_name = "jieba|none", hide_possible_values = true)]
    pre_tokenize: Option<Cutter>,
    /// For vocab.txt: make words lower-case [default: by tokenizer_config.json, else true]
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    lower_case: Option<bool>,
    /// For vocab.txt: remove accents [default: by tokenizer_config.json, else as --lower-case]
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    strip_accents: Option<bool>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Cutter {
    Jieba,
    None,
}

impl VocabFlags {
    /// The tokenizer at a path, used as the flags say. Flags for one that is no vocab.txt are wrong usage.
    pub fn load(&self, path: &Path) -> Result<Tokenizer> {
        Ok(Tokenizer::load_with(&locate_tokenizer(path)?, self.options())?)
    }

    fn options(&self) -> Options {
        Options {
            lower_case: self.lower_case,
            strip_accents: self.strip_accents,
            pre_tokenize: self.pre_tokenize.map(|cutter| match cutter {
                Cutter::Jieba => PreTokenize::Jieba,
                Cutter::None => PreTokenize::None,
            }),
        }
    }
}
