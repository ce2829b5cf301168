//! The element types of tensors on disk.

use std::fmt;

/// The type of a tensor's elements on disk; always little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE 16-bit float.
    F16,
    /// The upper 16 bits of a 32-bit float.
    Bf16,
    /// Signed, 64 bits.
    I64,
    /// Signed, 32 bits.
    I32,
    /// Signed, 16 bits.
    I16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 64 bits.
    U64,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
    /// 8-bit float with 4 bits of exponent.
    F8E4m3,
    /// 8-bit float with 5 bits of exponent.
    F8E5m2,
}

use Dtype::*;

const ALL: [(Dtype, &str, usize); 15] = [
    (F64, "F64", 8),
    (F32, "F32", 4),
    (F16, "F16", 2),
    (Bf16, "BF16", 2),
    (I64, "I64", 8),
    (I32, "I32", 4),
    (I16, "I16", 2),
    (I8, "I8", 1),
    (U64, "U64", 8),
    (U32, "U32", 4),
    (U16, "U16", 2),
    (U8, "U8", 1),
    (Bool, "BOOL", 1),
    (F8E4m3, "F8_E4M3", 1),
    (F8E5m2, "F8_E5M2", 1),
];

impl Dtype {
    /// Bytes an element.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// The name in a safetensors header: `F32`, `BF16`, `F8_E4M3`, …
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The type of that name in a safetensors header.
    pub fn from_name(name: &str) -> Option<Self> {
        ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Whether the elements are floats of 16, 32 or 64 bits, from which weights can be made.
    pub fn is_float(self) -> bool {
        matches!(self, F64 | F32 | F16 | Bf16)
    }

    /// Bytes of a tensor of this type and shape; `None` where that is more than a `usize` holds.
    pub fn byte_len(self, shape: &[usize]) -> Option<usize> {
        // Zeros first: [2^40, 2^40, 0] is a legal empty tensor.
        if shape.contains(&0) {
            return Some(0);
        }
        shape.iter().try_fold(self.size(), |n, &d| n.checked_mul(d))
    }

    fn row(self) -> (Self, &'static str, usize) {
        // The table is in the order of the enum; a test holds it there.
        ALL[self as usize]
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for row in ALL {
            assert_eq!(row.0.row(), row);
            assert_eq!(Dtype::from_name(row.1), Some(row.0));
        }
        assert_eq!(Dtype::from_name("F33"), None);
    }

    #[test]
    fn byte_lengths() {
        assert_eq!(F32.byte_len(&[]), Some(4));
        assert_eq!(F32.byte_len(&[3, 5]), Some(60));
        assert_eq!(F32.byte_len(&[usize::MAX, usize::MAX, 0]), Some(0));
        assert_eq!(F32.byte_len(&[usize::MAX / 4 + 1]), None);
        assert_eq!(U8.byte_len(&[usize::MAX]), Some(usize::MAX));
    }
}
