//! The small files that every model folder needs beside its weights: the tokenizer's, `generation_config.json` and
//! `t5kit.json`.

mod both;
mod cut;
mod tokenizer_json;
mod training;
mod vocab;

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::gguf::{is_gguf, spiece_bytes};
use t5kit_formats::keep_tokens::Renumbering;
use t5kit_formats::spiece::{SpieceModel, T5_SENTINELS, is_sentinel};
use t5kit_formats::{generation_config, json, trained};
use t5kit_tokenizer::{AddedToken, Tokenizer};

use crate::Error;
use both::{for_both, one_list};
pub use cut::CutTokenizer;
use tokenizer_json::{class, tokenizer_json};
pub use training::TrainingFiles;
use vocab::VocabUse;

/// What is copied as it stands, where it is there and no rows are cut.
const SMALL: [&str; 4] = [TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, TOKENIZER_JSON];
const TOKENIZER_JSON: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// Where a tokenizer comes from, and the model it is for.
#[derive(Clone, Copy, Debug)]
pub struct TokenizerOrigin<'a> {
    /// The tokenizer: a file, or a directory.
    pub tokenizer: &'a Path,
    /// Rows of the model's embedding, before any are cut.
    pub rows: usize,
    /// The rows that are left, ascending, where some are cut.
    pub keep: Option<&'a [u32]>,
}

/// What the main file of a tokenizer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A SentencePiece model, or a GGUF file that has one in its metadata.
    Spiece,
    /// BERT's vocabulary, a piece a line.
    Vocab,
    /// A `tokenizer.json`.
    Json,
    /// `vocab.json`, with `merges.txt` beside it.
    BytePairs,
    /// Nothing but the word of `tokenizer_config.json`: ByT5.
    Bytes,
}

impl Kind {
    fn of(file: &Path) -> Self {
        let extension = file.extension().and_then(|e| e.to_str());
        match (file.file_name().and_then(|name| name.to_str()), extension) {
            (Some("vocab.json"), _) => Kind::BytePairs,
            (Some(TOKENIZER_CONFIG | "config.json"), _) => Kind::Bytes,
            (_, Some("json")) => Kind::Json,
            (_, Some("txt")) => Kind::Vocab,
            _ => Kind::Spiece,
        }
    }

    /// The names of its files in a model's folder.
    fn names(self) -> &'static [&'static str] {
        match self {
            Kind::Spiece => &["spiece.model"],
            Kind::Vocab => &["vocab.txt"],
            Kind::Json => &["tokenizer.json"],
            Kind::BytePairs => &["vocab.json", "merges.txt"],
            Kind::Bytes => &[],
        }
    }
}

