//! An object's header: the messages that say what it is.

use super::bytes::Reader;
use super::heap::{Heaps, REFERENCE};
use super::{Dataset, NOWHERE, Result};
use crate::DType;

/// Dimensions of a dataset or an attribute.
const MAX_RANK: usize = 16;
/// The longest text in an attribute, in bytes; a name of a weight has a hundred.
const MAX_TEXT: usize = 64 << 10;

/// Kinds of messages.
mod kind {
    pub const DATASPACE: u16 = 0x01;
    pub const DATATYPE: u16 = 0x03;
    pub const LAYOUT: u16 = 0x08;
    pub const ATTRIBUTE: u16 = 0x0c;
    pub const CONTINUATION: u16 = 0x10;
    pub const SYMBOL_TABLE: u16 = 0x11;
}

/// The messages of an object.
pub(super) struct Object<'f> {
    file: &'f [u8],
    messages: Vec<(u16, &'f [u8])>,
}

impl<'f> Object<'f> {
    /// Reads the header at an address.
    pub fn read(file: &'f [u8], at: u64) -> Result<Self> {
        let mut r = Reader::at(file, at)?;
        match r.u8()? {
            1 => {}
            b'O' => {
                let what = "it was written by h5py with libver=\"latest\" or track_order, which is not read; save it \
                            again without";
                return Err(what.to_owned());
            }
            version => return Err(format!("an object's header of version {version}, which is not read")),
        }
        r.skip(1)?;
        let count = r.u16()?;
        r.skip(4)?;
        let size = r.u32()? as usize;
        r.align()?;
        let mut messages = Vec::new();
        // No more parts than messages, whose number bounds them, even where one names itself.
        let mut parts = vec![r.take(size)?];
        while let Some(part) = parts.pop() {
            let mut r = Reader::new(part);
            while r.left() >= 8 && messages.len() < usize::from(count) {
                let (kind, size, flags) = (r.u16()?, r.u16()?, r.u8()?);
                r.skip(3)?;
                let body = r.take(size.into())?;
                if kind == kind::CONTINUATION {
                    let mut r = Reader::new(body);
                    let (at, size) = (r.u64()?, r.u64()?);
                    let size = usize::try_from(size).map_err(|_| "a header that is too long")?;
                    parts.push(Reader::at(file, at)?.take(size)?);
                }
                // Shared: what follows is said elsewhere.
                if flags & 2 != 0 && kind != kind::CONTINUATION {
                    return Err("a description that several objects share, which is not read".to_owned());
                }
                messages.push((kind, body));
            }
        }
        Ok(Self { file, messages })
    }

