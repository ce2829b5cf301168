//! The tensors of a model directory, in whatever files they lie.
//!
//! A [`Checkpoint`] is opened once and then asked for tensors by name; which file holds one, and in which
//! format, is settled here and nowhere else. Nothing is read before it is asked for.

mod shards;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::DType;
pub use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::peft;
use crate::pytorch::TorchFile;
use crate::safetensors::SafetensorsFile;
use crate::tensorflow::{self, MeshCheckpoint};

/// The tensors of a model.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    files: Vec<WeightFile>,
    /// By name, the file that holds the tensor.
    tensors: BTreeMap<String, usize>,
}

/// One opened file of tensors.
#[derive(Debug)]
enum WeightFile {
    Safetensors(SafetensorsFile),
    Torch(TorchFile),
    Mesh(MeshCheckpoint),
}

impl WeightFile {
    /// Opens one file of tensors, which its first bytes tell the format of.
    fn open(path: &Path) -> Result<Self> {
        let mut first = Vec::new();
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        file.take(16).read_to_end(&mut first).map_err(Error::io(path, "read"))?;
        if TorchFile::is_one(&first) {
            Ok(Self::Torch(TorchFile::open(path)?))
        } else {
            Ok(Self::Safetensors(SafetensorsFile::open(path)?))
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Safetensors(f) => f.names().collect(),
            Self::Torch(f) => f.names().collect(),
            Self::Mesh(f) => f.names().collect(),
        }
    }

    fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        match self {
            Self::Safetensors(f) => f.info(name),
            Self::Torch(f) => f.info(name),
            Self::Mesh(f) => f.info(name),
        }
    }

    fn bytes(&self, name: &str) -> Result<TensorBytes> {
        match self {
            Self::Safetensors(f) => f.bytes(name),
            Self::Torch(f) => f.bytes(name),
            Self::Mesh(f) => f.bytes(name),
        }
    }
}

impl Checkpoint {
    /// Opens what `dir` holds: `model.safetensors` or its shards, else `pytorch_model.bin` or its shards, else
    /// a checkpoint of TensorFlow. A path to a file means that file, and the prefix of a TensorFlow checkpoint
    /// (`…/model.ckpt-1000000`) that one; its variables get transformers' names and layouts.
    ///
    /// # Errors
    /// [`Error::NoModel`] where there is none of these, and those of the readers.
    pub fn open(dir: &Path) -> Result<Self> {
        if dir.is_file() && dir.extension().is_none_or(|e| e != "index") {
            return Self::from_files(dir, vec![WeightFile::open(dir)?]);
        }
        for name in ["model.safetensors", "pytorch_model.bin"] {
            let single = dir.join(name);
            if single.exists() {
                return Self::from_files(dir, vec![WeightFile::open(&single)?]);
            }
            let index = dir.join(format!("{name}.index.json"));
            if index.exists() {
                return shards::open(dir, &index);
            }
        }
        if let Some(prefix) = tensorflow::find(dir)? {
            return Self::from_files(&prefix, vec![WeightFile::Mesh(MeshCheckpoint::open(&prefix)?)]);
        }
        let what = if dir.join(peft::CONFIG).is_file() {
            "an adapter without its model: give the base by `model` and this folder by `adapter`"
        } else if dir.exists() {
            "no model here: looked for model.safetensors, pytorch_model.bin, their .index.json, and *.index"
        } else {
            "there is no such folder, and no TensorFlow checkpoint that begins so"
        };
        Err(Error::NoModel { path: dir.to_owned(), what: what.to_owned() })
    }

    /// All tensors of `files`, of which no two may have the same name.
    fn from_files(path: &Path, files: Vec<WeightFile>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.names() {
                if tensors.insert(name.to_owned(), i).is_some() {
                    return Err(Error::tensor(path, name, "in more than one file of this model"));
                }
            }
        }
        Ok(Self { path: path.to_owned(), files, tensors })
    }

    /// The folder, or the file, that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder its files lie in.
    pub fn folder(&self) -> &Path {
        if self.path.is_dir() {
            return &self.path;
        }
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// The format of its files by name.
    pub fn format(&self) -> &'static str {
        match self.files.first() {
            Some(WeightFile::Torch(_)) => "PyTorch",
            Some(WeightFile::Mesh(_)) => "TensorFlow checkpoint",
            Some(WeightFile::Safetensors(_)) | None => "safetensors",
        }
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Type and shape of a tensor.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none of that name.
    pub fn info(&self, name: &str) -> Result<(DType, Vec<usize>)> {
        let file = self.file(name)?;
        let (dtype, shape) = file.info(name).ok_or_else(|| self.no_tensor(name))?;
        Ok((dtype, shape.to_vec()))
    }

    /// The bytes of a tensor: row-major, little-endian, of the length its type and shape give. Where the
    /// format allows they are a part of the mapped file.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none of that name, and those of the format's reader.
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        self.file(name)?.bytes(name)
    }

    /// Gives `take` the bytes of a tensor in order, in parts of whole rows (of the first dimension); of a matrix that
    /// the file holds transposed, some `band` rows at a time, so that there is never a copy of all of it.
    ///
    /// # Errors
    /// Those of [`Self::bytes`] and of `take`.
    pub fn bands<E: From<Error>>(
        &self,
        name: &str,
        band: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.file(name)? {
            WeightFile::Mesh(f) => f.bands(name, band, take),
            source => take(&source.bytes(name)?),
        }
    }

    fn file(&self, name: &str) -> Result<&WeightFile> {
        let &file = self.tensors.get(name).ok_or_else(|| self.no_tensor(name))?;
        Ok(&self.files[file])
    }

    fn no_tensor(&self, name: &str) -> Error {
        Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() }
    }
}
