//! Reading a JSON file of bounded size.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::encoding::{Encoding, decode};
use crate::error::{Error, Result};
use crate::foreign;

/// The longest JSON file that is read, in bytes; a shard index of a thousand layers is under 10 MB.
const MAX: u64 = 64 << 20;

/// The JSON file at `path`, which is a `format` for messages.
///
/// # Errors
/// [`Error::Io`]; [`Error::Malformed`] where it is too long, no JSON, or something else.
pub fn read<T: DeserializeOwned>(path: &Path, format: &'static str) -> Result<T> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    if bytes.len() as u64 > MAX {
        return Err(Error::malformed(path, format, format!("longer than {} MB", MAX >> 20)));
    }
    foreign::check(path, &bytes)?;
    let parsed = match decode(&bytes, Encoding::Auto) {
        Some(text) => serde_json::from_str(&text),
        // The parser says where it is no text.
        None => serde_json::from_slice(&bytes),
    };
    parsed.map_err(|e| Error::malformed(path, format, e.to_string()))
}