/// Writes the tokenizer's files into the folder `out` and says whether there was a tokenizer.
///
/// What is there is copied; what transformers needs beside a `spiece.model` is made. Where rows are cut and the
/// tokenizer still has pieces for all of them, it is cut too; one that has no more pieces than rows are left was cut
/// before. A tokenizer that this program cannot read is copied all the same.
///
/// # Errors
/// [`Error::Uncuttable`] where a tokenizer would have to be cut that cannot be; those of reading and writing.
pub fn write_tokenizer(origin: TokenizerOrigin<'_>, out: &Path) -> Result<bool, Error> {
    let given = origin.tokenizer;
    let folder = given.is_dir().then_some(given);
    let tokenizer = match Tokenizer::load(given) {
        Ok(tokenizer) => tokenizer,
        Err(t5kit_tokenizer::Error::NotFound { .. }) if origin.keep.is_none() => return Ok(false),
        Err(error) if origin.keep.is_some() || folder.is_none() => return Err(error.into()),
        Err(_) => return Ok(!copy_small(folder, out, &EVERY)?.is_empty()),
    };
    let Some(file) = tokenizer.source_files().first() else { return Ok(false) };
    if let Some(keep) = origin.keep.filter(|keep| tokenizer.vocab_size() > keep.len()) {
        CutTokenizer::new(&tokenizer, keep, origin.rows)?.write(folder.as_slice(), out)?;
        return Ok(true);
    }
    let kind = Kind::of(file);
    for (i, name) in kind.names().iter().enumerate() {
        match kind {
            Kind::Spiece => write(&out.join(name), &spiece_bytes(file)?)?,
            _ if i == 0 => copy(file, &out.join(name))?,
            _ => copy(&file.with_file_name(name), &out.join(name))?,
        }
    }
    if kind != Kind::Spiece {
        copy_small(folder, out, &SMALL)?;
        if kind == Kind::Vocab {
            VocabUse::of(&tokenizer).complete(out)?;
        }
        for_both(out, kind == Kind::Json)?;
    } else {
        // The file beside a spiece.model may have other ids than that (transformers 4.57 writes some without the space
        // before a text), and byte fallback is lost in most: it is made anew where it can be.
        copy_small(folder, out, &SMALL[..3])?;
        if is_gguf(file) {
            write_added_ids(tokenizer.added_tokens(), out)?;
        }
        let model = SpieceModel::parse(&spiece_bytes(file)?, file)?;
        let rows = origin.keep.map_or(origin.rows, <[u32]>::len);
        let sentinels = sentinels_behind(&tokenizer, &model, rows).len();
        complete(&model, sentinels, tokenizer.added_tokens(), None, out)?;
        if !out.join(TOKENIZER_JSON).exists() {
            copy_small(folder, out, &[TOKENIZER_JSON])?;
        }
    }
    Ok(true)
}

/// Names of tokenizers' files, whatever they are.
const EVERY: [&str; 12] = [
    "spiece.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS,
    ADDED_TOKENS,
    "tokenizer.json",
    "spm.model",
];

/// The id that the next new token gets: behind pieces, sentinels and added tokens.
///
/// # Errors
/// Those of reading the tokenizer's file.
pub(crate) fn new_tokens_begin(tokenizer: &Tokenizer, rows: usize) -> Result<u32, Error> {
    let last = tokenizer.vocab_size() as u32;
    Ok(match tokenizer.source_files().first() {
        Some(file) if Kind::of(file) == Kind::Spiece => sentinels_of(tokenizer, file, rows)?.end.max(last),
        _ => last,
    })
}

/// The rows of the sentinels behind the pieces of a SentencePiece file.
fn sentinels_of(tokenizer: &Tokenizer, file: &Path, rows: usize) -> Result<std::ops::Range<u32>, Error> {
    Ok(sentinels_behind(tokenizer, &SpieceModel::parse(&spiece_bytes(file)?, file)?, rows))
}

/// Copies a tokenizer's files into a folder that makes the same tokenizer by itself.
///
/// # Errors
/// Those of reading and writing.
pub(crate) fn copy_tokenizer(tokenizer: &Tokenizer, rows: usize, out: &Path) -> Result<(), Error> {
    let Some((file, beside)) = tokenizer.source_files().split_first() else { return Ok(()) };
    let kind = Kind::of(file);
    match kind.names().first() {
        Some(name) if kind == Kind::Spiece => write(&out.join(name), &spiece_bytes(file)?)?,
        Some(name) => copy(file, &out.join(name))?,
        None => {}
    }
    if is_gguf(file) {
        write_added_ids(tokenizer.added_tokens(), out)?;
    }
    for file in beside.iter().chain(if kind == Kind::Bytes { Some(file) } else { None }) {
        copy(file, &out.join(file.file_name().unwrap_or_default()))?;
    }
    let config = out.join(TOKENIZER_CONFIG);
    if kind == Kind::Spiece && !config.exists() {
        // Nothing but this file says how many sentinels there are.
        let sentinels = sentinels_of(tokenizer, file, rows)?.len();
        write_json(&config, &tokenizer_config(None, &Renumbering::new(&[]), sentinels).into())?;
    }
    Ok(())
}

/// Writes `added_tokens.json` into the folder `out`, where there are such tokens.
fn write_added_ids(added: &[AddedToken], out: &Path) -> Result<(), Error> {
    if added.is_empty() {
        return Ok(());
    }
    let ids = added.iter().map(|token| (token.content.clone(), Value::from(token.id)));
    write_json(&out.join(ADDED_TOKENS), &ids.collect::<Map<_, _>>().into())
}