    fn message(&self, wanted: u16) -> Option<&'f [u8]> {
        self.messages.iter().find(|(kind, _)| *kind == wanted).map(|(_, body)| *body)
    }

    /// Of a group: its tree's address, and its heap's.
    pub fn symbol_table(&self) -> Result<Option<(u64, u64)>> {
        let Some(body) = self.message(kind::SYMBOL_TABLE) else { return Ok(None) };
        let mut r = Reader::new(body);
        Ok(Some((r.u64()?, r.u64()?)))
    }

    /// What and where the elements of a dataset are.
    pub fn dataset(&self) -> Result<Dataset> {
        let need = |kind, what: &str| {
            self.message(kind).ok_or_else(|| format!("it has no {what}: it is no dataset"))
        };
        let shape = shape(need(kind::DATASPACE, "shape")?)?;
        let dtype = match Element::read(need(kind::DATATYPE, "type")?)? {
            Element::Number(dtype) => dtype,
            Element::Text(_) | Element::LongText | Element::Other => {
                return Err("its elements are no numbers that are read".to_owned());
            }
        };
        let bytes = dtype.byte_len(&shape).ok_or("its shape overflows")?;
        let body = need(kind::LAYOUT, "place")?;
        let range = self.place(body, bytes)?;
        if range.len() != bytes {
            return Err(format!("{dtype} {shape:?} needs {bytes} bytes, the file gives {}", range.len()));
        }
        Ok(Dataset { dtype, shape, range })
    }

    /// The part of the file that a layout message means.
    fn place(&self, body: &'f [u8], bytes: usize) -> Result<std::ops::Range<usize>> {
        let mut r = Reader::new(body);
        match (r.u8()?, r.u8()?) {
            (3 | 4, 0) => {
                let size = usize::from(r.u16()?);
                let data = r.take(size)?;
                // Where a slice of the file lies in it.
                let start = data.as_ptr() as usize - self.file.as_ptr() as usize;
                Ok(start..start + size)
            }
            (3 | 4, 1) => {
                let (at, size) = (r.u64()?, r.u64()?);
                if at == NOWHERE && bytes == 0 {
                    return Ok(0..0);
                }
                let range = usize::try_from(at).ok().zip(usize::try_from(size).ok());
                let range = range.and_then(|(at, size)| Some(at..at.checked_add(size)?));
                range
                    .filter(|range| range.end <= self.file.len())
                    .ok_or_else(|| "it lies outside the file; is it cut off?".to_owned())
            }
            (3 | 4, 2) => {
                Err("it lies in chunks, which are not read; save it without compression".to_owned())
            }
            (version, _) => Err(format!("its place is said in version {version}, which is not read")),
        }
    }

    /// The texts in an attribute; `None` where there is no such attribute, or it has something else.
    pub fn texts(&self, wanted: &str) -> Result<Option<Vec<String>>> {
        for (_, body) in self.messages.iter().filter(|(kind, _)| *kind == kind::ATTRIBUTE) {
            let mut r = Reader::new(body);
            let version = r.u8()?;
            if !(1..=3).contains(&version) {
                return Err(format!("an attribute of version {version}, which is not read"));
            }
            let shared = r.u8()? & 3 != 0 && version > 1;
            let sizes = [r.u16()?, r.u16()?, r.u16()?].map(usize::from);
            if version == 3 {
                r.skip(1)?;
            }
            let mut part = |size: usize| -> Result<&[u8]> {
                let bytes = r.take(size)?;
                // The oldest fills each up to eight bytes.
                if version == 1 {
                    r.skip(size.next_multiple_of(8) - size)?;
                }
                Ok(bytes)
            };
            let (name, dtype, space) = (part(sizes[0])?, part(sizes[1])?, part(sizes[2])?);
            if text(name) != wanted || shared {
                continue;
            }
            let element = Element::read(dtype)?;
            let size = match element {
                Element::Text(size) => size,
                Element::LongText => REFERENCE,
                Element::Number(_) | Element::Other => return Ok(None),
            };
            let count: usize =
                shape(space)?.iter().try_fold(1usize, |a, &n| a.checked_mul(n)).ok_or("too many texts")?;
            let bytes = count.checked_mul(size).ok_or("too many texts")?;
            let texts = r.take(bytes)?.chunks_exact(size.max(1));
            if let Element::LongText = element {
                let mut heaps = Heaps::new(self.file);
                return texts.map(|at| heaps.text(at)).collect::<Result<_>>().map(Some);
            }
            return Ok(Some(texts.map(text).collect()));
        }
        Ok(None)
    }
}

/// Text up to a zero or its end; what is not UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The sizes in a dataspace message.
fn shape(body: &[u8]) -> Result<Vec<usize>> {
    let mut r = Reader::new(body);
    let version = r.u8()?;
    let rank = usize::from(r.u8()?);
    match version {
        1 => r.skip(6)?,
        2 => r.skip(2)?,
        _ => return Err(format!("a shape of version {version}, which is not read")),
    }
    if rank > MAX_RANK {
        return Err(format!("more than {MAX_RANK} dimensions"));
    }
    (0..rank).map(|_| usize::try_from(r.u64()?).map_err(|_| "its shape overflows".to_owned())).collect()
}

/// The type of elements.
enum Element {
    Number(DType),
    /// Text of so many bytes.
    Text(usize),
    /// Text of any length, which lies elsewhere.
    LongText,
    Other,
}

impl Element {
    fn read(body: &[u8]) -> Result<Self> {
        let mut r = Reader::new(body);
        let (class, bits) = (r.u8()? & 0x0f, r.take(3)?);
        let size = r.u32()? as usize;
        let little = bits[0] & 1 == 0;
        Ok(match (class, size) {
            // Whole numbers: the fourth bit says whether they have a sign.
            (0, 1 | 2 | 4 | 8) if little => Self::Number(match (size, bits[0] & 8 != 0) {
                (1, true) => DType::I8,
                (1, false) => DType::U8,
                (2, true) => DType::I16,
                (2, false) => DType::U16,
                (4, true) => DType::I32,
                (4, false) => DType::U32,
                (_, true) => DType::I64,
                (_, false) => DType::U64,
            }),
            (1, 2 | 4 | 8) if little => {
                // Offset and number of bits, places and sizes of exponent and mantissa: IEEE's, nothing else.
                let (offset, precision) = (r.u16()?, r.u16()?);
                let fields = [r.u8()?, r.u8()?, r.u8()?, r.u8()?];
                let (dtype, want) = match size {
                    2 => (DType::F16, [10, 5, 0, 10]),
                    4 => (DType::F32, [23, 8, 0, 23]),
                    _ => (DType::F64, [52, 11, 0, 52]),
                };
                if (offset, usize::from(precision), fields) == (0, 8 * size, want) {
                    Self::Number(dtype)
                } else {
                    Self::Other
                }
            }
            (3, size) if size <= MAX_TEXT => Self::Text(size),
            // Of any length; text is one of them.
            (9, REFERENCE) if bits[0] & 0x0f == 1 => Self::LongText,
            _ => Self::Other,
        })
    }
}
