//! A bundle of tensors: the index, checked, and the mapped data files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::table::{self, mask};
use super::{FORMAT, with_suffix};
use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::foreign;
use crate::safetensors::map;
use crate::wire::{Fields, Value};

/// Data files of a checkpoint; Google's have a few dozen.
const MAX_SHARDS: u64 = 10_000;
/// Dimensions of a tensor.
const MAX_RANK: usize = 16;

/// An opened checkpoint, under the names it was saved with.
#[derive(Debug)]
pub struct TensorBundle {
    prefix: PathBuf,
    shards: Vec<Arc<Mmap>>,
    tensors: BTreeMap<String, Entry>,
}

/// A tensor as the index describes it.
#[derive(Debug)]
struct Entry {
    dtype: DType,
    shape: Vec<usize>,
    shard: usize,
    range: Range<usize>,
    /// Masked CRC-32C of the bytes; 0 where there is none.
    crc: u32,
}

/// What a whole index says.
struct Index {
    shards: usize,
    tensors: BTreeMap<String, Entry>,
}

impl TensorBundle {
    /// Opens the checkpoint `<prefix>.index` with its data files and checks that every tensor lies in one.
    /// Tensors that are not numbers (the object graph of TensorFlow 2) are left out.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`], [`Error::Unsupported`] and [`Error::Tensor`] where a file is
    /// broken.
    pub fn open(prefix: &Path) -> Result<Self> {
        let path = with_suffix(prefix, ".index");
        let file = map(&path)?;
        foreign::check(&path, &file)?;
        let index = parse(&path, &file)?;
        let mut shards = Vec::with_capacity(index.shards);
        for i in 0..index.shards {
            let shard = with_suffix(prefix, &format!(".data-{i:05}-of-{:05}", index.shards));
            if !shard.exists() {
                let what = "half a TensorFlow checkpoint: this file, which holds weights, is missing; copy or download it \
                            too";
                return Err(Error::NoModel { path: shard, what: what.to_owned() });
            }
            let file = map(&shard)?;
            foreign::check(&shard, &file)?;
            shards.push(Arc::new(file));
        }
        for (name, t) in &index.tensors {
            let have = shards[t.shard].len();
            if t.range.end > have {
                let what = format!(
                    "ends at byte {} of data file {} of {have}; is it cut off?",
                    t.range.end, t.shard
                );
                return Err(Error::tensor(&path, name, what));
            }
        }
        Ok(Self { prefix: prefix.to_owned(), shards, tensors: index.tensors })
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of a tensor; `None` where there is no such tensor.
    pub fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.tensors.get(name).map(|t| (t.dtype, &*t.shape))
    }

    /// The bytes of a tensor, a part of the mapped data file, after comparing their checksum.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is no such tensor, [`Error::Tensor`] where the checksum is wrong.
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        let path = with_suffix(&self.prefix, ".index");
        let Some(t) = self.tensors.get(name) else {
            return Err(Error::NoTensor { path, tensor: name.to_owned() });
        };
        let bytes = TensorBytes::new(self.shards[t.shard].clone(), t.range.clone());
        if t.crc != 0 && mask(crc32c::crc32c(&bytes)) != t.crc {
            return Err(Error::tensor(&path, name, "its checksum is wrong; download the data files again"));
        }
        Ok(bytes)
    }
}