/// Adds tokens to the files of a tokenizer in the folder `out`.
///
/// # Errors
/// Those of reading and writing.
pub(crate) fn write_added(tokens: &[AddedToken], out: &Path) -> Result<(), Error> {
    let config = out.join(TOKENIZER_CONFIG);
    let mut said = false;
    if let Some(mut map) = read_object(&config)?
        && let Some(Value::Object(decoder)) = map.get_mut("added_tokens_decoder")
    {
        for token in tokens {
            let mut value = serde_json::to_value(token).unwrap_or_default();
            if let Value::Object(fields) = &mut value {
                fields.remove("id");
            }
            decoder.insert(token.id.to_string(), value);
        }
        write_json(&config, &map.into())?;
        said = true;
    }
    let json = out.join("tokenizer.json");
    if let Some(mut map) = read_object(&json)? {
        let list = map.entry("added_tokens").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.extend(tokens.iter().filter_map(|token| serde_json::to_value(token).ok()));
        }
        write(&json, Value::from(map).to_string().as_bytes())?;
        said = true;
    }
    let file = out.join(ADDED_TOKENS);
    if file.exists() || !said {
        let mut map = read_object(&file)?.unwrap_or_default();
        map.extend(tokens.iter().map(|token| (token.content.clone(), token.id.into())));
        write_json(&file, &map.into())?;
    }
    Ok(())
}

/// Writes the `generation_config.json` of the model in `folder` into the folder `out`, ids renumbered where only the
/// rows `keep` are left; nothing where there is none.
///
/// # Errors
/// Those of reading and writing.
pub fn write_generation_config(folder: &Path, keep: Option<&[u32]>, out: &Path) -> Result<(), Error> {
    let (from, to) = (folder.join(generation_config::NAME), out.join(generation_config::NAME));
    match keep {
        None if from.is_file() => copy(&from, &to),
        None => Ok(()),
        Some(keep) => match read_object(&from)? {
            Some(map) => write_json(&to, &Renumbering::new(keep).config(&map).into()),
            None => Ok(()),
        },
    }
}

/// Copies the `t5kit.json` of the model in `folder` into the folder `out`, where there is one.
///
/// # Errors
/// Those of reading and writing.
pub fn copy_trained(folder: &Path, out: &Path) -> Result<(), Error> {
    copy_small(Some(folder), out, &[trained::NAME]).map(drop)
}

/// Makes what transformers needs beside a `spiece.model` and is not there yet.
fn complete(
    model: &SpieceModel,
    sentinels: usize,
    added: &[AddedToken],
    config: Option<Map<String, Value>>,
    out: &Path,
) -> Result<(), Error> {
    let tokens = ["eos_token", "unk_token", "pad_token"];
    let there = read_object(&out.join(TOKENIZER_CONFIG))?;
    let mut changed = there.is_none();
    let mut config =
        there.or(config).unwrap_or_else(|| tokenizer_config(None, &Renumbering::new(&[]), sentinels));
    let path = out.join(SPECIAL_TOKENS);
    if !path.exists() {
        let named = |key: &str| Some((key.to_owned(), config.get(key)?.clone()));
        let map: Map<String, Value> = tokens.into_iter().filter_map(named).collect();
        write_json(&path, &map.into())?;
    }
    let first_only = config.get("legacy") == Some(&Value::Bool(false));
    let path = out.join(TOKENIZER_JSON);
    let mut made = false;
    if !path.exists()
        && let Some(json) = tokenizer_json(model, sentinels, added, first_only)
    {
        write(&path, json.to_string().as_bytes())?;
        made = true;
    }
    let said = config.get("tokenizer_class").and_then(Value::as_str).unwrap_or("T5Tokenizer");
    if made && said.trim_end_matches("Fast") == "T5Tokenizer" && said != class(model) {
        config.insert("tokenizer_class".into(), class(model).into());
        changed = true;
    }
    // With this field transformers 4 makes the fast tokenizer anew from the slow one, without byte fallback.
    if made
        && config.get("add_prefix_space").is_some_and(|value| value.is_null() || value == &Value::Bool(true))
    {
        config.shift_remove("add_prefix_space");
        changed = true;
    }
    changed |= one_list(&mut config);
    if changed { write_json(&out.join(TOKENIZER_CONFIG), &config.into()) } else { Ok(()) }
}

