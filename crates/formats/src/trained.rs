//! `t5kit.json`: what training fixed about the texts of a model, beside its weights. How it generates is in
//! `generation_config.json`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::config::Fields;
use crate::error::{Error, Result};
use crate::json;

/// The file's name in a model's folder.
pub const NAME: &str = "t5kit.json";
/// Version of its form. A newer one is refused: what it says would be read wrongly.
const VERSION: usize = 1;
/// What `punctuation` can be.
const PUNCTUATION: [&str; 3] = ["auto", "keep", "restore"];

/// The file's values; `None` is what it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trained {
    /// Text before every source as it stands (and before its prompt).
    pub source_prefix: Option<String>,
    /// The column whose text stood before each source ([`with_prompt`]); empty where it had no name.
    pub prompt: Option<String>,
    /// That text, where it was the same before all of them.
    pub prompt_text: Option<String>,
    /// Tokens that sources were cut to, the end included.
    pub max_source_length: Option<usize>,
    /// The same for targets.
    pub max_target_length: Option<usize>,
    /// What is done to the punctuation of generated Chinese: `auto`, `keep` or `restore`.
    pub punctuation: Option<String>,
}

/// The file in a model's folder, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its values.
    pub values: Trained,
}

impl TrainedFile {
    /// Reads the one in a folder; `None` where there is none.
    ///
    /// # Errors
    /// Those of [`Trained::read`].
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NAME);
        if !path.is_file() {
            return Ok(None);
        }
        Ok(Some(TrainedFile { values: Trained::read(&path)?, path }))
    }
}

impl Trained {
    /// Reads the file at `path`; keys that are not known are passed over.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`] where it is not a JSON object, [`Error::Config`] naming the value that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let mut f = Fields { path, map: json::read(path, "t5kit.json")? };
        match f.take_size("format_version")? {
            Some(VERSION) => {}
            Some(version) => {
                let what =
                    format!("{version} is not known here, only {VERSION}: a newer t5kit has written it");
                return Err(f.error("format_version", what));
            }
            None => return Err(f.error("format_version", format!("missing; it is {VERSION}"))),
        }
        let length = |f: &mut Fields<'_>, field: &str| match f.take_size(field)? {
            Some(0) => Err(f.error(field, "0 is no length; give at least 1")),
            other => Ok::<_, Error>(other),
        };
        let punctuation = f.take_text("punctuation")?;
        if let Some(other) = punctuation.as_deref().filter(|name| !PUNCTUATION.contains(name)) {
            return Err(f.error("punctuation", format!("{other:?} is none of {}", PUNCTUATION.join(", "))));
        }
        Ok(Trained {
            source_prefix: f.take_text("source_prefix")?,
            prompt: f.take_text("prompt")?,
            prompt_text: f.take_text("prompt_text")?,
            max_source_length: length(&mut f, "max_source_length")?,
            max_target_length: length(&mut f, "max_target_length")?,
            punctuation,
        })
    }

    /// Writes the file into a folder; what is `None` is left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut map = Map::new();
        map.insert("format_version".into(), json!(VERSION));
        map.extend(self.said().into_iter().map(|(name, value)| (name.to_owned(), value)));
        let path = folder.join(NAME);
        std::fs::write(&path, format!("{:#}\n", Value::Object(map))).map_err(Error::io(&path, "write"))
    }

    /// Its values by name, as far as there are any.
    pub fn said(&self) -> Vec<(&'static str, Value)> {
        let text = |value: &Option<String>| value.clone().map(Value::String);
        let all = [
            ("source_prefix", text(&self.source_prefix)),
            ("prompt", text(&self.prompt)),
            ("prompt_text", text(&self.prompt_text)),
            ("max_source_length", self.max_source_length.map(|n| json!(n))),
            ("max_target_length", self.max_target_length.map(|n| json!(n))),
            ("punctuation", text(&self.punctuation)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// A source with what the model is asked to do before it, as T5 was trained: `summarize: The text`. A colon or space
/// at the prompt's end is not doubled; without a prompt the source stands alone, and a prompt without a source does.
pub fn with_prompt(prompt: &str, source: &str) -> String {
    match prompt.trim_end_matches([':', '：', ' ']) {
        "" => source.to_owned(),
        _ if source.trim().is_empty() => prompt.to_owned(),
        prompt => format!("{prompt}: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(TrainedFile::find(folder.path()).unwrap(), None);
        let values = Trained {
            source_prefix: Some("生成标题：".into()),
            prompt: Some(String::new()),
            prompt_text: Some("summarize".into()),
            max_source_length: Some(256),
            max_target_length: None,
            punctuation: Some("restore".into()),
        };
        for values in [values, Trained::default()] {
            values.write(folder.path()).unwrap();
            let path = folder.path().join(NAME);
            assert_eq!(TrainedFile::find(folder.path()).unwrap(), Some(TrainedFile { path, values }));
        }
    }

    #[test]
    fn what_is_no_value_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for (text, part) in [
            (r#"{"format_version": 2}"#, "format_version: 2 is not known"),
            ("{}", "format_version: missing"),
            (r#"{"format_version": 1, "max_source_length": 0}"#, "max_source_length: 0 is no length"),
            (r#"{"format_version": 1, "max_target_length": "9"}"#, "max_target_length: \"9\" is not a size"),
            (r#"{"format_version": 1, "source_prefix": 3}"#, "source_prefix: 3 is not a string"),
            (r#"{"format_version": 1, "punctuation": "full"}"#, "punctuation: \"full\" is none of auto"),
            ("[]", "t5kit.json"),
            ("{", "t5kit.json"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Trained::read(&path).unwrap_err().to_string();
            assert!(error.contains(NAME) && error.contains(part) && !error.contains('\n'), "{text}: {error}");
        }
        std::fs::write(&path, r#"{"format_version": 1, "template": {"a": 1}, "prompt": null}"#).unwrap();
        assert_eq!(Trained::read(&path).unwrap(), Trained::default());
    }
}
