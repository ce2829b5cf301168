//! How a `vocab.txt` is to be used: what `tokenizer_config.json` says.

use crate::error::Error;
use crate::files;
use serde_json::Value;
use std::path::Path;

/// What cuts a text into words before WordPiece looks at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PreTokenize {
    /// Nothing but spaces, punctuation and Chinese characters, as in BERT.
    #[default]
    None,
    /// jieba without its HMM: a word that is in the vocabulary is one token, as in WoBERT and T5-PEGASUS.
    Jieba,
}

/// Settings under the names of `tokenizer_config.json`, with transformers' defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) do_lower_case: bool,
    /// As `do_lower_case` where it is not said.
    pub(crate) strip_accents: Option<bool>,
    pub(crate) tokenize_chinese_chars: bool,
    pub(crate) pre_tokenize: PreTokenize,
    /// Whether nobody has said so, and the vocabulary may.
    pub(crate) by_vocabulary: bool,
    /// Words that stay whole (and are not lower-cased where `do_lower_case` is off).
    pub(crate) never_split: Vec<String>,
    pub(crate) unk_token: String,
    pub(crate) pad_token: Option<String>,
    pub(crate) cls_token: Option<String>,
    pub(crate) sep_token: Option<String>,
    pub(crate) mask_token: Option<String>,
    pub(crate) additional_special_tokens: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            pre_tokenize: PreTokenize::None,
            by_vocabulary: false,
            never_split: Vec::new(),
            unk_token: "[UNK]".into(),
            pad_token: Some("[PAD]".into()),
            cls_token: Some("[CLS]".into()),
            sep_token: Some("[SEP]".into()),
            mask_token: Some("[MASK]".into()),
            additional_special_tokens: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether accents are removed.
    pub(super) fn strips(&self) -> bool {
        self.strip_accents.unwrap_or(self.do_lower_case)
    }

    /// The names that stand for themselves in a text.
    pub(super) fn specials(&self) -> impl Iterator<Item = &str> {
        let roles = [&self.sep_token, &self.pad_token, &self.cls_token, &self.mask_token];
        let roles = roles.into_iter().flatten().map(String::as_str);
        let more = self.additional_special_tokens.iter().map(String::as_str);
        std::iter::once(&*self.unk_token).chain(roles).chain(more).filter(|name| !name.is_empty())
    }

    /// From `tokenizer_config.json`. WoBERT's words are asked for by `"pre_tokenize": "jieba"`, or by the
    /// `tokenizer_class` `WoBertTokenizer` or `RoFormerTokenizer`; BERT's own classes say that there are none. Where the
    /// file says nothing of it, the vocabulary does ([`Self::by_vocabulary`]).
    ///
    /// # Errors
    /// [`Error::Invalid`] when a setting is of the wrong kind or not supported.
    pub(crate) fn read(fields: &files::Config, path: &Path) -> Result<Self, Error> {
        Config { fields, path }.settings()
    }
}

/// The file and where it is.
struct Config<'a> {
    fields: &'a files::Config,
    path: &'a Path,
}