/// `tokenizer_config.json` for a cut tokenizer: that of the uncut one, if there is one, with ids renumbered, else what
/// transformers needs to know.
fn tokenizer_config(
    before: Option<Map<String, Value>>,
    renumbering: &Renumbering,
    sentinels: usize,
) -> Map<String, Value> {
    let mut config = before.unwrap_or_default();
    for (key, value) in [
        ("eos_token", "</s>"),
        ("unk_token", "<unk>"),
        ("pad_token", "<pad>"),
        ("tokenizer_class", "T5Tokenizer"),
    ] {
        config.entry(key).or_insert_with(|| value.into());
    }
    config.insert("extra_ids".into(), sentinels.into());
    renumber_added(&mut config, renumbering);
    config
}

/// Renumbers the ids of `added_tokens_decoder`, and drops those that have none.
fn renumber_added(config: &mut Map<String, Value>, renumbering: &Renumbering) {
    if let Some(Value::Object(added)) = config.get("added_tokens_decoder") {
        let kept: Map<String, Value> = added
            .iter()
            .filter_map(|(id, token)| Some((renumbering.id(id.parse().ok()?)?.to_string(), token.clone())))
            .collect();
        config.insert("added_tokens_decoder".into(), kept.into());
    }
}

/// Reads a JSON object, if the file is there.
fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(json::read(path, "JSON object")?))
}

/// The ids of the sentinels that are rows behind the pieces: those that the files say, else T5's, where the matrix has
/// rows for them.
fn sentinels_behind(tokenizer: &Tokenizer, model: &SpieceModel, rows: usize) -> std::ops::Range<u32> {
    let pieces = model.pieces.len() as u32;
    let said = tokenizer.sentinels().iter().filter(|&&id| id >= pieces).count() as u32;
    if said > 0 {
        return pieces..pieces + said;
    }
    let within = model.pieces.iter().any(|piece| is_sentinel(&piece.text));
    let named = tokenizer.vocab_size() > model.pieces.len() || within;
    let fits = rows >= model.pieces.len() + T5_SENTINELS;
    pieces..if !named && fits { pieces + T5_SENTINELS as u32 } else { pieces }
}

fn copy_small<'n>(folder: Option<&Path>, out: &Path, names: &[&'n str]) -> Result<Vec<&'n str>, Error> {
    let mut copied = Vec::new();
    for &name in names {
        if let Some(from) = folder.map(|f| f.join(name)).filter(|f| f.is_file()) {
            copy(&from, &out.join(name))?;
            copied.push(name);
        }
    }
    Ok(copied)
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    // Not fs::copy, which would hand on that a file of the cache is read-only.
    let bytes = fs::read(from).map_err(t5kit_formats::Error::io(from, "read"))?;
    write(to, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(fs::write(path, bytes).map_err(t5kit_formats::Error::io(path, "write"))?)
}

fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    write(path, format!("{value:#}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_get_new_numbers() {
        let renumbering = Renumbering::new(&[0, 1, 5, 9]);
        let before = json!({"added_tokens_decoder": {"0": {"content": "<pad>"}, "7": {}, "9": {"content": "x"}},
                            "legacy": false, "extra_ids": 100, "eos_token": "<end>"});
        let after = tokenizer_config(before.as_object().cloned(), &renumbering, 0);
        assert_eq!(after["added_tokens_decoder"], json!({"0": {"content": "<pad>"}, "3": {"content": "x"}}));
        assert_eq!((&after["extra_ids"], &after["eos_token"]), (&json!(0), &json!("<end>")));
        assert_eq!((&after["unk_token"], &after["legacy"]), (&json!("<unk>"), &json!(false)));
    }
}
