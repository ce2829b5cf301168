//! Safetensors: a JSON header of names, types, shapes and offsets, then the bytes of the tensors.
//!
//! [`SafetensorsFile`] maps a file and checks its header in full before any of it is believed;
//! [`SafetensorsWriter`] writes one tensor by tensor, so that neither side ever holds a file in memory.
//! Format: <https://huggingface.co/docs/safetensors/index#format>.

mod header;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

pub use self::header::MAX_HEADER;
pub use self::writer::{SafetensorsWriter, TensorSpec};
use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};

/// A tensor of a mapped file: what it is, and its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// The tensor's name.
    pub name: &'a str,
    /// The type of its elements.
    pub dtype: DType,
    /// Its shape; empty for a scalar.
    pub shape: &'a [usize],
    /// Its elements, row-major and little-endian, not necessarily aligned to their size.
    pub data: &'a [u8],
}

/// An opened, memory-mapped and validated safetensors file.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    map: Arc<Mmap>,
    tensors: BTreeMap<String, Info>,
    metadata: BTreeMap<String, String>,
}

/// Where a tensor lies in the file.
#[derive(Clone, Debug, PartialEq)]
struct Info {
    dtype: DType,
    shape: Vec<usize>,
    /// Offsets from the beginning of the file.
    range: Range<usize>,
}

impl SafetensorsFile {
    /// Maps the file at `path` and checks its header: lengths, types, names, and that the tensors cover the
    /// data without gap or overlap, as the format demands.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read, [`Error::Malformed`] and [`Error::Tensor`] where the
    /// header is wrong.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let header = header::parse(path, &map)?;
        Ok(Self {
            path: path.to_owned(),
            map: Arc::new(map),
            tensors: header.tensors,
            metadata: header.metadata,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of a tensor; `None` where there is no such tensor.
    pub fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.tensors.get(name).map(|t| (t.dtype, &*t.shape))
    }

    /// The bytes of a tensor, which keep the mapping alive.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is no such tensor.
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        Ok(TensorBytes::new(self.map.clone(), self.get(name)?.1.range.clone()))
    }

    /// A tensor with its bytes in place.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is no such tensor.
    pub fn view(&self, name: &str) -> Result<TensorView<'_>> {
        let (name, info) = self.get(name)?;
        let data = &self.map[info.range.clone()];
        Ok(TensorView { name, dtype: info.dtype, shape: &info.shape, data })
    }

    /// The header's `__metadata__`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn get(&self, name: &str) -> Result<(&String, &Info)> {
        self.tensors
            .get_key_value(name)
            .ok_or_else(|| Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() })
    }
}

/// Maps a whole file for reading.
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let meta = file.metadata().map_err(Error::io(path, "read"))?;
    if !meta.is_file() {
        return Err(Error::unsupported(path, "not a plain file, so it cannot be read as a model"));
    }
    if meta.len() == 0 {
        return Err(Error::unsupported(path, "it is empty; download or copy it again"));
    }
    // SAFETY: the map is read-only. As with every mapping, another process that truncates or rewrites the
    // file while it is open can end this one or change the weights; model files are replaced by renaming
    // (see `output`), which leaves an open mapping as it was.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map"))?;
    // Weights are walked through for every token: in huge pages their addresses are found at once. A hint, taken where
    // the file is not in memory yet and the file system can.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Ok(map)
}

/// The header parser on bytes in memory, for fuzzing: whether `bytes` is a sound file, and if so how many
/// bytes of it belong to tensors.
#[doc(hidden)]
pub fn check(bytes: &[u8]) -> Result<usize> {
    let header = header::parse(Path::new("(memory)"), bytes)?;
    Ok(header.tensors.values().map(|t| bytes[t.range.clone()].len()).sum())
}
