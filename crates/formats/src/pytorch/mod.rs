//! `pytorch_model.bin`: a state dictionary saved by `torch.save`, in its zip form or the older one.
//!
//! The pickle in it is a program. It is interpreted here by an allow-list that knows how to build
//! dictionaries, lists, tuples, numbers, strings and tensors, and nothing else: no name that a file gives
//! is ever looked up or called. What else training programs save beside the state dictionary is passed over. Tensors stay in the mapped file where they are contiguous there.

mod legacy;
mod pickle;
mod state;
mod wrappers;
mod zip;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use self::state::Strided;
use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::safetensors::map;

/// The name of the format in messages.
const FORMAT: &str = "PyTorch";

/// An opened, memory-mapped and checked file of `torch.save`.
#[derive(Debug)]
pub struct TorchFile {
    path: PathBuf,
    map: Arc<Mmap>,
    tensors: BTreeMap<String, Located>,
    notes: Vec<String>,
}

/// A tensor and the bytes of its storage.
#[derive(Debug)]
struct Located {
    tensor: Strided,
    /// The storage within the file.
    storage: Range<usize>,
}

/// What a container holds.
struct Container {
    tensors: Vec<(String, Strided)>,
    /// What is to be said of it.
    notes: Vec<String>,
    /// By its key, the place of a storage in the file.
    storages: HashMap<String, Range<usize>>,
}

impl TorchFile {
    /// Maps the file at `path`, reads its pickle and checks that every tensor lies within the file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`], [`Error::Unsupported`] and [`Error::Tensor`] where the file is
    /// broken, or has no dictionary of tensors that is made without calling something.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let (tensors, notes) = parse(path, &map)?;
        Ok(Self { path: path.to_owned(), map: Arc::new(map), tensors, notes })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a file that begins with these bytes is one of `torch.save`.
    pub fn is_one(first: &[u8]) -> bool {
        zip::is_zip(first) || legacy::is_legacy(first)
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What is to be said of where the tensors lay and of what was left out, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Type and shape of a tensor; `None` where there is no such tensor.
    pub fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.tensors.get(name).map(|t| (t.tensor.dtype, &*t.tensor.shape))
    }

    /// The bytes of a tensor, row-major: a part of the mapped file where it is contiguous there, else
    /// gathered.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is no such tensor.
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        let Some(t) = self.tensors.get(name) else {
            return Err(Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() });
        };
        if let Some(range) = t.tensor.contiguous() {
            let range = t.storage.start + range.start..t.storage.start + range.end;
            return Ok(TensorBytes::new(self.map.clone(), range));
        }
        Ok(t.tensor.gather(&self.map[t.storage.clone()]).into())
    }
}

/// Reads the container, the pickle and the tensors of a whole file.
fn parse(path: &Path, file: &[u8]) -> Result<(BTreeMap<String, Located>, Vec<String>)> {
    let container = if zip::is_zip(file) { zip::open(path, file)? } else { legacy::open(path, file)? };
    let mut tensors = BTreeMap::new();
    for (name, tensor) in container.tensors {
        let bad = |what: Cow<str>| Error::tensor(path, &name, what);
        let Some(storage) = container.storages.get(&tensor.storage) else {
            return Err(bad(format!("its storage {:?} is not in the file", tensor.storage).into()));
        };
        tensor.check(storage.len()).map_err(|what| bad(what.into()))?;
        let located = Located { tensor, storage: storage.clone() };
        if tensors.insert(name.clone(), located).is_some() {
            return Err(bad("listed twice".into()));
        }
    }
    Ok((tensors, container.notes))
}

/// The reader on bytes in memory, for fuzzing: the bytes that all tensors together have.
#[doc(hidden)]
pub fn check(bytes: &[u8]) -> Result<usize> {
    let (tensors, _) = parse(Path::new("(memory)"), bytes)?;
    let len = |t: &Located| match t.tensor.contiguous() {
        Some(range) => bytes[t.storage.clone()][range].len(),
        None => t.tensor.gather(&bytes[t.storage.clone()]).len(),
    };
    Ok(tensors.values().map(len).sum())
}
