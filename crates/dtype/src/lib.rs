//! The element types of tensors: one table with their sizes and what each kind of file calls them, for files
//! (`formats`) and for weights in memory (`tensor`) alike.

use std::fmt;

/// The type of a tensor's elements; in files always little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
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
    /// Signed, 4 bits, two a byte: of weights in memory; files hold the bytes as U8.
    I4,
    /// 8-bit float with 4 bits of exponent.
    F8E4m3,
    /// 8-bit float with 5 bits of exponent.
    F8E5m2,
}

use DType::*;

/// What is known of a type.
struct Row {
    dtype: DType,
    size: usize,
    name: &'static str,
    safetensors: &'static str,
    torch: &'static str,
    /// The class of its storages in PyTorch's files, without `torch.`.
    storage: Option<&'static str>,
    /// Its number in tensorflow/core/framework/types.proto.
    tensorflow: Option<u64>,
}

const fn row(
    dtype: DType,
    size: usize,
    [name, safetensors, torch]: [&'static str; 3],
    storage: Option<&'static str>,
    tensorflow: Option<u64>,
) -> Row {
    Row { dtype, size, name, safetensors, torch, storage, tensorflow }
}

const TABLE: [Row; 16] = [
    row(F64, 8, ["f64", "F64", "float64"], Some("DoubleStorage"), Some(2)),
    row(F32, 4, ["f32", "F32", "float32"], Some("FloatStorage"), Some(1)),
    row(F16, 2, ["f16", "F16", "float16"], Some("HalfStorage"), Some(19)),
    row(Bf16, 2, ["bf16", "BF16", "bfloat16"], Some("BFloat16Storage"), Some(14)),
    row(I64, 8, ["i64", "I64", "int64"], Some("LongStorage"), Some(9)),
    row(I32, 4, ["i32", "I32", "int32"], Some("IntStorage"), Some(3)),
    row(I16, 2, ["i16", "I16", "int16"], Some("ShortStorage"), Some(5)),
    row(I8, 1, ["int8", "I8", "int8"], Some("CharStorage"), Some(6)),
    row(U64, 8, ["u64", "U64", "uint64"], None, Some(23)),
    row(U32, 4, ["u32", "U32", "uint32"], None, Some(22)),
    row(U16, 2, ["u16", "U16", "uint16"], None, Some(17)),
    row(U8, 1, ["u8", "U8", "uint8"], Some("ByteStorage"), Some(4)),
    row(Bool, 1, ["bool", "BOOL", "bool"], Some("BoolStorage"), Some(10)),
    row(I4, 1, ["int4", "I4", "int4"], None, None),
    row(F8E4m3, 1, ["f8e4m3", "F8_E4M3", "float8_e4m3fn"], None, None),
    row(F8E5m2, 1, ["f8e5m2", "F8_E5M2", "float8_e5m2"], None, None),
];

impl DType {
    /// The types that weights are kept in; those of whole numbers have scales beside them.
    pub const WEIGHTS: [DType; 5] = [F32, Bf16, F16, I8, I4];

    /// Bytes an element; of two elements of 4 bits.
    pub fn size(self) -> usize {
        self.row().size
    }

    /// Its short name, in flags and messages: `f32`, `bf16`, …
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name in a safetensors header: `F32`, `BF16`, `F8_E4M3`, …
    pub fn safetensors(self) -> &'static str {
        self.row().safetensors
    }

    /// PyTorch's name, as `torch_dtype` in a `config.json` has it: `float32`, `bfloat16`, …
    pub fn torch(self) -> &'static str {
        self.row().torch
    }

    /// The type of that [`name`](DType::name).
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.dtype)
    }

    /// The type of that name in a safetensors header.
    pub fn from_safetensors(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.safetensors == name).map(|row| row.dtype)
    }

    /// The type of the storages of that class in PyTorch's files: `torch.FloatStorage`, …
    pub fn from_torch_storage(class: &str) -> Option<Self> {
        let class = class.strip_prefix("torch.")?;
        TABLE.iter().find(|row| row.storage == Some(class)).map(|row| row.dtype)
    }

    /// The type of that number in TensorFlow's files (tensorflow/core/framework/types.proto).
    pub fn from_tensorflow(number: u64) -> Option<Self> {
        TABLE.iter().find(|row| row.tensorflow == Some(number)).map(|row| row.dtype)
    }

    /// Whether the elements are floats of 16, 32 or 64 bits, from which weights can be made.
    pub fn is_float(self) -> bool {
        matches!(self, F64 | F32 | F16 | Bf16)
    }

    /// What a weight of this type in a file is kept in: doubles become singles; `None` where no weight can be made of
    /// it.
    pub fn of_weight(self) -> Option<Self> {
        match self {
            F64 => Some(F32),
            other => Some(other).filter(|other| DType::WEIGHTS.contains(other)),
        }
    }

    /// Bytes of a tensor of this type and shape; `None` where that is more than a `usize` holds.
    pub fn byte_len(self, shape: &[usize]) -> Option<usize> {
        // Zeros first: [2^40, 2^40, 0] is a legal empty tensor.
        if shape.contains(&0) {
            return Some(0);
        }
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        if self == I4 { Some(elements.div_ceil(2)) } else { elements.checked_mul(self.size()) }
    }

    fn row(self) -> &'static Row {
        // The table is in the order of the enum; a test holds it there.
        &TABLE[self as usize]
    }
}

/// The name in safetensors headers: messages are about files.
impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.safetensors())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enum_and_its_names_lead_back() {
        for row in &TABLE {
            assert_eq!(row.dtype.row().safetensors, row.safetensors);
            assert_eq!(DType::from_name(row.name), Some(row.dtype));
            assert_eq!(DType::from_safetensors(row.safetensors), Some(row.dtype));
            if let Some(class) = row.storage {
                assert_eq!(DType::from_torch_storage(&format!("torch.{class}")), Some(row.dtype));
            }
            if let Some(number) = row.tensorflow {
                assert_eq!(DType::from_tensorflow(number), Some(row.dtype));
            }
        }
        assert_eq!(DType::from_safetensors("F33"), None);
        assert_eq!(DType::from_torch_storage("FloatStorage"), None);
        assert_eq!(DType::from_tensorflow(7), None, "strings");
    }

    #[test]
    fn weights_are_made_of_floats_and_int8() {
        assert_eq!(F64.of_weight(), Some(F32));
        assert_eq!(Bf16.of_weight(), Some(Bf16));
        let made = |dtype: DType| dtype.is_float() || matches!(dtype, I8 | I4);
        assert!(TABLE.iter().all(|row| row.dtype.of_weight().is_some() == made(row.dtype)));
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