/// Reads a whole index.
fn parse(path: &Path, file: &[u8]) -> Result<Index> {
    let bad = |what: String| Error::malformed(path, FORMAT, what);
    let mut entries = table::read(file).map_err(bad)?.into_iter();
    // The empty key, which sorts before all others.
    let header =
        entries.next().filter(|e| e.0.is_empty()).ok_or_else(|| bad("it has no header".to_owned()))?;
    let mut shards = 0;
    for field in Fields::new(&header.1) {
        let field = field.map_err(|e| bad(format!("its header: {}", e.what)))?;
        match (field.number, field.value) {
            (1, Value::Varint(n)) if (1..=MAX_SHARDS).contains(&n) => shards = n as usize,
            (1, _) => return Err(bad("an absurd number of data files".to_owned())),
            (2, Value::Varint(0)) => {}
            (2, _) => return Err(Error::unsupported(path, "written on a big-endian machine")),
            _ => {}
        }
    }
    if shards == 0 {
        return Err(bad("its header does not say how many data files there are".to_owned()));
    }
    let mut tensors = BTreeMap::new();
    for (key, value) in entries {
        let name = String::from_utf8(key).map_err(|_| bad("a name that is not UTF-8".to_owned()))?;
        let entry = Entry::read(&value, shards).map_err(|what| Error::tensor(path, &name, what))?;
        tensors.extend(entry.map(|e| (name, e)));
    }
    Ok(Index { shards, tensors })
}

impl Entry {
    /// From a `BundleEntryProto` (tensorflow/core/protobuf/tensor_bundle.proto); `None` for what is not
    /// numbers.
    fn read(proto: &[u8], shards: usize) -> Result<Option<Self>, String> {
        let (mut dtype, mut shape, mut shard, mut offset, mut size, mut crc) = (0, Vec::new(), 0, 0, 0, 0);
        for field in Fields::new(proto) {
            let field = field.map_err(|e| e.what)?;
            match (field.number, field.value) {
                (1, Value::Varint(n)) => dtype = n,
                (2, Value::Bytes(proto)) => shape = read_shape(proto)?,
                (3, Value::Varint(n)) => shard = n,
                (4, Value::Varint(n)) => offset = n,
                (5, Value::Varint(n)) => size = n,
                (6, Value::Fixed32(n)) => crc = n,
                (7, _) => return Err("stored in slices, which are not read; save it whole".to_owned()),
                _ => {}
            }
        }
        let Some(dtype) = dtype_of(dtype)? else { return Ok(None) };
        let shard = usize::try_from(shard).ok().filter(|&n| n < shards);
        let shard = shard.ok_or("in a data file that there is not")?;
        let start = usize::try_from(offset).ok();
        let size = usize::try_from(size).ok();
        let range = start.zip(size).and_then(|(a, n)| Some(a..a.checked_add(n)?));
        let range = range.ok_or("its place overflows")?;
        let need = dtype.byte_len(&shape).ok_or("its shape overflows")?;
        if need != range.len() {
            return Err(format!("{dtype} {shape:?} needs {need} bytes, the index gives {}", range.len()));
        }
        Ok(Some(Self { dtype, shape, shard, range, crc }))
    }
}

/// From a `TensorShapeProto`: field 2, a message with the size as field 1, for each dimension.
fn read_shape(proto: &[u8]) -> Result<Vec<usize>, String> {
    let mut shape = Vec::new();
    for field in Fields::new(proto) {
        let field = field.map_err(|e| e.what)?;
        let (2, Value::Bytes(dim)) = (field.number, field.value) else { continue };
        let mut size = 0;
        for field in Fields::new(dim) {
            let field = field.map_err(|e| e.what)?;
            if let (1, Value::Varint(n)) = (field.number, field.value) {
                size = i64::try_from(n)
                    .ok()
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or("its shape is negative")?;
            }
        }
        shape.push(size);
        if shape.len() > MAX_RANK {
            return Err(format!("more than {MAX_RANK} dimensions"));
        }
    }
    Ok(shape)
}

/// `None` for strings, resources and the like.
fn dtype_of(number: u64) -> Result<Option<DType>, String> {
    match (DType::from_tensorflow(number), number) {
        (None, 7 | 20 | 21) => Ok(None),
        (None, _) => Err(format!("elements of TensorFlow's type {number} are not read")),
        (found, _) => Ok(found),
    }
}

/// The index reader on bytes in memory, for fuzzing: the number of tensors.
#[doc(hidden)]
pub fn check(index: &[u8]) -> Result<usize> {
    Ok(parse(Path::new("(memory)"), index)?.tensors.len())
}
