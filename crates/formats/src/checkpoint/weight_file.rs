//! One opened file of tensors, or one TensorFlow checkpoint, whatever its format.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::foreign;
use crate::gguf::GgufFile;
use crate::keras::KerasFile;
use crate::pytorch::TorchFile;
use crate::safetensors::SafetensorsFile;
use crate::tensorflow::MeshCheckpoint;

/// One opened file of tensors.
#[derive(Debug)]
pub(super) enum WeightFile {
    Safetensors(SafetensorsFile),
    Torch(TorchFile),
    Mesh(MeshCheckpoint),
    Keras(KerasFile),
    Gguf(GgufFile),
}

/// The format of a file of tensors, as its first bytes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    Torch,
    Keras,
    Gguf,
}

impl Format {
    /// The format of a file that begins with these bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        if TorchFile::is_one(head) {
            return Some(Self::Torch);
        }
        if KerasFile::is_one(head) {
            return Some(Self::Keras);
        }
        if GgufFile::is_one(head) {
            return Some(Self::Gguf);
        }
        // Eight bytes of length, then a JSON object.
        (head.get(8) == Some(&b'{')).then_some(Self::Safetensors)
    }
}

/// The first bytes of a file, by which its format is told.
pub(super) fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    file.take(foreign::HEAD as u64).read_to_end(&mut head).map_err(Error::io(path, "read"))?;
    Ok(head)
}

impl WeightFile {
    /// Opens one file of tensors.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that says what the file is instead, and those of the format's reader.
    pub fn open(path: &Path) -> Result<Self> {
        let head = head(path)?;
        match Format::of(&head) {
            Some(Format::Torch) => return Ok(Self::Torch(TorchFile::open(path)?)),
            Some(Format::Keras) => return Ok(Self::Keras(KerasFile::open(path)?)),
            Some(Format::Gguf) => return Ok(Self::Gguf(GgufFile::open(path)?)),
            Some(Format::Safetensors) => return Ok(Self::Safetensors(SafetensorsFile::open(path)?)),
            None => {}
        }
        if let Some(what) = foreign::not_weights(path, &head) {
            return Err(Error::unsupported(path, what));
        }
        if matches!(head[..], [0x80, 2..=5, ..]) {
            let what = "a pickle, but none of torch.save; save the model's state dictionary by \
                        torch.save(model.state_dict(), FILE)";
            return Err(Error::unsupported(path, what));
        }
        // What is named so is said to be broken.
        if path.extension().is_some_and(|e| e == "safetensors") {
            return Ok(Self::Safetensors(SafetensorsFile::open(path)?));
        }
        let what =
            "no weights in a format that is read here (safetensors, PyTorch's, TensorFlow's, Keras's, GGUF)";
        Err(Error::unsupported(path, what))
    }

    /// The file's path; `None` of formats whose checkpoint is one file, or one prefix.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Safetensors(f) => Some(f.path()),
            Self::Torch(f) => Some(f.path()),
            Self::Gguf(f) => Some(f.path()),
            Self::Mesh(_) | Self::Keras(_) => None,
        }
    }

    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Safetensors(f) => f.names().collect(),
            Self::Torch(f) => f.names().collect(),
            Self::Mesh(f) => f.names().collect(),
            Self::Keras(f) => f.names().collect(),
            Self::Gguf(f) => f.names().collect(),
        }
    }

    /// What is to be said of how it was read.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Torch(f) => f.notes(),
            Self::Gguf(f) => f.notes(),
            Self::Safetensors(_) | Self::Mesh(_) | Self::Keras(_) => &[],
        }
    }

    /// The format by name.
    pub fn format(&self) -> &'static str {
        match self {
            Self::Torch(_) => "PyTorch",
            Self::Mesh(_) => "TensorFlow checkpoint",
            Self::Keras(_) => "Keras (HDF5)",
            Self::Gguf(_) => "GGUF",
            Self::Safetensors(_) => "safetensors",
        }
    }

    pub fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        match self {
            Self::Safetensors(f) => f.info(name),
            Self::Torch(f) => f.info(name),
            Self::Mesh(f) => f.info(name),
            Self::Keras(f) => f.info(name),
            Self::Gguf(f) => f.info(name),
        }
    }

    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        match self {
            Self::Safetensors(f) => f.bytes(name),
            Self::Torch(f) => f.bytes(name),
            Self::Mesh(f) => f.bytes(name),
            Self::Keras(f) => f.bytes(name),
            Self::Gguf(f) => f.bytes(name),
        }
    }
}