impl Config<'_> {
    fn invalid(&self, field: &str, what: String) -> Error {
        Error::Invalid { path: self.path.into(), field: field.into(), what }
    }

    fn settings(&self) -> Result<Settings, Error> {
        let config = self.fields;
        let flag = |name: &str| match config.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.invalid(name, format!("{other} is neither true nor false"))),
        };
        // A token is missing from the file, null (there is none), a string, or an object with its text.
        let token = |name: &str, default: Option<String>| match config.get(name) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => self.text(name, value).map(Some),
        };
        let list = |name: &str| match config.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(|value| self.text(name, value)).collect(),
            Some(other) => Err(self.invalid(name, format!("{other} is no list of strings"))),
        };
        let default = Settings::default();
        if flag("do_basic_tokenize")? == Some(false) {
            return Err(self.invalid("do_basic_tokenize", "false is not supported; remove it".into()));
        }
        let class = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or_default();
        let class = class.strip_suffix("Fast").unwrap_or(class);
        let asked = config.get("pre_tokenize");
        let pre_tokenize = match asked {
            Some(Value::String(name)) if name == "jieba" => PreTokenize::Jieba,
            None if ["WoBertTokenizer", "RoFormerTokenizer"].contains(&class) => PreTokenize::Jieba,
            None | Some(Value::Null) => PreTokenize::None,
            Some(other) => {
                return Err(self.invalid("pre_tokenize", format!("{other} is neither \"jieba\" nor null")));
            }
        };
        Ok(Settings {
            do_lower_case: flag("do_lower_case")?.unwrap_or(default.do_lower_case),
            strip_accents: flag("strip_accents")?,
            tokenize_chinese_chars: flag("tokenize_chinese_chars")?.unwrap_or(default.tokenize_chinese_chars),
            pre_tokenize,
            by_vocabulary: asked.is_none() && class.is_empty(),
            never_split: list("never_split")?,
            unk_token: token("unk_token", Some(default.unk_token))?
                .ok_or_else(|| self.invalid("unk_token", "null; WordPiece needs one".into()))?,
            pad_token: token("pad_token", default.pad_token)?,
            cls_token: token("cls_token", default.cls_token)?,
            sep_token: token("sep_token", default.sep_token)?,
            mask_token: token("mask_token", default.mask_token)?,
            additional_special_tokens: list("additional_special_tokens")?,
        })
    }

    /// The text of a token.
    fn text(&self, field: &str, value: &Value) -> Result<String, Error> {
        let content = value.get("content").unwrap_or(value);
        let text = content.as_str();
        text.map(str::to_owned).ok_or_else(|| self.invalid(field, format!("{value} is no string")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        let fields = serde_json::from_str(text).unwrap();
        Settings::read(&fields, Path::new("tokenizer_config.json")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_config_is_read() {
        assert_eq!(parse("{}").unwrap(), Settings { by_vocabulary: true, ..Settings::default() });
        let read = parse(
            r#"{"do_lower_case": false, "strip_accents": true, "pre_tokenize": "jieba", "mask_token": null,
                "unk_token": {"content": "<unk>", "lstrip": false}, "additional_special_tokens": ["<x>"],
                "never_split": ["a"], "added_tokens_decoder": {"5": {"content": "<x>"}}}"#,
        )
        .unwrap();
        assert_eq!((read.do_lower_case, read.strip_accents), (false, Some(true)));
        assert_eq!(read.pre_tokenize, PreTokenize::Jieba);
        assert_eq!(read.specials().collect::<Vec<_>>(), ["<unk>", "[SEP]", "[PAD]", "[CLS]", "<x>"]);
        assert_eq!(read.never_split, ["a"]);
        let class = parse(r#"{"tokenizer_class": "WoBertTokenizer"}"#).unwrap();
        assert_eq!(class.pre_tokenize, PreTokenize::Jieba);
        let class = parse(r#"{"tokenizer_class": "RoFormerTokenizerFast"}"#).unwrap();
        assert_eq!((class.pre_tokenize, class.by_vocabulary), (PreTokenize::Jieba, false));
        assert!(!parse(r#"{"tokenizer_class": "BertTokenizer"}"#).unwrap().by_vocabulary);
        let both = parse(r#"{"tokenizer_class": "WoBertTokenizer", "pre_tokenize": null}"#).unwrap();
        assert_eq!(both.pre_tokenize, PreTokenize::None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (r#"{"do_lower_case": 3}"#, "do_lower_case: 3 is neither true nor false"),
            (r#"{"do_basic_tokenize": false}"#, "do_basic_tokenize: false is not supported"),
            (r#"{"pre_tokenize": "mecab"}"#, "pre_tokenize: \"mecab\" is neither \"jieba\" nor null"),
            (r#"{"unk_token": null}"#, "unk_token: null"),
            (r#"{"mask_token": 3}"#, "mask_token: 3 is no string"),
            (r#"{"never_split": "a"}"#, "never_split: \"a\" is no list"),
            (r#"{"additional_special_tokens": [1]}"#, "additional_special_tokens: 1 is no string"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }
}
