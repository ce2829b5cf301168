//! The tokenizer's files of a Hugging Face directory that is made from something else.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use t5kit_formats::generation_config;
use t5kit_formats::keep_tokens::Renumbering;
use t5kit_formats::spiece::{SpieceModel, is_sentinel};

use crate::Error;
use crate::tokenizer_files::{read_object, tokenizer_config, tokenizer_json};

/// What is copied as it stands, where it is there and no rows are cut.
const SMALL: [&str; 4] =
    ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"];
/// Names under which a SentencePiece model lies in a directory.
const SPIECE: [&str; 3] = ["spiece.model", "sentencepiece.model", "sentencepiece.bpe.model"];
/// Sentinels that T5's tokenizer class adds to pieces that have none.
const T5_SENTINELS: usize = 100;

/// Where a tokenizer comes from, and the model it is for.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
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
/// [`Error::Mismatch`] where a tokenizer would have to be cut that is none of SentencePiece; those of reading and
/// writing.
pub fn write_tokenizer(source: Source<'_>, out: &Path) -> Result<bool, Error> {
    let given = source.tokenizer;
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
        if source.keep.is_some() {
            return Err(Error::Mismatch(format!(
                "{}: only a SentencePiece model is cut with the rows; give the cut tokenizer by --tokenizer",
                given.display()
            )));
        }
        for (from, name) in [(&vocab, "vocab.txt"), (&json, "tokenizer.json")] {
            if let Some(from) = from {
                copy(from, &out.join(name))?;
            }
        }
        let small = copy_small(folder, out, &SMALL)?;
        return Ok(vocab.is_some() || json.is_some() || small.contains(&"tokenizer_config.json"));
    };
    let bytes = fs::read(&spiece).map_err(t5kit_formats::Error::io(&spiece, "read"))?;
    let model = SpieceModel::parse(&bytes, &spiece)?;
    match source.keep.filter(|keep| model.pieces.len() > keep.len()) {
        Some(keep) => cut(&model, folder, keep, source.rows, out)?,
        None => {
            write(&out.join("spiece.model"), &bytes)?;
            copy_small(folder, out, &SMALL)?;
            let rows = source.keep.map_or(source.rows, <[u32]>::len);
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
    let cut = model.with_pieces(&ids);
    write(&out.join("spiece.model"), &cut.to_bytes())?;
    copy_small(folder, out, &["special_tokens_map.json"])?;
    let read = |name: &str| folder.map_or(Ok(None), |folder| read_object(&folder.join(name)));
    let renumbering = Renumbering::new(keep);
    let config = tokenizer_config(read("tokenizer_config.json")?, &renumbering, sentinels);
    complete(&cut, sentinels, Some(config), out)
}

/// Makes what transformers needs and is not there yet.
fn complete(
    model: &SpieceModel,
    sentinels: usize,
    config: Option<Map<String, Value>>,
    out: &Path,
) -> Result<(), Error> {
    let path = out.join("tokenizer_config.json");
    if !path.exists() {
        let config = config.unwrap_or_else(|| tokenizer_config(None, &Renumbering::new(&[]), sentinels));
        write_json(&path, &config.into())?;
    }
    let path = out.join("special_tokens_map.json");
    if !path.exists() {
        let tokens = [("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>")];
        let map: Map<String, Value> = tokens.map(|(k, v)| (k.to_owned(), v.into())).into_iter().collect();
        write_json(&path, &map.into())?;
    }
    let path = out.join("tokenizer.json");
    if !path.exists()
        && let Some(json) = tokenizer_json(model, sentinels)
    {
        write(&path, json.to_string().as_bytes())?;
    }
    Ok(())
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
