//! Which files of a model are fetched, and which of them the cache has.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};

use crate::{json, peft, trained};

/// Files that are fetched where a model has them.
const SMALL: [&str; 13] = [
    "config.json",
    "generation_config.json",
    trained::NAME,
    "spiece.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
];

/// Of these, what can be a tokenizer by itself.
const TOKENIZERS: [&str; 6] = [
    "spiece.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
];

/// The weights of an adapter, beside its settings.
const ADAPTERS: [&str; 2] = [peft::WEIGHTS, "adapter_model.bin"];

/// Forms of the weights, the first that a model has is fetched: its name, and how the names of its shards
/// begin and end.
const WEIGHTS: [(&str, &str, &str); 2] =
    [("model.safetensors", "model-", ".safetensors"), ("pytorch_model.bin", "pytorch_model-", ".bin")];

/// What is fetched of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A model with its tokenizer, or an adapter.
    Model,
    Tokenizer,
}

impl Part {
    /// Which of a repository's files are fetched, or why there is nothing to fetch.
    pub fn wanted<'a>(self, names: &[&'a str]) -> Result<Vec<&'a str>, String> {
        match self {
            Self::Model => wanted(names).or_else(|| wanted_adapter(names)).ok_or_else(|| {
                let known = "config.json with model.safetensors or pytorch_model.bin";
                format!("it has no weights that are read here ({known})")
            }),
            Self::Tokenizer => {
                let wanted = small(names);
                match wanted.iter().any(|n| TOKENIZERS.contains(n)) {
                    true => Ok(wanted),
                    false => Err(format!("it has no tokenizer ({})", TOKENIZERS.join(", "))),
                }
            }
        }
    }
}

/// The small files.
fn small<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|n| SMALL.contains(n)).collect()
}

/// The files of an adapter, its weights last.
fn wanted_adapter<'a>(names: &[&'a str]) -> Option<Vec<&'a str>> {
    let find = |wanted: &str| names.iter().copied().find(|n| *n == wanted);
    let settings = find(peft::CONFIG)?;
    let weights = ADAPTERS.iter().find_map(|name| find(name))?;
    Some([small(names), vec![settings, weights]].concat())
}

/// The files of a model that are fetched, the weights last, so that a folder with weights has the rest too.
fn wanted<'a>(names: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut wanted = small(names);
    wanted.contains(&"config.json").then_some(())?;
    for (single, begin, end) in WEIGHTS {
        let index = format!("{single}.index.json");
        if let Some(name) = names.iter().find(|n| **n == single) {
            wanted.push(name);
            return Some(wanted);
        }
        if let Some(name) = names.iter().find(|n| **n == index) {
            let shard = |n: &&&str| n.starts_with(begin) && n.ends_with(end) && !n.contains(['/', '\\']);
            wanted.extend(names.iter().filter(shard));
            wanted.push(name);
            return Some(wanted);
        }
    }
    None
}

/// Whether this can be a part of a path and nothing else.
pub(super) fn plain(s: &str) -> bool {
    (1..=128).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A model in the cache.
pub(super) struct Cached<'a> {
    pub cache: Cache,
    pub name: &'a str,
    pub revision: &'a str,
    pub part: Part,
}

impl Cached<'_> {
    pub fn repo(&self) -> Repo {
        Repo::with_revision(self.name.to_owned(), RepoType::Model, self.revision.to_owned())
    }

    fn folder(&self) -> PathBuf {
        self.cache.path().join(self.repo().folder_name())
    }

    /// A file of the revision, if it is there.
    pub fn file(&self, file: &str) -> Option<PathBuf> {
        let path = self.folder().join("snapshots").join(self.commit()?).join(file);
        path.exists().then_some(path)
    }

    /// The commit whose files are there.
    pub fn commit(&self) -> Option<String> {
        let named = fs::read_to_string(self.folder().join("refs").join(self.revision)).ok();
        let is_commit = self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit());
        let commit =
            named.map(|commit| commit.trim().to_owned()).or(is_commit.then(|| self.revision.to_owned()));
        commit.filter(|commit| plain(commit))
    }

    /// The folder, if it holds all that is wanted: a configuration and all of the weights, an adapter, a tokenizer.
    pub fn complete(&self) -> Option<PathBuf> {
        let folder = self.folder().join("snapshots").join(self.commit()?);
        let has = |name: &str| folder.join(name).exists();
        let complete = match self.part {
            Part::Tokenizer => TOKENIZERS.iter().any(|name| has(name)),
            Part::Model => {
                let whole = |single: &str| {
                    has(single)
                        || shards(&folder.join(format!("{single}.index.json")))
                            .is_some_and(|s| s.iter().all(|shard| has(shard)))
                };
                has("config.json") && WEIGHTS.iter().any(|(single, _, _)| whole(single))
                    || has(peft::CONFIG) && ADAPTERS.iter().any(|name| has(name))
            }
        };
        complete.then_some(folder)
    }
}

/// The shards that an index names.
fn shards(index: &Path) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let index: Index = json::read(index, "shard index").ok()?;
    Some(index.weight_map.into_values().collect())
}
