//! Which files make a tokenizer, and reading them.

use crate::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use t5kit_formats::spiece::{Piece, PieceKind, SpieceModel, T5_SENTINELS, is_sentinel};
use t5kit_formats::tokenizer_json;

/// The longest file that is read: far above any real tokenizer, far below what would exhaust memory.
pub(crate) const MAX_BYTES: u64 = 1 << 30;
/// More sentinels than this are no sentinels.
const MAX_EXTRA_IDS: u64 = 10_000;

const CONFIG: &str = "tokenizer_config.json";

/// The fields of a `tokenizer_config.json`.
pub(crate) type Config = serde_json::Map<String, serde_json::Value>;

/// A tokenizer's file and, if there is one, the configuration beside it.
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    /// Only where it may change what ids are: see [`find`].
    pub(crate) config: Option<(PathBuf, Config)>,
}

/// The tokenizer's file at `path`, or in the directory there.
///
/// The `tokenizer_config.json` beside it counts for `vocab.txt`, which is incomplete without, and where a directory was
/// named. A SentencePiece file named itself is what it is, and nothing beside it matters.
pub(crate) fn find(path: &Path) -> Result<Found, Error> {
    let is_dir = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?.is_dir();
    let file = if is_dir { find_in(path)? } else { path.into() };
    let config_file = file.with_file_name(CONFIG);
    let config = if (is_dir || is_vocab(&file)) && config_file.is_file() {
        let config = parse(&read(&config_file, MAX_BYTES)?, &config_file)?;
        Some((config_file, config))
    } else {
        None
    };
    if is_config(&file) && !config.as_ref().is_some_and(|(_, config)| is_byt5(config)) {
        return Err(Error::NotFound { path: path.into() });
    }
    Ok(Found { file, config })
}

/// The file that counts in a directory.
fn find_in(directory: &Path) -> Result<PathBuf, Error> {
    let io = |source| Error::Io { path: directory.into(), source };
    let named = |names: &[&str]| names.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    if let Some(file) = named(&["spiece.model", "sentencepiece.model"]) {
        return Ok(file);
    }
    let mut models = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if extension(&file) == "model" && file.is_file() {
            models.push(file);
        }
    }
    models.sort();
    match models.len() {
        0 => named(&["vocab.txt", "tokenizer.json", CONFIG])
            .ok_or_else(|| Error::NotFound { path: directory.into() }),
        1 => Ok(models.remove(0)),
        _ => {
            let names: Vec<_> = models.iter().filter_map(|m| m.file_name()?.to_str()).collect();
            Err(Error::Ambiguous { path: directory.into(), names: names.join(", ") })
        }
    }
}

/// The extension of a file's name, or nothing.
fn extension(file: &Path) -> &str {
    file.extension().and_then(|e| e.to_str()).unwrap_or_default()
}

/// Whether the file is a WordPiece vocabulary.
pub(crate) fn is_vocab(file: &Path) -> bool {
    extension(file) == "txt"
}

/// Whether the file is a `tokenizer_config.json`.
pub(crate) fn is_config(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == CONFIG)
}

/// The whole file, if it has no more than `most` bytes.
pub(crate) fn read(file: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: file.into(), source };
    let input = std::fs::File::open(file).map_err(io)?;
    // Devices and pipes have no length: the reader is limited as well.
    let length = input.metadata().map_err(io)?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or(0));
    input.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        let what = format!("over {} MiB; is this a tokenizer?", most >> 20);
        return Err(Error::Invalid { path: file.into(), field: "size".into(), what });
    }
    Ok(bytes)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Config, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Invalid {
        path: path.into(),
        field: "JSON".into(),
        what: format!("not readable as an object: {e}"),
    })
}

/// A Unigram model from the bytes of its file.
pub(crate) fn unigram(bytes: &[u8], file: &Path) -> Result<SpieceModel, Error> {
    if extension(file) == "json" {
        Ok(tokenizer_json::parse(bytes, file)?)
    } else {
        Ok(SpieceModel::parse(bytes, file)?)
    }
}

fn class(config: &Config) -> &str {
    config.get("tokenizer_class").and_then(|class| class.as_str()).unwrap_or_default()
}

fn is_byt5(config: &Config) -> bool {
    class(config) == "ByT5Tokenizer"
}

/// Appends T5's sentinels, `<extra_id_99>` … `<extra_id_0>`, which its `spiece.model` does not hold: as many as
/// `extra_ids` of `tokenizer_config.json` says, 100 where a `T5Tokenizer` says nothing.
pub(crate) fn add_sentinels(model: &mut SpieceModel, config: &Config) {
    let count = match config.get("extra_ids").and_then(|n| n.as_u64()) {
        Some(count) => count.min(MAX_EXTRA_IDS),
        None if matches!(class(config), "T5Tokenizer" | "T5TokenizerFast") => T5_SENTINELS as u64,
        None => 0,
    };
    if model.pieces.iter().any(|piece| is_sentinel(&piece.text)) {
        return;
    }
    let kind = PieceKind::UserDefined;
    let sentinel = |n| Piece { text: format!("<extra_id_{n}>"), kind, ..Piece::default() };
    model.pieces.extend((0..count).rev().map(sentinel));
}
