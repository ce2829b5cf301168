//! The form before torch 1.6: five pickles in a row – a magic number, a version, facts about the machine,
//! the state dictionary, the keys of the storages – then every storage, its length before it.

use std::collections::HashMap;
use std::path::Path;

use super::pickle::{self, Object, Pickled};
use super::{Container, FORMAT, state};
use crate::error::{Error, Result};

/// 0x1950a86a20f9469cfc6c, little-endian, as torch begins such a file.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether a file that begins with these bytes is of this form: a pickle of the magic number.
pub(super) fn is_legacy(first: &[u8]) -> bool {
    first.len() >= 14 && first[0] == 0x80 && first[2..4] == [0x8a, 10] && first[4..14] == MAGIC
}

/// Finds the pickle and the storages of `file`.
pub(super) fn open(path: &Path, file: &[u8]) -> Result<Container> {
    let bad = |what: String| Error::malformed(path, FORMAT, what);
    if !is_legacy(file) {
        return Err(Error::unsupported(path, "neither a zip nor a pickle of torch.save"));
    }
    let mut rest = file;
    let mut next = || -> Result<Pickled> {
        let pickled = pickle::run(rest).map_err(bad)?;
        rest = &rest[pickled.len..];
        Ok(pickled)
    };
    next()?;
    let version = next()?;
    if *version.get(version.root) != Object::Int(1001) {
        return Err(Error::unsupported(path, "an unknown version of torch's older format; save it again"));
    }
    // The facts about the machine; all that is read here is little-endian in either case.
    next()?;
    let pickled = next()?;
    let listed = next()?;
    let keys = state::keys(&listed).ok_or_else(|| bad("the list of storages is missing".to_owned()))?;

    let sizes = state::element_sizes(&pickled);
    let mut storages = HashMap::new();
    for key in keys {
        let cut = || bad(format!("the storage {key} is cut off"));
        let at = file.len() - rest.len();
        let (numel, behind) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let numel = usize::try_from(u64::from_le_bytes(*numel)).map_err(|_| cut())?;
        // Its length is in elements, whose size only the dictionary knows.
        let size = sizes.get(key).ok_or_else(|| bad(format!("the storage {key} belongs to no tensor")))?;
        let bytes = numel.checked_mul(*size).ok_or_else(cut)?;
        rest = behind.get(bytes..).ok_or_else(cut)?;
        if storages.insert(key.to_owned(), at + 8..at + 8 + bytes).is_some() {
            return Err(bad(format!("two storages of the name {key}")));
        }
    }
    let (tensors, notes) = state::tensors(path, &pickled)?;
    Ok(Container { tensors, storages, notes })
}
