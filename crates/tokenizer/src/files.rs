//! Which files make a tokenizer, and reading them.

use crate::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use t5kit_formats::added_tokens::SpecialTokens;
use t5kit_formats::foreign;
use t5kit_formats::gguf::GgufTokenizer;
use t5kit_formats::spiece::SpieceModel;

/// The longest file that is read: far above any real tokenizer, far below what would exhaust memory.
pub(crate) const MAX_BYTES: u64 = 1 << 30;
const CONFIG: &str = "tokenizer_config.json";
const MERGES: &str = "merges.txt";

/// The fields of a `tokenizer_config.json`.
pub(crate) type Config = serde_json::Map<String, serde_json::Value>;

/// A tokenizer's file and what lies beside it, as far as it may change what ids are: see [`find`].
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    /// `tokenizer_config.json`.
    pub(crate) config: Option<(PathBuf, Config)>,
    /// `config.json`, the model's, where there is no `tokenizer_config.json`, or one that does not say which class the
    /// tokenizer is.
    pub(crate) model: Option<Config>,
    /// Added and special tokens.
    pub(crate) special: SpecialTokens,
    /// Further files that have been read.
    pub(crate) others: Vec<PathBuf>,
    /// The SentencePiece model, where the file is one of GGUF that brings it.
    pub(crate) spiece: Option<SpieceModel>,
}

impl Found {
    /// A field of the tokenizer's configuration.
    pub(crate) fn field(&self, name: &str) -> Option<&serde_json::Value> {
        self.config.as_ref()?.1.get(name).filter(|value| !value.is_null())
    }

    /// The tokenizer's class, without the `Fast` of fast ones; empty where nobody says it.
    pub(crate) fn class(&self) -> &str {
        let config = self.config.as_ref().map(|(_, config)| config);
        let mut said = config.into_iter().chain(&self.model);
        let class = said.find_map(|config| config.get("tokenizer_class")?.as_str()).unwrap_or_default();
        class.strip_suffix("Fast").unwrap_or(class)
    }

    /// A number of the model's configuration.
    pub(crate) fn model_number(&self, name: &str) -> Option<u64> {
        self.model.as_ref()?.get(name)?.as_u64()
    }

    /// The model's `model_type`, where its configuration counts.
    pub(crate) fn model_type(&self) -> &str {
        self.model.as_ref().and_then(|model| model.get("model_type")?.as_str()).unwrap_or_default()
    }
}

/// The tokenizer's file at `path`, or in the directory there.
///
/// What lies beside it counts for `vocab.txt` and `vocab.json`, which are incomplete without, and where a directory was
/// named. A SentencePiece file named itself is what it is, and nothing beside it matters.
pub(crate) fn find(path: &Path) -> Result<Found, Error> {
    let is_dir = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?.is_dir();
    let file = if is_dir { find_in(path)? } else { path.into() };
    let mut found = Found {
        file,
        config: None,
        model: None,
        special: SpecialTokens::default(),
        others: Vec::new(),
        spiece: None,
    };
    if let Some(tokenizer) = GgufTokenizer::find(&found.file)? {
        // What a folder would say beside a spiece.model.
        let said = [("model_type", tokenizer.model_type.into()), ("vocab_size", tokenizer.rows.into())];
        found.model = Some(said.map(|(field, value)| (field.to_owned(), value)).into_iter().collect());
        found.special.tokens = tokenizer.added;
        found.spiece = Some(tokenizer.model);
        return Ok(found);
    }
    if !is_dir && !is_vocab(&found.file) && !is_byte_pairs(&found.file) {
        return Ok(found);
    }
    let object = |name: &str| {
        let file = found.file.with_file_name(name);
        let config = file.is_file().then(|| parse(&read(&file, MAX_BYTES)?, &file)).transpose()?;
        Ok::<_, Error>(config.map(|config| (file, config)))
    };
    let (config, model) = (object(CONFIG)?, object("config.json")?);
    found.config = config;
    found.model = model.map(|(_, config)| config);
    let folder = found.file.parent().unwrap_or(Path::new(""));
    let config = found.config.as_ref().map(|(file, config)| (&**file, config));
    found.special = SpecialTokens::read(folder, config)?;
    let merges = is_byte_pairs(&found.file).then_some(MERGES);
    let others = ["special_tokens_map.json", "added_tokens.json"].into_iter().chain(merges);
    let others = others.map(|name| found.file.with_file_name(name));
    found.others = others.filter(|file| file.is_file()).collect();
    if is_config(&found.file) && found.class() != BYT5 {
        return Err(Error::NotFound { path: path.into() });
    }
    Ok(found)
}

/// The file that counts in a directory.
fn find_in(directory: &Path) -> Result<PathBuf, Error> {
    let io = |source| Error::Io { path: directory.into(), source };
    let named = |names: &[&str]| names.iter().map(|name| directory.join(name)).find(|file| file.is_file());
    if let Some(file) = named(&["spiece.model", "sentencepiece.model", "sentencepiece.bpe.model"]) {
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
        0 => {
            let pairs = named(&[MERGES]).and_then(|_| named(&["vocab.json"]));
            let known = named(&["vocab.txt", "tokenizer.json"]).or(pairs);
            // A ByT5 has nothing to read but the word that it is one.
            known
                .map(Ok)
                .or_else(|| gguf_in(directory).transpose())
                .or_else(|| named(&[CONFIG, "config.json"]).map(Ok))
                .unwrap_or(Err(Error::NotFound { path: directory.into() }))
        }
        1 => Ok(models.remove(0)),
        _ => {
            let names: Vec<_> = models.iter().filter_map(|m| m.file_name()?.to_str()).collect();
            Err(Error::Ambiguous { path: directory.into(), names: names.join(", ") })
        }
    }
}

/// The only GGUF file in a directory, where it brings a tokenizer.
fn gguf_in(directory: &Path) -> Result<Option<PathBuf>, Error> {
    let io = |source| Error::Io { path: directory.into(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if extension(&file).eq_ignore_ascii_case("gguf") && file.is_file() {
            found.push(file);
        }
    }
    match found.pop().filter(|_| found.is_empty()) {
        Some(file) => Ok(GgufTokenizer::find(&file)?.map(|_| file)),
        None => Ok(None),
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

/// Whether the file is the vocabulary of a byte-level BPE, with `merges.txt` beside it.
pub(crate) fn is_byte_pairs(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "vocab.json")
}

/// The class of a tokenizer that reads no file.
pub(crate) const BYT5: &str = "ByT5Tokenizer";

/// Whether the file is one that says which class a tokenizer is.
pub(crate) fn is_config(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == CONFIG || name == "config.json")
}

/// The merges beside a `vocab.json`.
pub(crate) fn merges(vocab: &Path) -> PathBuf {
    vocab.with_file_name(MERGES)
}

/// Whether the file is a `tokenizer.json`.
pub(crate) fn is_json(file: &Path) -> bool {
    extension(file) == "json"
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
    foreign::check(file, &bytes)?;
    Ok(bytes)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Config, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Invalid {
        path: path.into(),
        field: "JSON".into(),
        what: format!("not readable as an object: {e}"),
    })
}
