//! All of a GGUF file but the bytes of its tensors, checked against the file's length before it is believed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::kinds::Kind;
use super::metadata::{self, Metadata};
use super::{FORMAT, MAGIC};
use crate::error::{Error, Result};
use crate::hdf5::bytes::Reader;

/// Dimensions of a tensor, at most.
const MAX_DIMENSIONS: u32 = 4;
/// Tensors begin at multiples of this where nothing else is said.
const ALIGNMENT: u32 = 32;

/// Where a tensor is and how it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Info {
    pub kind: Kind,
    /// Rows first: the file has it the other way round.
    pub shape: Vec<usize>,
    /// Offsets from the beginning of the file.
    pub range: Range<usize>,
}

/// What a file says before its tensors.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: Metadata,
    pub tensors: BTreeMap<String, Info>,
}

/// A tensor as the file lists it, before it is known where tensors begin.
struct Listed {
    name: String,
    shape: Vec<usize>,
    number: u32,
    offset: u64,
}

impl Header {
    /// Reads the file's beginning.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for versions and byte orders that are not read; [`Error::Malformed`] and [`Error::Tensor`]
    /// where a length, a type or a place cannot be.
    pub fn read(path: &Path, file: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::malformed(path, FORMAT, what);
        let mut r = Reader::new(file);
        r.expect(MAGIC).map_err(|_| bad("it does not begin with GGUF".to_owned()))?;
        let version = r.u32().map_err(bad)?;
        match version {
            2 | 3 => {}
            1 => {
                let what = "GGUF version 1, of the first weeks of the format, which is not read: turn the model by \
                            llama.cpp's convert_hf_to_gguf.py once more";
                return Err(Error::unsupported(path, what));
            }
            // Nothing else has zeros there.
            big if big & 0xffff == 0 && big != 0 => {
                let what = "a big-endian GGUF file, which is not read: turn it by the gguf package, gguf-convert-endian \
                            FILE little";
                return Err(Error::unsupported(path, what));
            }
            other => {
                let what = format!("GGUF version {other}, which is not read; 2 and 3 are");
                return Err(Error::unsupported(path, what));
            }
        }
        let (tensors, pairs) = (r.u64().map_err(bad)?, r.u64().map_err(bad)?);
        let metadata = Metadata::read(path, &mut r, pairs, file.len())?;
        let mut listed = Vec::new();
        for n in 0..tensors {
            listed.push(one(&mut r).map_err(|what| bad(format!("tensor {n}: {what}")))?);
        }
        let alignment = metadata.whole("general.alignment")?.unwrap_or(ALIGNMENT);
        if !alignment.is_power_of_two() {
            return Err(metadata.error("general.alignment", format!("{alignment} is no power of two")));
        }
        let begin = (file.len() - r.left()).checked_next_multiple_of(alignment as usize);
        let begin = begin.ok_or_else(|| bad("no room for tensors".to_owned()))?;
        let mut found = BTreeMap::new();
        for tensor in listed {
            let (name, info) = placed(path, tensor, begin, alignment, file.len())?;
            if found.contains_key(&name) {
                return Err(Error::tensor(path, &name, "is listed twice"));
            }
            found.insert(name, info);
        }
        Ok(Self { metadata, tensors: found })
    }
}

/// A tensor's entry in the list.
fn one(r: &mut Reader<'_>) -> Result<Listed, String> {
    let name = metadata::text(r)?.to_owned();
    let dimensions = r.u32()?;
    if dimensions > MAX_DIMENSIONS {
        return Err(format!("{name} has {dimensions} dimensions"));
    }
    let sizes = (0..dimensions).map(|_| r.u64()).collect::<Result<Vec<_>, _>>()?;
    let sizes = sizes.into_iter().rev().map(usize::try_from).collect::<Result<Vec<_>, _>>();
    let shape = sizes.map_err(|_| format!("{name} is larger than the file"))?;
    Ok(Listed { name, shape, number: r.u32()?, offset: r.u64()? })
}

/// Where a listed tensor is.
fn placed(path: &Path, tensor: Listed, begin: usize, alignment: u32, file: usize) -> Result<(String, Info)> {
    let Listed { name, shape, number, offset } = tensor;
    let bad = |what: String| Error::tensor(path, &name, what);
    let kind = Kind::of(number).map_err(|kind| {
        let what = format!(
            "is stored as {kind}, which is not read (F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1 and Q4_0 are): take the \
             model's Q8_0 or F16 file, or turn this one by llama-quantize --allow-requantize FILE NEW Q8_0"
        );
        Error::unsupported(path, format!("tensor {name} {what}"))
    })?;
    let row = shape.last().copied().unwrap_or(1);
    let bytes = kind.row_bytes(row).ok_or_else(|| bad(format!("rows of {row} are no whole blocks")))?;
    let bytes = shape.iter().rev().skip(1).try_fold(bytes, |n, &rows| n.checked_mul(rows));
    let start = usize::try_from(offset).ok().and_then(|offset| begin.checked_add(offset));
    if !offset.is_multiple_of(u64::from(alignment)) {
        return Err(bad(format!("begins at {offset}, no multiple of the alignment {alignment}")));
    }
    match (start, bytes.and_then(|bytes| start?.checked_add(bytes))) {
        (Some(start), Some(end)) if end <= file => Ok((name, Info { kind, shape, range: start..end })),
        _ => Err(bad(format!("of {shape:?} goes beyond the end of the file; download or copy it again"))),
    }
}
