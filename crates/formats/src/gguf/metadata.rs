//! The key-value pairs at the beginning of a GGUF file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::FORMAT;
use crate::error::{Error, Result};
use crate::hdf5::bytes::Reader;

/// Arrays within arrays, at most; llama.cpp writes none.
const MAX_DEPTH: usize = 4;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Whole numbers of all sizes.
    Whole(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    /// The type of its elements, their number and where they are in the file.
    Array {
        kind: u32,
        len: usize,
        range: Range<usize>,
    },
}

/// The pairs of one file.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

/// Text with its length before it.
pub(super) fn text<'f>(r: &mut Reader<'f>) -> Result<&'f str, String> {
    let length = usize::try_from(r.u64()?).map_err(|_| "a text that is longer than the file".to_owned())?;
    std::str::from_utf8(r.take(length)?).map_err(|_| "a text that is not UTF-8".to_owned())
}

/// Bytes of a value of this type; `None` for text and arrays.
fn size_of(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Passes over `len` values of one type.
fn skip(r: &mut Reader<'_>, kind: u32, len: usize, depth: usize) -> Result<(), String> {
    if let Some(size) = size_of(kind) {
        return r.skip(len.checked_mul(size).ok_or("an array that is longer than the file")?);
    }
    for _ in 0..len {
        match kind {
            8 => _ = text(r)?,
            9 if depth < MAX_DEPTH => {
                let (kind, len) = array(r)?;
                skip(r, kind, len, depth + 1)?;
            }
            9 => return Err("arrays within arrays within arrays".to_owned()),
            other => return Err(format!("a value of the type {other}, which is unknown")),
        }
    }
    Ok(())
}

/// Type and number of an array's elements.
fn array(r: &mut Reader<'_>) -> Result<(u32, usize), String> {
    let kind = r.u32()?;
    let len = usize::try_from(r.u64()?).map_err(|_| "an array that is longer than the file".to_owned())?;
    Ok((kind, len))
}

fn value(r: &mut Reader<'_>, file: usize) -> Result<Value, String> {
    Ok(match r.u32()? {
        0 => Value::Whole(r.u8()?.into()),
        1 => Value::Whole((r.u8()? as i8).into()),
        2 => Value::Whole(r.u16()?.into()),
        3 => Value::Whole((r.u16()? as i16).into()),
        4 => Value::Whole(r.u32()?.into()),
        5 => Value::Whole((r.u32()? as i32).into()),
        // The number that was meant: 1e-6, not the double next to the single.
        6 => Value::Float(f32::from_bits(r.u32()?).to_string().parse().unwrap_or(f64::NAN)),
        7 => Value::Bool(r.u8()? != 0),
        8 => Value::Text(text(r)?.to_owned()),
        9 => {
            let (kind, len) = array(r)?;
            let from = file - r.left();
            skip(r, kind, len, 0)?;
            Value::Array { kind, len, range: from..file - r.left() }
        }
        10 => Value::Whole(r.u64()?.into()),
        11 => Value::Whole((r.u64()? as i64).into()),
        12 => Value::Float(f64::from_bits(r.u64()?)),
        other => return Err(format!("a value of the type {other}, which is unknown")),
    })
}

impl Metadata {
    /// Reads `count` pairs of a file of so many bytes.
    pub fn read(path: &Path, r: &mut Reader<'_>, count: u64, file: usize) -> Result<Self> {
        let mut values = BTreeMap::new();
        for n in 0..count {
            let bad = |what: String| Error::malformed(path, FORMAT, format!("metadata pair {n}: {what}"));
            let key = text(r).map_err(bad)?.to_owned();
            let value = value(r, file)
                .map_err(|what| Error::malformed(path, FORMAT, format!("metadata {key:?}: {what}")))?;
            if values.contains_key(&key) {
                return Err(bad(format!("{key:?} is there twice")));
            }
            values.insert(key, value);
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// An error about a key.
    pub fn error(&self, key: &str, what: impl Into<String>) -> Error {
        Error::Config { path: self.path.clone(), field: key.to_owned(), what: what.into() }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(key, "should be a text")),
        }
    }

    /// A whole number from 0 to 2^32 - 1.
    pub fn whole(&self, key: &str) -> Result<Option<u32>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Whole(number)) => match u32::try_from(*number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.error(key, format!("{number} is out of range"))),
            },
            Some(_) => Err(self.error(key, "should be a whole number")),
        }
    }

    /// A float.
    pub fn float(&self, key: &str) -> Result<Option<f64>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Float(number)) => Ok(Some(*number)),
            Some(_) => Err(self.error(key, "should be a float")),
        }
    }

    /// True or false.
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.error(key, "should be true or false")),
        }
    }

    /// The texts of an array.
    pub fn texts<'f>(&self, file: &'f [u8], key: &str) -> Result<Option<Vec<&'f str>>> {
        let Some((8, len, bytes)) = self.array(file, key)? else {
            return self.no_array(key, "should be a list of texts");
        };
        let mut r = Reader::new(bytes);
        (0..len).map(|_| text(&mut r).map_err(|what| self.error(key, what))).collect::<Result<_>>().map(Some)
    }

    /// The floats (f32) of an array.
    pub fn floats(&self, file: &[u8], key: &str) -> Result<Option<Vec<f32>>> {
        let Some((6, _, bytes)) = self.array(file, key)? else {
            return self.no_array(key, "should be a list of floats");
        };
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()))
    }

    /// The whole numbers (32 bits) of an array.
    pub fn wholes(&self, file: &[u8], key: &str) -> Result<Option<Vec<u32>>> {
        let Some((4 | 5, _, bytes)) = self.array(file, key)? else {
            return self.no_array(key, "should be a list of whole numbers");
        };
        Ok(Some(bytes.as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect()))
    }

    /// The bytes of an array.
    pub fn bytes<'f>(&self, file: &'f [u8], key: &str) -> Result<Option<&'f [u8]>> {
        match self.array(file, key)? {
            Some((0 | 1, _, bytes)) => Ok(Some(bytes)),
            _ => self.no_array(key, "should be a list of bytes"),
        }
    }

    /// An array: the type of its elements, their number, their bytes.
    fn array<'f>(&self, file: &'f [u8], key: &str) -> Result<Option<(u32, usize, &'f [u8])>> {
        match self.values.get(key) {
            Some(Value::Array { kind, len, range }) => {
                let bytes = file.get(range.clone()).ok_or_else(|| self.error(key, "cut off"))?;
                Ok(Some((*kind, *len, bytes)))
            }
            _ => Ok(None),
        }
    }

    /// What is said where there is no array of the right type.
    fn no_array<T>(&self, key: &str, what: &str) -> Result<Option<T>> {
        if self.values.contains_key(key) { Err(self.error(key, what)) } else { Ok(None) }
    }
}
