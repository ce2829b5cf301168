//! The tensors of a model directory, in whatever files they lie.
//!
//! A [`Checkpoint`] is opened once and then asked for tensors by name; which file holds one, in which format and under
//! which prefix, is settled here and nowhere else. Nothing is read before it is asked for.

mod absent;
mod bert;
mod find;
mod kind;
mod prefix;
mod shards;
mod weight_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use self::absent::is_half_a_bundle;
use self::find::Weights;
pub(crate) use self::find::checkpoints;
use self::prefix::Bare;
use self::weight_file::WeightFile;
use crate::DType;
pub use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::gguf::GgufFile;
use crate::tensorflow::MeshCheckpoint;

/// The tensors of a model.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    /// The folder that was named, where the files lie in another below it.
    named: Option<PathBuf>,
    files: Vec<WeightFile>,
    /// By name, where the tensor is.
    tensors: BTreeMap<String, Located>,
    notes: Vec<String>,
    /// What the names of a BERT's body begin with, where that was settled.
    body: Option<String>,
}

/// Where a tensor is.
#[derive(Debug)]
struct Located {
    file: usize,
    /// Its name there.
    name: String,
}

impl Checkpoint {
    /// Opens what `path` holds: `model.safetensors` or its shards, else `pytorch_model.bin` or its shards, else a
    /// checkpoint of TensorFlow, else a single file of weights under another name, else the only `checkpoint-N` below. A
    /// path to a file means that file, and the prefix of a TensorFlow checkpoint (`…/model.ckpt-1000000`) that one; its
    /// variables get transformers' names and layouts.
    ///
    /// Names are those of the model itself: what wrappers put before them (`module.`, `model.`, `_orig_mod.`, any other)
    /// is taken off. [`Self::notes`] says what was taken for what.
    ///
    /// # Errors
    /// [`Error::NoModel`] where there is none of these, with what is there instead; [`Error::Unsupported`] where several
    /// models lie under prefixes; and those of the readers.
    pub fn open(path: &Path) -> Result<Self> {
        let place = find::find(path)?;
        let mut checkpoint = match place.what {
            Weights::File(file, path) => Self::from_files(&path, vec![WeightFile::open(&file)?])?,
            Weights::Index(index) => shards::open(&index)?,
            Weights::Shards(files) => {
                let folder = files.first().and_then(|f| f.parent()).unwrap_or(path).to_owned();
                let opened = files.iter().map(|file| WeightFile::open(file)).collect::<Result<_>>()?;
                Self::from_files(&folder, opened)?
            }
            Weights::Bundle(prefix) => {
                Self::from_files(&prefix, vec![WeightFile::Mesh(MeshCheckpoint::open(&prefix)?)])?
            }
        };
        checkpoint.named = (path.is_dir() && checkpoint.folder() != path).then(|| path.to_owned());
        checkpoint.notes.extend(place.note);
        let told: Vec<String> = checkpoint.files.iter().flat_map(WeightFile::notes).cloned().collect();
        checkpoint.notes.extend(told);
        checkpoint.notes.dedup();
        checkpoint.unwrap_names()?;
        Ok(checkpoint)
    }

