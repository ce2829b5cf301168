//! HDF5, as far as Keras writes it through h5py: groups, datasets that lie in one piece, and lists of names as attributes.
//!
//! Format: the HDF5 File Format Specification 3.0 of The HDF Group, sections II to IV. Read are superblocks 0 to 3, object
//! headers and groups of the older form (what h5py writes unless it is told otherwise) and contiguous or compact datasets.
//! Nothing is copied but names: a dataset is a part of the mapped file. Every address is checked, every walk is bounded.

pub(crate) mod bytes;
mod group;
mod heap;
mod object;

use std::ops::Range;

use self::bytes::Reader;
use self::object::Object;
use crate::DType;

/// How every file begins.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";
/// An address that is none.
const NOWHERE: u64 = u64::MAX;

/// Parts of an attribute that are put together.
const MAX_PARTS: usize = 1000;

/// A problem of a file, the end of a sentence.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// A file in memory, or mapped.
#[derive(Clone, Copy)]
pub(crate) struct Hdf5<'f> {
    file: &'f [u8],
    root: u64,
}

/// A dataset: what it is, and where in the file its elements lie, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dataset {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
}

/// Whether a file that begins with these bytes is one.
pub(crate) fn is_one(head: &[u8]) -> bool {
    head.starts_with(SIGNATURE)
}

impl<'f> Hdf5<'f> {
    /// Reads the superblock.
    pub fn open(file: &'f [u8]) -> Result<Self> {
        let mut r = Reader::at(file, 0)?;
        r.expect(SIGNATURE)?;
        let version = r.u8()?;
        let (offsets, lengths) = match version {
            0 | 1 => {
                r.skip(4)?;
                let sizes = (r.u8()?, r.u8()?);
                // Sizes of the trees' nodes and flags; 1 has one more.
                r.skip(if version == 0 { 9 } else { 13 })?;
                sizes
            }
            2 | 3 => {
                let sizes = (r.u8()?, r.u8()?);
                r.skip(1)?;
                sizes
            }
            _ => return Err(format!("its superblock is of version {version}, which is not read")),
        };
        if (offsets, lengths) != (8, 8) {
            return Err(format!("its addresses have {offsets} and {lengths} bytes; 8 are read"));
        }
        if r.u64()? != 0 {
            return Err("it does not begin at the beginning of the file, which is not read".to_owned());
        }
        r.skip(16)?;
        let root = if version < 2 {
            // The driver's block, and of the root's entry the place of its name.
            r.skip(16)?;
            r.u64()?
        } else {
            r.u64()?
        };
        Ok(Self { file, root })
    }

    /// The object at a path of names from `from`, or from the root; `None` where there is none.
    pub fn find(&self, from: Option<u64>, path: &str) -> Result<Option<u64>> {
        let mut at = from.unwrap_or(self.root);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match group::member(self.file, at, name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The texts in an attribute of an object, the root by default; `None` where it has no such attribute. Keras cuts a
    /// list that is too long for one into `NAME0`, `NAME1`, …, which are put together.
    pub fn texts(&self, of: Option<u64>, name: &str) -> Result<Option<Vec<String>>> {
        let object = Object::read(self.file, of.unwrap_or(self.root))?;
        if let Some(texts) = object.texts(name)? {
            return Ok(Some(texts));
        }
        let mut all = None;
        for part in 0..MAX_PARTS {
            let Some(texts) = object.texts(&format!("{name}{part}"))? else { break };
            all.get_or_insert_with(Vec::new).extend(texts);
        }
        Ok(all)
    }

    /// The dataset at an address.
    pub fn dataset(&self, at: u64) -> Result<Dataset> {
        Object::read(self.file, at)?.dataset()
    }
}
