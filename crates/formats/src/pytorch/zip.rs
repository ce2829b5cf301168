//! The zip form: a directory of uncompressed records, `<name>/data.pkl` and `<name>/data/<key>`.
//!
//! torch never compresses, so a compressed record is refused and nothing here can blow up. Format: PKWARE's
//! APPNOTE.TXT 6.3, sections 4.3 (records) and 4.5.3 (zip64).

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::{Container, FORMAT, pickle, state};
use crate::error::{Error, Result};

/// Whether a file that begins with these bytes is a zip.
pub(super) fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04")
}

/// Finds the pickle and the storages of the zip `file`.
pub(super) fn open(path: &Path, file: &[u8]) -> Result<Container> {
    let bad = |what: String| Error::malformed(path, FORMAT, what);
    let entries = directory(file).map_err(bad)?;
    // All records of torch lie in one folder, whose name is anything.
    let is_torch =
        |e: &Entry| e.name.split_once('/').is_some_and(|(_, n)| n == "data.pkl" || n.starts_with("data/"));
    if !entries.iter().any(is_torch) {
        let what = match entries.first() {
            Some(first) => {
                let name: String = first.name.chars().take(60).collect();
                format!("a zip file, but not one of torch.save (it holds {name}): unpack it first")
            }
            None => "an empty zip file".to_owned(),
        };
        return Err(Error::unsupported(path, what));
    }
    let records = places(file, entries).map_err(bad)?;
    let mut pickle = None;
    let mut storages = HashMap::new();
    for (name, range) in records {
        let Some((_, name)) = name.split_once('/') else { continue };
        if name == "data.pkl" {
            pickle = Some(&file[range]);
        } else if let Some(key) = name.strip_prefix("data/") {
            if storages.insert(key.to_owned(), range).is_some() {
                return Err(bad(format!("two records of the name {name}")));
            }
        } else if name == "byteorder" && file[range.clone()] != *b"little" {
            return Err(Error::unsupported(
                path,
                "written on a big-endian machine; save it as safetensors there",
            ));
        }
    }
    match pickle {
        Some(pickle) => {
            let pickled = pickle::run(pickle).map_err(bad)?;
            let (tensors, notes) = state::tensors(path, &pickled)?;
            Ok(Container { tensors, storages, notes })
        }
        None => Err(bad("there is no data.pkl".to_owned())),
    }
}

/// Every record as the directory has it.
fn directory(file: &[u8]) -> Result<Vec<Entry>, String> {
    let end = end_record(file)?;
    let (count, size, start) = end;
    let mut rest = start
        .checked_add(size)
        .and_then(|stop| file.get(start..stop))
        .ok_or("its directory lies outside the file; is it cut off?")?;
    // 46 bytes each at least, so that a false count costs nothing.
    if count > rest.len() / 46 {
        return Err(format!("a directory of {} bytes cannot hold {count} records", rest.len()));
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(Entry::read(&mut rest).ok_or("its directory is broken")?);
    }
    Ok(entries)
}

/// Name and place of every record.
fn places(file: &[u8], entries: Vec<Entry>) -> Result<Vec<(String, Range<usize>)>, String> {
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        if entry.method != 0 || entry.flags & 1 != 0 {
            return Err(format!(
                "the record {:?} is compressed or encrypted; torch writes none such",
                entry.name
            ));
        }
        let range = entry
            .data(file)
            .ok_or_else(|| format!("the record {:?} lies outside the file; is it cut off?", entry.name))?;
        records.push((entry.name, range));
    }
    Ok(records)
}

/// Number of records, size and beginning of the directory.
fn end_record(file: &[u8]) -> Result<(usize, usize, usize), String> {
    let lost = "its directory is missing; is it cut off?";
    // At the end, before a comment of up to 64 KiB.
    let tail = file.len().saturating_sub(22 + 0xffff);
    let at = tail + memchr::memmem::rfind(&file[tail..], b"PK\x05\x06").ok_or(lost)?;
    let mut end = Reader(file.get(at + 4..).ok_or(lost)?);
    let mut read = || {
        end.skip(6)?;
        let count = end.u16()?;
        Some((count, end.u32()?, end.u32()?))
    };
    let (count, size, start) = read().ok_or(lost)?;
    if count != 0xffff && size != u32::MAX && start != u32::MAX {
        return Ok((count.into(), size as usize, start as usize));
    }
    // zip64: a locator of 20 bytes before this record says where the true one is.
    let read = || {
        let mut locator = Reader(file.get(at.checked_sub(20)?..at)?);
        locator.expect(b"PK\x06\x07")?;
        locator.skip(4)?;
        let place = usize::try_from(locator.u64()?).ok()?;
        let mut end = Reader(file.get(place..)?);
        end.expect(b"PK\x06\x06")?;
        end.skip(28)?;
        let mut next = || usize::try_from(end.u64()?).ok();
        Some((next()?, next()?, next()?))
    };
    read().ok_or_else(|| lost.to_owned())
}

/// A record as the directory has it.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    size: usize,
    /// Where its own header is.
    header: usize,
}

impl Entry {
    /// Takes the next entry off `rest`.
    fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut r = Reader(rest);
        r.expect(b"PK\x01\x02")?;
        r.skip(4)?;
        let (flags, method) = (r.u16()?, r.u16()?);
        r.skip(8)?;
        let (packed, plain) = (r.u32()?, r.u32()?);
        let (name, extra, comment) = (r.u16()?, r.u16()?, r.u16()?);
        r.skip(8)?;
        let header = r.u32()?;
        let name = String::from_utf8_lossy(r.take(name.into())?).into_owned();
        let mut extra = Reader(r.take(extra.into())?);
        r.skip(comment.into())?;
        *rest = r.0;

        let (mut size, mut at) = (u64::from(plain), u64::from(header));
        while let (Some(id), Some(len)) = (extra.u16(), extra.u16()) {
            let mut field = Reader(extra.take(len.into())?);
            // What does not fit 32 bits stands in the extra field 1, in this order.
            if id == 1 {
                if plain == u32::MAX {
                    size = field.u64()?;
                }
                if packed == u32::MAX {
                    field.skip(8)?;
                }
                if header == u32::MAX {
                    at = field.u64()?;
                }
            }
        }
        Some(Self { name, flags, method, size: size.try_into().ok()?, header: at.try_into().ok()? })
    }

    /// Where its data is: behind its own header, whose extra field differs from the directory's.
    fn data(&self, file: &[u8]) -> Option<Range<usize>> {
        let mut r = Reader(file.get(self.header..)?);
        r.expect(b"PK\x03\x04")?;
        r.skip(22)?;
        let (name, extra) = (r.u16()?, r.u16()?);
        r.skip(usize::from(name) + usize::from(extra))?;
        let start = file.len() - r.0.len();
        let end = start.checked_add(self.size)?;
        (end <= file.len()).then_some(start..end)
    }
}

/// Takes little-endian numbers off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n).map(drop)
    }

    fn expect(&mut self, what: &[u8]) -> Option<()> {
        (self.take(what.len())? == what).then_some(())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
