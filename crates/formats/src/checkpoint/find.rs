//! Which files in a folder, or beside a prefix, are the weights of a model.

use std::fs;
use std::path::{Path, PathBuf};

use super::absent;
use super::weight_file::{self, Format};
use crate::error::{Error, Result};
use crate::peft;
use crate::tensorflow;

/// The usual names, in the order in which they count; `NAME.index.json` beside them lists shards.
const USUAL: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// Endings of files that can be weights under another name.
const ENDINGS: [&str; 9] = ["safetensors", "bin", "pt", "pth", "ckpt", "weights", "h5", "hdf5", "gguf"];
/// Beginnings of names that trainers give to what is no model.
const NO_MODEL: [&str; 12] = [
    "training_args",
    "optimizer",
    "scheduler",
    "scaler",
    "random_states",
    "rng_state",
    "adapter_model",
    "trainer_state",
    "sampler",
    "custom_checkpoint",
    "zero_pp_rank",
    "bf16_zero_pp_rank",
];

/// Where the weights of a model are.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// What they are.
    pub what: Weights,
    /// What is to be said, where the name is none of the usual ones.
    pub note: Option<String>,
}

/// The weights of a model.
#[derive(Debug, PartialEq)]
pub(super) enum Weights {
    /// One file, and the path that a checkpoint is known by: the folder's where its name is a usual one.
    File(PathBuf, PathBuf),
    /// A list of shards.
    Index(PathBuf),
    /// Shards without a list.
    Shards(Vec<PathBuf>),
    /// A TensorFlow checkpoint's prefix.
    Bundle(PathBuf),
}

/// Where the weights are that `path` means: a file, a folder, or the prefix of a TensorFlow checkpoint.
///
/// # Errors
/// [`Error::NoModel`] that says what is there instead, or which weights could be meant.
pub(super) fn find(path: &Path) -> Result<Place> {
    let usual = |what| Ok(Place { what, note: None });
    if path.is_file() {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.ends_with(".index.json") {
            return usual(Weights::Index(path.to_owned()));
        }
        if name.ends_with(".index") {
            return usual(Weights::Bundle(path.with_extension("")));
        }
        if let Some(what) = absent::of_file(path, name) {
            return Err(Error::NoModel { path: path.to_owned(), what });
        }
        return usual(Weights::File(path.to_owned(), path.to_owned()));
    }
    for name in USUAL {
        let single = path.join(name);
        if single.exists() {
            return usual(Weights::File(single, path.to_owned()));
        }
        let index = path.join(format!("{name}.index.json"));
        if index.exists() {
            return usual(Weights::Index(index));
        }
    }
    if let Some(prefix) = tensorflow::find(path)? {
        return usual(Weights::Bundle(prefix));
    }
    if !path.is_dir() {
        return Err(Error::NoModel { path: path.to_owned(), what: absent::of_prefix(path) });
    }
    if path.join(peft::CONFIG).is_file() {
        let what = "an adapter without its model: give the base by `model` and this folder by `adapter`";
        return Err(Error::NoModel { path: path.to_owned(), what: what.to_owned() });
    }
    if let Some(place) = unusual(path)? {
        return Ok(place);
    }
    if let Some(place) = below(path)? {
        return Ok(place);
    }
    Err(Error::NoModel { path: path.to_owned(), what: absent::of_folder(path) })
}

