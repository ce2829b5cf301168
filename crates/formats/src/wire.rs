//! The protocol buffer wire format, as much of it as the project's readers need.
//!
//! [`Fields`] walks the fields of one message without copying; every length is checked against the bytes
//! that are really there before it is believed. The writers append one field each.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// What a field holds, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little-endian.
    Fixed64(u64),
    /// Wire type 2: strings, bytes, embedded messages, packed lists.
    Bytes(&'a [u8]),
    /// Wire type 5, little-endian.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The field number, 1 to 2^29 - 1.
    pub(crate) number: u32,
    /// Its content.
    pub(crate) value: Value<'a>,
    /// The whole field as it stands in the message, tag included: what a writer copies to preserve it.
    pub(crate) raw: &'a [u8],
    /// Where `raw` begins within the message.
    pub(crate) offset: usize,
}

/// Why a message could not be read, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WireError {
    /// Bytes from the beginning of the message.
    pub(crate) offset: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// Iterates over the fields of the message in `bytes`; ends after the first error.
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or("the file ends inside a number")?;
            self.at += 1;
            // The tenth byte holds the one bit that is left of 64.
            if shift == 63 && byte > 1 {
                return Err("a number of more than 64 bits");
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than 10 bytes")
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let rest = &self.bytes[self.at..];
        if length > rest.len() {
            return Err("a field is longer than what is left of the file");
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn field(&mut self) -> Result<Field<'a>, &'static str> {
        let offset = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or("an impossible field number")?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().expect("take gives 8 bytes"))),
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().expect("take gives 4 bytes"))),
            _ => return Err("a wire type that no longer exists (groups) or never did"),
        };
        Ok(Field { number, value, raw: &self.bytes[offset..self.at], offset })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let offset = self.at;
        let field = self.field();
        if field.is_err() {
            self.at = self.bytes.len();
        }
        Some(field.map_err(|what| WireError { offset, what }))
    }
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field of wire type 0.
pub(crate) fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends a field of wire type 2.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a `double` field.
pub(crate) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a `float` field.
pub(crate) fn put_float(out: &mut Vec<u8>, number: u32, value: f32) {
    put_varint(out, u64::from(number) << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Vec::new();
        put_uint(&mut message, 1, u64::MAX);
        put_bytes(&mut message, 40, b"abc");
        put_float(&mut message, 3, -1.5);
        put_double(&mut message, 4, 0.1);
        let fields: Vec<_> = Fields::new(&message).map(|f| f.unwrap()).collect();
        assert_eq!(fields[0].value, Value::Varint(u64::MAX));
        assert_eq!((fields[1].number, fields[1].value), (40, Value::Bytes(b"abc")));
        assert_eq!(fields[2].value, Value::Fixed32((-1.5f32).to_bits()));
        assert_eq!(fields[3].value, Value::Fixed64(0.1f64.to_bits()));
        let joined: Vec<u8> = fields.iter().flat_map(|f| f.raw.iter().copied()).collect();
        assert_eq!(joined, message);
    }

    #[test]
    fn broken_messages_end_with_an_error() {
        for (bytes, what) in [
            (&b"\x08"[..], "ends inside"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "64 bits"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "longer than"),
            (b"\x0a\x05abc", "longer than"),
            (b"\x0d\x01\x02", "longer than"),
            (b"\x0b", "wire type"),
            (b"\x02\x00", "field number"),
        ] {
            let all: Vec<_> = Fields::new(bytes).collect();
            assert_eq!(all.len(), 1, "{bytes:?}");
            let error = all[0].as_ref().unwrap_err();
            assert!(error.what.contains(what), "{bytes:?}: {error:?}");
        }
    }
}
