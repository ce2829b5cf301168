//! The configuration of a model of any kind that there is, and the model that comes of it.

use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::Checkpoint;
use t5kit_formats::config::{BertConfig, T5Architecture, T5Config, is_bert};
use t5kit_tensor::{DType, Params};

use crate::architecture::{Architecture, Part, Portable, Slot, VocabularyNames};
use crate::memory::Widths;
use crate::{Error, Seq2Seq};

/// A model of any kind.
pub type Model = Box<dyn Seq2Seq>;

/// The configuration of a model of any kind. What it is for, see [`Architecture`].
#[derive(Clone, Debug)]
pub enum Config {
    /// T5 and its family.
    T5(T5Config),
    /// BERT and its family, as UniLM.
    Bert(BertConfig),
}

/// The same call to whichever it is.
macro_rules! whichever {
    ($config:expr, $inner:ident => $call:expr) => {
        match $config {
            Config::T5($inner) => $call,
            Config::Bert($inner) => $call,
        }
    };
}

impl From<T5Config> for Config {
    fn from(config: T5Config) -> Self {
        Config::T5(config)
    }
}

impl From<BertConfig> for Config {
    fn from(config: BertConfig) -> Self {
        Config::Bert(config)
    }
}

impl Config {
    /// The configuration in a file, or in a folder with one, that no checkpoint belongs to yet.
    ///
    /// # Errors
    /// Those of reading; a configuration that no model can be made of.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let map = t5kit_formats::json::read(&file, "configuration")?;
        Ok(match is_bert(&map) {
            true => BertConfig::from_json(&file, map)?.into(),
            false => T5Config::from_json(&file, map)?.into(),
        })
    }

    /// The model of this configuration in another architecture ([`T5Config::arranged`]).
    ///
    /// # Errors
    /// One of BERT's family, and those of [`T5Config::arranged`].
    pub fn arranged(
        self,
        architecture: Option<T5Architecture>,
        halve_layers: bool,
    ) -> t5kit_formats::Result<Self> {
        let asked = match (architecture, halve_layers) {
            (None, false) => return Ok(self),
            (Some(_), _) => "architecture",
            (None, true) => "halve_layers",
        };
        match self {
            Config::T5(config) => Ok(config.arranged(architecture, halve_layers)?.into()),
            Config::Bert(config) => Err(t5kit_formats::Error::Config {
                path: "(configuration)".into(),
                field: "model_type".to_owned(),
                what: format!(
                    "{} is one stack as UniLM, and `{asked}` is for a T5; leave it out",
                    config.model_type
                ),
            }),
        }
    }

    fn ported<A: Into<Config>>(portable: Portable<A>) -> Portable<Config> {
        let Portable { config, softmax_factor, notes, tables } = portable;
        Portable { config: config.into(), softmax_factor, notes, tables }
    }
}

impl Architecture for Config {
    type Model = Model;

    fn vocabulary(&self) -> VocabularyNames {
        whichever!(self, c => c.vocabulary())
    }

    fn read(checkpoint: &Checkpoint, given: Option<&Path>) -> t5kit_formats::Result<Self> {
        let bert = checkpoint.names().any(|name| name.ends_with("embeddings.word_embeddings.weight"));
        Ok(match bert {
            true => <BertConfig as Architecture>::read(checkpoint, given)?.into(),
            false => <T5Config as Architecture>::read(checkpoint, given)?.into(),
        })
    }

    fn settle_names(&self, checkpoint: &mut Checkpoint) -> t5kit_formats::Result<()> {
        whichever!(self, c => c.settle_names(checkpoint))
    }

    fn raise_positions(&mut self, positions: usize) -> t5kit_formats::Result<()> {
        whichever!(self, c => Architecture::raise_positions(c, positions))
    }

    fn most_tokens(&self) -> Option<usize> {
        whichever!(self, c => Architecture::most_tokens(c))
    }

    fn in_head(&self, slot: &Slot) -> bool {
        whichever!(self, c => c.in_head(slot))
    }

    fn family(&self) -> &'static str {
        whichever!(self, c => c.family())
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        whichever!(self, c => c.facts())
    }

    fn layout(&self) -> Vec<Slot> {
        whichever!(self, c => Architecture::layout(c))
    }

    fn rows(&self) -> usize {
        whichever!(self, c => c.rows())
    }

    fn with_rows(&self, keep: &[u32]) -> t5kit_formats::Result<Self> {
        Ok(whichever!(self, c => Architecture::with_rows(c, keep)?.into()))
    }

    fn is_tied(&self) -> bool {
        whichever!(self, c => c.is_tied())
    }

    fn tie(&mut self, tied: bool) {
        whichever!(self, c => c.tie(tied));
    }

    fn is_always_tied(&self) -> bool {
        whichever!(self, c => c.is_always_tied())
    }

    fn ignores(&self, tensor: &str) -> bool {
        whichever!(self, c => c.ignores(tensor))
    }

    fn portable(&self, dtype: DType) -> Portable<Self> {
        whichever!(self, c => Config::ported(c.portable(dtype)))
    }

    fn write(&self, path: &Path, force: bool) -> t5kit_formats::Result<()> {
        whichever!(self, c => Architecture::write(c, path, force))
    }

    fn validate(&self) -> t5kit_formats::Result<()> {
        whichever!(self, c => Architecture::validate(c))
    }

    fn widths(&self) -> Widths {
        whichever!(self, c => c.widths())
    }

    fn source_part(&self) -> Part {
        whichever!(self, c => c.source_part())
    }

    fn lora_targets(&self) -> &'static [&'static str] {
        whichever!(self, c => c.lora_targets())
    }

    fn task_type(&self) -> Option<&'static str> {
        whichever!(self, c => c.task_type())
    }

    fn other(&self) -> &Map<String, Value> {
        whichever!(self, c => c.other())
    }

    fn build(self, params: Params) -> Result<Model, Error> {
        Ok(whichever!(self, c => Box::new(c.build(params)?) as Model))
    }
}
