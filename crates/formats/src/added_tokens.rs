//! Added tokens: whole words that transformers keeps beside a tokenizer's own pieces, and the files that speak of them.
//!
//! Which file counts is as in transformers 4.57 (`PreTrainedTokenizerBase._from_pretrained`): `added_tokens_decoder` of
//! `tokenizer_config.json` alone where it is there; else `added_tokens.json` and the `added_tokens` of a
//! `tokenizer.json`, with `special_tokens_map.json` saying which are special. Special tokens that have no id yet follow
//! behind everything else.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json;

/// The longest list, and far from any real number of added tokens.
pub const MAX_ADDED: usize = 1 << 16;
/// Ids beyond this belong to no vocabulary.
const MAX_ID: u32 = 1 << 26;

/// The fields that name one special token each, in the order in which transformers adds what is missing.
const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const ADDITIONAL: &str = "additional_special_tokens";

/// One added token, with the fields of `tokenizers`' `AddedToken`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AddedToken {
    /// Its id; 0 where the file leaves that to the place in which it stands.
    #[serde(default)]
    pub id: u32,
    /// The text that it is.
    pub content: String,
    /// Found only where no letter or digit stands beside it.
    #[serde(default)]
    pub single_word: bool,
    /// Spaces before it belong to it.
    #[serde(default)]
    pub lstrip: bool,
    /// Spaces behind it belong to it.
    #[serde(default)]
    pub rstrip: bool,
    /// Looked for in the normalised text rather than in the text as it stands.
    #[serde(default)]
    pub normalized: bool,
    /// Not part of what a text says.
    #[serde(default)]
    pub special: bool,
}

/// What a folder's files say of added and of special tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpecialTokens {
    /// Tokens with their ids, ascending, each id once.
    pub tokens: Vec<AddedToken>,
    /// All special tokens that are named, in the order in which those that have no id are added.
    pub named: Vec<AddedToken>,
    /// The names by field, `eos_token` and so on, as far as they are said.
    pub roles: Map<String, Value>,
}

impl SpecialTokens {
    /// Reads what lies in `folder`; `config` is the `tokenizer_config.json` there.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be; the message names file and field.
    pub fn read(folder: &Path, config: Option<(&Path, &Map<String, Value>)>) -> Result<Self> {
        let mut found = Self::default();
        if let Some((path, config)) = config {
            found.name(config, path)?;
            if let Some(decoder) = config.get("added_tokens_decoder").filter(|value| !value.is_null()) {
                found.add(decoder_tokens(decoder, path)?);
                return Ok(found);
            }
        }
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        if let Some(path) = file("special_tokens_map.json") {
            found.name(&json::read(&path, "special_tokens_map.json")?, &path)?;
        }
        if let Some(path) = file("tokenizer.json") {
            /// Of the whole file only this.
            #[derive(Deserialize)]
            struct Tokenizer {
                #[serde(default)]
                added_tokens: Vec<AddedToken>,
            }
            let read: Tokenizer = json::read(&path, "tokenizer.json")?;
            found.add(read.added_tokens);
        }
        if let Some(path) = file("added_tokens.json") {
            let ids: Map<String, Value> = json::read(&path, "added_tokens.json")?;
            let names: HashSet<&str> = found.named.iter().map(|token| &*token.content).collect();
            let known: HashSet<u32> = found.tokens.iter().map(|token| token.id).collect();
            let mut tokens = Vec::with_capacity(ids.len());
            for (content, value) in ids {
                let id = value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                    field(&path, &content, format!("{value} is no id; give a number from 0"))
                })?;
                // What tokenizer.json says more of is left as it is.
                if known.contains(&id) {
                    continue;
                }
                let special = names.contains(&*content);
                tokens.push(AddedToken {
                    id,
                    content,
                    special,
                    normalized: !special,
                    ..AddedToken::default()
                });
            }
            found.add(tokens);
        }
        let path = folder.join("added_tokens.json");
        match found.tokens.last() {
            Some(last) if last.id > MAX_ID => {
                Err(field(&path, &last.content, format!("id {} is beyond any vocabulary", last.id)))
            }
            _ if found.tokens.len() > MAX_ADDED => {
                Err(field(&path, "added tokens", format!("{} of them are too many", found.tokens.len())))
            }
            _ => Ok(found),
        }
    }

    /// The name of a role, `eos_token` and so on.
    pub fn role(&self, field: &str) -> Option<&str> {
        self.roles.get(field).and_then(Value::as_str)
    }

    /// Whether a text is the name of a role.
    pub fn is_role(&self, content: &str) -> bool {
        self.roles.values().any(|name| name == content)
    }

    /// Notes the special tokens that an object names; what has been said before stays.
    fn name(&mut self, object: &Map<String, Value>, path: &Path) -> Result<()> {
        let mut seen: HashSet<String> = self.named.iter().map(|token| token.content.clone()).collect();
        for role in ROLES {
            let Some(value) = object.get(role).filter(|value| !value.is_null()) else { continue };
            let token = token(value).ok_or_else(|| field(path, role, format!("{value} is no token")))?;
            if !self.roles.contains_key(role) {
                self.roles.insert(role.into(), token.content.clone().into());
                self.name_one(token, &mut seen);
            }
        }
        match object.get(ADDITIONAL) {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) if values.len() <= MAX_ADDED => {
                for value in values {
                    let token = token(value)
                        .ok_or_else(|| field(path, ADDITIONAL, format!("{value} is no token")))?;
                    self.name_one(token, &mut seen);
                }
            }
            Some(_) => return Err(field(path, ADDITIONAL, "no list of tokens".into())),
        }
        Ok(())
    }

    fn name_one(&mut self, token: AddedToken, seen: &mut HashSet<String>) {
        if !token.content.is_empty() && seen.insert(token.content.clone()) {
            self.named.push(AddedToken { special: true, ..token });
        }
    }

    /// Adds tokens; the last of an id, or of a text, counts.
    fn add(&mut self, tokens: Vec<AddedToken>) {
        self.tokens.extend(tokens.into_iter().filter(|token| !token.content.is_empty()));
        self.tokens.reverse();
        let mut seen = HashSet::new();
        self.tokens.retain(|token| seen.insert(token.content.clone()));
        self.tokens.sort_by_key(|token| token.id);
        self.tokens.dedup_by_key(|token| token.id);
    }
}

