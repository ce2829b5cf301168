//! The state of an unfinished count on disk, beside the file of counts it is to become.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use t5kit_formats::output::AtomicFile;
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::count::{CountOptions, State};
use crate::record::{Settings, VERSION};
use sha2::{Digest, Sha256};
use t5kit_formats::inputs::{Input, hex};

/// An unfinished count: the state, and what it is a state of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    version: u32,
    tokenizer_sha256: String,
    settings: Settings,
    /// Counts of other runs that are to be added at the end, by the SHA-256 of their files.
    merged: Vec<String>,
    inputs: Vec<Input>,
    /// How far it has come.
    pub state: State,
}

impl Unfinished {
    /// A count of `inputs` that is about to begin.
    ///
    /// # Errors
    /// [`Error::Files`] where a file of `merge` cannot be read.
    pub fn new(
        tokenizer: &Tokenizer,
        inputs: &[Input],
        options: &CountOptions,
        merge: &[PathBuf],
    ) -> Result<Self, Error> {
        let hash = |path: &PathBuf| {
            let bytes = std::fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
            Ok(hex(&Sha256::digest(&bytes)))
        };
        Ok(Self {
            version: VERSION,
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            settings: Settings::of(options),
            merged: merge.iter().map(hash).collect::<Result<_, Error>>()?,
            inputs: inputs.to_vec(),
            state: State::default(),
        })
    }

    /// Where the state of a count to `output` is kept: `<output>.unfinished`.
    pub fn path_of(output: &Path) -> PathBuf {
        let mut name = output.as_os_str().to_owned();
        name.push(".unfinished");
        name.into()
    }

    /// Keeps `state`, in place of the one before.
    ///
    /// # Errors
    /// Those of [`AtomicFile`].
    pub fn write(&self, path: &Path, state: &State) -> Result<(), Error> {
        let whole = Self { state: state.clone(), ..self.clone() };
        let mut file = AtomicFile::create(path, true)?;
        serde_json::to_writer(&mut file, &whole)
            .map_err(|e| t5kit_formats::Error::io(path, "write")(e.into()))?;
        file.commit()?;
        Ok(())
    }

    /// Reads the state kept at `path` and takes it over, if it is of the same count as this one.
    ///
    /// # Errors
    /// [`Error::Resume`] where it is not, saying what differs; [`Error::Files`] where it cannot be read.
    pub fn take_over(&mut self, path: &Path, tokenizer: &Tokenizer) -> Result<(), Error> {
        let bad = |what: String| Error::Resume { path: path.to_path_buf(), what };
        let bytes = std::fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
        let kept: Self = serde_json::from_slice(&bytes).map_err(|e| {
            bad(format!("the state of the interrupted count is damaged ({e}); remove it and count anew"))
        })?;
        let differs = if kept.version != self.version {
            Some("another version of this program wrote it".to_owned())
        } else if kept.tokenizer_sha256 != self.tokenizer_sha256 {
            Some("the tokenizer is another one".to_owned())
        } else if let Some(difference) = self.settings.difference(&kept.settings) {
            Some(difference)
        } else if kept.merged != self.merged {
            Some("the counts to be merged are others".to_owned())
        } else if kept.inputs.len() != self.inputs.len() {
            Some(format!("there were {} input files and are {}", kept.inputs.len(), self.inputs.len()))
        } else {
            let mut pairs = kept.inputs.iter().zip(&self.inputs);
            pairs.find(|(before, now)| before != now).map(|(before, now)| {
                if before.path == now.path {
                    format!("{} has changed", now.path.display())
                } else {
                    format!("the inputs had {} where now is {}", before.path.display(), now.path.display())
                }
            })
        };
        if let Some(what) = differs {
            return Err(bad(format!(
                "the interrupted count was of something else: {what}; ask for the same again, or count anew \
                 without --resume"
            )));
        }
        if let Some(input) = self.inputs.iter().find(|input| !input.is_regular()) {
            return Err(bad(format!("{} cannot be read from the middle", input.path.display())));
        }
        if !kept.state.fits(self.inputs.len(), tokenizer.vocab_size()) {
            return Err(bad("the state is damaged; remove it and count anew".into()));
        }
        self.state = kept.state;
        Ok(())
    }
}