/// The names of what is in a folder, sorted.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Weights in a folder under a name of their own, if there are any.
///
/// # Errors
/// [`Error::NoModel`] where there are several, or shards of which some are missing.
fn unusual(folder: &Path) -> Result<Option<Place>> {
    let several = |names: &[String]| {
        let what = format!("several files of weights: {}; name one of them", names.join(", "));
        Err(Error::NoModel { path: folder.to_owned(), what })
    };
    let names = names(folder);
    let is_index =
        |n: &&String| n.ends_with(".json") && (n.contains(".safetensors.index") || n.contains(".bin.index"));
    let indices: Vec<String> = names.iter().filter(is_index).cloned().collect();
    match &indices[..] {
        [] => {}
        [one] => {
            let note = Some(format!("{one}: taken as the list of the weights' files"));
            return Ok(Some(Place { what: Weights::Index(folder.join(one)), note }));
        }
        _ => return several(&indices),
    }
    let is_weights = |name: &&String| {
        let ending = name.rsplit_once('.').is_some_and(|(_, e)| ENDINGS.contains(&&*e.to_ascii_lowercase()));
        let path = folder.join(name);
        ending
            && !NO_MODEL.iter().any(|n| name.starts_with(n))
            && path.is_file()
            && weight_file::head(&path).is_ok_and(|head| Format::of(&head).is_some())
    };
    let found: Vec<String> = names.iter().filter(is_weights).cloned().collect();
    let all = found.first().and_then(|first| shard(first)).map(|s| (s.stem, s.of));
    if let Some((stem, of)) = all {
        let shards: Vec<_> = found.iter().filter_map(|name| shard(name)).collect();
        if shards.len() < found.len() || shards.iter().any(|s| (s.stem, s.of) != (stem, of)) {
            return several(&found);
        }
        let there = |n: &usize| shards.iter().any(|s| s.number == *n);
        let missing: Vec<String> =
            (1..=of).filter(|n| !there(n)).take(8).map(|n| format!("{n:05}")).collect();
        if !missing.is_empty() {
            let what = format!(
                "of the {of} files {stem}-…-of-{of:05} there are {}; {} missing: download again what is not there",
                shards.len(),
                missing.join(", ")
            );
            return Err(Error::NoModel { path: folder.to_owned(), what });
        }
        let note = Some(format!("{stem}-…-of-{of:05}: taken as the weights, without a list of them"));
        let files = found.iter().map(|name| folder.join(name)).collect();
        return Ok(Some(Place { what: Weights::Shards(files), note }));
    }
    match &found[..] {
        [] => Ok(None),
        [one] => {
            let path = folder.join(one);
            let note = Some(format!("{one}: taken as the weights"));
            Ok(Some(Place { what: Weights::File(path.clone(), path), note }))
        }
        _ => several(&found),
    }
}

/// A name such as `model-00001-of-00003.safetensors`, taken apart.
struct Shard<'n> {
    stem: &'n str,
    number: usize,
    of: usize,
}

fn shard(name: &str) -> Option<Shard<'_>> {
    let (name, _) = name.rsplit_once('.')?;
    let (rest, of) = name.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let five = |n: &str| (n.len() == 5).then(|| n.parse().ok()).flatten();
    Some(Shard { stem, number: five(number)?, of: five(of)? })
}

/// The names of a folder's `checkpoint-N`, which transformers' trainer makes, by their numbers.
pub(crate) fn checkpoints(folder: &Path) -> Vec<String> {
    let is_checkpoint = |name: &String| {
        name.strip_prefix("checkpoint-")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            && folder.join(name).is_dir()
    };
    let mut found: Vec<String> = names(folder).into_iter().filter(is_checkpoint).collect();
    found.sort_by_key(|name| (name.len(), name.clone()));
    found
}

/// The weights in the only `checkpoint-N` of a folder.
///
/// # Errors
/// [`Error::NoModel`] where there are several.
fn below(folder: &Path) -> Result<Option<Place>> {
    match &checkpoints(folder)[..] {
        [] => Ok(None),
        [one] => {
            let mut place = find(&folder.join(one))?;
            let inner = place.note.map(|note| format!("; {note}")).unwrap_or_default();
            place.note = Some(format!("{one}: taken as the model{inner}"));
            Ok(Some(place))
        }
        several => {
            let what = format!("several checkpoints: {}; name one of them", several.join(", "));
            Err(Error::NoModel { path: folder.to_owned(), what })
        }
    }
}