/// The tokens of an `added_tokens_decoder`: an object whose keys are ids.
fn decoder_tokens(decoder: &Value, path: &Path) -> Result<Vec<AddedToken>> {
    const FIELD: &str = "added_tokens_decoder";
    let Value::Object(decoder) = decoder else { return Err(field(path, FIELD, "no object".into())) };
    if decoder.len() > MAX_ADDED {
        return Err(field(path, FIELD, format!("{} tokens are too many", decoder.len())));
    }
    let mut tokens = Vec::with_capacity(decoder.len());
    for (id, value) in decoder {
        let place = format!("{FIELD}.{id}");
        let id = id.parse().ok().filter(|&id| id <= MAX_ID);
        let id = id.ok_or_else(|| field(path, &place, "the key is no id".into()))?;
        let token = token(value).ok_or_else(|| field(path, &place, format!("{value} is no token")))?;
        tokens.push(AddedToken { id, ..token });
    }
    Ok(tokens)
}

/// A token written as its text or as an object.
fn token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(content) => Some(AddedToken { content: content.clone(), ..AddedToken::default() }),
        Value::Object(_) => AddedToken::deserialize(value).ok(),
        _ => None,
    }
}

fn field(path: &Path, field: &str, what: String) -> Error {
    Error::Config { path: path.to_owned(), field: field.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is read from a folder with these files.
    fn read(files: &[(&str, Value)]) -> Result<SpecialTokens, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in files {
            std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        }
        let config = files.iter().find(|(name, _)| *name == "tokenizer_config.json");
        let config = config.and_then(|(name, value)| Some((Path::new(*name), value.as_object()?)));
        SpecialTokens::read(folder.path(), config).map_err(|e| e.to_string())
    }

    fn contents(tokens: &[AddedToken]) -> Vec<(u32, &str, bool)> {
        tokens.iter().map(|token| (token.id, token.content.as_str(), token.special)).collect()
    }

    #[test]
    fn a_decoder_counts_alone() {
        let found = read(&[
            (
                "tokenizer_config.json",
                json!({"eos_token": {"content": "</s>"}, "additional_special_tokens": ["<a>", "<b>"],
                    "added_tokens_decoder": {"9": {"content": "<a>", "lstrip": true, "special": true},
                        "1": {"content": "</s>", "special": true}}}),
            ),
            ("added_tokens.json", json!({"<c>": 10})),
            ("special_tokens_map.json", json!({"pad_token": "<p>"})),
        ])
        .unwrap();
        assert_eq!(contents(&found.tokens), [(1, "</s>", true), (9, "<a>", true)]);
        assert!(found.tokens[1].lstrip && !found.tokens[1].normalized);
        assert_eq!(contents(&found.named), [(0, "</s>", true), (0, "<a>", true), (0, "<b>", true)]);
        assert_eq!((found.role("eos_token"), found.role("pad_token")), (Some("</s>"), None));
        assert!(found.is_role("</s>") && !found.is_role("<a>"));
    }

    #[test]
    fn older_files_together() {
        let found = read(&[
            ("added_tokens.json", json!({"<b>": 7, "<a>": 6, "<j>": 5})),
            (
                "special_tokens_map.json",
                json!({"eos_token": "</s>", "additional_special_tokens": [{"content": "<a>", "lstrip": true}]}),
            ),
            ("tokenizer.json", json!({"added_tokens": [{"id": 5, "content": "<j>", "rstrip": true}], "model": 3})),
        ])
        .unwrap();
        assert_eq!(contents(&found.tokens), [(5, "<j>", false), (6, "<a>", true), (7, "<b>", false)]);
        let flags: Vec<_> = found.tokens.iter().map(|t| (t.normalized, t.rstrip, t.lstrip)).collect();
        assert_eq!(flags, [(false, true, false), (false, false, false), (true, false, false)]);
        assert_eq!(read(&[]).unwrap(), SpecialTokens::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fails = |name: &str, value: Value, expected: &str| {
            let message = read(&[(name, value)]).unwrap_err();
            assert!(message.contains(name) && message.contains(expected), "{message}");
            assert!(!message.contains('\n'), "{message}");
        };
        fails("added_tokens.json", json!({"<a>": -1}), "<a>: -1 is no id");
        fails("added_tokens.json", json!({"<a>": 4_000_000_000u32}), "<a>: id 4000000000 is beyond");
        fails("added_tokens.json", json!([1]), "added_tokens.json");
        fails("special_tokens_map.json", json!({"eos_token": 3}), "eos_token: 3 is no token");
        fails("special_tokens_map.json", json!({"additional_special_tokens": "x"}), "no list");
        let config = "tokenizer_config.json";
        fails(
            config,
            json!({"added_tokens_decoder": {"x": "a"}}),
            "added_tokens_decoder.x: the key is no id",
        );
        fails(config, json!({"added_tokens_decoder": {"3": {}}}), "added_tokens_decoder.3: {} is no token");
        fails(config, json!({"added_tokens_decoder": []}), "added_tokens_decoder: no object");
    }
}
