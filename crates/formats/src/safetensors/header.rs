//! The header of a safetensors file, read without trusting it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::Info;
use crate::DType;
use crate::error::{Error, Result};

/// The longest header that is read, in bytes; the limit of the reference implementation.
pub const MAX_HEADER: u64 = 100_000_000;

/// A checked header.
pub(super) struct Header {
    pub tensors: BTreeMap<String, Info>,
    pub metadata: BTreeMap<String, String>,
}

/// Parses and checks the header at the beginning of `file`, the whole file's bytes.
pub(super) fn parse(path: &Path, file: &[u8]) -> Result<Header> {
    let bad = |what: String| Error::malformed(path, "safetensors", what);
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(bad(format!("{} bytes, shorter than the 8 of the header's length", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(bad(format!("the header is said to have {length} bytes, more than {MAX_HEADER}")));
    }
    if length > rest.len() as u64 {
        return Err(bad(format!(
            "the header is said to have {length} bytes, the file has {}; is it cut off?",
            file.len()
        )));
    }
    let (json, data) = rest.split_at(length as usize);
    let json = std::str::from_utf8(json).map_err(|e| bad(format!("the header is not UTF-8: {e}")))?;
    if !json.starts_with('{') {
        return Err(bad("the header does not begin with {".to_owned()));
    }
    let raw: RawHeader = serde_json::from_str(json).map_err(|e| bad(format!("the header: {e}")))?;

    let start = file.len() - data.len();
    let mut tensors = BTreeMap::new();
    for (name, raw) in raw.tensors {
        let info = check(path, &name, &raw, data.len(), start)?;
        match tensors.entry(name) {
            Entry::Vacant(e) => e.insert(info),
            Entry::Occupied(e) => return Err(Error::tensor(path, e.key(), "listed twice in the header")),
        };
    }
    check_cover(path, &tensors, start, file.len())?;
    Ok(Header { tensors, metadata: raw.metadata.unwrap_or_default() })
}

/// Checks one entry by itself against the `data_len` bytes of data that begin at `start`.
fn check(path: &Path, name: &str, raw: &RawInfo, data_len: usize, start: usize) -> Result<Info> {
    let bad = |what: String| Err(Error::tensor(path, name, what));
    let Some(dtype) = DType::from_safetensors(&raw.dtype) else {
        return bad(format!("unknown element type {:?}", raw.dtype));
    };
    let [begin, end] = raw.data_offsets;
    if begin > end || end > data_len {
        return bad(format!(
            "its offsets are {begin} to {end}, the file has {data_len} bytes of data; is it cut off?"
        ));
    }
    let Some(need) = dtype.byte_len(&raw.shape) else {
        return bad(format!("a shape of {:?} overflows", raw.shape));
    };
    if need != end - begin {
        return bad(format!("{dtype} {:?} needs {need} bytes, its offsets give {}", raw.shape, end - begin));
    }
    Ok(Info { dtype, shape: raw.shape.clone(), range: start + begin..start + end })
}

/// Checks that the tensors follow each other without gap or overlap from `start` to `end`.
fn check_cover(path: &Path, tensors: &BTreeMap<String, Info>, start: usize, end: usize) -> Result<()> {
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, t)| (t.range.start, t.range.end));
    let mut at = start;
    for (name, t) in order {
        if t.range.start != at {
            let what = if t.range.start < at { "overlaps the one before it" } else { "follows a gap" };
            return Err(Error::tensor(path, name, format!("{what} at byte {} of the file", t.range.start)));
        }
        at = t.range.end;
    }
    if at != end {
        let what = format!("{} bytes after the last tensor belong to none", end - at);
        return Err(Error::malformed(path, "safetensors", what));
    }
    Ok(())
}

/// The header as it stands, entries in their order; a map would hide a name that is given twice.
struct RawHeader {
    tensors: Vec<(String, RawInfo)>,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<RawHeader, A::Error> {
                let mut header = RawHeader { tensors: Vec::new(), metadata: None };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if header.metadata.replace(map.next_value()?).is_some() {
                            return Err(A::Error::custom("__metadata__ is given twice"));
                        }
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        d.deserialize_map(Entries)
    }
}
