//! GGUF, the file of llama.cpp: a T5's weights, seen in transformers' names, its configuration and its tokenizer.
//!
//! The file is key-value pairs, a list of tensors, then the tensors: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//! [`GgufFile`] maps it and checks all lengths before any is believed. Floats stay in the mapped file; quantised tensors
//! (Q8_0, Q5_1, Q5_0, Q4_1, Q4_0) are given as f32, which holds their values exactly.

mod config;
mod header;
mod kinds;
mod metadata;
mod names;
mod tokenizer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use self::header::{Header, Info};
use self::kinds::Kind;
use self::metadata::Metadata;
pub use self::tokenizer::{GgufTokenizer, spiece_bytes};
use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::renamed::{Renamed, Variables, Weight};
use crate::safetensors::map;

/// The name of the format in messages.
const FORMAT: &str = "GGUF";
/// What a file begins with.
const MAGIC: &[u8] = b"GGUF";

/// A GGUF file of a T5, whose weights have transformers' names and layouts.
pub type GgufFile = Renamed<Tensors>;

/// The tensors of a file under llama.cpp's names.
#[derive(Debug)]
pub struct Tensors {
    path: PathBuf,
    map: Arc<Mmap>,
    metadata: Metadata,
    tensors: BTreeMap<String, Info>,
    notes: Vec<String>,
}

/// Whether the file at `path` begins as GGUF does; what cannot be read does not.
pub fn is_gguf(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    path.is_file() && File::open(path).is_ok_and(|mut f| f.read_exact(&mut head).is_ok()) && head == MAGIC
}

impl GgufFile {
    /// Whether a file that begins with these bytes is one of GGUF.
    pub fn is_one(head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    /// Maps the file at `path` and finds a T5's weights in it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] and [`Error::Tensor`] where the file is broken; [`Error::Unsupported`] for
    /// another architecture, for types, versions and byte orders that are not read, and for a part of a split file.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let Header { metadata, tensors } = Header::read(path, &map)?;
        check_architecture(path, &metadata)?;
        let weights = weights(&tensors);
        let blocks: BTreeSet<&str> = tensors.values().filter_map(|t| t.kind.blocks()).collect();
        let notes = if blocks.is_empty() {
            Vec::new()
        } else {
            let names: Vec<&str> = blocks.into_iter().collect();
            vec![format!(
                "quantised ({}): taken as f32, with the values that the file has; `dtype` int8 holds them in a byte \
                 each, with a scale a row",
                names.join(", ")
            )]
        };
        Self::new(
            path,
            Tensors { path: path.to_owned(), map: Arc::new(map), metadata, tensors, notes },
            weights,
        )
    }

    /// What is to be said of how it was read.
    pub fn notes(&self) -> &[String] {
        &self.variables().notes
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.variables().path
    }
}

/// The weights that tensors are. What is not known keeps its name, so that a strict loader reports it.
fn weights(tensors: &BTreeMap<String, Info>) -> Vec<(String, Weight)> {
    let gated = |block: &str| tensors.contains_key(&format!("{block}ffn_gate.weight"));
    let weight = |name: &String| Weight {
        name: names::weight(name, gated).unwrap_or_else(|| name.clone()),
        transposed: false,
    };
    tensors.keys().map(|name| (name.clone(), weight(name))).collect()
}

/// Refuses what is no whole T5.
fn check_architecture(path: &Path, metadata: &Metadata) -> Result<()> {
    let unsupported = |what: String| Err(Error::unsupported(path, what));
    if let Some(kind) = metadata.text("general.type")?.filter(|kind| *kind != "model") {
        return unsupported(format!("a GGUF file of the type {kind:?}, not a model"));
    }
    if metadata.whole("split.count")?.is_some_and(|parts| parts > 1) {
        let what =
            "a part of a split GGUF file: put it together by llama.cpp's llama-gguf-split --merge FIRST NEW";
        return unsupported(what.to_owned());
    }
    match metadata.text("general.architecture")? {
        Some("t5") => Ok(()),
        Some("t5encoder") => unsupported(
            "the encoder of a T5 alone (t5encoder), as it serves embeddings and image models: without its decoder it \
             generates nothing"
                .to_owned(),
        ),
        Some(other) => unsupported(format!(
            "a GGUF file of the architecture {other:?}, which is none that is read here; t5 is"
        )),
        None => Err(metadata.error("general.architecture", "missing from the file's metadata")),
    }
}

impl Tensors {
    fn get(&self, name: &str) -> Result<&Info> {
        let no_tensor = || Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() };
        self.tensors.get(name).ok_or_else(no_tensor)
    }

    /// The bytes of a part of a tensor, of whole rows.
    fn part(&self, info: &Info, range: Range<usize>) -> TensorBytes {
        match info.kind {
            Kind::Plain(_) => TensorBytes::new(self.map.clone(), range),
            Kind::Blocks(blocks) => blocks.singles(&self.map[range]).into(),
        }
    }
}

impl Variables for Tensors {
    fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.tensors.get(name).map(|t| (t.kind.dtype(), &*t.shape))
    }

    fn bytes(&self, name: &str) -> Result<TensorBytes> {
        let info = self.get(name)?;
        Ok(self.part(info, info.range.clone()))
    }

    fn bands<E: From<Error>>(
        &self,
        name: &str,
        band: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let info = self.get(name)?;
        let rows = info.shape.first().copied().unwrap_or(1);
        let row = info.range.len().checked_div(rows).unwrap_or(0);
        (0..rows).step_by(band.max(1)).try_for_each(|from| {
            let to = rows.min(from + band.max(1));
            take(&self.part(info, info.range.start + from * row..info.range.start + to * row))
        })
    }
}

/// The reader on bytes in memory, for fuzzing: the bytes that all tensors together have, read as weights, with the
/// configuration and the tokenizer.
#[doc(hidden)]
pub fn check(bytes: &[u8]) -> Result<usize> {
    let path = Path::new("(memory)");
    let header = Header::read(path, bytes)?;
    let _ = weights(&header.tensors).len();
    let _ = GgufTokenizer::of(bytes, &header);
    config::transformers(path, &header.metadata, &header.tensors)?;
    let read = |t: &Info| match t.kind {
        Kind::Plain(_) => t.range.len(),
        Kind::Blocks(blocks) => blocks.singles(&bytes[t.range.clone()]).len(),
    };
    Ok(header.tensors.values().map(read).sum())
}
