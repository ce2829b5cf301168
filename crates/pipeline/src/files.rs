//! The small files that every model folder needs beside its weights: the tokenizer's, and `generation_config.json`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use t5kit_formats::keep_tokens::Renumbering;
use t5kit_formats::spiece::{SpieceModel, T5_SENTINELS, is_sentinel};
use t5kit_formats::{generation_config, json};

use crate::Error;
use crate::tokenizer_json::tokenizer_json;

/// What is copied as it stands, where it is there and no rows are cut.
const SMALL: [&str; 4] =
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"];
/// Names under which a SentencePiece model lies in a directory.
const SPIECE: [&str; 3] = ["spiece.model", "sentencepiece.model", "sentencepiece.bpe.model"];
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

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

/// Writes the tokenizer's files into the folder `out` and says whether there was a tokenizer.
///
/// What is there is copied; what transformers needs beside a `spiece.model` is made. Where rows are cut and the
/// tokenizer still has pieces for all of them, it is cut too; one that has no more pieces than rows are left was cut
/// before.
///
/// # Errors
/// [`Error::Uncuttable`] where a tokenizer would have to be cut that is none of SentencePiece; those of reading and
/// writing.
pub fn write_tokenizer(origin: TokenizerOrigin<'_>, out: &Path) -> Result<bool, Error> {
    let given = origin.tokenizer;
    let folder = given.is_dir().then_some(given);
    let find = |name: &str| folder.map(|f| f.join(name)).filter(|f| f.is_file());
    let other = |extension: &str| given.is_file() && given.extension().is_some_and(|e| e == extension);
    let spiece = SPIECE.iter().find_map(|name| find(name)).or_else(|| match folder {
        Some(folder) => single_model(folder),
        None => (!other("txt") && !other("json") && given.is_file()).then(|| given.to_path_buf()),
    });
    let Some(spiece) = spiece else {
        let vocab = find("vocab.txt").or_else(|| other("txt").then(|| given.to_path_buf()));
        let json = find("tokenizer.json").or_else(|| other("json").then(|| given.to_path_buf()));
        if origin.keep.is_some() {
            return Err(Error::Uncuttable { path: given.to_owned() });
        }
        for (from, name) in [(&vocab, "vocab.txt"), (&json, "tokenizer.json")] {
            if let Some(from) = from {
                copy(from, &out.join(name))?;
            }
        }
        let small = copy_small(folder, out, &SMALL)?;
        return Ok(vocab.is_some() || json.is_some() || small.contains(&TOKENIZER_CONFIG));
    };
    let bytes = fs::read(&spiece).map_err(t5kit_formats::Error::io(&spiece, "read"))?;
    let model = SpieceModel::parse(&bytes, &spiece)?;
    match origin.keep.filter(|keep| model.pieces.len() > keep.len()) {
        Some(keep) => cut(&model, folder, keep, origin.rows, out)?,
        None => {
            write(&out.join("spiece.model"), &bytes)?;
            copy_small(folder, out, &SMALL)?;
            let rows = origin.keep.map_or(origin.rows, <[u32]>::len);
            complete(&model, sentinels_behind(&model, rows), None, out)?;
        }
    }
    Ok(true)
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

/// Writes the tokenizer with only the pieces that have a row left.
fn cut(
    model: &SpieceModel,
    folder: Option<&Path>,
    keep: &[u32],
    rows: usize,
    out: &Path,
) -> Result<(), Error> {
    let pieces = model.pieces.len();
    let ids: Vec<usize> = keep.iter().map(|&row| row as usize).filter(|&row| row < pieces).collect();
    let behind = pieces..pieces + sentinels_behind(model, rows);
    let sentinels = keep.iter().filter(|&&row| behind.contains(&(row as usize))).count();
    let cut = CutTokenizer { model: &model.with_pieces(&ids), keep, sentinels };
    cut.write(folder.as_slice(), out)
}

/// A SentencePiece model of which pieces are left, and what became of the rows.
#[derive(Clone, Copy, Debug)]
pub struct CutTokenizer<'a> {
    /// The pieces that are left.
    pub model: &'a SpieceModel,
    /// The rows that are left, ascending: the pieces', the sentinels' and of the padding behind them.
    pub keep: &'a [u32],
    /// Sentinels that are rows behind the pieces: 100 in T5, none in mT5.
    pub sentinels: usize,
}

impl CutTokenizer<'_> {
    /// Writes `spiece.model`, `tokenizer_config.json`, `special_tokens_map.json` and, where the tokenizer has the usual
    /// shape, `tokenizer.json` into the folder `out`. `folders` are those of the uncut tokenizer and of its model: the
    /// first that says something about the tokenizer is heard.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn write(&self, folders: &[&Path], out: &Path) -> Result<(), Error> {
        write(&out.join("spiece.model"), &self.model.to_bytes())?;
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        let before = find(TOKENIZER_CONFIG).map(|file| read_object(&file)).transpose()?.flatten();
        let config = tokenizer_config(before, &Renumbering::new(self.keep), self.sentinels);
        if let Some(file) = find(SPECIAL_TOKENS) {
            copy(&file, &out.join(SPECIAL_TOKENS))?;
        }
        complete(self.model, self.sentinels, Some(config), out)
    }
}

/// Makes what transformers needs and is not there yet.
fn complete(
    model: &SpieceModel,
    sentinels: usize,
    config: Option<Map<String, Value>>,
    out: &Path,
) -> Result<(), Error> {
    let tokens = ["eos_token", "unk_token", "pad_token"];
    let config = config.unwrap_or_else(|| tokenizer_config(None, &Renumbering::new(&[]), sentinels));
    let path = out.join(SPECIAL_TOKENS);
    if !path.exists() {
        let named = |key: &str| Some((key.to_owned(), config.get(key)?.clone()));
        let map: Map<String, Value> = tokens.into_iter().filter_map(named).collect();
        write_json(&path, &map.into())?;
    }
    let path = out.join(TOKENIZER_CONFIG);
    if !path.exists() {
        write_json(&path, &config.into())?;
    }
    let path = out.join("tokenizer.json");
    if !path.exists()
        && let Some(json) = tokenizer_json(model, sentinels)
    {
        write(&path, json.to_string().as_bytes())?;
    }
    Ok(())
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
    if let Some(Value::Object(added)) = config.get("added_tokens_decoder") {
        let kept: Map<String, Value> = added
            .iter()
            .filter_map(|(id, token)| Some((renumbering.id(id.parse().ok()?)?.to_string(), token.clone())))
            .collect();
        config.insert("added_tokens_decoder".into(), kept.into());
    }
    config
}

/// Reads a JSON object, if the file is there.
fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(json::read(path, "JSON object")?))
}

/// T5's sentinels are rows behind the pieces, where the matrix has them.
fn sentinels_behind(model: &SpieceModel, rows: usize) -> usize {
    let within = model.pieces.iter().any(|piece| is_sentinel(&piece.text));
    if !within && rows >= model.pieces.len() + T5_SENTINELS { T5_SENTINELS } else { 0 }
}

/// The only `*.model` of a folder.
fn single_model(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut models =
        entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "model"));
    models.next().filter(|_| models.next().is_none())
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

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
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