    /// The same checkpoint opened once more, with the names that were settled.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn reopened(&self) -> Result<Self> {
        let mut again = Self::open(&self.path)?;
        if let Some(body) = &self.body {
            again.name_body(body)?;
        }
        Ok(again)
    }

    /// Gives the tensors of a BERT, NEZHA or RoFormer the names that a model of the type `body` (`bert`, `nezha`,
    /// `roformer`) has in transformers, whatever stands before them here; layer norms get their newer names.
    ///
    /// # Errors
    /// [`Error::Tensor`] where two tensors would have one name.
    pub fn name_body(&mut self, body: &str) -> Result<()> {
        let mut tensors = BTreeMap::new();
        let said = self.tensors.keys().find_map(|name| bert::body(name));
        for (name, place) in std::mem::take(&mut self.tensors) {
            let name = bert::named(&name, body);
            if tensors.insert(name.clone(), place).is_some() {
                return Err(Error::tensor(&self.path, &name, "twice, under an old name and a new one"));
            }
        }
        self.tensors = tensors;
        if let Some(said) = said.filter(|said| *said != body) {
            self.notes.push(format!("the weights have the names of a {said}; taken as those of a {body}"));
        }
        self.body = Some(body.to_owned());
        Ok(())
    }

    /// Opens one file and leaves the names as they are.
    ///
    /// # Errors
    /// Those of the format's reader.
    pub(crate) fn open_as_it_is(path: &Path) -> Result<Self> {
        Self::from_files(path, vec![WeightFile::open(path)?])
    }

    /// Takes off what wrappers put before the names.
    fn unwrap_names(&mut self) -> Result<()> {
        let bare = Bare::find(self.tensors.keys().map(String::as_str)).map_err(|prefixes| {
            let what = format!(
                "several models in one: their tensors begin with {}; save the one that is meant alone",
                prefixes.join(", ")
            );
            Error::unsupported(&self.path, what)
        })?;
        let mut tensors = BTreeMap::new();
        let mut renamed = false;
        for (name, place) in std::mem::take(&mut self.tensors) {
            let short = bare.name(&name);
            renamed |= short != name;
            if tensors.insert(short.clone(), place).is_some() {
                return Err(Error::tensor(
                    &self.path,
                    &short,
                    "twice, with and without what wrappers add to names",
                ));
            }
        }
        self.tensors = tensors;
        if !bare.prefix.is_empty() {
            self.notes
                .push(format!("the names of the weights begin with {:?}, which is taken off", bare.prefix));
        } else if renamed {
            self.notes.push("what wrappers of torch add to the names of the weights is taken off".to_owned());
        }
        Ok(())
    }

    /// All tensors of `files`, of which no two may have the same name.
    fn from_files(path: &Path, files: Vec<WeightFile>) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.names() {
                let place = Located { file: i, name: name.to_owned() };
                if tensors.insert(name.to_owned(), place).is_some() {
                    return Err(Error::tensor(path, name, "in more than one file of this model"));
                }
            }
        }
        Ok(Self { path: path.to_owned(), named: None, files, tensors, notes: Vec::new(), body: None })
    }

    /// The folder, or the file, that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that a tensor lies in, for what is to be said about it; [`Self::path`] where there is none of that name.
    pub fn path_of(&self, name: &str) -> &Path {
        self.file(name).ok().and_then(|(file, _)| file.path()).unwrap_or(&self.path)
    }

    /// What was taken for what, where the files or their tensors have none of the usual names: a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
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

    /// The folder that was named, where the files lie in another below it: what is not beside them may be there.
    pub fn named_folder(&self) -> Option<&Path> {
        self.named.as_deref()
    }

    /// The only file, where it is one of GGUF: it says its configuration and its tokenizer too.
    pub fn gguf(&self) -> Option<&GgufFile> {
        match &self.files[..] {
            [WeightFile::Gguf(file)] => Some(file),
            _ => None,
        }
    }

    /// The format of its files by name.
    pub fn format(&self) -> &'static str {
        self.files.first().map_or("safetensors", WeightFile::format)
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
        let (file, there) = self.file(name)?;
        let (dtype, shape) = file.info(there).ok_or_else(|| self.no_tensor(name))?;
        Ok((dtype, shape.to_vec()))
    }

    /// The bytes of a tensor: row-major, little-endian, of the length its type and shape give. Where the
    /// format allows they are a part of the mapped file.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is none of that name, and those of the format's reader.
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        let (file, there) = self.file(name)?;
        file.bytes(there)
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
            (WeightFile::Mesh(f), there) => f.bands(there, band, take),
            (WeightFile::Keras(f), there) => f.bands(there, band, take),
            (WeightFile::Gguf(f), there) => f.bands(there, band, take),
            (file, there) => take(&file.bytes(there)?),
        }
    }

    /// The file of a tensor, and its name there.
    fn file(&self, name: &str) -> Result<(&WeightFile, &str)> {
        let place = self.tensors.get(name).ok_or_else(|| self.no_tensor(name))?;
        Ok((&self.files[place.file], &place.name))
    }

    fn no_tensor(&self, name: &str) -> Error {
        Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() }
    }
}
