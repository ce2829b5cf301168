//! Texts of any length, which lie in collections that a whole file shares.

use std::collections::HashMap;

use super::Result;
use super::bytes::Reader;
use super::object::text;

/// Bytes of a reference to a text: its length, its collection's address, its number there.
pub(super) const REFERENCE: usize = 16;

/// The objects of a collection, by number.
type Collection<'f> = HashMap<u16, &'f [u8]>;

/// The collections of a file that were looked into, by address.
pub(super) struct Heaps<'f> {
    file: &'f [u8],
    collections: HashMap<u64, Collection<'f>>,
}

impl<'f> Heaps<'f> {
    pub fn new(file: &'f [u8]) -> Self {
        Self { file, collections: HashMap::new() }
    }

    /// The text that a reference means.
    pub fn text(&mut self, reference: &[u8]) -> Result<String> {
        let mut r = Reader::new(reference);
        let (length, at, number) = (r.u32()? as usize, r.u64()?, r.u32()?);
        if length == 0 {
            return Ok(String::new());
        }
        if !self.collections.contains_key(&at) {
            self.collections.insert(at, collection(self.file, at)?);
        }
        let object = u16::try_from(number).ok().and_then(|n| self.collections[&at].get(&n)?.get(..length));
        object.map(text).ok_or_else(|| "a text is not where it is said to be".to_owned())
    }
}

/// The objects of the collection at an address.
fn collection(file: &[u8], at: u64) -> Result<Collection<'_>> {
    let mut r = Reader::at(file, at)?;
    r.expect(b"GCOL")?;
    r.skip(4)?;
    let size = usize::try_from(r.u64()?).ok().and_then(|size| size.checked_sub(16));
    let mut r = Reader::new(r.take(size.ok_or("a heap that is too short")?)?);
    let mut objects = HashMap::new();
    while r.left() >= 16 {
        let number = r.u16()?;
        r.skip(6)?;
        let size = usize::try_from(r.u64()?).map_err(|_| "a heap that is too long")?;
        // The room that is left has the number 0.
        if number == 0 {
            break;
        }
        objects.insert(number, r.take(size)?);
        r.align()?;
    }
    Ok(objects)
}
